/** Fingerprints for the exchange by ranges: entries by the keyed hashes of their keys. */

import { LastwriteError } from "../../errors.ts";
import { type Dot, idBytes } from "../../codec/entry.ts";
import { compareKeys, entryHash } from "../../codec/order.ts";
import { sipHash13, type U64 } from "../../codec/sip.ts";
import { ByteReader, ByteWriter } from "../../codec/numbers.ts";
import { encodeText } from "../../codec/text.ts";
import type { HeldEntry, State } from "./state.ts";

/** Entries under the hashes of one seed; kept until something changes, as an exchange asks more than once. */
export class KeyHashes {
  readonly #state: State;
  #revision = -1;
  #seed: Uint8Array = new Uint8Array(0);
  #rows: readonly HashRow[] = [];

  constructor(state: State) {
    this.#state = state;
  }

  /** Sum of identities and number of entries, for each sixteenth of each range. */
  fingerprints(seed: Uint8Array, ranges: Uint8Array): Uint8Array {
    const rows = this.#hashed(seed);
    const writer = new ByteWriter();
    for (const range of readRanges(ranges, DEPTH_MAX - 1)) {
      const start = rangeStart(range);
      const step = 2 ** (HASH_BITS - 4 * (range.depth + 1));
      for (let slice = 0; slice < 16; slice++) {
        writeFingerprint(writer, rowsIn(rows, plus(start, slice * step), step));
      }
    }
    return writer.finish();
  }

  /** Key hash and identity of each entry of each range. */
  hashes(seed: Uint8Array, ranges: Uint8Array): Uint8Array {
    const rows = this.#hashed(seed);
    const writer = new ByteWriter();
    for (const range of readRanges(ranges, DEPTH_MAX)) {
      const found = rowsIn(rows, rangeStart(range), 2 ** (HASH_BITS - 4 * range.depth));
      writer.u32(found.length);
      for (const { keyHash, identity } of found) {
        writeU64(writer, keyHash);
        writeU64(writer, identity);
      }
    }
    return writer.finish();
  }

  /** The entries with these key hashes, by hash, then key, prefix tombstones first. */
  entriesOf(seed: Uint8Array, hashes: Uint8Array): HeldEntry[] {
    checkLength("the hashes", hashes, 8);
    const rows = this.#hashed(seed);
    const reader = new ByteReader(hashes);
    const asked = new Set<string>();
    while (reader.remaining > 0) asked.add(hashName(readU64(reader)));
    return rows
      .filter(({ keyHash }) => asked.has(hashName(keyHash)))
      .toSorted((a, b) => compareU64(a.keyHash, b.keyHash) || compareKeys(a.entry, b.entry))
      .map(({ entry }) => entry);
  }

  #hashed(seed: Uint8Array): readonly HashRow[] {
    if (seed.length !== 16)
      throw new LastwriteError("invalid-argument", "the seed of a range exchange has 16 bytes");
    const isSame =
      this.#revision === this.#state.revision && seed.every((byte, at) => byte === this.#seed[at]);
    if (isSame) return this.#rows;
    this.#seed = seed.slice();
    this.#revision = this.#state.revision;
    this.#rows = Array.from(this.#state.holdings.all(), (entry) => ({
      keyHash: sipHash13(seed, keyHashInput(entry)),
      identity: sipHash13(seed, identityInput(entry)),
      entry,
    })).toSorted((a, b) => compareU64(a.keyHash, b.keyHash) || compareU64(a.identity, b.identity));
    return this.#rows;
  }
}

interface HashRow {
  readonly keyHash: U64;
  readonly identity: U64;
  readonly entry: HeldEntry;
}

/** All hashes whose top `depth` hex digits are those of `prefix`. */
interface Range {
  readonly depth: number;
  readonly prefix: U64;
}

const HASH_BITS = 64;
const DEPTH_MAX = 16;
const RANGE_BYTES = 9;
const U32 = 2 ** 32;

function readRanges(bytes: Uint8Array, depthMax: number): Range[] {
  checkLength("the ranges", bytes, RANGE_BYTES);
  const reader = new ByteReader(bytes);
  const ranges: Range[] = [];
  while (reader.remaining > 0) {
    const depth = reader.u8();
    if (depth > depthMax)
      throw new LastwriteError(
        "invalid-argument",
        `a range is ${depth} deep; ${depthMax} is the limit`,
      );
    ranges.push({ depth, prefix: readU64(reader) });
  }
  return ranges;
}

function checkLength(what: string, bytes: Uint8Array, itemBytes: number): void {
  if (bytes.length % itemBytes === 0) return;
  throw new LastwriteError(
    "invalid-argument",
    `${what} have ${bytes.length} bytes; give ${itemBytes} bytes for each`,
  );
}

function rangeStart({ depth, prefix }: Range): U64 {
  const clear = (half: number, digits: number): number => {
    if (digits <= 0) return 0;
    const unit = 2 ** (32 - 4 * Math.min(digits, 8));
    return Math.floor(half / unit) * unit;
  };
  return { high: clear(prefix.high, depth), low: clear(prefix.low, depth - 8) };
}

/** The rows from `start` on, as far as `width` hashes reach. */
function rowsIn(rows: readonly HashRow[], start: U64, width: number): readonly HashRow[] {
  const end = plus(start, width);
  return rows.slice(firstIndex(rows, start), end.high >= U32 ? rows.length : firstIndex(rows, end));
}

/** A sum that may leave the 64 bits, so that the end of the last range is beyond every hash. */
function plus({ high, low }: U64, width: number): U64 {
  const sum = low + (width % U32);
  return { high: high + Math.floor(width / U32) + Math.floor(sum / U32), low: sum % U32 };
}

function firstIndex(rows: readonly HashRow[], hash: U64): number {
  let low = 0;
  let high = rows.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareU64((rows[middle] as HashRow).keyHash, hash) >= 0) high = middle;
    else low = middle + 1;
  }
  return low;
}

function writeFingerprint(writer: ByteWriter, rows: readonly HashRow[]): void {
  let sum: U64 = { high: 0, low: 0 };
  for (const { identity } of rows) {
    const low = sum.low + identity.low;
    sum = { high: (sum.high + identity.high + Math.floor(low / U32)) % U32, low: low % U32 };
  }
  writeU64(writer, sum);
  writer.u32(rows.length);
}

function keyHashInput({ key, isPrefix }: HeldEntry): Uint8Array {
  return new ByteWriter()
    .bytes(encodeText(key))
    .u8(isPrefix ? 1 : 0)
    .finish();
}

function identityInput(entry: HeldEntry): Uint8Array {
  const writer = new ByteWriter();
  for (const lane of entryHash(entry)) writer.u32(lane);
  writeDot(writer, entry.dot);
  writer.u8(entry.origin === undefined ? 0 : 1);
  if (entry.origin !== undefined) writeDot(writer, entry.origin);
  return writer.finish();
}

function writeDot(writer: ByteWriter, { replicaId, counter }: Dot): void {
  writer.bytes(idBytes(replicaId)).u64(counter);
}

function readU64(reader: ByteReader): U64 {
  const low = reader.u32();
  return { high: reader.u32(), low };
}

function writeU64(writer: ByteWriter, { high, low }: U64): void {
  writer.u32(low).u32(high);
}

function compareU64(a: U64, b: U64): number {
  return a.high - b.high || a.low - b.low;
}

function hashName({ high, low }: U64): string {
  return `${high}:${low}`;
}
