/** Whether what `open` is given can be meant: a wrong word here would cost a promise later. */

import { isText } from "../codec/text.ts";
import { checkFunction, checkOptions, checkReplicaId, invalid } from "../dictionary/arguments.ts";
import { checkPersistence } from "../persistence/check.ts";
import { ADDRESS_BYTES_MAX, TOKEN_BYTES_MAX } from "../sync/limits.ts";
import type { PeerOptions } from "../sync/peer-exchange.ts";
import type { Connector } from "../transport/contract.ts";
import type { OpenOptions, PersistenceHooks } from "./contract.ts";

const OPTION_NAMES: readonly (keyof OpenOptions)[] = [
  "persistence",
  "engine",
  "replicaId",
  "clock",
  "driftMaxMs",
  "durability",
  "flushIntervalMs",
  "readOnly",
  "signal",
  "hooks",
  "onReport",
  "connect",
  "token",
  "collector",
  "replicaRetentionMs",
  "peers",
];

const PEER_OPTION_NAMES: readonly (keyof PeerOptions)[] = [
  "connector",
  "address",
  "connectionsMax",
];

const HOOK_NAMES: readonly (keyof PersistenceHooks)[] = [
  "onLoad",
  "onAppend",
  "onCompact",
  "onError",
];

/** Throws `invalid-argument`. What a dictionary is made of, `createDictionary` looks at. */
export function checkOpenOptions(options: OpenOptions): void {
  if (typeof options !== "object" || options === null) {
    throw invalid("open takes an object: { persistence: filePersistence(path) }");
  }
  const { persistence, replicaId, durability, flushIntervalMs, hooks, readOnly } = options;
  checkOptions(options, OPTION_NAMES, "open");
  checkPersistence(persistence, "`persistence`");
  if (hooks !== undefined) checkHooks(hooks);
  if (options.clock !== undefined) checkFunction(options.clock, "`clock`");
  if (options.onReport !== undefined) checkFunction(options.onReport, "`onReport`");
  checkFlag(readOnly, "`readOnly`");
  checkFlag(options.collector, "`collector`");
  if (replicaId !== undefined) checkReplicaId(replicaId);
  if (durability !== undefined && durability !== "strict" && durability !== "relaxed") {
    throw invalid(`\`durability\` is "strict" or "relaxed", not ${JSON.stringify(durability)}`);
  }
  if (
    flushIntervalMs !== undefined &&
    !(Number.isFinite(flushIntervalMs) && flushIntervalMs >= 0 && flushIntervalMs < 2 ** 31)
  ) {
    throw invalid(`\`flushIntervalMs\` is a number of milliseconds from 0, not ${flushIntervalMs}`);
  }
  if (options.replicaRetentionMs !== undefined && !(options.replicaRetentionMs > 0)) {
    throw invalid("`replicaRetentionMs` is a number of milliseconds above 0");
  }
  checkConnect(options);
  if (options.peers !== undefined) checkPeers(options.peers);
}

function checkPeers(peers: PeerOptions): void {
  if (typeof peers !== "object" || peers === null) throw invalid("`peers` is an object");
  checkOptions(peers, PEER_OPTION_NAMES, "`peers`");
  const { connector, address = "", connectionsMax = 1 } = peers;
  checkFunction(connector, "`peers.connector`");
  if (!isText(address, ADDRESS_BYTES_MAX)) {
    throw invalid(`\`peers.address\` is a text of at most ${ADDRESS_BYTES_MAX} bytes of UTF-8`);
  }
  if (!(Number.isInteger(connectionsMax) && connectionsMax >= 1 && connectionsMax <= 256)) {
    throw invalid("`peers.connectionsMax` is a whole number from 1 to 256");
  }
}

function checkFlag(given: unknown, name: string): void {
  if (given !== undefined && typeof given !== "boolean") throw invalid(`${name} is true or false`);
}

function checkHooks(hooks: PersistenceHooks): void {
  checkOptions(hooks, HOOK_NAMES, "`hooks`");
  for (const [name, hook] of Object.entries(hooks)) {
    if (hook !== undefined) checkFunction(hook, `\`hooks.${name}\``);
  }
}

function checkConnect({ connect = [], token, readOnly }: OpenOptions): void {
  const targets: readonly unknown[] = Array.isArray(connect) ? connect : [connect];
  if (!targets.every((target) => typeof target === "string" || isConnector(target))) {
    throw invalid('`connect` is "ws://host/room", a connector, or an array of these');
  }
  if (targets.length > 0 && readOnly === true) {
    throw invalid("a store that is only looked at cannot be connected; leave out `connect`");
  }
  if (token !== undefined && !isText(token, TOKEN_BYTES_MAX)) {
    throw invalid(`\`token\` is a text of at most ${TOKEN_BYTES_MAX} bytes of UTF-8`);
  }
}

function isConnector(given: unknown): boolean {
  const { name, connect } = (given ?? {}) as Partial<Connector>;
  return typeof name === "string" && typeof connect === "function";
}
