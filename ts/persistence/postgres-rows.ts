/** Entries as parameters of statements, and rows as entries, by way of the columns of engines: no object is made of an entry that passes. */

import { compareIds, idBytes, idText } from "../codec/entry.ts";
import { corrupt } from "../codec/numbers.ts";
import { decodePayload } from "../codec/read-value.ts";
import { TAG } from "../codec/tags.ts";
import { isBytes } from "../codec/value.ts";
import { type Layout, layoutOf, META, NO_REPLICA, type Texts, VALUES } from "../engine/columns.ts";
import type { Dot } from "../dictionary/contract.ts";
import type { Parameter } from "./postgres-session.ts";
import { DOT_BYTES, readableOf, STAMP_BYTES } from "./row-columns.ts";

/** Entries of an engine, one by one, in the words of statements. Nothing is copied. */
export class Entries {
  readonly count: number;
  readonly #bytes: Uint8Array;
  readonly #layout: Layout;
  /** Replica ids in hex. */
  readonly #ids: readonly string[];

  /** Throws `corrupt-bytes` for what `decodeEntries` of an engine never answers. */
  constructor(columns: Uint8Array) {
    const layout = layoutOf(columns);
    if (layout.sections !== (VALUES | META)) throw corrupt("columns lack values or meta");
    this.#bytes = columns;
    this.#layout = layout;
    this.count = layout.count;
    this.#ids = Array.from({ length: layout.idCount }, (_, index) => {
      const start = layout.ids + ID_BYTES * index;
      return idText(columns.subarray(start, start + ID_BYTES));
    });
  }

  tag(at: number): number {
    return this.#bytes[this.#layout.tags + at] as number;
  }

  key(at: number): Uint8Array {
    return this.#text(this.#layout.keys, at);
  }

  payload(at: number): Uint8Array {
    return this.#text(this.#layout.values, at);
  }

  /** As `stampColumn` of ./row-columns.ts, in hex. */
  stamp(at: number): string {
    const { view, stampMillis, stampCounter, stampReplica } = this.#layout;
    const millis = hexNumber(view.getFloat64(stampMillis + 8 * at, true), 12);
    const counter = hexNumber(view.getUint32(stampCounter + 4 * at, true), 4);
    return millis + counter + this.#id(stampReplica, at);
  }

  /** As `dotColumn` of ./row-columns.ts, in hex. */
  dot(at: number): string {
    const { view, dotReplica, dotCounter } = this.#layout;
    return dotHex(this.#id(dotReplica, at), view.getFloat64(dotCounter + 8 * at, true));
  }

  origin(at: number): string | undefined {
    const { view, originReplica, originCounter } = this.#layout;
    if (view.getUint32(originReplica + 4 * at, true) === NO_REPLICA) return undefined;
    return dotHex(this.#id(originReplica, at), view.getFloat64(originCounter + 8 * at, true));
  }

  #id(section: number, at: number): string {
    return this.#ids[this.#layout.view.getUint32(section + 4 * at, true)] as string;
  }

  #text({ ends, start }: Texts, at: number): Uint8Array {
    const { view } = this.#layout;
    const from = at === 0 ? 0 : view.getUint32(ends + 4 * at - 4, true);
    return this.#bytes.subarray(start + from, start + view.getUint32(ends + 4 * at, true));
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
  const count = rows.length;
  const ids = new IdTable();
  const keys: Uint8Array[] = [];
  const payloads: Uint8Array[] = [];
  const tags = new Uint8Array(count);
  const stampMillis = new Float64Array(count);
  const stampCounter = new Uint32Array(count);
  const stampReplica = new Uint32Array(count);
  const dotReplica = new Uint32Array(count);
  const dotCounter = new Float64Array(count);
  const originReplica = new Uint32Array(count).fill(NO_REPLICA);
  const originCounter = new Float64Array(count);
  rows.forEach(([, isPrefix, key, bytes, stored], at) => {
    const hasValue = isBytes(bytes) && bytes.length > 0;
    if (!isBytes(key) || (bytes !== null && !hasValue) || (isPrefix === "true" && hasValue))
      throw corrupt("a row has no key, or no entry has such bytes");
    const tag = hasValue ? (bytes[0] as number) : TAG.tombstone;
    if (hasValue && (tag === TAG.tombstone || tag === TAG.prefix))
      throw corrupt("the bytes of a row are those of no value");
    keys.push(key);
    payloads.push(hasValue ? bytes.subarray(1) : NO_BYTES);
    tags[at] = isPrefix === "true" ? TAG.prefix : tag;
    const meta = metaOf(stored);
    const low = meta.getUint32(4);
    stampMillis[at] = meta.getUint32(0) * 2 ** 16 + Math.floor(low / 2 ** 16);
    stampCounter[at] = low % 2 ** 16;
    stampReplica[at] = ids.indexOf(meta, 8);
    dotReplica[at] = ids.indexOf(meta, STAMP_BYTES);
    dotCounter[at] = counterAt(meta, STAMP_BYTES + 16);
    if (meta.byteLength > META_BYTES) {
      originReplica[at] = ids.indexOf(meta, META_BYTES);
      originCounter[at] = counterAt(meta, META_BYTES + 16);
    }
  });
  const { sorted, ranks } = ids.sorted();
  for (const indexes of [stampReplica, dotReplica, originReplica]) {
    indexes.forEach((index, at) => {
      if (index !== NO_REPLICA) indexes[at] = ranks[index] as number;
    });
  }
  const sections = new Sections([
    count,
    VALUES | META,
    sorted.length,
    lengthOf(keys),
    lengthOf(payloads),
    0,
  ]);
  sections.numbers(4, endsOf(keys));
  sections.numbers(4, endsOf(payloads));
  sections.numbers(8, stampMillis);
  sections.numbers(4, stampCounter);
  sections.numbers(4, stampReplica);
  sections.numbers(4, dotReplica);
  sections.numbers(8, dotCounter);
  sections.numbers(4, originReplica);
  sections.numbers(8, originCounter);
  sections.bytes(sorted);
  sections.bytes([tags]);
  sections.bytes(keys);
  sections.bytes(payloads);
  return sections.finish();
}

const ID_BYTES = 16;
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
  readonly #ids: string[] = [];
  // Entries of one writer come in rows.
  #last: readonly number[] = [];
  #lastIndex = -1;

  indexOf(view: DataView, at: number): number {
    const lanes = [0, 4, 8, 12].map((lane) => view.getUint32(at + lane));
    if (lanes.every((lane, index) => lane === this.#last[index])) return this.#lastIndex;
    const id = idText(new Uint8Array(view.buffer, view.byteOffset + at, 16));
    let index = this.#indexes.get(id);
    if (index === undefined) {
      index = this.#ids.push(id) - 1;
      this.#indexes.set(id, index);
    }
    this.#last = lanes;
    this.#lastIndex = index;
    return index;
  }

  /** The ids ascending, and where each one stands then. */
  sorted(): { readonly sorted: readonly Uint8Array[]; readonly ranks: readonly number[] } {
    const sorted = this.#ids.toSorted(compareIds);
    const ranks = new Map(sorted.map((id, rank) => [id, rank]));
    return {
      sorted: sorted.map(idBytes),
      ranks: this.#ids.map((id) => ranks.get(id) as number),
    };
  }
}

/** Writes columns (ts/engine/columns.ts): six numbers, then sections, each at a multiple of 8 bytes. */
class Sections {
  readonly #parts: { readonly at: number; readonly write: (view: DataView, at: number) => void }[] =
    [];
  #end = 0;

  constructor(header: readonly number[]) {
    this.numbers(4, header);
  }

  /** Of 4 bytes, or as f64 of 8. */
  numbers(width: 4 | 8, numbers: ArrayLike<number>): void {
    this.#add(width * numbers.length, (view, start) => {
      for (let at = 0; at < numbers.length; at++) {
        const number = numbers[at] as number;
        if (width === 4) view.setUint32(start + 4 * at, number, true);
        else view.setFloat64(start + 8 * at, number, true);
      }
    });
  }

  bytes(parts: readonly Uint8Array[]): void {
    this.#add(lengthOf(parts), (view, start) => {
      const bytes = new Uint8Array(view.buffer);
      let at = start;
      for (const part of parts) {
        bytes.set(part, at);
        at += part.length;
      }
    });
  }

  finish(): Uint8Array {
    const bytes = new Uint8Array(this.#end);
    const view = new DataView(bytes.buffer);
    for (const { at, write } of this.#parts) write(view, at);
    return bytes;
  }

  #add(length: number, write: (view: DataView, at: number) => void): void {
    const at = Math.ceil(this.#end / 8) * 8;
    this.#parts.push({ at, write });
    this.#end = at + length;
  }
}

function endsOf(parts: readonly Uint8Array[]): Uint32Array {
  let end = 0;
  return Uint32Array.from(parts, ({ length }) => (end += length));
}

function lengthOf(parts: readonly Uint8Array[]): number {
  return parts.reduce((sum, { length }) => sum + length, 0);
}

/** The first key after all that begin with this prefix, which ends with a slash or is empty: no key has a byte 255. */
function afterPrefix(prefix: Uint8Array): Uint8Array {
  if (prefix.length === 0) return Uint8Array.of(255);
  const after = prefix.slice();
  after[after.length - 1] = (after.at(-1) as number) + 1;
  return after;
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
