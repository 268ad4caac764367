/** Journals (docs/format.md, kind 6) as storage needs them: what a store keeps in them, and what an adapter that keeps rows does with them. */

import { type Collector, joinCollectors } from "../codec/collector.ts";
import { type Run, SeenDots } from "../codec/dots.ts";
import { compareStamps, idText, type Stamp } from "../codec/entry.ts";
import {
  decodeHeader,
  encodeBare,
  FIELD,
  type FrameHeader,
  ID_BYTES,
  KIND,
  type JournalFields,
  openHeader,
  peekHeader,
  readField,
  readPlace,
  WHOLE,
} from "../codec/header.ts";
import { ByteReader, ByteWriter, corrupt } from "../codec/numbers.ts";
import { compareText, decodeText, encodeText } from "../codec/text.ts";
import type { Dot } from "../dictionary/contract.ts";
import { decodeEntries, type EntryRow } from "../dictionary/rows.ts";
import type { Engine } from "../engine/contract.ts";
import { LastwriteError } from "../errors.ts";

/** What a store keeps beside its entries, by name; undefined for what is not kept any more. */
export type JournalAttributes = ReadonlyMap<string, Uint8Array | undefined>;

/** What the header of a journal tells. */
export interface JournalHeader {
  /** The frame is part of a whole state: nothing before the first such part counts. */
  readonly isWhole: boolean;
  /** Who wrote it: 32 hex digits. */
  readonly replicaId: string;
  /** Where in the order of arrival its first entry stands; without entries, the next one. */
  readonly firstPlace: number;
  /** What the store said with it, the bytes not copied. */
  readonly attributes: JournalAttributes;
}

/** A journal, or other frame from storage, as rows and what no row tells. */
export interface SplitJournal {
  /** In order of arrival. */
  readonly rows: readonly EntryRow[];
  /** The place of the first row, which the others follow; undefined where the frame tells none: then they take the next ones. */
  readonly firstPlace: number | undefined;
  /** For each writer that the frame has in its horizon: tombstones of either sort up to this counter are gone. */
  readonly collected: readonly Dot[];
  /** The journal without its entries, for `joinStates`; undefined for a frame of entries alone. */
  readonly state: Uint8Array | undefined;
}

/**
 * Returns what the header of a journal tells, or undefined for a frame of entries alone (kind 5).
 *
 * Looks at the header only, so it costs the same for any number of entries; whether the checksum is right, replaying the frame finds out.
 * Throws `corrupt-bytes`, or `unsupported-format` for frames of another kind or format.
 *
 * @example
 * ```ts
 * import { open, readJournal } from "lastwrite";
 * import { memoryPersistence } from "lastwrite/persistence/memory";
 *
 * const frames: Uint8Array[] = [];
 * const hooks = { onAppend: (frame) => frames.push(frame) };
 * const store = await open({ persistence: memoryPersistence(), hooks });
 * store.set("tasks/1", "write");
 * await store.flush();
 *
 * const journal = readJournal(frames[0]);
 * console.log(journal.replicaId === store.replicaId, journal.isWhole); // true false
 * console.log([...journal.attributes.keys()]); // [ 'epoch', 'id', 'open' ]
 * await store.close();
 * ```
 */
export function readJournal(frame: Uint8Array): JournalHeader | undefined {
  const { kind, fields } = peekHeader(frame, STORED_KINDS);
  if (kind === KIND.entries) return undefined;
  const place = readField(fields.get(FIELD.place), readPlace);
  if (place === undefined) throw corrupt("a journal has no place");
  const start = ID_BYTES * place.ownIndex;
  const id = fields.get(FIELD.replicas)?.subarray(start, start + ID_BYTES);
  if (id?.length !== ID_BYTES) throw corrupt("a journal does not tell whose it is");
  const flags = readField(fields.get(FIELD.flags), (field) => field.varint());
  if (flags !== undefined && flags !== WHOLE) throw corrupt("the flags of a frame are unknown");
  return {
    isWhole: flags === WHOLE,
    replicaId: idText(id),
    firstPlace: place.place,
    attributes: decodeAttributes(fields.get(FIELD.attributes)),
  };
}

/**
 * Returns attributes as the bytes that `journal` of an engine takes: none for an empty map. Undefined says that an attribute is not kept any more.
 *
 * Throws `invalid-argument` for a name that is not well-formed text.
 */
export function encodeAttributes(attributes: JournalAttributes): Uint8Array {
  const writer = new ByteWriter();
  for (const [name, value] of [...attributes].toSorted(([a], [b]) => compareText(a, b))) {
    const bytes = encodeText(name);
    if (decodeText(bytes) !== name)
      throw invalid("the name of an attribute has a lone surrogate; choose another one");
    writer.varint(bytes.length).bytes(bytes);
    if (value === undefined) writer.varint(0);
    else writer.varint(1 + value.length).bytes(value);
  }
  return writer.finish();
}

/**
 * Takes a frame from storage apart for an adapter that keeps one row for each entry.
 *
 * Put in one transaction: each row in the place of the one of its key and kind (prefix or not), with its place in the order of arrival; then, for each row of kind `prefix`,
 * the others whose key begins with its key and whose stamp is not greater are deleted, prefixes too; then the tombstones and prefixes that `collected` names; then `state` is kept behind the others.
 * To load, the rows by place go through `encodeEntries`, and the states in order, or joined, come after them.
 *
 * Throws `corrupt-bytes` or `too-large`, or `unsupported-format` for frames that are neither of kind 5 nor 6. Costs what `decodeEntries` costs.
 *
 * @example
 * ```ts
 * import { loadEngine, splitJournal } from "lastwrite";
 *
 * const engine = await loadEngine();
 * const [replicaId, spareId] = [new Uint8Array(16).fill(1), new Uint8Array(16).fill(2)];
 * const entries = engine.create({ replicaId, spareId, driftMaxMs: 300_000 });
 * entries.set("tasks/1", "write", Date.now());
 * const [frame] = entries.journal(new Uint8Array(0));
 *
 * const { rows, firstPlace, collected, state } = splitJournal(engine, frame);
 * console.log(rows.map(({ key, value }) => `${key}: ${value}`)); // [ 'tasks/1: write' ]
 * console.log(firstPlace, collected.length, state.length < frame.length); // 0 0 true
 * entries.close();
 * ```
 */
export function splitJournal(engine: Engine, frame: Uint8Array): SplitJournal {
  // The kind first, which the engine would not mind; then the engine, which looks at the checksum.
  peekHeader(frame, STORED_KINDS);
  const rows = decodeEntries(engine, frame);
  return { rows, ...splitState(frame, rows.length) };
}

/** As `splitJournal`, for an adapter that read the `rowCount` rows of the frame, and so its checksum, by itself. */
export function splitState(frame: Uint8Array, rowCount: number): Omit<SplitJournal, "rows"> {
  const { kind } = peekHeader(frame, STORED_KINDS);
  if (kind === KIND.entries) return { firstPlace: undefined, collected: [], state: undefined };
  const header = decodeHeader(frame, STORED_KINDS);
  const journal = header.journal as JournalFields;
  const collected = Array.from(header.horizon, ([replicaId, counter]) => ({ replicaId, counter }));
  const place = journal.place + rowCount;
  const state = encodeBare({ ...header, journal: { ...journal, isWhole: false, place } });
  return { firstPlace: journal.place, collected, state };
}

/**
 * Joins states that `splitJournal` gave, oldest first, into one that replays as all of them in order do.
 *
 * It stands for all before it, so begin with the first state that is kept: attributes that were removed are left out. Costs one pass over the states.
 * Throws `invalid-argument` for no states and for frames with entries, and as `splitJournal`.
 *
 * @example
 * ```ts
 * import { joinStates, loadEngine, readJournal, splitJournal } from "lastwrite";
 *
 * const engine = await loadEngine();
 * const [replicaId, spareId] = [new Uint8Array(16).fill(1), new Uint8Array(16).fill(2)];
 * const entries = engine.create({ replicaId, spareId, driftMaxMs: 300_000 });
 * const states = [1, 2, 3].map((value) => {
 *   entries.set("tasks/1", value, Date.now());
 *   const [frame] = entries.journal(new Uint8Array(0));
 *   return splitJournal(engine, frame).state;
 * });
 * console.log(readJournal(joinStates(states)).firstPlace); // 3
 * entries.close();
 * ```
 */
export function joinStates(states: readonly Uint8Array[]): Uint8Array {
  const seen = new SeenDots();
  const horizon = new Map<string, number>();
  const attributes = new Map<string, Uint8Array | undefined>();
  let collected: Stamp | undefined;
  let collector: Collector | undefined;
  let last: JournalFields | undefined;
  for (const bytes of states) {
    const { header: state, content } = openHeader(bytes, [KIND.journal]);
    if (content.remaining > 0) throw invalid("a state has entries; give what splitJournal gave");
    last = state.journal as JournalFields;
    seen.adopt({ vector: state.vector, exceptions: state.end ?? noRuns }, last.ownId);
    for (const [id, counter] of state.horizon)
      horizon.set(id, Math.max(counter, horizon.get(id) ?? 0));
    collected = laterStamp(collected, state);
    collector = joinCollectors(collector, state.collector);
    for (const [name, value] of decodeAttributes(last.attributes)) attributes.set(name, value);
  }
  if (last === undefined) throw invalid("there are no states to join; give one or more");
  const kept = new Map([...attributes].filter(([, value]) => value !== undefined));
  return encodeBare({
    kind: KIND.journal,
    vector: seen.vector,
    end: seen.exceptions,
    horizon,
    collected,
    collector,
    journal: { ...last, isWhole: false, attributes: encodeAttributes(kept) },
  });
}

const STORED_KINDS = [KIND.entries, KIND.journal];
const noRuns: ReadonlyMap<string, readonly Run[]> = new Map();

function decodeAttributes(bytes: Uint8Array | undefined): Map<string, Uint8Array | undefined> {
  const attributes = new Map<string, Uint8Array | undefined>();
  if (bytes === undefined) return attributes;
  const reader = new ByteReader(bytes);
  let before: string | undefined;
  while (reader.remaining > 0) {
    const name = decodeText(reader.take(reader.length()));
    if (before !== undefined && compareText(before, name) >= 0)
      throw corrupt("the attributes of a journal do not ascend");
    before = name;
    const length = reader.varint();
    attributes.set(name, length === 0 ? undefined : reader.take(length - 1));
  }
  return attributes;
}

function laterStamp(stamp: Stamp | undefined, { collected }: FrameHeader): Stamp | undefined {
  if (stamp === undefined || collected === undefined) return stamp ?? collected;
  return compareStamps(collected, stamp) > 0 ? collected : stamp;
}

function invalid(message: string): LastwriteError {
  return new LastwriteError("invalid-argument", message);
}
