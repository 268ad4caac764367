/** Entries as the rows of ./sqlite-tables.ts and back, by way of the columns of engines: no object and no text is made of most of what passes. */

import { corrupt } from "../codec/numbers.ts";
import { decodePayload } from "../codec/read-value.ts";
import { TAG } from "../codec/tags.ts";
import { type Layout, layoutOf, META, NO_REPLICA, type Texts, VALUES } from "../engine/columns.ts";
import { readableOf } from "./row-columns.ts";
import type { SqliteValue } from "./sqlite-client.ts";

/** A row as `load` gives it. */
export type StoredRow = readonly unknown[];

/** Entries of an engine, one by one, as what statements take. Nothing is copied. */
export class EntryReader {
  readonly count: number;
  /** Replica ids, which entries name by their place here. */
  readonly ids: readonly Uint8Array[];
  readonly #bytes: Uint8Array;
  readonly #layout: Layout;

  /** Throws `corrupt-bytes` for what `decodeEntries` of an engine never answers. */
  constructor(columns: Uint8Array) {
    const layout = layoutOf(columns);
    if (layout.sections !== (VALUES | META)) throw corrupt("columns lack values or meta");
    this.#bytes = columns;
    this.#layout = layout;
    this.count = layout.count;
    this.ids = Array.from({ length: layout.idCount }, (_, index) => {
      const start = layout.ids + ID_BYTES * index;
      return columns.subarray(start, start + ID_BYTES);
    });
  }

  isPrefix(at: number): boolean {
    return this.#tag(at) === TAG.prefix;
  }

  key(at: number): Uint8Array {
    return this.#text(this.#layout.keys, at);
  }

  stamp(at: number): { readonly millis: number; readonly counter: number; readonly id: number } {
    const { view, stampMillis, stampCounter, stampReplica } = this.#layout;
    return {
      millis: view.getFloat64(stampMillis + 8 * at, true),
      counter: view.getUint32(stampCounter + 4 * at, true),
      id: view.getUint32(stampReplica + 4 * at, true),
    };
  }

  /** Which replica wrote and stamped an entry that `putMany` takes; −1 for another entry. */
  commonWriter(at: number): number {
    const { view, dotReplica, originReplica, stampReplica } = this.#layout;
    const writer = view.getUint32(dotReplica + 4 * at, true);
    const isCommon =
      view.getUint32(stampReplica + 4 * at, true) === writer &&
      view.getUint32(originReplica + 4 * at, true) === NO_REPLICA &&
      this.#tag(at) !== TAG.prefix;
    return isCommon ? writer : -1;
  }

  /** Writes into `values`, from `start` on, what `putMany` takes for an entry. */
  fillCommon(values: SqliteValue[], start: number, at: number, place: number): void {
    const { view, stampMillis, stampCounter, dotCounter, values: payloads } = this.#layout;
    const tag = this.#tag(at);
    const payload = this.#text(payloads, at);
    values[start] = this.key(at);
    values[start + 1] = place;
    values[start + 2] = tag;
    values[start + 3] = payload.length === 0 ? null : payload;
    values[start + 4] = readable(tag, payload);
    values[start + 5] = view.getFloat64(stampMillis + 8 * at, true);
    values[start + 6] = view.getUint32(stampCounter + 4 * at, true);
    values[start + 7] = view.getFloat64(dotCounter + 8 * at, true);
  }

  /** What `put` takes for an entry. `numberOf` gives the number that stands for a replica. */
  values(at: number, place: number, numberOf: (id: number) => number): SqliteValue[] {
    const { view, dotReplica, dotCounter, originReplica, originCounter } = this.#layout;
    const tag = this.#tag(at);
    const payload = this.#text(this.#layout.values, at);
    const stamp = this.stamp(at);
    const origin = view.getUint32(originReplica + 4 * at, true);
    return [
      this.key(at),
      tag === TAG.prefix ? 1 : 0,
      place,
      tag,
      payload.length === 0 ? null : payload,
      readable(tag, payload),
      stamp.millis,
      stamp.counter,
      numberOf(stamp.id),
      numberOf(view.getUint32(dotReplica + 4 * at, true)),
      view.getFloat64(dotCounter + 8 * at, true),
      origin === NO_REPLICA ? null : numberOf(origin),
      origin === NO_REPLICA ? null : view.getFloat64(originCounter + 8 * at, true),
    ];
  }

  #tag(at: number): number {
    return this.#bytes[this.#layout.tags + at] as number;
  }

  #text({ ends, start }: Texts, at: number): Uint8Array {
    const { view } = this.#layout;
    const from = at === 0 ? 0 : view.getUint32(ends + 4 * at - 4, true);
    return this.#bytes.subarray(start + from, start + view.getUint32(ends + 4 * at, true));
  }
}

/** The rows as columns for `encodeEntries` of an engine, which checks keys and values. Throws `corrupt-bytes` for what no row has. `ids`: replica ids by number. */
export function columnsOfStored(
  rows: readonly StoredRow[],
  ids: ReadonlyMap<number, Uint8Array>,
): Uint8Array {
  const count = rows.length;
  const used = usedIds(rows, ids);
  const indexes = new Map(used.map(([number], index) => [number, index]));
  const keys = rows.map((row) => bytesAt(row, AT.key));
  const payloads = rows.map((row) =>
    row[AT.payload] === null ? NO_BYTES : bytesAt(row, AT.payload),
  );
  const keyBytes = lengthOf(keys);
  const payloadBytes = lengthOf(payloads);

  const section = sections(HEADER_BYTES);
  const starts = {
    keyEnds: section(4 * count),
    payloadEnds: section(4 * count),
    stampMillis: section(8 * count),
    stampCounter: section(4 * count),
    stampReplica: section(4 * count),
    dotReplica: section(4 * count),
    dotCounter: section(8 * count),
    originReplica: section(4 * count),
    originCounter: section(8 * count),
    ids: section(ID_BYTES * used.length),
    tags: section(count),
    keys: section(keyBytes),
    payloads: section(payloadBytes),
  };
  const bytes = new Uint8Array(starts.payloads + payloadBytes);
  const view = new DataView(bytes.buffer);
  const header = [count, VALUES | META, used.length, keyBytes, payloadBytes, 0];
  header.forEach((number, at) => view.setUint32(4 * at, number, true));
  used.forEach(([, id], index) => bytes.set(id, starts.ids + ID_BYTES * index));
  writeTexts(bytes, view, starts.keyEnds, starts.keys, keys);
  writeTexts(bytes, view, starts.payloadEnds, starts.payloads, payloads);
  rows.forEach((row, at) => {
    const tag = numberAt(row, AT.tag);
    if ((tag === TAG.prefix) !== (numberAt(row, AT.isPrefix) === 1) || tag > TAG.prefix)
      throw corrupt(`a row has the tag ${tag}`);
    const hasOrigin = row[AT.originReplica] !== null;
    const index = (column: number): number => indexes.get(numberAt(row, column)) as number;
    bytes[starts.tags + at] = tag;
    view.setFloat64(starts.stampMillis + 8 * at, numberAt(row, AT.millis), true);
    view.setUint32(starts.stampCounter + 4 * at, numberAt(row, AT.counter), true);
    view.setUint32(starts.stampReplica + 4 * at, index(AT.replica), true);
    view.setUint32(starts.dotReplica + 4 * at, index(AT.dotReplica), true);
    view.setFloat64(starts.dotCounter + 8 * at, numberAt(row, AT.dotCounter), true);
    view.setUint32(
      starts.originReplica + 4 * at,
      hasOrigin ? index(AT.originReplica) : NO_REPLICA,
      true,
    );
    view.setFloat64(
      starts.originCounter + 8 * at,
      hasOrigin ? numberAt(row, AT.originCounter) : 0,
      true,
    );
  });
  return bytes;
}

/** Bytes as they come from any client. */
export function storedBytes(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value;
  // libsql gives empty ones so.
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  throw corrupt("a column that should have bytes has none");
}

/** A whole number from 0, as it comes from any client. */
export function storedNumber(value: unknown): number {
  const number = typeof value === "bigint" ? Number(value) : value;
  if (!Number.isSafeInteger(number) || (number as number) < 0)
    throw corrupt("a column that should have a number has none");
  return number as number;
}

/** Where each column of a stored row stands. */
const AT = {
  key: 0,
  isPrefix: 1,
  tag: 2,
  payload: 3,
  millis: 4,
  counter: 5,
  replica: 6,
  dotReplica: 7,
  dotCounter: 8,
  originReplica: 9,
  originCounter: 10,
} as const;

const HEADER_BYTES = 24;
const ID_BYTES = 16;
const COUNTER_END = 2 ** 16;
const NO_BYTES: Uint8Array = new Uint8Array(0);

/** What the view cannot read out of the payload: that of text and bytes shows itself, if it has no NUL. */
function readable(tag: number, payload: Uint8Array): SqliteValue {
  switch (tag) {
    case TAG.tombstone:
    case TAG.prefix:
    case TAG.null:
    case TAG.false:
    case TAG.true:
    case TAG.bytes:
      return null;
    case TAG.text:
      if (!payload.includes(0)) return null;
      break;
  }
  // Those of the types that SQLite lacks were above.
  return readableOf(decodePayload(tag, payload)).value as SqliteValue;
}

/** The replicas that rows name, by ascending id. */
function usedIds(
  rows: readonly StoredRow[],
  ids: ReadonlyMap<number, Uint8Array>,
): (readonly [number: number, id: Uint8Array])[] {
  const numbers = new Set<number>();
  for (const row of rows) {
    numbers.add(numberAt(row, AT.replica)).add(numberAt(row, AT.dotReplica));
    if (row[AT.originReplica] !== null) numbers.add(numberAt(row, AT.originReplica));
  }
  return Array.from(numbers, (number) => {
    const id = ids.get(number);
    if (id?.length !== ID_BYTES) throw corrupt(`a row names replica ${number}, which has no id`);
    return [number, id] as const;
  }).toSorted(([, a], [, b]) => compareIds(a, b));
}

function compareIds(a: Uint8Array, b: Uint8Array): number {
  const at = a.findIndex((byte, index) => byte !== b[index]);
  return at < 0 ? 0 : (a[at] as number) - (b[at] as number);
}

/** Gives out sections one after the other, each at a multiple of 8 bytes. */
function sections(start: number): (length: number) => number {
  let end = start;
  return (length) => {
    const at = Math.ceil(end / 8) * 8;
    end = at + length;
    return at;
  };
}

function writeTexts(
  bytes: Uint8Array,
  view: DataView,
  ends: number,
  start: number,
  texts: readonly Uint8Array[],
): void {
  let end = 0;
  texts.forEach((text, at) => {
    bytes.set(text, start + end);
    end += text.length;
    view.setUint32(ends + 4 * at, end, true);
  });
}

function lengthOf(texts: readonly Uint8Array[]): number {
  let length = 0;
  for (const text of texts) length += text.length;
  return length;
}

function bytesAt(row: StoredRow, column: number): Uint8Array {
  return storedBytes(row[column]);
}

function numberAt(row: StoredRow, column: number): number {
  const number = storedNumber(row[column]);
  if (column === AT.counter && number >= COUNTER_END) throw corrupt("a stamp is out of range");
  return number;
}
