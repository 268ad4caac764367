/** The calls of a dictionary: arguments checked, then handed to the file that does the work. */

import { LastwriteError } from "../../errors.ts";
import { NO_DOTS } from "../../codec/dots.ts";
import {
  compareStamps,
  type Entry,
  idBytes,
  idText,
  MILLIS_END,
  type Stamp,
  STAMP_COUNTER_END,
} from "../../codec/entry.ts";
import { decodeFrame, openFrame } from "../../codec/frame.ts";
import { KIND, writeHlc } from "../../codec/header.ts";
import type { Lanes } from "../../codec/hash.ts";
import { ByteWriter, corrupt } from "../../codec/numbers.ts";
import { type PlainValue, plainValue, samePlain } from "../../codec/plain.ts";
import { TAG } from "../../codec/tags.ts";
import { compareText, encodeText } from "../../codec/text.ts";
import { PAYLOAD_BYTES_MAX } from "../../codec/validate.ts";
import { decodeVersion, encodeVersion } from "../../codec/version.ts";
import { type Change, columnsOfChanges, columnsOfEntries, columnsOfValues } from "../columns.ts";
import {
  ADOPT,
  type Changes,
  type ChangesOptions,
  DIFFERENCE,
  type EngineDictionary,
  type EngineDictionaryOptions,
  type EngineValue,
  type ExportOptions,
  type JournalOptions,
  type MergeReport,
  REPAIR,
  type ScanRange,
} from "../contract.ts";
import {
  exportChanges,
  exportDelta,
  exportEntries,
  exportFrontier,
  exportLimits,
  exportSnapshot,
} from "./export.ts";
import { changeReplicaId, replayFrame, takeJournal } from "./journal.ts";
import { checkKey, checkPrefix } from "./keys.ts";
import {
  collect,
  deleteNext,
  deletePrefixNext,
  nameCollector,
  restampOwn,
  writeNext,
  writeStamped,
} from "./local.ts";
import { checkNoDifference, mergeFrame, type MergeOutcome } from "./merge.ts";
import { KeyHashes } from "./ranges.ts";
import { loadSnapshot, rereadSnapshot } from "./reread.ts";
import { scanEntries } from "./scan.ts";
import { joinSnapshot } from "./snapshot-parts.ts";
import { State } from "./state.ts";

export function createScriptDictionary(options: EngineDictionaryOptions): EngineDictionary {
  return new ScriptDictionary(options);
}

class ScriptDictionary implements EngineDictionary {
  #openState: State | undefined;
  readonly #keyHashes: KeyHashes;
  #watched: readonly string[] = [];
  #changes: readonly Change[] = [];
  #refused: readonly Entry[] = [];

  constructor({ replicaId, spareId, driftMaxMs, snapshot }: EngineDictionaryOptions) {
    const state = new State(checkedId(replicaId), checkedId(spareId), driftMaxMs);
    if (snapshot !== undefined) loadSnapshot(state, joinSnapshot(snapshot));
    this.#openState = state;
    this.#keyHashes = new KeyHashes(state);
  }

  get(key: string): EngineValue | undefined {
    const value = this.#stateFor(key).holdings.entries.get(key)?.value;
    return value instanceof Uint8Array ? value.slice() : value;
  }

  has(key: string): boolean {
    return this.#stateFor(key).holdings.entries.get(key)?.value !== undefined;
  }

  set(key: string, value: EngineValue, now: number): number {
    return writeNext(this.#stateFor(key), key, checkedValue(value), now);
  }

  delete(key: string, now: number): number {
    return deleteNext(this.#stateFor(key), key, now);
  }

  writeAt(
    key: string,
    value: EngineValue | undefined,
    millis: number,
    counter: number,
    replicaId: Uint8Array,
    now: number,
  ): number {
    const state = this.#stateFor(key);
    const checked = value === undefined ? undefined : checkedValue(value);
    return writeStamped(state, key, checked, checkedStamp(millis, counter, replicaId), now);
  }

  deletePrefix(prefix: string, now: number): number {
    const state = this.#open();
    checkPrefix(prefix);
    return deletePrefixNext(state, prefix, now);
  }

  size(): number {
    return this.#open().holdings.valueCount;
  }

  stampOf(key: string): Uint8Array | undefined {
    const { holdings } = this.#stateFor(key);
    const over = [...holdings.prefixesOver({ key, isPrefix: false })].map(({ stamp }) => stamp);
    const stamp = holdings.entries.get(key)?.stamp ?? over.toSorted(compareStamps).at(-1);
    return stamp && stampBytes(stamp);
  }

  scan(range: ScanRange): Uint8Array {
    return columnsOfValues(scanEntries(this.#open(), range));
  }

  begin(): void {
    this.#stateOutside("begin").begin();
  }

  commit(): void {
    this.#stateInside("commit").commit();
  }

  rollback(): void {
    this.#stateInside("rollback").rollback();
  }

  merge(bytes: Uint8Array, now: number, how: number): MergeReport {
    const state = this.#stateOutside("merge");
    const { header, readEntries } = openFrame(bytes, [KIND.delta, KIND.snapshot, KIND.changes]);
    if ((how & DIFFERENCE) === 0) checkNoDifference(header);
    const frame = { ...header, entries: readEntries() };
    const changes: Change[] = [];
    const plan = { canAdopt: (how & ADOPT) !== 0, isRepair: (how & REPAIR) !== 0 };
    const outcome = mergeFrame(state, frame, now, plan, (change) => {
      if (this.#isEffective(change)) changes.push(change);
    });
    return this.#report(outcome, changes);
  }

  refusals(): Uint8Array {
    this.#open();
    return columnsOfEntries(this.#refused);
  }

  patch(): Uint8Array {
    this.#open();
    return columnsOfChanges(this.#changes);
  }

  watch(prefixes: readonly string[]): void {
    this.#open();
    this.#watched = [...prefixes];
  }

  version(): Uint8Array {
    return encodeVersion(this.#open().version);
  }

  horizon(): Uint8Array {
    return encodeVersion({ ...NO_DOTS, vector: this.#open().horizon });
  }

  collector(): Uint8Array | undefined {
    const { collector } = this.#open();
    return collector && idBytes(collector.storeId);
  }

  setCollector(storeId: Uint8Array, now: number): void {
    nameCollector(this.#stateOutside("setCollector"), checkedId(storeId), now);
  }

  frontier(): Uint8Array {
    return exportFrontier(this.#open());
  }

  digest(): Uint8Array {
    return lanesBytes(this.#open().holdings.digest);
  }

  replicaId(): Uint8Array {
    return idBytes(this.#open().replicaId);
  }

  setSpareId(id: Uint8Array): void {
    this.#open().spareId = checkedId(id);
  }

  delta(base: Uint8Array | undefined, options?: ExportOptions): Uint8Array[] {
    const state = this.#stateOutside("delta");
    const from = base === undefined ? NO_DOTS : decodeVersion(base);
    return exportDelta(state, from, exportLimits(options));
  }

  snapshot(options?: ExportOptions): Uint8Array[] {
    return exportSnapshot(this.#stateOutside("snapshot"), exportLimits(options));
  }

  changesSince(seq: number, options: ChangesOptions = {}): Changes {
    const state = this.#stateOutside("changesSince");
    return exportChanges(state, seq, exportLimits(options), options.since);
  }

  head(): number {
    return this.#open().log.head;
  }

  journal(attributes: Uint8Array, options?: JournalOptions): Uint8Array[] {
    return takeJournal(this.#stateOutside("journal"), attributes, options);
  }

  isJournalBroken(): boolean {
    return this.#open().isJournalBroken;
  }

  replay(frame: Uint8Array): void {
    const state = this.#stateOutside("replay");
    replayFrame(state, decodeFrame(frame, [KIND.entries, KIND.journal]));
  }

  setReplicaId(id: Uint8Array): void {
    const state = this.#stateOutside("setReplicaId");
    changeReplicaId(state, checkedId(id));
  }

  collectTombstones(horizon: Uint8Array, now: number): number {
    const state = this.#stateOutside("collectTombstones");
    return collect(state, decodeVersion(horizon).vector, now);
  }

  restamp(now: number): number {
    const count = restampOwn(this.#stateOutside("restamp"), now);
    this.#changes = [];
    return count;
  }

  reread(parts: readonly Uint8Array[], now: number): MergeReport {
    const state = this.#stateOutside("reread");
    const snapshot = joinSnapshot(parts);
    const before = this.#watchedValues();
    const outcome = rereadSnapshot(state, snapshot, now);
    const after = this.#watchedValues();
    const keys = [...new Set([...before.keys(), ...after.keys()])];
    const changes = keys.map((key) => ({ key, value: after.get(key), previous: before.get(key) }));
    const effective = changes.filter((change) => this.#isEffective(change));
    return this.#report(
      outcome,
      effective.toSorted((a, b) => compareText(a.key, b.key)),
    );
  }

  fingerprints(seed: Uint8Array, ranges: Uint8Array): Uint8Array {
    this.#open();
    return this.#keyHashes.fingerprints(seed, ranges);
  }

  hashes(seed: Uint8Array, ranges: Uint8Array): Uint8Array {
    this.#open();
    return this.#keyHashes.hashes(seed, ranges);
  }

  entriesByHash(seed: Uint8Array, hashes: Uint8Array, options?: ExportOptions): Uint8Array {
    const state = this.#stateOutside("entriesByHash");
    return exportEntries(state, this.#keyHashes.entriesOf(seed, hashes), exportLimits(options));
  }

  close(): void {
    this.#openState = undefined;
  }

  /** The state, unless the dictionary is closed. */
  #open(): State {
    if (this.#openState === undefined) {
      throw new LastwriteError("closed", "the dictionary is closed; make another one");
    }
    return this.#openState;
  }

  #stateFor(key: string): State {
    const state = this.#open();
    checkKey(key);
    return state;
  }

  #stateOutside(call: string): State {
    const state = this.#open();
    if (!state.isInTransaction) return state;
    throw new LastwriteError(
      "transaction-open",
      `${call}() has to wait for the end of the transaction`,
    );
  }

  #stateInside(call: string): State {
    const state = this.#open();
    if (state.isInTransaction) return state;
    throw new LastwriteError(
      "transaction-open",
      `${call}() ends a transaction, and none is open; call begin() first`,
    );
  }

  #isEffective({ key, value, previous }: Change): boolean {
    return this.#watched.some((prefix) => key.startsWith(prefix)) && !samePlain(value, previous);
  }

  #watchedValues(): Map<string, PlainValue> {
    const values = new Map<string, PlainValue>();
    if (this.#watched.length === 0) return values;
    for (const { key, value } of this.#open().holdings.entries.values()) {
      if (value !== undefined) values.set(key, value);
    }
    return values;
  }

  #report(outcome: MergeOutcome, changes: readonly Change[]): MergeReport {
    this.#changes = changes;
    this.#refused = outcome.refused;
    return {
      applied: outcome.appliedCount,
      ignored: outcome.ignoredCount,
      refusedCount: outcome.refused.length,
      complete: outcome.isComplete,
      cloned: outcome.isCloned,
      patched: changes.length > 0,
    };
  }
}

function checkedId(id: Uint8Array): string {
  if (id.length !== 16) {
    throw new LastwriteError(
      "invalid-argument",
      `a replica id of ${id.length} bytes; give one of 16`,
    );
  }
  return idText(id);
}

function checkedStamp(millis: number, counter: number, replicaId: Uint8Array): Stamp {
  const isWhole =
    Number.isInteger(millis) && Number.isInteger(counter) && millis >= 0 && counter >= 0;
  if (!isWhole || millis >= MILLIS_END || counter >= STAMP_COUNTER_END) {
    throw new LastwriteError(
      "invalid-argument",
      `a stamp of ${millis} ms and counter ${counter}; give 48 and 16 bits`,
    );
  }
  return { millis, counter, replicaId: checkedId(replicaId) };
}

function checkedValue(value: EngineValue): PlainValue {
  if (
    typeof value === "string" &&
    value.length * 3 > PAYLOAD_BYTES_MAX &&
    encodeText(value).length > PAYLOAD_BYTES_MAX
  ) {
    throw new LastwriteError("invalid-value", "a text is longer than 1 MiB of UTF-8; split it");
  }
  return value instanceof Uint8Array ? canonicalValue(value) : value;
}

function canonicalValue(bytes: Uint8Array): PlainValue {
  const [tag = TAG.tombstone] = bytes;
  try {
    if (tag === TAG.tombstone || tag === TAG.prefix) throw corrupt("a tombstone is no value");
    return plainValue(tag, bytes.subarray(1));
  } catch (error) {
    throw new LastwriteError(
      "invalid-value",
      "the bytes of a value are not canonical; encode it anew",
      { cause: error },
    );
  }
}

function stampBytes(stamp: Stamp): Uint8Array {
  const writer = new ByteWriter();
  writeHlc(writer, stamp);
  return writer.bytes(idBytes(stamp.replicaId)).finish();
}

/** Lanes as a digest is written: each with its high byte first. */
export function lanesBytes(lanes: Lanes): Uint8Array {
  const view = new DataView(new ArrayBuffer(16));
  lanes.forEach((lane, at) => view.setUint32(4 * at, lane));
  return new Uint8Array(view.buffer);
}
