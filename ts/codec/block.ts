/** Blocks: up to 4,096 entries, column by column (docs/format.md, Block). */

import {
  compareHlcs,
  type Dot,
  DOT_COUNTER_END,
  type Entry,
  followingHlc,
  type Hlc,
  HLC_ZERO,
  MILLIS_END,
  STAMP_COUNTER_END,
} from "./entry.ts";
import { entryTag } from "./order.ts";
import { ByteReader, ByteWriter, corrupt, unzigzag, zigzag } from "./numbers.ts";
import { payloadOf, type PlainValue, plainValue } from "./plain.ts";
import { isMeasured, TAG } from "./tags.ts";
import { decodeText, encodeText, isKey, isPrefix, KEY_BYTES_MAX } from "./text.ts";
import { LastwriteError } from "../errors.ts";

export const BLOCK_ENTRIES_MAX = 4096;

/** An entry with the bytes that a block takes from it. */
export interface EncodedEntry {
  readonly entry: Entry;
  readonly tag: number;
  readonly keyBytes: Uint8Array;
  readonly payload: Uint8Array;
}

/** How many bytes the entries of a frame may still take in memory. */
export interface ExpansionBudget {
  left: number;
}

const COLUMN = {
  keyLengths: 1,
  keySuffixes: 2,
  tags: 3,
  writers: 4,
  counters: 5,
  stamps: 6,
  stampWriters: 7,
  origins: 8,
  integers: 9,
  floats: 10,
  lengths: 11,
  payloads: 12,
} as const;

/** What an entry is reckoned to take in memory beside its key and payload. */
const ENTRY_BYTES = 40;

export function encodedEntry(entry: Entry): EncodedEntry {
  return {
    entry,
    tag: entryTag(entry),
    keyBytes: encodeText(entry.key),
    payload: payloadOf(entry.value),
  };
}

/** How many bytes of a key a block takes from the one before it; few enough that keys never expand above 32 times. */
export function sharedLength(before: Uint8Array | undefined, key: Uint8Array): number {
  if (before === undefined) return 0;
  const max = Math.min(before.length, key.length - Math.max(0, Math.ceil(key.length / 32) - 1));
  let shared = 0;
  while (shared < max && before[shared] === key[shared]) shared++;
  return shared;
}

/** Writes a block. `indexes` gives each replica id its place in the table of the frame. */
export function writeBlock(
  writer: ByteWriter,
  entries: readonly EncodedEntry[],
  indexes: ReadonlyMap<string, number>,
): void {
  const index = (id: string): number => indexes.get(id) as number;
  const writers = entries.map(({ entry }) => index(entry.dot.replicaId));
  const stampWriters = entries.map(({ entry }) => index(entry.stamp.replicaId));
  const hasStampWriters = stampWriters.some((stampWriter, at) => stampWriter !== writers[at]);

  writer.varint(entries.length);
  writeColumn(writer, COLUMN.keyLengths, (column) => writeKeyLengths(column, entries));
  writeColumn(writer, COLUMN.keySuffixes, (column) => writeKeySuffixes(column, entries));
  writeColumn(writer, COLUMN.tags, (column) => writeTags(column, entries));
  writeColumn(writer, COLUMN.writers, (column) => writeIndexRuns(column, writers));
  writeColumn(writer, COLUMN.counters, (column) => writeCounters(column, entries));
  writeColumn(writer, COLUMN.stamps, (column) => writeStamps(column, entries));
  if (hasStampWriters)
    writeColumn(writer, COLUMN.stampWriters, (column) => writeIndexRuns(column, stampWriters));
  writeColumn(writer, COLUMN.origins, (column) => writeOrigins(column, entries, index));
  writeColumn(writer, COLUMN.integers, (column) => {
    for (const { tag, payload } of entries)
      if (tag === TAG.integer || tag === TAG.date) column.bytes(payload);
  });
  writeColumn(writer, COLUMN.floats, (column) => {
    for (const { tag, payload } of entries) if (tag === TAG.float) column.bytes(payload);
  });
  writeColumn(writer, COLUMN.lengths, (column) => {
    for (const { tag, payload } of entries) if (isMeasured(tag)) column.varint(payload.length);
  });
  writeColumn(writer, COLUMN.payloads, (column) => {
    for (const { tag, payload } of entries) if (isMeasured(tag)) column.bytes(payload);
  });
  writer.u8(0);
}

/** Reads a block; refuses with `too-large` what would take more than is left. */
export function readBlock(
  reader: ByteReader,
  ids: readonly string[],
  budget: ExpansionBudget,
): Entry[] {
  const count = reader.varint();
  if (count === 0 || count > BLOCK_ENTRIES_MAX)
    throw corrupt("a block has a wrong number of entries");
  const columns = readColumns(reader);

  const lengths = columns.read(COLUMN.keyLengths, (column) => readKeyLengths(column, count));
  const payloadBytes =
    columns.bytes(COLUMN.integers) + columns.bytes(COLUMN.floats) + columns.bytes(COLUMN.payloads);
  budget.left -= lengths.keyBytes + payloadBytes + ENTRY_BYTES * count;
  if (budget.left < 0) {
    throw new LastwriteError(
      "too-large",
      "the entries would take more than 64 times the bytes of their frame; send less at once",
    );
  }

  const tags = columns.read(COLUMN.tags, (column) => readTags(column, count));
  const keys = columns.read(COLUMN.keySuffixes, (column) => readKeys(column, lengths, tags));
  const writers = columns.read(COLUMN.writers, (column) =>
    readIndexRuns(column, count, ids.length),
  );
  const counters = columns.read(COLUMN.counters, (column) => readCounters(column, writers));
  const stamps = columns.read(COLUMN.stamps, (column) => readStamps(column, count));
  const stampWriters = columns.has(COLUMN.stampWriters)
    ? columns.read(COLUMN.stampWriters, (column) => readIndexRuns(column, count, ids.length))
    : writers;
  if (
    stampWriters !== writers &&
    stampWriters.every((stampWriter, at) => stampWriter === writers[at])
  ) {
    throw corrupt("the writers of stamps are those of the dots, and given all the same");
  }
  const origins = columns.read(COLUMN.origins, (column) => readOrigins(column, count, ids));
  const values = readValues(columns, tags);

  return keys.map((key, at) => {
    const { millis, counter } = stamps[at] as Hlc;
    return {
      key,
      isPrefix: tags[at] === TAG.prefix,
      value: values[at],
      stamp: { millis, counter, replicaId: ids[stampWriters[at] as number] as string },
      dot: { replicaId: ids[writers[at] as number] as string, counter: counters[at] as number },
      origin: origins.get(at),
    };
  });
}

/** Columns by id; each has to be used up exactly. */
interface ColumnSet {
  has(id: number): boolean;
  bytes(id: number): number;
  read<T>(id: number, read: (column: ByteReader) => T): T;
}

function readColumns(reader: ByteReader): ColumnSet {
  const columns = new Map<number, Uint8Array>();
  let before = 0;
  for (let id = reader.u8(); id !== 0; id = reader.u8()) {
    if (id <= before) throw corrupt("the columns of a block do not ascend");
    before = id;
    const bytes = reader.take(reader.length());
    if (bytes.length === 0 && id <= COLUMN.payloads)
      throw corrupt("a column is empty, and given all the same");
    columns.set(id, bytes);
  }
  return {
    has: (id) => columns.has(id),
    bytes: (id) => columns.get(id)?.length ?? 0,
    read(id, read) {
      const column = new ByteReader(columns.get(id) ?? new Uint8Array(0));
      const content = read(column);
      column.end("a column");
      return content;
    },
  };
}

function writeColumn(writer: ByteWriter, id: number, write: (column: ByteWriter) => void): void {
  const column = new ByteWriter();
  write(column);
  if (column.length > 0) writer.u8(id).varint(column.length).bytes(column.finish());
}

function writeKeyLengths(column: ByteWriter, entries: readonly EncodedEntry[]): void {
  entries.forEach(({ keyBytes }, at) => {
    const shared = sharedLength(entries[at - 1]?.keyBytes, keyBytes);
    const suffix = keyBytes.length - shared;
    column.u8((Math.min(shared, 15) << 4) | Math.min(suffix, 15));
    if (shared >= 15) column.varint(shared - 15);
    if (suffix >= 15) column.varint(suffix - 15);
  });
}

interface KeyLengths {
  readonly shared: Uint16Array;
  readonly suffixes: Uint16Array;
  /** Of all keys together. */
  readonly keyBytes: number;
  readonly longest: number;
}

function readKeyLengths(column: ByteReader, count: number): KeyLengths {
  const shared = new Uint16Array(count);
  const suffixes = new Uint16Array(count);
  let keyBytes = 0;
  let longest = 0;
  let before = 0;
  for (let at = 0; at < count; at++) {
    const nibbles = column.u8();
    const sharedHere = continued(column, nibbles >>> 4);
    const suffix = continued(column, nibbles & 15);
    if (sharedHere > before) throw corrupt("a key shares more than the one before it has");
    before = sharedHere + suffix;
    if (before > KEY_BYTES_MAX) throw corrupt("a key is too long");
    keyBytes += before;
    longest = Math.max(longest, before);
    shared[at] = sharedHere;
    suffixes[at] = suffix;
  }
  return { shared, suffixes, keyBytes, longest };
}

function continued(column: ByteReader, nibble: number): number {
  return nibble < 15 ? nibble : 15 + column.varint();
}

function writeKeySuffixes(column: ByteWriter, entries: readonly EncodedEntry[]): void {
  entries.forEach(({ keyBytes }, at) => {
    column.bytes(keyBytes.subarray(sharedLength(entries[at - 1]?.keyBytes, keyBytes)));
  });
}

function readKeys(
  column: ByteReader,
  { shared, suffixes, longest }: KeyLengths,
  tags: Uint8Array,
): string[] {
  const bytes = new Uint8Array(longest);
  return Array.from(tags, (tag, at) => {
    const sharedHere = shared[at] as number;
    const suffix = column.take(suffixes[at] as number);
    bytes.set(suffix, sharedHere);
    const key = decodeText(bytes.subarray(0, sharedHere + suffix.length));
    if (tag === TAG.prefix ? !isPrefix(key) : !isKey(key))
      throw corrupt("a key or prefix is not allowed");
    return key;
  });
}

function writeTags(column: ByteWriter, entries: readonly EncodedEntry[]): void {
  for (let at = 0; at < entries.length; at += 2) {
    column.u8((entries[at] as EncodedEntry).tag | ((entries[at + 1]?.tag ?? 0) << 4));
  }
}

function readTags(column: ByteReader, count: number): Uint8Array {
  const tags = new Uint8Array(count);
  for (let at = 0; at < count; at += 2) {
    const nibbles = column.u8();
    tags[at] = nibbles & 15;
    if (at + 1 < count) tags[at + 1] = nibbles >>> 4;
    else if (nibbles >>> 4 !== 0) throw corrupt("a tag has no entry");
  }
  if (tags.some((tag) => tag > TAG.prefix)) throw corrupt("a tag is unknown");
  return tags;
}

function writeIndexRuns(column: ByteWriter, indexes: readonly number[]): void {
  for (let at = 0; at < indexes.length;) {
    const start = at;
    while (at < indexes.length && indexes[at] === indexes[start]) at++;
    column.varint(indexes[start] as number).varint(at - start - 1);
  }
}

function readIndexRuns(column: ByteReader, count: number, idCount: number): Uint32Array {
  const indexes = new Uint32Array(count);
  for (let at = 0; at < count;) {
    const index = column.varint();
    const end = at + column.varint() + 1;
    if (index >= idCount || end > count || (at > 0 && index === indexes[at - 1])) {
      throw corrupt("a run of writers is wrong");
    }
    indexes.fill(index, at, end);
    at = end;
  }
  return indexes;
}

function writeCounters(column: ByteWriter, entries: readonly EncodedEntry[]): void {
  const last = new Map<string, number>();
  let following = 0;
  const writeRun = (): void => {
    if (following > 0) column.varint(2 * (following - 1));
    following = 0;
  };
  for (const { entry } of entries) {
    const { replicaId, counter } = entry.dot;
    const difference = counter - (last.get(replicaId) ?? 0) - 1;
    last.set(replicaId, counter);
    if (difference === 0) {
      following++;
    } else {
      writeRun();
      column.varint(2 * zigzag(difference) + 1);
    }
  }
  writeRun();
}

function readCounters(column: ByteReader, writers: Uint32Array): Float64Array {
  const last = new Map<number, number>();
  const counters = new Float64Array(writers.length);
  let wasRun = false;
  for (let at = 0; at < writers.length;) {
    const token = column.varint();
    const isRun = token % 2 === 0;
    const difference = isRun ? 0 : unzigzag((token - 1) / 2);
    const end = isRun ? at + token / 2 + 1 : at + 1;
    if (end > writers.length || (isRun ? wasRun : difference === 0))
      throw corrupt("a run of counters is wrong");
    wasRun = isRun;
    for (; at < end; at++) {
      const writer = writers[at] as number;
      const counter = (last.get(writer) ?? 0) + 1 + difference;
      checkCounter(counter);
      last.set(writer, counter);
      counters[at] = counter;
    }
  }
  return counters;
}

function writeStamps(column: ByteWriter, entries: readonly EncodedEntry[]): void {
  let before = HLC_ZERO;
  let following = 0;
  const writeRun = (): void => {
    if (following > 0) column.varint(4 * (following - 1));
    following = 0;
  };
  for (const { entry } of entries) {
    const hlc = entry.stamp;
    const choice = stampChoice(before, hlc);
    if (choice === 0) {
      following++;
    } else {
      writeRun();
      const millis = hlc.millis - before.millis;
      const operand = choice === 1 ? hlc.counter : choice === 2 ? millis : zigzag(millis);
      column.varint(4 * operand + choice);
      if (choice === 3) column.varint(hlc.counter);
    }
    before = hlc;
  }
  writeRun();
}

function readStamps(column: ByteReader, count: number): Hlc[] {
  const stamps: Hlc[] = [];
  let before = HLC_ZERO;
  let wasRun = false;
  const push = (hlc: Hlc): void => {
    stamps.push(hlc);
    before = hlc;
  };
  while (stamps.length < count) {
    const token = column.varint();
    const choice = token % 4;
    const operand = (token - choice) / 4;
    if (choice === 0) {
      if (wasRun || stamps.length + operand + 1 > count) throw corrupt("a run of stamps is wrong");
      for (let left = operand; left >= 0; left--) push(followingHlc(before) ?? beyondLastStamp());
    } else {
      const hlc = readHlc(column, choice, operand, before);
      if (stampChoice(before, hlc) !== choice) throw corrupt("a stamp is not in its shortest form");
      push(hlc);
    }
    wasRun = choice === 0;
  }
  return stamps;
}

function readHlc(column: ByteReader, choice: number, operand: number, before: Hlc): Hlc {
  const hlc =
    choice === 1
      ? { millis: before.millis, counter: operand }
      : choice === 2
        ? { millis: before.millis + operand, counter: 0 }
        : { millis: before.millis + unzigzag(operand), counter: column.varint() };
  if (hlc.millis < 0 || hlc.millis >= MILLIS_END || hlc.counter >= STAMP_COUNTER_END)
    beyondLastStamp();
  return hlc;
}

/** Which of the four forms a stamp has after `before`. */
function stampChoice(before: Hlc, hlc: Hlc): 0 | 1 | 2 | 3 {
  const following = followingHlc(before);
  if (following !== undefined && compareHlcs(following, hlc) === 0) return 0;
  if (hlc.millis === before.millis) return 1;
  return hlc.millis > before.millis && hlc.counter === 0 ? 2 : 3;
}

function beyondLastStamp(): never {
  throw corrupt("a stamp is out of range");
}

function writeOrigins(
  column: ByteWriter,
  entries: readonly EncodedEntry[],
  index: (id: string) => number,
): void {
  let next = 0;
  entries.forEach(({ entry: { origin } }, at) => {
    if (origin === undefined) return;
    column
      .varint(at - next)
      .varint(index(origin.replicaId))
      .varint(origin.counter);
    next = at + 1;
  });
}

function readOrigins(column: ByteReader, count: number, ids: readonly string[]): Map<number, Dot> {
  const origins = new Map<number, Dot>();
  for (let next = 0; column.remaining > 0; next++) {
    next += column.varint();
    const replicaId = ids[column.varint()];
    const counter = column.varint();
    if (next >= count || replicaId === undefined)
      throw corrupt("an origin is of no entry or no replica");
    checkCounter(counter);
    origins.set(next, { replicaId, counter });
  }
  return origins;
}

function readValues(columns: ColumnSet, tags: Uint8Array): (PlainValue | undefined)[] {
  return columns.read(COLUMN.integers, (integers) =>
    columns.read(COLUMN.floats, (floats) =>
      columns.read(COLUMN.lengths, (lengths) =>
        columns.read(COLUMN.payloads, (payloads) =>
          Array.from(tags, (tag) => {
            if (tag === TAG.tombstone || tag === TAG.prefix) return undefined;
            if (tag === TAG.integer) return integers.svarint();
            if (tag === TAG.date) return plainValue(tag, integerBytes(integers));
            if (tag === TAG.float) return plainValue(tag, floats.take(8));
            return plainValue(tag, payloads.take(isMeasured(tag) ? lengths.varint() : 0));
          }),
        ),
      ),
    ),
  );
}

function integerBytes(integers: ByteReader): Uint8Array {
  const start = integers.position;
  integers.svarint();
  return integers.bytes.subarray(start, integers.position);
}

function checkCounter(counter: number): void {
  if (counter < 1 || counter >= DOT_COUNTER_END)
    throw corrupt("the counter of a dot is out of range");
}
