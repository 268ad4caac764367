/** Entries as the rows of ./sqlite-tables.ts and back. */

import { idText, STAMP_COUNTER_END } from "../codec/entry.ts";
import { corrupt } from "../codec/numbers.ts";
import { decodePayload } from "../codec/read-value.ts";
import { TAG } from "../codec/tags.ts";
import { NO_REPLICA } from "../engine/columns.ts";
import { readableOf } from "./readable.ts";
import { ColumnWriter, type EntryReader } from "./row-columns.ts";
import type { Connection, SqliteValue } from "./sqlite-client.ts";
import type { Statements } from "./sqlite-tables.ts";

/** A row as `load` gives it. */
export type StoredRow = readonly unknown[];

/** Which replica wrote and stamped an entry that `putMany` takes; −1 for another entry. */
export function commonWriter(entries: EntryReader, at: number): number {
  const writer = entries.dotReplica(at);
  const isCommon =
    entries.replica(at) === writer &&
    entries.originReplica(at) === NO_REPLICA &&
    !entries.isPrefix(at);
  return isCommon ? writer : -1;
}

/** Writes into `values`, from `start` on, what `putMany` takes for an entry. */
export function fillCommon(
  values: SqliteValue[],
  start: number,
  entries: EntryReader,
  at: number,
  place: number,
): void {
  const tag = entries.tag(at);
  const payload = entries.payload(at);
  values[start] = entries.key(at);
  values[start + 1] = place;
  values[start + 2] = tag;
  values[start + 3] = payload.length === 0 ? null : payload;
  values[start + 4] = readable(tag, payload);
  values[start + 5] = entries.millis(at);
  values[start + 6] = entries.counter(at);
  values[start + 7] = entries.dotCounter(at);
}

/** What `put` takes for an entry. `numberOf` gives the number that stands for a replica. */
export function valuesOf(
  entries: EntryReader,
  at: number,
  place: number,
  numberOf: (id: number) => number,
): SqliteValue[] {
  const tag = entries.tag(at);
  const payload = entries.payload(at);
  const origin = entries.originReplica(at);
  return [
    entries.key(at),
    tag === TAG.prefix ? 1 : 0,
    place,
    tag,
    payload.length === 0 ? null : payload,
    readable(tag, payload),
    entries.millis(at),
    entries.counter(at),
    numberOf(entries.replica(at)),
    numberOf(entries.dotReplica(at)),
    entries.dotCounter(at),
    origin === NO_REPLICA ? null : numberOf(origin),
    origin === NO_REPLICA ? null : entries.originCounter(at),
  ];
}

/** The rows as columns for `encodeEntries` of an engine, which checks keys and values. Throws `corrupt-bytes` for what no row has. `ids`: replica ids by number. */
export function columnsOfStored(
  rows: readonly StoredRow[],
  ids: ReadonlyMap<number, Uint8Array>,
): Uint8Array {
  const used: string[] = [];
  const indexes = new Map<number, number>();
  const indexOf = (number: number): number => {
    const known = indexes.get(number);
    if (known !== undefined) return known;
    const id = ids.get(number);
    if (id?.length !== ID_BYTES) throw corrupt(`a row names replica ${number}, which has no id`);
    const index = used.push(idText(id)) - 1;
    indexes.set(number, index);
    return index;
  };
  const writer = new ColumnWriter(rows.length);
  for (const row of rows) {
    const tag = numberAt(row, AT.tag);
    if ((tag === TAG.prefix) !== (numberAt(row, AT.isPrefix) === 1) || tag > TAG.prefix)
      throw corrupt(`a row has the tag ${tag}`);
    const counter = numberAt(row, AT.counter);
    if (counter >= STAMP_COUNTER_END) throw corrupt("a stamp is out of range");
    const payload = row[AT.payload];
    writer.next(tag, storedBytes(row[AT.key]), payload === null ? NO_BYTES : storedBytes(payload));
    writer.stamp(numberAt(row, AT.millis), counter, indexOf(numberAt(row, AT.replica)));
    writer.dot(indexOf(numberAt(row, AT.dotReplica)), numberAt(row, AT.dotCounter));
    if (row[AT.originReplica] !== null)
      writer.origin(indexOf(numberAt(row, AT.originReplica)), numberAt(row, AT.originCounter));
  }
  return writer.finish(used);
}

/** The replica ids that the numbers in rows stand for. */
export function readIds(connection: Connection, { replicas }: Statements): Map<number, Uint8Array> {
  const rows = connection.rows(replicas);
  return new Map(rows.map(([number, id]) => [storedNumber(number), storedBytes(id)]));
}

/** The key of a row, for messages. */
export function keyName([key]: StoredRow): string {
  return key instanceof Uint8Array ? JSON.stringify(new TextDecoder().decode(key)) : String(key);
}

/** Bytes as they come from any client. */
export function storedBytes(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value;
  // libsql gives empty ones so.
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  throw corrupt("a column that should have bytes has none");
}

/** A whole number from 0, as it comes from any client. */
function storedNumber(value: unknown): number {
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

const ID_BYTES = 16;
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

function numberAt(row: StoredRow, column: number): number {
  return storedNumber(row[column]);
}
