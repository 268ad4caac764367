/** Entries as parameters of statements, and rows as entries. */

import { idText } from "../codec/entry.ts";
import { corrupt } from "../codec/numbers.ts";
import { decodePayload } from "../codec/read-value.ts";
import { TAG } from "../codec/tags.ts";
import { isBytes } from "../codec/value.ts";
import { NO_REPLICA } from "../engine/columns.ts";
import type { Dot } from "../dictionary/contract.ts";
import type { Parameter } from "./postgres-session.ts";
import { readableOf } from "./readable.ts";
import { afterPrefix, ColumnWriter, EntryReader } from "./row-columns.ts";

/** Entries of an engine, with what compares as bytes in hex. */
export class Entries extends EntryReader {
  /** Replica ids in hex. */
  readonly #ids: readonly string[] = this.ids.map(idText);

  /** STAMP_BYTES: u64 HLC, replica id; big-endian, so that bytes compare as stamps do. */
  stamp(at: number): string {
    return (
      hexNumber(this.millis(at), 12) + hexNumber(this.counter(at), 4) + this.#id(this.replica(at))
    );
  }

  /** DOT_BYTES: replica id, u64 counter; big-endian, so that those of one replica stand together, by counter. */
  dot(at: number): string {
    return dotHex(this.#id(this.dotReplica(at)), this.dotCounter(at));
  }

  /** As a dot. */
  origin(at: number): string | undefined {
    const replica = this.originReplica(at);
    return replica === NO_REPLICA ? undefined : dotHex(this.#id(replica), this.originCounter(at));
  }

  #id(index: number): string {
    return this.#ids[index] as string;
  }
}

/** Entries that stand side by side: from `start` on, before `end`. */
export interface Chunk {
  readonly entries: Entries;
  readonly start: number;
  readonly end: number;
}

/** What `put` and `write` take of entries: seven arrays, and the place of the first one. */
export function rowParameters(
  { entries, start, end }: Chunk,
  firstPlace: number,
  isUtf8: boolean,
): Parameter[] {
  const isPrefix: string[] = [];
  const keys: string[] = [];
  const values: string[] = [];
  const bytes: string[] = [];
  const stamps: string[] = [];
  const dots: string[] = [];
  const origins: string[] = [];
  for (let at = start; at < end; at++) {
    const tag = entries.tag(at);
    const origin = entries.origin(at);
    isPrefix.push(tag === TAG.prefix ? "t" : "f");
    keys.push(bytesItem(hexOf(entries.key(at))));
    if (tag === TAG.tombstone || tag === TAG.prefix) {
      values.push("NULL");
      bytes.push("NULL");
    } else {
      const payload = entries.payload(at);
      values.push(jsonItem(tag, payload, isUtf8));
      bytes.push(bytesItem((HEX[tag] as string) + hexOf(payload)));
    }
    stamps.push(bytesItem(entries.stamp(at)));
    dots.push(bytesItem(entries.dot(at)));
    origins.push(origin === undefined ? "NULL" : bytesItem(origin));
  }
  const arrays = [isPrefix, keys, values, bytes, stamps, dots, origins];
  return [...arrays.map(arrayText), String(firstPlace)];
}

/** What `sweep` takes of the prefix tombstones among the entries; undefined if there are none. */
export function prefixParameters({ entries, start, end }: Chunk): Parameter[] | undefined {
  const prefixes: string[] = [];
  const after: string[] = [];
  const stamps: string[] = [];
  for (let at = start; at < end; at++) {
    if (entries.tag(at) !== TAG.prefix) continue;
    const prefix = entries.key(at);
    prefixes.push(bytesItem(hexOf(prefix)));
    after.push(bytesItem(hexOf(afterPrefix(prefix))));
    stamps.push(bytesItem(entries.stamp(at)));
  }
  return prefixes.length === 0 ? undefined : [prefixes, after, stamps].map(arrayText);
}

/** What `collect` takes. */
export function collectedParameters(collected: readonly Dot[]): Parameter[] {
  const from = collected.map(({ replicaId }) => bytesItem(dotHex(replicaId, 0)));
  const to = collected.map(({ replicaId, counter }) => bytesItem(dotHex(replicaId, counter)));
  return [arrayText(from), arrayText(to)];
}

/** Bytes as `bytea` reads them. */
export function bytesText(bytes: Uint8Array): string {
  return `\\x${hexOf(bytes)}`;
}

/** A row as `fetch` gives it: place, is_prefix, key, bytes, and stamp, dot and origin one behind the other. */
export type StoredRow = readonly unknown[];

/** The rows as columns for `encodeEntries` of an engine, which checks keys and values. Throws `corrupt-bytes` for what no row has. */
export function columnsOfRows(rows: readonly StoredRow[]): Uint8Array {
  const ids = new IdTable();
  const writer = new ColumnWriter(rows.length);
  for (const [, isPrefix, key, bytes, stored] of rows) {
    const hasValue = isBytes(bytes) && bytes.length > 0;
    if (!isBytes(key) || (bytes !== null && !hasValue) || (isPrefix === "true" && hasValue))
      throw corrupt("a row has no key, or no entry has such bytes");
    const tag = hasValue ? (bytes[0] as number) : TAG.tombstone;
    if (hasValue && (tag === TAG.tombstone || tag === TAG.prefix))
      throw corrupt("the bytes of a row are those of no value");
    writer.next(
      isPrefix === "true" ? TAG.prefix : tag,
      key,
      hasValue ? bytes.subarray(1) : NO_BYTES,
    );
    const meta = metaOf(stored);
    const low = meta.getUint32(4);
    const millis = meta.getUint32(0) * 2 ** 16 + Math.floor(low / 2 ** 16);
    writer.stamp(millis, low % 2 ** 16, ids.indexOf(meta, 8));
    writer.dot(ids.indexOf(meta, STAMP_BYTES), counterAt(meta, STAMP_BYTES + 16));
    if (meta.byteLength > META_BYTES)
      writer.origin(ids.indexOf(meta, META_BYTES), counterAt(meta, META_BYTES + 16));
  }
  return writer.finish(ids.ids);
}

const STAMP_BYTES = 24;
const DOT_BYTES = 24;
const META_BYTES = STAMP_BYTES + DOT_BYTES;
const NO_BYTES: Uint8Array = new Uint8Array(0);

function metaOf(stored: unknown): DataView {
  const isMeta =
    isBytes(stored) && (stored.length === META_BYTES || stored.length === META_BYTES + DOT_BYTES);
  if (!isMeta) throw corrupt("a stamp, a dot and an origin have 24 bytes each");
  return new DataView(stored.buffer, stored.byteOffset, stored.length);
}

function counterAt(meta: DataView, at: number): number {
  return meta.getUint32(at) * 2 ** 32 + meta.getUint32(at + 4);
}

/** Replica ids by the number that stands for them, in the order in which they come. */
class IdTable {
  readonly #indexes = new Map<string, number>();
  readonly ids: string[] = [];
  // Entries of one writer come in rows.
  #last: readonly number[] = [];
  #lastIndex = -1;

  indexOf(view: DataView, at: number): number {
    const lanes = [0, 4, 8, 12].map((lane) => view.getUint32(at + lane));
    if (lanes.every((lane, index) => lane === this.#last[index])) return this.#lastIndex;
    const id = idText(new Uint8Array(view.buffer, view.byteOffset + at, 16));
    let index = this.#indexes.get(id);
    if (index === undefined) {
      index = this.ids.push(id) - 1;
      this.#indexes.set(id, index);
    }
    this.#last = lanes;
    this.#lastIndex = index;
    return index;
  }
}

function dotHex(replicaId: string, counter: number): string {
  return replicaId + hexNumber(counter, 16);
}

function hexNumber(number: number, digits: number): string {
  return number.toString(16).padStart(digits, "0");
}

/** A value as JSON, for others to read: big integers are numbers, which PostgreSQL has of any size, bytes are hex. Null where the encoding of the database may lack a character of it. */
function jsonItem(tag: number, payload: Uint8Array, isUtf8: boolean): string {
  const { type, value: readable } = readableOf(decodePayload(tag, payload));
  const json =
    type === "json" || type === "bigint"
      ? String(readable)
      : JSON.stringify(isBytes(readable) ? hexOf(readable) : readable);
  if (!isUtf8 && !/^[ -~]*$/u.test(json)) return "NULL";
  return `"${json.replaceAll(/["\\]/gu, String.raw`\$&`)}"`;
}

function bytesItem(hex: string): string {
  return `\\\\x${hex}`;
}

function arrayText(items: readonly string[]): string {
  return `{${items.join(",")}}`;
}

function hexOf(bytes: Uint8Array): string {
  if (bytes.length > SHORT_BYTES) return longHexOf(bytes);
  let text = "";
  for (const byte of bytes) text += HEX[byte] as string;
  return text;
}

function longHexOf(bytes: Uint8Array): string {
  const digits = new Uint8Array(2 * bytes.length);
  bytes.forEach((byte, at) => {
    digits[2 * at] = DIGITS[byte >>> 4] as number;
    digits[2 * at + 1] = DIGITS[byte & 15] as number;
  });
  return new TextDecoder().decode(digits);
}

/** Up to here adding texts is faster. */
const SHORT_BYTES = 64;
const DIGITS: Uint8Array = new TextEncoder().encode("0123456789abcdef");
const HEX: readonly string[] = Array.from({ length: 256 }, (_, byte) =>
  byte.toString(16).padStart(2, "0"),
);
