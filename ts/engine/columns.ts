/**
 * Columns: entries as they cross the boundary of an engine, the same bytes from each.
 *
 * Little-endian. Six u32: number of entries n, sections (1 = values, 2 = previous values, 4 = meta), number of replicas
 * r, and the lengths in bytes of all keys, all values and all previous values. Then, each at a multiple of 8 bytes, with
 * zeros between, and only where its section is there:
 *
 * | section | content |
 * |---|---|
 * | always | where each key ends, u32 |
 * | 1 | where each value ends, u32 |
 * | 2 | where each previous value ends, u32 |
 * | 4 | milliseconds of the stamp f64, its counter u32, its replica u32, replica of the dot u32, its counter f64, replica of the origin u32 (ffffffff: none), its counter f64 (0: none), the replicas, 16 bytes each, ascending and all used |
 * | always | tag of each value, u8 |
 * | 2 | tag of each previous value, u8 |
 * | always | the keys |
 * | 1 | the payloads of the values |
 * | 2 | the payloads of the previous values |
 *
 * A tag 0 of a previous value is no value.
 */

import { compareIds, type Dot, type Entry, idBytes, idText, type Stamp } from "../codec/entry.ts";
import { ByteWriter, corrupt } from "../codec/numbers.ts";
import { payloadOf, plainValue, tagOf } from "../codec/plain.ts";
import { TAG } from "../codec/tags.ts";
import { decodeText, encodeText } from "../codec/text.ts";
import type { EngineValue } from "./contract.ts";

/** Bits of the sections. */
export const VALUES = 1;
export const PREVIOUS = 2;
export const META = 4;

/** Columns, read one entry at a time. Which members may be asked for is for `sections` to say. */
export interface Columns {
  readonly count: number;
  readonly sections: number;
  key(at: number): string;
  /** 0 is a tombstone, 14 a prefix tombstone. */
  tag(at: number): number;
  /** Undefined for a tombstone of either sort. */
  value(at: number): EngineValue | undefined;
  /** Undefined where there was no value. */
  previous(at: number): EngineValue | undefined;
  /** Replica ids are 32 hex digits. */
  stamp(at: number): Stamp;
  dot(at: number): Dot;
  origin(at: number): Dot | undefined;
}

/** A key with its value before and after. */
export interface Change {
  readonly key: string;
  readonly value: EngineValue | undefined;
  readonly previous: EngineValue | undefined;
}

/** Reads columns; `corrupt-bytes` unless the sections fill the bytes exactly. */
export function readColumns(bytes: Uint8Array): Columns {
  const layout = layoutOf(bytes);
  const { count, view } = layout;
  const text = (section: Texts, at: number): Uint8Array =>
    bytes.subarray(
      section.start + endBefore(view, section, at),
      section.start + view.getUint32(section.ends + 4 * at, true),
    );
  const value = (section: Texts, tags: number, at: number): EngineValue | undefined => {
    const tag = bytes[tags + at] as number;
    const payload = text(section, at);
    if (tag !== TAG.tombstone && tag !== TAG.prefix) return plainValue(tag, payload);
    if (payload.length > 0) throw corrupt("a tombstone has a value");
    return undefined;
  };
  const ids = Array.from({ length: layout.idCount }, (_, index) =>
    idText(bytes.subarray(layout.ids + ID_BYTES * index, layout.ids + ID_BYTES * (index + 1))),
  );
  const id = (section: number, at: number): string => {
    const known = ids[view.getUint32(section + 4 * at, true)];
    if (known === undefined) throw corrupt("columns name a replica that is not among theirs");
    return known;
  };
  return {
    count,
    sections: layout.sections,
    key: (at) => decodeText(text(layout.keys, at)),
    tag: (at) => bytes[layout.tags + at] as number,
    value: (at) => value(layout.values, layout.tags, at),
    previous: (at) => value(layout.previous, layout.previousTags, at),
    stamp: (at) => ({
      millis: view.getFloat64(layout.stampMillis + 8 * at, true),
      counter: view.getUint32(layout.stampCounter + 4 * at, true),
      replicaId: id(layout.stampReplica, at),
    }),
    dot: (at) => ({
      replicaId: id(layout.dotReplica, at),
      counter: view.getFloat64(layout.dotCounter + 8 * at, true),
    }),
    origin(at) {
      const counter = view.getFloat64(layout.originCounter + 8 * at, true);
      if (view.getUint32(layout.originReplica + 4 * at, true) !== NO_REPLICA) {
        return { replicaId: id(layout.originReplica, at), counter };
      }
      if (!Object.is(counter, 0)) throw corrupt("columns give a counter to no origin");
      return undefined;
    },
  };
}

/** Entries with values and meta. */
export function columnsOfEntries(entries: readonly Entry[]): Uint8Array {
  return writeColumns(entries, VALUES | META, entries);
}

/** Keys and values. */
export function columnsOfValues(entries: readonly Entry[]): Uint8Array {
  return writeColumns(entries, VALUES);
}

/** Keys, values and the values before. */
export function columnsOfChanges(changes: readonly Change[]): Uint8Array {
  return writeColumns(changes, VALUES | PREVIOUS);
}

const HEADER_BYTES = 24;
const ID_BYTES = 16;
/** Stands for the replica of no origin. */
export const NO_REPLICA = 0xffffffff;

/** Where byte strings end, and where the first of them starts. */
export interface Texts {
  readonly ends: number;
  readonly start: number;
}

/** Where each section starts; 0 for those that are not there. */
export interface Layout {
  readonly view: DataView;
  readonly count: number;
  readonly sections: number;
  readonly idCount: number;
  readonly keys: Texts;
  readonly values: Texts;
  readonly previous: Texts;
  readonly stampMillis: number;
  readonly stampCounter: number;
  readonly stampReplica: number;
  readonly dotReplica: number;
  readonly dotCounter: number;
  readonly originReplica: number;
  readonly originCounter: number;
  readonly ids: number;
  readonly tags: number;
  readonly previousTags: number;
}

/** For those who read so much that the objects of `readColumns` would cost more than what they do; refuses what that refuses. */
export function layoutOf(bytes: Uint8Array): Layout {
  if (bytes.length < HEADER_BYTES) throw corrupt("columns end too early");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const header = (at: number): number => view.getUint32(4 * at, true);
  const [count, sections, idCount] = [header(0), header(1), header(2)];
  const [keyBytes, valueBytes, previousBytes] = [header(3), header(4), header(5)];
  const [hasValues, hasPrevious, hasMeta] = [
    sections & VALUES,
    sections & PREVIOUS,
    sections & META,
  ];
  if (sections > (VALUES | PREVIOUS | META)) throw corrupt("columns have an unknown section");
  if (!hasValues && valueBytes > 0) throw corrupt("columns measure values that they do not have");
  if (!hasPrevious && previousBytes > 0)
    throw corrupt("columns measure previous values that they do not have");
  if (!hasMeta && idCount > 0) throw corrupt("columns count replicas that they do not have");

  let end = HEADER_BYTES;
  const section = (isThere: number | boolean, length: number): number => {
    if (!isThere) return 0;
    const start = Math.ceil(end / 8) * 8;
    if (start + length > bytes.length) throw corrupt("columns end too early");
    if (bytes.subarray(end, start).some((byte) => byte !== 0))
      throw corrupt("columns are padded with other than zeros");
    end = start + length;
    return start;
  };
  // In the order of the sections.
  const keyEnds = section(true, 4 * count);
  const valueEnds = section(hasValues, 4 * count);
  const previousEnds = section(hasPrevious, 4 * count);
  const layout = {
    view,
    count,
    sections,
    idCount,
    stampMillis: section(hasMeta, 8 * count),
    stampCounter: section(hasMeta, 4 * count),
    stampReplica: section(hasMeta, 4 * count),
    dotReplica: section(hasMeta, 4 * count),
    dotCounter: section(hasMeta, 8 * count),
    originReplica: section(hasMeta, 4 * count),
    originCounter: section(hasMeta, 8 * count),
    ids: section(hasMeta, ID_BYTES * idCount),
    tags: section(true, count),
    previousTags: section(hasPrevious, count),
    keys: { ends: keyEnds, start: section(true, keyBytes) },
    values: { ends: valueEnds, start: section(hasValues, valueBytes) },
    previous: { ends: previousEnds, start: section(hasPrevious, previousBytes) },
  };
  if (end !== bytes.length) throw corrupt("columns have bytes too many");
  checkEnds(view, keyEnds, count, keyBytes);
  if (hasValues) checkEnds(view, valueEnds, count, valueBytes);
  if (hasPrevious) checkEnds(view, previousEnds, count, previousBytes);
  checkIds(bytes.subarray(layout.ids, layout.ids + ID_BYTES * idCount));
  return layout;
}

function checkEnds(view: DataView, ends: number, count: number, length: number): void {
  let before = 0;
  for (let at = 0; at < count; at++) {
    const end = view.getUint32(ends + 4 * at, true);
    if (end < before) throw corrupt("the ends of a column do not ascend");
    before = end;
  }
  if (before !== length) throw corrupt("a column does not end where its last entry does");
}

function checkIds(bytes: Uint8Array): void {
  let before = "";
  for (let at = 0; at < bytes.length; at += ID_BYTES) {
    const id = idText(bytes.subarray(at, at + ID_BYTES));
    if (id <= before) throw corrupt("the replicas of columns do not ascend");
    before = id;
  }
}

function endBefore(view: DataView, { ends }: Texts, at: number): number {
  return at === 0 ? 0 : view.getUint32(ends + 4 * (at - 1), true);
}

/** A row of any columns: an entry or a change. */
interface Row {
  readonly key: string;
  readonly isPrefix?: boolean;
  readonly value: EngineValue | undefined;
  readonly previous?: EngineValue | undefined;
}

function writeColumns(
  rows: readonly Row[],
  sections: number,
  entries: readonly Entry[] = [],
): Uint8Array {
  const hasPrevious = (sections & PREVIOUS) !== 0;
  const ids = usedIds(entries);
  const keys = rows.map(({ key }) => encodeText(key));
  const values = rows.map(({ value }) => payloadOf(value));
  const previous = hasPrevious ? rows.map((row) => payloadOf(row.previous)) : [];

  const writer = new ByteWriter().u32(rows.length).u32(sections).u32(ids.length);
  for (const column of [keys, values, previous])
    writer.u32(column.reduce((sum, { length }) => sum + length, 0));
  writeEnds(writer, keys);
  writeEnds(writer, values);
  if (hasPrevious) writeEnds(writer, previous);
  if ((sections & META) !== 0) writeMeta(writer, entries, ids);
  writer.align8();
  for (const row of rows) writer.u8(row.isPrefix === true ? TAG.prefix : tagOf(row.value));
  if (hasPrevious) {
    writer.align8();
    for (const row of rows) writer.u8(tagOf(row.previous));
  }
  for (const column of hasPrevious ? [keys, values, previous] : [keys, values]) {
    writer.align8();
    for (const bytes of column) writer.bytes(bytes);
  }
  return writer.finish();
}

function writeEnds(writer: ByteWriter, column: readonly Uint8Array[]): void {
  writer.align8();
  let end = 0;
  for (const { length } of column) {
    end += length;
    writer.u32(end);
  }
}

function writeMeta(writer: ByteWriter, entries: readonly Entry[], ids: readonly string[]): void {
  const indexes = new Map(ids.map((id, index) => [id, index]));
  const index = (id: string | undefined): number =>
    id === undefined ? NO_REPLICA : (indexes.get(id) as number);
  const column = (write: (entry: Entry) => void): void => {
    writer.align8();
    entries.forEach(write);
  };
  column(({ stamp }) => writer.f64(stamp.millis));
  column(({ stamp }) => writer.u32(stamp.counter));
  column(({ stamp }) => writer.u32(index(stamp.replicaId)));
  column(({ dot }) => writer.u32(index(dot.replicaId)));
  column(({ dot }) => writer.f64(dot.counter));
  column(({ origin }) => writer.u32(index(origin?.replicaId)));
  column(({ origin }) => writer.f64(origin?.counter ?? 0));
  writer.align8();
  for (const id of ids) writer.bytes(idBytes(id));
}

function usedIds(entries: readonly Entry[]): string[] {
  const ids = new Set<string>();
  for (const { stamp, dot, origin } of entries) {
    ids.add(stamp.replicaId).add(dot.replicaId);
    if (origin !== undefined) ids.add(origin.replicaId);
  }
  return [...ids].toSorted(compareIds);
}
