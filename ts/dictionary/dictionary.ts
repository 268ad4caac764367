/** One replica over one engine: checks what comes in, tells who watches, and leaves all decisions to the engine. */

import { idText } from "../codec/entry.ts";
import type { PlainValue } from "../codec/plain.ts";
import { randomBytes } from "../codec/random.ts";
import { decodeValue } from "../codec/read-value.ts";
import { encodeValue, type Value } from "../codec/value.ts";
import {
  ADOPT,
  CLOCK_AHEAD,
  DIFFERENCE,
  type EngineDictionary,
  type MergeReport,
  REPAIR,
  WON,
} from "../engine/contract.ts";
import { LastwriteError } from "../errors.ts";
import {
  checkBytes,
  checkFunction,
  checkKey,
  checkMillis,
  checkPartBytesMax,
  checkParts,
  checkPrefix,
  checkRange,
  checkReadRange,
  checkReplicaId,
  checkStamp,
  invalid,
} from "./arguments.ts";
import type {
  Change,
  Dictionary,
  DictionaryOptions,
  ExplicitStamp,
  KeyRange,
  Listener,
  MergeResult,
  Origin,
  PartsOptions,
  ReadRange,
  Refusal,
  Report,
  RestampOptions,
  Stamp,
  WriteOptions,
} from "./contract.ts";
import { Deliveries } from "./deliveries.ts";
import { expose } from "./internals.ts";
import { readEntries, readKeys, readPlain, readValues } from "./iterate.ts";
import { changesOf, readPatch, readRefusals, type Written } from "./patch.ts";
import { readStamp } from "./stamp.ts";
import { Watchers } from "./watch.ts";

/** Five minutes. */
export const DRIFT_MAX_MS: number = 5 * 60 * 1000;
const PART_BYTES = 256 * 1024;
/** No stamp lies beyond it. */
const MILLIS_OWN = 2 ** 48 - 1;
const NOTHING_REFUSED: readonly Refusal[] = [];

/**
 * Makes a dictionary: empty, or from a snapshot.
 *
 * Throws `invalid-argument` for options that are none of theirs, and for a snapshot `corrupt-bytes`, `unsupported-format` or `too-large`. Free
 * it with `close()`, or by forgetting it.
 *
 * @example
 * ```ts
 * import { createDictionary, loadEngine } from "lastwrite";
 *
 * const engine = await loadEngine();
 * const original = createDictionary({ engine });
 * original.set("tasks/42/title", "Ship it");
 *
 * const copy = createDictionary({ engine, snapshot: original.snapshot() });
 * console.log(copy.get("tasks/42/title")); // Ship it
 * copy.close();
 * original.close();
 * ```
 */
export function createDictionary(options: DictionaryOptions): Dictionary {
  return new ReplicaDictionary(options);
}

/** What a transaction needs to know at its end. */
interface Transaction {
  /** What the watched keys that were written held before. */
  readonly previous: Map<string, PlainValue | undefined>;
  readonly aheadBefore: boolean;
  /** How far the clock is ahead, if it became so. */
  aheadMs: number | undefined;
  /** The error of an inner transaction, after which this one cannot succeed. */
  failure: { readonly error: unknown } | undefined;
}

class ReplicaDictionary implements Dictionary {
  readonly #entries: EngineDictionary;
  readonly #clock: () => number;
  readonly #driftMaxMs: number;
  readonly #onReport: ((report: Report) => void) | undefined;
  readonly #watchers = new Watchers();
  readonly #deliveries = new Deliveries();
  #id: Uint8Array;
  /** The same in hex digits. */
  #replicaId: string;
  #clockAhead = false;
  #isOpen = true;
  #transaction: Transaction | undefined;
  /** The engine does not know yet who watches what. */
  #isWatchStale = false;

  constructor(options: DictionaryOptions) {
    if (typeof options !== "object" || options === null) {
      throw invalid("createDictionary takes an object: { engine: await loadEngine() }");
    }
    const {
      engine,
      replicaId,
      clock = Date.now,
      snapshot,
      driftMaxMs = DRIFT_MAX_MS,
      onReport,
    } = options;
    checkFunction(clock, "`clock`");
    if (onReport !== undefined) checkFunction(onReport, "`onReport`");
    // A forgotten `await` before loadEngine() is seen here.
    if (typeof engine?.create !== "function") {
      throw invalid("`engine` must come from `await loadEngine()`");
    }
    this.#clock = clock;
    this.#driftMaxMs = checkMillis(driftMaxMs, "`driftMaxMs`");
    this.#onReport = onReport;
    this.#id = replicaId === undefined ? randomBytes(16) : checkReplicaId(replicaId);
    this.#replicaId = idText(this.#id);
    this.#entries = engine.create({
      replicaId: this.#id,
      spareId: randomBytes(16),
      driftMaxMs: this.#driftMaxMs,
      ...(snapshot !== undefined && { snapshot: checkParts(snapshot, "the snapshot") }),
    });
    expose(this, {
      entries: this.#entries,
      merge: (frame, { adopt, repair = false, isOwn = false, onMerged }) =>
        this.#merge(
          frame,
          (adopt ? ADOPT : 0) | (repair ? REPAIR : 0) | (isOwn ? 0 : DIFFERENCE),
          isOwn ? MILLIS_OWN : this.#now(),
          onMerged,
        ),
      reread: (parts, { isOwn }) => this.#reread(parts, isOwn ? MILLIS_OWN : this.#now()),
      setReplicaId: (id) => {
        if (id !== undefined) this.#entries.setReplicaId(checkReplicaId(id));
        this.#id = this.#entries.replicaId();
        this.#replicaId = idText(this.#id);
      },
    });
  }

  get replicaId(): string {
    this.#checkOpen();
    return this.#replicaId;
  }

  get size(): number {
    return this.#entries.size();
  }

  get clockAhead(): boolean {
    this.#checkOpen();
    return this.#clockAhead;
  }

  get(key: string): Value | undefined {
    checkKey(key);
    const value = this.#entries.get(key);
    return value instanceof Uint8Array ? decodeValue(value) : value;
  }

  has(key: string): boolean {
    checkKey(key);
    return this.#entries.has(key);
  }

  set(key: string, value: Value, options?: WriteOptions): boolean {
    checkKey(key);
    const encoded = encodeValue(value);
    if (options?.stamp !== undefined || !this.#watchers.none) {
      return this.#writeObserved(key, encoded, options?.stamp);
    }
    const now = this.#now();
    return this.#settle(this.#entries.set(key, encoded, now), key, now);
  }

  delete(key: string, options?: WriteOptions): boolean {
    checkKey(key);
    if (options?.stamp !== undefined || !this.#watchers.none) {
      return this.#writeObserved(key, undefined, options?.stamp);
    }
    const now = this.#now();
    return this.#settle(this.#entries.delete(key, now), key, now);
  }

  deletePrefix(prefix: string): number {
    checkPrefix(prefix);
    const written = this.#watchers.overlaps(prefix) ? this.#watchedBelow(prefix) : [];
    const now = this.#now();
    const count = this.#entries.deletePrefix(prefix, now);
    // All below the prefix, itself included, has the stamp of its tombstone now.
    const covered = prefix === "" ? "/" : prefix;
    const stamp = this.stampOf(covered);
    const isAhead = stamp !== undefined && stamp.millis > now + this.#driftMaxMs;
    if (isAhead !== this.#clockAhead) this.#noteClock(isAhead, covered, now);
    this.#noteWritten(written);
    return count;
  }

  clear(): number {
    return this.deletePrefix("");
  }

  keys(range: ReadRange = {}): IterableIterator<string> {
    this.#checkOpen();
    return readKeys(this.#entries, checkReadRange(range));
  }

  values(range: ReadRange = {}): IterableIterator<Value> {
    this.#checkOpen();
    return readValues(this.#entries, checkReadRange(range));
  }

  entries(range: ReadRange = {}): IterableIterator<[key: string, value: Value]> {
    this.#checkOpen();
    return readEntries(this.#entries, checkReadRange(range));
  }

  transaction<T>(fn: () => T): T {
    this.#checkOpen();
    checkFunction(fn, "what a transaction runs");
    // Refused before it runs, where that can be seen: it would go on after its first `await`.
    if (Object.prototype.toString.call(fn) === "[object AsyncFunction]") throw isAsync();
    return this.#transaction === undefined ? this.#begin(fn) : this.#join(fn, this.#transaction);
  }

  subscribe(range: KeyRange, listener: Listener): () => void {
    this.#checkOpen();
    checkFunction(listener, "a listener");
    const remove = this.#watchers.add(checkRange(range), listener);
    this.#isWatchStale = true;
    return () => {
      remove();
      this.#isWatchStale = true;
    };
  }

  merge(frame: Uint8Array): MergeResult {
    this.#checkOutside("merge");
    return this.#merge(frame, 0, this.#now());
  }

  deltaSince(version?: Uint8Array): Uint8Array {
    return this.#delta("deltaSince", version, Infinity)[0] as Uint8Array;
  }

  deltaParts(
    version?: Uint8Array,
    { partBytesMax = PART_BYTES }: PartsOptions = {},
  ): Iterable<Uint8Array> {
    return this.#delta("deltaParts", version, checkPartBytesMax(partBytesMax));
  }

  snapshot(): Uint8Array {
    this.#checkOutside("snapshot");
    return this.#entries.snapshot()[0] as Uint8Array;
  }

  snapshotParts({ partBytesMax = PART_BYTES }: PartsOptions = {}): Iterable<Uint8Array> {
    this.#checkOutside("snapshotParts");
    return this.#entries.snapshot({ partBytesMax: checkPartBytesMax(partBytesMax) });
  }

  version(): Uint8Array {
    return this.#entries.version();
  }

  horizon(): Uint8Array {
    return this.#entries.horizon();
  }

  digest(): string {
    return idText(this.#entries.digest());
  }

  stampOf(key: string): Stamp | undefined {
    checkKey(key);
    const stamp = this.#entries.stampOf(key);
    return stamp && readStamp(stamp);
  }

  restamp({ now }: RestampOptions = {}): number {
    this.#checkOutside("restamp");
    const from = now === undefined ? this.#now() : checkMillis(now, "`now`");
    // No value changes by it, nor which entry of a key stays: nobody is told.
    const count = this.#entries.restamp(from);
    if (this.#clockAhead) this.#clockAhead = this.#isClockAhead(from);
    return count;
  }

  collectTombstones(horizon: Uint8Array): number {
    this.#checkOutside("collectTombstones");
    checkBytes(horizon, "the horizon");
    return this.#entries.collectTombstones(horizon, this.#now());
  }

  reread(snapshot: Uint8Array | Iterable<Uint8Array>): MergeResult {
    this.#checkOutside("reread");
    return this.#reread(snapshot, this.#now());
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#checkOutside("close");
    this.#isOpen = false;
    this.#watchers.clear();
    this.#entries.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** What a write without watchers goes on with; `bits` is the engine's answer. */
  #settle(bits: number, key: string, now: number): boolean {
    if ((bits & WON) === 0) return false;
    const isAhead = (bits & CLOCK_AHEAD) !== 0;
    if (isAhead !== this.#clockAhead) this.#noteClock(isAhead, key, now);
    return true;
  }

  /** A write that somebody may watch, or that has a stamp of its own. */
  #writeObserved(
    key: string,
    value: PlainValue | undefined,
    stamp: ExplicitStamp | undefined,
  ): boolean {
    const isWatched = this.#watchers.has(key);
    const previous = isWatched ? this.#entries.get(key) : undefined;
    const won = this.#write(key, value, stamp);
    if (won && isWatched) this.#noteWritten([[key, { previous, value }]]);
    return won;
  }

  #write(key: string, value: PlainValue | undefined, stamp: ExplicitStamp | undefined): boolean {
    const now = this.#now();
    if (stamp !== undefined) {
      checkStamp(stamp);
      const { millis, counter = 0, replicaId } = stamp;
      const writer = replicaId === undefined ? this.#id : checkReplicaId(replicaId);
      // Whether the clock is ahead says nothing here: the stamp is not of it.
      return (this.#entries.writeAt(key, value, millis, counter, writer, now) & WON) !== 0;
    }
    const bits =
      value === undefined ? this.#entries.delete(key, now) : this.#entries.set(key, value, now);
    return this.#settle(bits, key, now);
  }

  /** The watched keys that a prefix delete empties: all, since its stamp lies past every other one. */
  #watchedBelow(prefix: string): [key: string, Written][] {
    const written: [key: string, Written][] = [];
    for (const [key, previous] of readPlain(this.#entries, { prefix })) {
      if (this.#watchers.has(key)) written.push([key, { previous, value: undefined }]);
    }
    return written;
  }

  /** Tells of local writes of watched keys: now, or at the end of the transaction. */
  #noteWritten(written: readonly (readonly [key: string, Written])[]): void {
    if (written.length === 0) return;
    if (this.#transaction === undefined) {
      this.#deliver(changesOf(written), "local");
      return;
    }
    const before = this.#transaction.previous;
    for (const [key, { previous }] of written) {
      if (!before.has(key)) before.set(key, previous);
    }
  }

  #deliver(changes: readonly Change[], origin: Origin): void {
    this.#watchers.notify(changes, origin, this.#deliveries);
    this.#deliveries.run();
  }

  #noteClock(isAhead: boolean, key: string, now: number): void {
    this.#clockAhead = isAhead;
    const stamp = isAhead ? this.stampOf(key) : undefined;
    const aheadMs = stamp && stamp.millis - now;
    if (this.#transaction !== undefined) this.#transaction.aheadMs = aheadMs;
    else if (aheadMs !== undefined) this.#report({ code: "clock-ahead", aheadMs });
  }

  /** Whether a write would find the clock ahead: makes one, and undoes it. */
  #isClockAhead(now: number): boolean {
    this.#entries.begin();
    try {
      return (this.#entries.set("/", null, now) & CLOCK_AHEAD) !== 0;
    } finally {
      this.#entries.rollback();
    }
  }

  #report(report: Report): void {
    const onReport = this.#onReport;
    if (onReport === undefined) return;
    this.#deliveries.add(() => onReport(report));
    this.#deliveries.run();
  }

  #begin<T>(fn: () => T): T {
    const transaction: Transaction = {
      previous: new Map(),
      aheadBefore: this.#clockAhead,
      aheadMs: undefined,
      failure: undefined,
    };
    this.#entries.begin();
    this.#transaction = transaction;
    let result: T;
    try {
      result = fn();
      refuseThenable(result);
      if (transaction.failure !== undefined) throw transaction.failure.error;
      this.#entries.commit();
    } catch (error) {
      this.#clockAhead = transaction.aheadBefore;
      this.#entries.rollback();
      throw error;
    } finally {
      this.#transaction = undefined;
    }
    const written: [key: string, Written][] = [];
    for (const [key, previous] of transaction.previous) {
      written.push([key, { previous, value: this.#entries.get(key) }]);
    }
    this.#noteWritten(written);
    const { aheadMs, aheadBefore } = transaction;
    if (aheadMs !== undefined && !aheadBefore) this.#report({ code: "clock-ahead", aheadMs });
    return result;
  }

  #join<T>(fn: () => T, outer: Transaction): T {
    try {
      const result = fn();
      refuseThenable(result);
      return result;
    } catch (error) {
      outer.failure ??= { error };
      throw error;
    }
  }

  #reread(snapshot: Uint8Array | Iterable<Uint8Array>, now: number): MergeResult {
    const parts = checkParts(snapshot, "the snapshot");
    this.#tellEngineWhoWatches();
    return this.#merged(this.#entries.reread(parts, now));
  }

  #merge(frame: Uint8Array, how: number, now: number, onMerged?: () => void): MergeResult {
    this.#checkOutside("merge");
    checkBytes(frame, "what to merge");
    this.#tellEngineWhoWatches();
    const report = this.#entries.merge(frame, now, how);
    onMerged?.();
    return this.#merged(report);
  }

  /** Reads what a merge or a re-read left to be read, and tells whom it concerns. */
  #merged({ applied, ignored, refusedCount, complete, cloned, patched }: MergeReport): MergeResult {
    const refused = refusedCount === 0 ? NOTHING_REFUSED : readRefusals(this.#entries.refusals());
    const previousReplicaId = this.#replicaId;
    if (cloned) {
      this.#entries.setSpareId(randomBytes(16));
      this.#id = this.#entries.replicaId();
      this.#replicaId = idText(this.#id);
    }
    const replicaId = this.#replicaId;
    // The state is whole from here on: now others may look at it.
    if (patched) this.#deliverPatch();
    if (cloned) this.#report({ code: "replica-cloned", previousReplicaId, replicaId });
    if (refusedCount > 0) this.#report({ code: "clock-drift", refused });
    return { applied, ignored, refused, complete };
  }

  #deliverPatch(): void {
    if (this.#watchers.none) return;
    this.#deliver(readPatch(this.#entries.patch(), this.#watchers), "remote");
  }

  #tellEngineWhoWatches(): void {
    if (!this.#isWatchStale) return;
    this.#entries.watch(this.#watchers.prefixes);
    this.#isWatchStale = false;
  }

  #delta(call: string, version: Uint8Array | undefined, partBytesMax: number): Uint8Array[] {
    this.#checkOutside(call);
    if (version !== undefined) checkBytes(version, "the version");
    return this.#entries.delta(version, { partBytesMax });
  }

  #now(): number {
    return checkMillis(this.#clock(), "what `clock()` answers");
  }

  #checkOpen(): void {
    if (!this.#isOpen) {
      throw new LastwriteError("closed", "the dictionary is closed; make another one");
    }
  }

  /** For what a transaction would have to undo, or would give away before it is certain. */
  #checkOutside(call: string): void {
    this.#checkOpen();
    if (this.#transaction !== undefined) {
      throw new LastwriteError(
        "transaction-open",
        `${call} cannot be called inside a transaction; call it afterwards`,
      );
    }
  }
}

function refuseThenable(result: unknown): void {
  if (typeof result !== "object" || result === null) return;
  if (!("then" in result) || typeof result.then !== "function") return;
  // What it ends with is lost either way: it was told already that it cannot.
  Promise.resolve(result).catch(() => {});
  throw isAsync();
}

function isAsync(): LastwriteError {
  return invalid(
    "a transaction cannot be async: what is written after an await would lie outside; await first, then write",
  );
}
