/**
 * Entries between the columns of engines (ts/engine/columns.ts) and the rows of databases. No object and no text is made of an entry that passes: how each database has
 * its rows is in ./sqlite-rows.ts and ./postgres-rows.ts.
 */

import { compareIds, idBytes } from "../codec/entry.ts";
import { corrupt } from "../codec/numbers.ts";
import { TAG } from "../codec/tags.ts";
import { type Layout, layoutOf, META, NO_REPLICA, type Texts, VALUES } from "../engine/columns.ts";

/** Entries of an engine, asked for one number or byte string at a time. Nothing is copied. */
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

  tag(at: number): number {
    return this.#bytes[this.#layout.tags + at] as number;
  }

  isPrefix(at: number): boolean {
    return this.tag(at) === TAG.prefix;
  }

  key(at: number): Uint8Array {
    return this.#text(this.#layout.keys, at);
  }

  payload(at: number): Uint8Array {
    return this.#text(this.#layout.values, at);
  }

  millis(at: number): number {
    return this.#f64(this.#layout.stampMillis, at);
  }

  counter(at: number): number {
    return this.#u32(this.#layout.stampCounter, at);
  }

  replica(at: number): number {
    return this.#u32(this.#layout.stampReplica, at);
  }

  dotReplica(at: number): number {
    return this.#u32(this.#layout.dotReplica, at);
  }

  dotCounter(at: number): number {
    return this.#f64(this.#layout.dotCounter, at);
  }

  /** NO_REPLICA where there is no origin. */
  originReplica(at: number): number {
    return this.#u32(this.#layout.originReplica, at);
  }

  originCounter(at: number): number {
    return this.#f64(this.#layout.originCounter, at);
  }

  #u32(section: number, at: number): number {
    return this.#layout.view.getUint32(section + 4 * at, true);
  }

  #f64(section: number, at: number): number {
    return this.#layout.view.getFloat64(section + 8 * at, true);
  }

  #text({ ends, start }: Texts, at: number): Uint8Array {
    const from = at === 0 ? 0 : this.#u32(ends, at - 1);
    return this.#bytes.subarray(start + from, start + this.#u32(ends, at));
  }
}

/** Writes columns for `encodeEntries` of an engine, which checks what is in them. Replicas are told by their place among the ids that `finish` takes. */
export class ColumnWriter {
  readonly #count: number;
  readonly #sections: Sections;
  /** What stands before the ids: its length is known from the start. */
  readonly #head: Uint8Array;
  readonly #view: DataView;
  readonly #tags: Uint8Array;
  readonly #keys: Uint8Array[] = [];
  readonly #payloads: Uint8Array[] = [];
  #keyBytes = 0;
  #payloadBytes = 0;
  #at = -1;

  /** For exactly so many entries. */
  constructor(count: number) {
    this.#count = count;
    this.#sections = sectionsOf(count);
    this.#head = new Uint8Array(this.#sections.end);
    this.#view = new DataView(this.#head.buffer);
    this.#tags = new Uint8Array(count);
    const { originReplica } = this.#sections;
    this.#head.fill(0xff, originReplica, originReplica + 4 * count);
  }

  /** Begins the next entry, which takes what is told from now on. Key and payload are kept until `finish`. */
  next(tag: number, key: Uint8Array, payload: Uint8Array): void {
    const at = ++this.#at;
    const { keyEnds, payloadEnds } = this.#sections;
    this.#tags[at] = tag;
    this.#keys.push(key);
    this.#payloads.push(payload);
    this.#keyBytes += key.length;
    this.#payloadBytes += payload.length;
    this.#view.setUint32(keyEnds + 4 * at, this.#keyBytes, true);
    this.#view.setUint32(payloadEnds + 4 * at, this.#payloadBytes, true);
  }

  stamp(millis: number, counter: number, replica: number): void {
    const { stampMillis, stampCounter, stampReplica } = this.#sections;
    this.#view.setFloat64(stampMillis + 8 * this.#at, millis, true);
    this.#view.setUint32(stampCounter + 4 * this.#at, counter, true);
    this.#view.setUint32(stampReplica + 4 * this.#at, replica, true);
  }

  dot(replica: number, counter: number): void {
    const { dotReplica, dotCounter } = this.#sections;
    this.#view.setUint32(dotReplica + 4 * this.#at, replica, true);
    this.#view.setFloat64(dotCounter + 8 * this.#at, counter, true);
  }

  /** Not called for an entry without one. */
  origin(replica: number, counter: number): void {
    const { originReplica, originCounter } = this.#sections;
    this.#view.setUint32(originReplica + 4 * this.#at, replica, true);
    this.#view.setFloat64(originCounter + 8 * this.#at, counter, true);
  }

  /** The columns. `ids`: those that entries name, and no others, in any order, as text. To be called once. */
  finish(ids: readonly string[]): Uint8Array {
    const sorted = ids.toSorted(compareIds);
    if (sorted.some((id, rank) => id !== ids[rank])) this.#rename(ids, sorted);
    const head = [this.#count, VALUES | META, ids.length, this.#keyBytes, this.#payloadBytes, 0];
    head.forEach((number, at) => this.#view.setUint32(4 * at, number, true));
    const section = sections(this.#sections.end);
    const idStart = section(ID_BYTES * ids.length);
    const tagStart = section(this.#count);
    const keyStart = section(this.#keyBytes);
    const payloadStart = section(this.#payloadBytes);
    const bytes = new Uint8Array(payloadStart + this.#payloadBytes);
    bytes.set(this.#head);
    writeTexts(bytes, idStart, sorted.map(idBytes));
    bytes.set(this.#tags, tagStart);
    writeTexts(bytes, keyStart, this.#keys);
    writeTexts(bytes, payloadStart, this.#payloads);
    return bytes;
  }

  /** Replicas are named by their place among the sorted ids. */
  #rename(ids: readonly string[], sorted: readonly string[]): void {
    const ranks = new Map(sorted.map((id, rank) => [id, rank]));
    const places = ids.map((id) => ranks.get(id) as number);
    const { stampReplica, dotReplica, originReplica } = this.#sections;
    for (const section of [stampReplica, dotReplica, originReplica]) {
      for (let at = section; at < section + 4 * this.#count; at += 4) {
        const index = this.#view.getUint32(at, true);
        if (index !== NO_REPLICA) this.#view.setUint32(at, places[index] as number, true);
      }
    }
  }
}

/** The first key after all that begin with this prefix, which ends in a slash or is empty: no key has a byte 255. */
export function afterPrefix(prefix: Uint8Array): Uint8Array {
  if (prefix.length === 0) return Uint8Array.of(255);
  const after = prefix.slice();
  after[after.length - 1] = (after.at(-1) as number) + 1;
  return after;
}

const HEADER_BYTES = 24;
const ID_BYTES = 16;

/** Where the sections before the ids start, and where the last of them ends. */
type Sections = ReturnType<typeof sectionsOf>;

function sectionsOf(count: number) {
  const section = sections(HEADER_BYTES);
  return {
    keyEnds: section(4 * count),
    payloadEnds: section(4 * count),
    stampMillis: section(8 * count),
    stampCounter: section(4 * count),
    stampReplica: section(4 * count),
    dotReplica: section(4 * count),
    dotCounter: section(8 * count),
    originReplica: section(4 * count),
    originCounter: section(8 * count),
    end: section(0),
  };
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

function writeTexts(bytes: Uint8Array, start: number, texts: readonly Uint8Array[]): void {
  let end = start;
  for (const text of texts) {
    bytes.set(text, end);
    end += text.length;
  }
}
