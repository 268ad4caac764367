/** Opens a store: reads what is kept, and goes on from there. */

import { encodeText } from "./codec/text.ts";
import { decodeVersion } from "./codec/version.ts";
import {
  checkFunction,
  checkOptions as checkOptionNames,
  checkReplicaId,
  invalid,
} from "./dictionary/arguments.ts";
import { createDictionary, DRIFT_MAX_MS } from "./dictionary/dictionary.ts";
import { internalsOf } from "./dictionary/internals.ts";
import type { Dictionary, Report } from "./dictionary/contract.ts";
import { lastCounter } from "./codec/dots.ts";
import type { Engine } from "./engine/contract.ts";
import { loadEngine } from "./engine/load.ts";
import { LastwriteError } from "./errors.ts";
import type { Persistence, SharedReplica } from "./persistence/contract.ts";
import { checkPersistence } from "./persistence/check.ts";
import { readJournal } from "./persistence/journal.ts";
import { TOKEN_BYTES_MAX } from "./sync/codec.ts";
import type { Machine } from "./sync/connection.ts";
import type { Connector } from "./transport/contract.ts";
import type { OpenOptions, PersistenceHooks, Store } from "./store/contract.ts";
import { StoreEmitter } from "./store/events.ts";
import {
  ATTRIBUTE,
  Attributes,
  OPEN,
  randomReplicaId,
  renameStore,
  renewEpoch,
} from "./store/identity.ts";
import { asStoreError, isTriedAgain, Keeper, type KeeperListener } from "./store/keeper.ts";
import { PersistentStore } from "./store/store.ts";
import { takeIn, takeInSnapshot } from "./store/take-in.ts";

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
  const { persistence, readOnly, signal, token } = checkOptions(options);
  signal?.throwIfAborted();
  const connectors = await connectorsOf(options);
  signal?.throwIfAborted();
  const engine = options.engine ?? (await loadEngine());
  signal?.throwIfAborted();
  const opening = new Opening(options, engine);
  let isOpen = false;
  try {
    await persistence.open({ access: readOnly ? "read" : "write", engine });
    isOpen = true;
    signal?.throwIfAborted();
    await opening.load();
    const store = await opening.finish();
    if (connectors.length > 0) store.connect(connectors, token, machine);
    return store;
  } catch (error) {
    opening.dictionary.close();
    // One that could not be opened may be in use by somebody else.
    if (isOpen) await persistence.close().catch(() => {});
    if (signal?.aborted === true) throw signal.reason;
    throw asStoreError(error, persistence);
  }
}

/** A store on its way from the medium into memory. */
class Opening {
  readonly dictionary: Dictionary;
  readonly #options: OpenOptions;
  readonly #engine: Engine;
  readonly #emitter = new StoreEmitter();
  readonly #attributes = new Attributes();
  readonly #loaded = { wholeBytes: 0, logBytes: 0 };
  #store: PersistentStore | undefined;

  constructor(options: OpenOptions, engine: Engine) {
    this.#options = options;
    this.#engine = engine;
    const { clock, driftMaxMs, replicaId } = options;
    this.dictionary = createDictionary({
      engine,
      onReport: (report) => this.#report(report),
      ...(replicaId !== undefined && { replicaId }),
      ...(clock !== undefined && { clock }),
      ...(driftMaxMs !== undefined && { driftMaxMs }),
    });
  }

  async load(): Promise<void> {
    const { persistence, signal, hooks } = this.#options;
    const { entries } = internalsOf(this.dictionary);
    let frameCount = 0;
    for await (const frame of persistence.load()) {
      signal?.throwIfAborted();
      try {
        const journal = readJournal(frame);
        entries.replay(frame);
        if (journal !== undefined) this.#attributes.load(journal.attributes);
        // Rows are a whole state too.
        const isWhole = journal === undefined || journal.isWhole;
        this.#loaded[isWhole ? "wholeBytes" : "logBytes"] += frame.length;
      } catch (error) {
        throw unreadable(error, persistence, frameCount);
      }
      frameCount++;
    }
    internalsOf(this.dictionary).setReplicaId(undefined);
    const { wholeBytes, logBytes } = this.#loaded;
    const onLoad = hooks?.onLoad;
    if (onLoad !== undefined) {
      this.#emitter.call(() => onLoad({ frameCount, byteCount: wholeBytes + logBytes }));
    }
    this.#settleIdentity(frameCount === 0);
  }

  async finish(): Promise<PersistentStore> {
    const { persistence, readOnly = false, durability, flushIntervalMs = 50 } = this.#options;
    const { entries } = internalsOf(this.dictionary);
    const keeper = readOnly
      ? undefined
      : new Keeper(
          {
            persistence,
            entries,
            attributes: this.#attributes,
            isStrict: durability === "strict",
            flushIntervalMs,
            listener: this.#keeperListener(),
          },
          this.#loaded,
        );
    if (keeper !== undefined) {
      await persistence.share?.(this.#shared(keeper));
      const isRelaxed = durability !== "strict" && persistence.share === undefined;
      if (isRelaxed && this.#ownCounter() > 0) await this.#mark(keeper);
    }
    this.#options.signal?.throwIfAborted();
    this.#store = new PersistentStore({
      dictionary: this.dictionary,
      persistence,
      keeper,
      emitter: this.#emitter,
      attributes: this.#attributes,
      driftMaxMs: this.#options.driftMaxMs ?? DRIFT_MAX_MS,
      now: this.#options.clock ?? Date.now,
    });
    return this.#store;
  }

  /** Sees to it that the next number of the store is not given twice, whatever becomes of the writes of this time. */
  async #mark(keeper: Keeper): Promise<void> {
    try {
      await keeper.mark();
    } catch (error) {
      if (!isTriedAgain(error)) throw error;
      // What is there can be read all the same, and writes go under an id that the medium does not know.
      this.#takeNewId(randomReplicaId(), false);
    }
  }

  /** Gives the store a name, and a new one where another copy may go by the old one. */
  #settleIdentity(isNew: boolean): void {
    const { persistence, readOnly, replicaId } = this.#options;
    if (readOnly === true) return;
    const attributes = this.#attributes;
    const isCopy = persistence.isCopy === true;
    const isNameless = attributes.get(ATTRIBUTE.storeId) === undefined;
    const left = attributes.get(ATTRIBUTE.open)?.[0];
    // The openers of a shared place never close it, and take ids that nobody has.
    const wasLeft = left === OPEN.relaxed && persistence.share === undefined;
    // What was handed out last may not be marked so; as if it had been, nothing of it is ever re-stamped.
    if (left !== undefined) internalsOf(this.dictionary).setReplicaId(this.dictionary.replicaId);
    if (isNameless || isCopy) renameStore(attributes);
    else if (wasLeft) renewEpoch(attributes);
    if (isNew) return;

    const hasUsed = replicaId !== undefined && this.#counterOf(replicaId.toLowerCase()) > 0;
    if (isNameless || isCopy || wasLeft) {
      // An id that was written under here is not used again, whoever asks for it.
      const next = replicaId === undefined || hasUsed ? randomReplicaId() : replicaId;
      this.#takeNewId(next, !isNameless);
    } else if (replicaId !== undefined && !hasUsed) {
      if (this.#ownCounter() > 0) {
        throw invalid(
          `the store has the replica id ${this.dictionary.replicaId}; open it without \`replicaId\``,
        );
      }
      internalsOf(this.dictionary).setReplicaId(replicaId);
    }
  }

  #takeNewId(replicaId: string, isFound: boolean): void {
    const previousReplicaId = this.dictionary.replicaId;
    const hadWritten = this.#ownCounter() > 0;
    internalsOf(this.dictionary).setReplicaId(replicaId);
    if (isFound && hadWritten) {
      this.#report({ code: "replica-cloned", previousReplicaId, replicaId });
    }
  }

  #ownCounter(): number {
    return this.#counterOf(this.dictionary.replicaId);
  }

  #counterOf(replicaId: string): number {
    return lastCounter(decodeVersion(this.dictionary.version()), replicaId);
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
      appended: (frame) => {
        if (onAppend !== undefined) emitter.call(() => onAppend(frame));
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

  #shared(keeper: Keeper): SharedReplica {
    const { dictionary } = this;
    const internals = internalsOf(dictionary);
    const { persistence } = this.#options;
    const engine = this.#engine;
    return {
      get replicaId() {
        return dictionary.replicaId;
      },
      setReplicaId: (replicaId) => internals.setReplicaId(replicaId),
      version: () => dictionary.version(),
      deltaSince: (version) => dictionary.deltaSince(version),
      merge: (frame) => {
        internals.merge(frame, { adopt: false, isOwn: true });
        keeper.touch();
      },
      snapshot: () => [...dictionary.snapshotParts()],
      reread: (parts) => {
        takeInSnapshot(engine, dictionary, parts);
        keeper.touch();
      },
      flush: ({ sync }) => keeper.flush(sync),
      takeOver: async () => {
        const kept = createDictionary({ engine });
        try {
          let frameCount = 0;
          for await (const frame of persistence.load()) {
            try {
              internalsOf(kept).entries.replay(frame);
              this.#attributes.load(readJournal(frame)?.attributes ?? []);
            } catch (error) {
              throw unreadable(error, persistence, frameCount);
            }
            frameCount++;
          }
          takeIn(engine, dictionary, kept);
        } finally {
          kept.close();
        }
        await keeper.replace();
      },
      failed: (error) => this.#keeperListener().failed(asStoreError(error, persistence), false),
    };
  }
}

function checkOptions(options: OpenOptions): OpenOptions & { readonly readOnly: boolean } {
  if (typeof options !== "object" || options === null) {
    throw invalid("open takes an object: { persistence: filePersistence(path) }");
  }
  const { persistence, replicaId, durability, flushIntervalMs, hooks, readOnly = false } = options;
  checkOptionNames(options, OPTION_NAMES, "open");
  checkPersistence(persistence, "`persistence`");
  if (hooks !== undefined) checkHooks(hooks);
  if (options.onReport !== undefined) checkFunction(options.onReport, "`onReport`");
  if (typeof readOnly !== "boolean") throw invalid("`readOnly` is true or false");
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
  checkConnect(options);
  return { ...options, readOnly };
}

function checkHooks(hooks: PersistenceHooks): void {
  checkOptionNames(hooks, HOOK_NAMES, "`hooks`");
  for (const [name, hook] of Object.entries(hooks)) {
    if (hook !== undefined) checkFunction(hook, `\`hooks.${name}\``);
  }
}

const HOOK_NAMES: readonly (keyof PersistenceHooks)[] = [
  "onLoad",
  "onAppend",
  "onCompact",
  "onError",
];
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
];

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

function checkConnect({ connect = [], token, readOnly }: OpenOptions): void {
  const targets: readonly unknown[] = Array.isArray(connect) ? connect : [connect];
  if (!targets.every((target) => typeof target === "string" || isConnector(target))) {
    throw invalid('`connect` is "ws://host/room", a connector, or an array of these');
  }
  if (targets.length > 0 && readOnly === true) {
    throw invalid("a store that is only looked at cannot be connected; leave out `connect`");
  }
  if (token !== undefined && !isToken(token)) {
    throw invalid(`\`token\` is a text of at most ${TOKEN_BYTES_MAX} bytes of UTF-8`);
  }
}

function isToken(given: unknown): boolean {
  if (typeof given !== "string" || given.length > TOKEN_BYTES_MAX) return false;
  return given.isWellFormed() && encodeText(given).length <= TOKEN_BYTES_MAX;
}

function isConnector(given: unknown): boolean {
  const { name, connect } = (given ?? {}) as Partial<Connector>;
  return typeof name === "string" && typeof connect === "function";
}

/** What an engine cannot replay is damage of the medium. */
function unreadable(error: unknown, { name }: Persistence, frameNumber: number): unknown {
  if (!(error instanceof LastwriteError) || error.code === "engine-poisoned") return error;
  if (error.code === "unsupported-format") {
    return new LastwriteError(
      "store-newer",
      `${name} was written by a later release; update lastwrite (${error.message})`,
      { cause: error },
    );
  }
  const reason = `frame ${frameNumber} cannot be replayed: ${error.message}`;
  return new LastwriteError("store-corrupt", `${name} is damaged: ${reason}`, {
    cause: error,
    damage: { file: name, offset: 0, reason },
  });
}
