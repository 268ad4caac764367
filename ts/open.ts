/** Opens a store: reads what is kept, and goes on from there. */

import type { Dictionary, Report } from "./dictionary/contract.ts";
import { createDictionary, DRIFT_MAX_MS } from "./dictionary/dictionary.ts";
import { internalsOf } from "./dictionary/internals.ts";
import type { Engine } from "./engine/contract.ts";
import { loadEngine } from "./engine/load.ts";
import { Attributes } from "./persistence/attributes.ts";
import { asStoreError, isTriedAgain } from "./persistence/failure.ts";
import { replayAll } from "./persistence/replay.ts";
import type { OpenOptions, Store } from "./store/contract.ts";
import { StoreClock } from "./sync/clock.ts";
import { StoreEmitter } from "./store/events.ts";
import { ownCounter, settleIdentity, takeNewId } from "./store/identity.ts";
import { Keeper, type KeeperListener } from "./store/keeper.ts";
import { checkOpenOptions } from "./store/options.ts";
import { sharedReplicaOf } from "./store/shared.ts";
import { PersistentStore } from "./store/store.ts";
import type { Machine } from "./sync/connection.ts";
import type { Roles } from "./sync/host.ts";
import type { Connector } from "./transport/contract.ts";
import { systemTimers } from "./transport/timers.ts";

/**
 * Opens the store that `persistence` keeps, or makes it: a dictionary that survives restarts, crashes and full disks. Costs reading all of it.
 *
 * Nobody else can write to it until it is closed. A store that was copied, or that was relaxed and not closed, goes on under a new replica id, so that
 * no two copies ever write under one; `onReport` is told (`replica-cloned`).
 *
 * Rejects with `store-locked` when somebody else has it, `store-corrupt` (its `damage` says where; nothing is changed, and `salvage` reads what can be read), `store-newer`
 * when a later release wrote it, `storage-unavailable` when the medium cannot be used, `engine-unavailable`, `invalid-argument`, and with the signal's reason.
 *
 * @example
 * ```ts
 * import { open } from "lastwrite";
 * import { memoryPersistence } from "lastwrite/persistence/memory";
 *
 * const persistence = memoryPersistence(); // or filePersistence("notes.lw"), and so on
 * const store = await open({ persistence });
 * try {
 *   store.set("tasks/42/title", "Ship it");
 * } finally {
 *   await store.close();
 * }
 *
 * const again = await open({ persistence });
 * console.log(again.get("tasks/42/title")); // Ship it
 * await again.close();
 * ```
 */
export function open(options: OpenOptions): Promise<Store> {
  return openOn({}, options);
}

/** `open`, on a machine whose network and timers are those of a test. */
export async function openOn(machine: Machine, options: OpenOptions): Promise<PersistentStore> {
  checkOpenOptions(options);
  const { persistence, readOnly = false, signal, token } = options;
  signal?.throwIfAborted();
  const connectors = await connectorsOf(options);
  const roles = await rolesOf(options);
  signal?.throwIfAborted();
  const engine = options.engine ?? (await loadEngine());
  signal?.throwIfAborted();
  const opening = new Opening(options, engine, machine);
  let isOpen = false;
  try {
    await persistence.open({ access: readOnly ? "read" : "write", engine });
    isOpen = true;
    signal?.throwIfAborted();
    await opening.load();
    const store = await opening.finish(roles);
    if (connectors.length > 0 || options.peers !== undefined) {
      store.connect(connectors, token, machine);
    }
    return store;
  } catch (error) {
    opening.dictionary.close();
    // One that could not be opened may be in use by somebody else.
    if (isOpen) await persistence.close().catch(() => {});
    if (signal?.aborted === true) throw signal.reason;
    throw asStoreError(error, persistence.name);
  }
}

const RETENTION_MS = 30 * 24 * 3_600_000;

/** A store on its way from the medium into memory. */
class Opening {
  readonly dictionary: Dictionary;
  readonly #options: OpenOptions;
  readonly #engine: Engine;
  readonly #emitter = new StoreEmitter();
  readonly #attributes = new Attributes();
  readonly #loaded = { wholeBytes: 0, logBytes: 0 };
  readonly #clock: StoreClock;
  readonly #driftMaxMs: number;
  readonly #machine: Machine;
  #store: PersistentStore | undefined;

  constructor(options: OpenOptions, engine: Engine, machine: Machine) {
    this.#options = options;
    this.#machine = machine;
    this.#engine = engine;
    const { clock = Date.now, driftMaxMs = DRIFT_MAX_MS, replicaId } = options;
    this.#driftMaxMs = driftMaxMs;
    this.#clock = new StoreClock(clock, driftMaxMs);
    this.dictionary = createDictionary({
      engine,
      onReport: (report) => this.#report(report),
      clock: this.#clock.now,
      driftMaxMs,
      ...(replicaId !== undefined && { replicaId }),
    });
  }

  async load(): Promise<void> {
    const { persistence, signal, hooks, readOnly = false, replicaId } = this.#options;
    const { dictionary } = this;
    const attributes = this.#attributes;
    const internals = internalsOf(dictionary);
    let frameCount = 0;
    for await (const { byteCount, journal } of replayAll(persistence, internals.entries)) {
      signal?.throwIfAborted();
      if (journal !== undefined) attributes.load(journal.attributes);
      // Rows are a whole state too.
      const isWhole = journal === undefined || journal.isWhole;
      this.#loaded[isWhole ? "wholeBytes" : "logBytes"] += byteCount;
      frameCount++;
    }
    internals.setReplicaId(undefined);
    const { wholeBytes, logBytes } = this.#loaded;
    const onLoad = hooks?.onLoad;
    if (onLoad !== undefined) {
      this.#emitter.call(() => onLoad({ frameCount, byteCount: wholeBytes + logBytes }));
    }
    if (readOnly) return;
    const report = this.#report.bind(this);
    const isNew = frameCount === 0;
    settleIdentity({ dictionary, attributes, persistence, isNew, replicaId, report });
  }

  async finish(roles: Roles): Promise<PersistentStore> {
    const { persistence, readOnly = false, signal } = this.#options;
    const keeper = readOnly ? undefined : await this.#keeper();
    signal?.throwIfAborted();
    this.#store = new PersistentStore({
      dictionary: this.dictionary,
      persistence,
      keeper,
      emitter: this.#emitter,
      attributes: this.#attributes,
      driftMaxMs: this.#driftMaxMs,
      clock: this.#clock,
      report: (report) => this.#report(report),
      ...roles,
      timers: this.#machine.timers ?? systemTimers,
      random: this.#machine.random ?? Math.random,
      monotonicNow: this.#machine.monotonicNow ?? (() => performance.now()),
    });
    return this.#store;
  }

  async #keeper(): Promise<Keeper> {
    const { persistence, durability, flushIntervalMs = 50 } = this.#options;
    const { dictionary } = this;
    const attributes = this.#attributes;
    const listener = this.#keeperListener();
    const isStrict = durability === "strict";
    const { entries } = internalsOf(dictionary);
    const keeper = new Keeper(
      { persistence, entries, attributes, isStrict, flushIntervalMs, listener },
      this.#loaded,
    );
    if (persistence.share !== undefined) {
      const engine = this.#engine;
      const parts = { engine, dictionary, attributes, persistence, keeper, listener };
      await persistence.share(sharedReplicaOf(parts));
    } else if (!isStrict && ownCounter(dictionary) > 0) {
      await this.#mark(keeper);
    }
    return keeper;
  }

  /** Sees to it that the next number of the store is not given twice, whatever becomes of the writes of this time. */
  async #mark(keeper: Keeper): Promise<void> {
    try {
      await keeper.mark();
    } catch (error) {
      if (!isTriedAgain(error)) throw error;
      // What is there can be read all the same, and writes go under an id that the medium does not know.
      takeNewId(this.dictionary);
    }
  }

  #report(report: Report): void {
    const { onReport } = this.#options;
    if (onReport !== undefined) this.#emitter.call(() => onReport(report));
    this.#emitter.emit("report", report);
  }

  #keeperListener(): KeeperListener {
    const { onAppend, onCompact, onError } = this.#options.hooks ?? {};
    const emitter = this.#emitter;
    return {
      appended: (frame, startsAnew) => {
        if (onAppend !== undefined) emitter.call(() => onAppend(frame, { startsAnew }));
      },
      compacted: (byteCountBefore, byteCount) => {
        if (onCompact !== undefined) emitter.call(() => onCompact({ byteCountBefore, byteCount }));
      },
      failed: (error, isFinal) => {
        if (isFinal) this.#store?.refuse(error);
        if (onError !== undefined) emitter.call(() => onError(error));
        emitter.emit("error", error);
      },
      flushed: (changeCount) => emitter.emit("flush", { changeCount }),
    };
  }
}

async function connectorsOf({ connect = [] }: OpenOptions): Promise<readonly Connector[]> {
  const targets = Array.isArray(connect) ? connect : [connect];
  const connectors: Connector[] = [];
  for (const target of targets as readonly (string | Connector)[]) {
    if (typeof target === "string") {
      // Loaded only where it is used, so that a bundle need not have it.
      const { webSocketConnector } = await import("./transport/websocket.ts");
      connectors.push(webSocketConnector(target));
    } else {
      connectors.push(target);
    }
  }
  return connectors;
}

/** Loaded only where they are asked for, too. */
async function rolesOf({
  peers,
  collector = false,
  readOnly = false,
  replicaRetentionMs = RETENTION_MS,
}: OpenOptions): Promise<Roles> {
  const exchange = peers && (await import("./sync/peer-exchange.ts"));
  const collecting = collector && !readOnly ? await import("./sync/collector.ts") : undefined;
  return {
    peers: exchange && ((surroundings) => new exchange.PeerExchange({ ...peers, ...surroundings })),
    collector: collecting && ((options) => new collecting.Collector(options, replicaRetentionMs)),
  };
}
