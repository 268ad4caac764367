/**
 * Rows as the columns that databases keep: what counts as bytes that compare as they have to, and beside it the value in a form that other
 * programs read.
 *
 * | column | content |
 * |---|---|
 * | key | UTF-8. Keys may hold NUL, which text columns cut or refuse, and bytes sort as keys do |
 * | kind | 0 value, 1 tombstone, 2 prefix tombstone |
 * | bytes | the canonical bytes of the value (docs/format.md), which alone are read back; null but for a value |
 * | stamp | 24 bytes: u64 HLC, replica id; big-endian, so that bytes compare as stamps do |
 * | dot | 24 bytes: replica id, u64 counter, big-endian |
 * | origin | as dot, or null |
 */

import { idBytes, idText, MILLIS_END } from "../codec/entry.ts";
import { corrupt } from "../codec/numbers.ts";
import { isTagged } from "../codec/tagged.ts";
import { decodeText, encodeText } from "../codec/text.ts";
import { isBytes, type Value } from "../codec/value.ts";
import type { Dot, EntryKind, Stamp } from "../dictionary/contract.ts";
import type { EntryRow } from "../dictionary/rows.ts";

/** An entry as a database keeps it. */
export interface RowColumns {
  readonly key: Uint8Array;
  /** See KIND_NUMBER. */
  readonly kind: number;
  readonly bytes: Uint8Array | null;
  readonly stamp: Uint8Array;
  readonly dot: Uint8Array;
  readonly origin: Uint8Array | null;
}

/** What stands in the column `kind`. */
export const KIND_NUMBER: Readonly<Record<EntryKind, number>> = {
  value: 0,
  tombstone: 1,
  prefix: 2,
};

/** How many bytes stamps, dots and origins have. */
export const STAMP_BYTES = 24;
export const DOT_BYTES = 24;

/** The type of a value, as other programs see it. */
export type ReadableType =
  | "null"
  | "boolean"
  | "number"
  | "bigint"
  | "text"
  | "bytes"
  | "date"
  | "json";

/** A value for reading only. */
export interface Readable {
  readonly type: ReadableType;
  /**
   * Numbers are finite, and −0 is 0: NaN and the infinities are their names as text. A bigint beyond 64 bits is its digits as text. Text has neither NUL
   * nor lone surrogates: U+FFFD stands for them. Dates are ISO 8601, arrays, objects and tagged values JSON, both as text.
   */
  readonly value: null | boolean | number | bigint | string | Uint8Array;
}

/** The columns of a row, new ones but for `bytes`. */
export function columnsOf(row: EntryRow): RowColumns {
  return {
    key: encodeText(row.key),
    kind: KIND_NUMBER[row.kind],
    bytes: row.kind === "value" ? row.bytes : null,
    stamp: stampColumn(row.stamp),
    dot: dotColumn(row.dot),
    origin: row.origin === null ? null : dotColumn(row.origin),
  };
}

/** The row of these columns, without `value`. Throws `corrupt-bytes` where a column has not the form that `columnsOf` gives it; `bytes` are for `encodeEntries` to check. */
export function rowOf({ key, kind, bytes, stamp, dot, origin }: RowColumns): EntryRow {
  const name = KINDS[kind];
  if (name === undefined) throw corrupt(`no row is of kind ${String(kind)}`);
  if (!isBytes(key)) throw corrupt("the key of a row is not bytes");
  if ((name === "value") !== isBytes(bytes))
    throw corrupt("a row has bytes just when it has a value");
  return {
    key: decodeText(key),
    kind: name,
    bytes: bytes ?? NO_BYTES,
    stamp: stampOf(stamp),
    dot: dotOf(dot),
    origin: origin === null ? null : dotOf(origin),
  };
}

/** A stamp as 24 bytes, which compare as stamps do. */
export function stampColumn({ millis, counter, replicaId }: Stamp): Uint8Array {
  const column = new Uint8Array(STAMP_BYTES);
  writeU32(column, 0, Math.floor(millis / 2 ** 16));
  writeU32(column, 4, (millis % 2 ** 16) * 2 ** 16 + counter);
  writeId(column, 8, replicaId);
  return column;
}

/** A dot as 24 bytes: those of one replica stand together, by counter. */
export function dotColumn({ replicaId, counter }: Dot): Uint8Array {
  const column = new Uint8Array(DOT_BYTES);
  writeId(column, 0, replicaId);
  writeU32(column, 16, Math.floor(counter / 2 ** 32));
  writeU32(column, 20, counter % 2 ** 32);
  return column;
}

/** What other programs read of a value. */
export function readableOf(value: Value): Readable {
  switch (typeof value) {
    case "boolean":
      return { type: "boolean", value };
    case "number":
      return { type: "number", value: Number.isFinite(value) ? value + 0 : String(value) };
    case "bigint":
      return { type: "bigint", value: BigInt.asIntN(64, value) === value ? value : String(value) };
    case "string":
      return { type: "text", value: readableText(value) };
    default:
      if (value === null) return { type: "null", value };
      if (isBytes(value)) return { type: "bytes", value };
      if (value instanceof Date) return { type: "date", value: value.toISOString() };
      return { type: "json", value: readableJson(value) };
  }
}

const KINDS: readonly EntryKind[] = ["value", "tombstone", "prefix"];
const NO_BYTES: Uint8Array = new Uint8Array(0);

function stampOf(column: Uint8Array): Stamp {
  if (!isBytes(column) || column.length !== STAMP_BYTES) throw corrupt("a stamp has 24 bytes");
  const low = readU32(column, 4);
  const millis = readU32(column, 0) * 2 ** 16 + Math.floor(low / 2 ** 16);
  if (millis >= MILLIS_END) throw corrupt("a stamp is out of range");
  return { millis, counter: low % 2 ** 16, replicaId: readId(column, 8) };
}

function dotOf(column: Uint8Array): Dot {
  if (!isBytes(column) || column.length !== DOT_BYTES) throw corrupt("a dot has 24 bytes");
  return {
    replicaId: readId(column, 0),
    counter: readU32(column, 16) * 2 ** 32 + readU32(column, 20),
  };
}

function writeU32(column: Uint8Array, at: number, number: number): void {
  for (let byte = 0; byte < 4; byte++) column[at + byte] = number >>> (24 - 8 * byte);
}

function readU32(column: Uint8Array, at: number): number {
  let number = 0;
  for (let byte = 0; byte < 4; byte++) number = number * 2 ** 8 + (column[at + byte] as number);
  return number;
}

function writeId(column: Uint8Array, at: number, id: string): void {
  column.set(idBytes(id), at);
}

function readId(column: Uint8Array, at: number): string {
  return idText(column.subarray(at, at + 16));
}

function readableText(text: string): string {
  const wellFormed = text.isWellFormed() ? text : text.toWellFormed();
  return wellFormed.includes("\0") ? wellFormed.replaceAll("\0", "\uFFFD") : wellFormed;
}

/** Written by hand, as members may be named `__proto__`, and what JSON lacks stands as text: big integers by their digits, bytes in hex. */
function readableJson(value: Value): string {
  if (typeof value !== "object" || value === null || isBytes(value) || value instanceof Date) {
    const { value: readable } = readableOf(value);
    if (isBytes(readable)) return JSON.stringify(idText(readable));
    return JSON.stringify(typeof readable === "bigint" ? String(readable) : readable);
  }
  if (Array.isArray(value)) {
    return `[${(value as readonly Value[]).map(readableJson).join(",")}]`;
  }
  if (isTagged(value)) {
    return `{"type":${readableJson(value.type)},"text":${readableJson(value.text)}}`;
  }
  const members = Object.entries(value as { readonly [member: string]: Value });
  return `{${members.map(([name, member]) => `${readableJson(name)}:${readableJson(member)}`).join(",")}}`;
}
