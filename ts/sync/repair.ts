/**
 * One side of a comparison by ranges: finds the entries that two replicas do not have in common, whatever their versions say. docs/protocol.md, By ranges.
 *
 * Both sides order their entries by a keyed hash of the key. A range is all hashes that begin with the same hex digits; it is told by fingerprints of its sixteen
 * children. Children that differ are divided further, or told by hash where they are small.
 */

import { idBytes, idText } from "../codec/entry.ts";
import { ByteReader, ByteWriter } from "../codec/numbers.ts";
import type { EngineDictionary, ExportOptions } from "../engine/contract.ts";
import { LastwriteError } from "../errors.ts";
import { FRAME_BYTES_MAX, RANGES_MAX } from "./limits.ts";
import type { Delta, Hashes, Ranges, Wanted } from "./messages.ts";
import { PART_BYTES } from "./outbound.ts";

/** Entries in a frame, unless they are long. */
const FRAME_ENTRIES_MAX = 8192;

/** What a message of the other side is answered with. */
export interface Answer {
  readonly questions: readonly (Ranges | Hashes | Wanted)[];
  /** Key hashes, 8 bytes each, of the entries that the other side lacks. */
  readonly lacking: Uint8Array;
  /** Nearly everything differs: to send it all costs less. */
  readonly isHopeless: boolean;
}

/** The entries with these key hashes, in frames that fit into messages. */
export function entriesOf(
  entries: EngineDictionary,
  seed: Uint8Array,
  hashes: Uint8Array,
  limits: ExportOptions,
): Delta[] {
  const deltas: Delta[] = [];
  let count = FRAME_ENTRIES_MAX;
  for (let at = 0; at < hashes.length;) {
    const some = hashes.subarray(at, at + HASH_BYTES * count);
    const frame = entries.entriesByHash(seed, some, limits);
    if (frame.length > FRAME_BYTES_MAX && count > 1) {
      count = Math.max(1, Math.floor((count * PART_BYTES) / frame.length));
      continue;
    }
    at += HASH_BYTES * count;
    deltas.push({
      type: "delta",
      place: undefined,
      isPartial: false,
      continues: false,
      remaining: 0,
      frame,
    });
  }
  return deltas;
}

/**
 * Turns alternate, the first one is of the side that began. What is told in one turn the other side answers in its next, each range once; a turn in which
 * nothing is asked is the last.
 */
export class Comparison {
  readonly seed: Uint8Array;
  readonly #entries: EngineDictionary;
  /** What this side has told in its turn so far. */
  #telling: Told = nothingTold();
  /** What it told in its turn before, as far as the other side has not answered it. */
  #told: Told;
  /** How many questions the other side has asked in its turn so far. */
  #heardCount = 0;

  private constructor(entries: EngineDictionary, seed: Uint8Array, told: Told) {
    this.#entries = entries;
    this.seed = seed;
    this.#told = told;
  }

  /** Begins one; the question is its first turn. */
  static begin(
    entries: EngineDictionary,
    seed: Uint8Array,
  ): { readonly comparison: Comparison; readonly question: Ranges } {
    const comparison = new Comparison(entries, seed, nothingTold());
    const question = comparison.#tellRanges([""]);
    comparison.endTurn();
    return { comparison, question };
  }

  /** Takes part in one that the other side began, whose first message is to be given to `takeRanges`. */
  static join(entries: EngineDictionary, seed: Uint8Array): Comparison {
    return new Comparison(entries, seed, { ...nothingTold(), isRootDue: true, questionsLeft: 1 });
  }

  /** Throws `corrupt-bytes` for what does not answer the turn before. */
  takeRanges({ depth, prefixes, fingerprints }: Ranges): Answer {
    const ranges = this.#takeQuestion(depth, prefixes);
    const children = ranges.flatMap((range) => DIGITS.map((digit) => range + digit));
    const theirs = readFingerprints(new ByteReader(fingerprints), children.length);
    const own = readOwnFingerprints(
      this.#entries.fingerprints(this.seed, engineRanges(ranges)),
      children.length,
    );
    const differing = children
      .map((range, at) => ({
        range,
        own: own[at] as Fingerprint,
        theirs: theirs[at] as Fingerprint,
      }))
      .filter(
        (child) => child.own.sum !== child.theirs.sum || child.own.count !== child.theirs.count,
      );
    const missing = differing.filter((child) => child.theirs.count === 0);
    const shared = differing.filter((child) => child.theirs.count > 0);
    const isSmall = (child: (typeof shared)[number]): boolean =>
      child.own.count <= SMALL_COUNT || depth + 1 === DEPTH_MAX;
    const small = shared.filter(isSmall).map(({ range }) => range);
    const large = shared.filter((child) => !isSmall(child)).map(({ range }) => range);
    return {
      questions: [
        ...chunksOf(large).map((chunk) => this.#tellRanges(chunk)),
        ...chunksOf(small).map((chunk) => this.#tellHashes(chunk)),
      ],
      lacking: keyHashesOf(this.#rowsOf(missing.map(({ range }) => range))),
      isHopeless: isHopeless(own, differing.length),
    };
  }

  /** Throws `corrupt-bytes` for what does not answer the turn before. */
  takeHashes({ depth, prefixes, hashes }: Hashes): Answer {
    const ranges = this.#takeQuestion(depth, prefixes);
    const theirs = readRows(hashes, ranges);
    const own = this.#rowsOf(ranges);
    const [ownSet, theirSet] = [new Set(own), new Set(theirs)];
    const wanted = keyHashesOf(theirs.filter((row) => !ownSet.has(row)));
    return {
      questions: wanted.length === 0 ? [] : [this.#tellWanted(wanted)],
      lacking: keyHashesOf(own.filter((row) => !theirSet.has(row))),
      isHopeless: false,
    };
  }

  /** Throws `corrupt-bytes` when more is wanted than was told. */
  takeWanted({ hashes }: Wanted): Answer {
    this.#countQuestion();
    this.#told.rowsLeft -= hashes.length / HASH_BYTES;
    if (this.#told.rowsLeft < 0) throw notAsked("more entries are wanted than were told");
    return { questions: [], lacking: hashes, isHopeless: false };
  }

  /** The other side has ended its turn; answers whether it was the last. */
  takeTurn(): boolean {
    const isLast = this.#heardCount === 0;
    this.#heardCount = 0;
    return isLast;
  }

  /** Ends the turn of this side; answers whether it was the last. */
  endTurn(): boolean {
    this.#told = this.#telling;
    this.#telling = nothingTold();
    return this.#told.questionsLeft === 0;
  }

  #tellRanges(ranges: readonly string[]): Ranges {
    for (const range of ranges) this.#telling.children.set(range, ALL_CHILDREN);
    // For each of these messages two come back, and more where their ranges do not fit into one.
    this.#telling.questionsLeft += 2 + 2 * Math.ceil((16 * ranges.length) / RANGES_MAX);
    const own = this.#entries.fingerprints(this.seed, engineRanges(ranges));
    return {
      type: "ranges",
      seed: this.seed,
      ...writePrefixes(ranges),
      fingerprints: writeFingerprints(readOwnFingerprints(own, 16 * ranges.length)),
    };
  }

  #tellHashes(ranges: readonly string[]): Hashes {
    const hashes = this.#entries.hashes(this.seed, engineRanges(ranges));
    this.#telling.questionsLeft += 1;
    this.#telling.rowsLeft += (hashes.length - COUNT_BYTES * ranges.length) / ROW_BYTES;
    return { type: "hashes", seed: this.seed, ...writePrefixes(ranges), hashes };
  }

  #tellWanted(hashes: Uint8Array): Wanted {
    this.#telling.questionsLeft += 1;
    return { type: "wanted", seed: this.seed, hashes };
  }

  /** The ranges of a question, each of which was told by its parent and not answered yet. */
  #takeQuestion(depth: number, prefixes: Uint8Array): readonly string[] {
    this.#countQuestion();
    const ranges = readPrefixes(depth, prefixes);
    for (const range of ranges) {
      if (!this.#takeRange(range)) throw notAsked("a range was not asked for, or comes twice");
    }
    return ranges;
  }

  #takeRange(range: string): boolean {
    if (range === "") {
      const { isRootDue } = this.#told;
      this.#told.isRootDue = false;
      return isRootDue;
    }
    const parent = range.slice(0, -1);
    const bit = 1 << Number.parseInt(range.slice(-1), 16);
    const left = this.#told.children.get(parent) ?? 0;
    this.#told.children.set(parent, left & ~bit);
    return (left & bit) !== 0;
  }

  #countQuestion(): void {
    this.#heardCount++;
    this.#told.questionsLeft--;
    // Each costs a pass over all entries.
    if (this.#told.questionsLeft < 0) throw notAsked("ranges come in more messages than they need");
  }

  #rowsOf(ranges: readonly string[]): string[] {
    if (ranges.length === 0) return [];
    const reader = new ByteReader(this.#entries.hashes(this.seed, engineRanges(ranges)));
    return ranges.flatMap(() => readRowsOfRange(reader, reader.u32()));
  }
}

/** What one side told in a turn: what of it the other may still answer, and in how many messages. */
interface Told {
  /** By range the children that are not answered, a bit each. */
  readonly children: Map<string, number>;
  isRootDue: boolean;
  questionsLeft: number;
  rowsLeft: number;
}

interface Fingerprint {
  readonly count: number;
  /** 16 hex digits. */
  readonly sum: string;
}

/** Ranges of so few entries are told by hash. */
const SMALL_COUNT = 8;
const DEPTH_MAX = 16;
const ALL_CHILDREN = 0xffff;
const DIGITS = Array.from("0123456789abcdef");
const HASH_BYTES = 8;
const ROW_BYTES = 16;
const COUNT_BYTES = 4;
const EMPTY_SUM = "0".repeat(16);
/** As many ranges at least tell how much differs. */
const SAMPLE_MIN = 256;

function nothingTold(): Told {
  return { children: new Map(), isRootDue: false, questionsLeft: 0, rowsLeft: 0 };
}

/** Whether of ranges that hold few entries each, seven eighths differ. */
function isHopeless(children: readonly Fingerprint[], differingCount: number): boolean {
  const entryCount = children.reduce((sum, { count }) => sum + count, 0);
  return (
    children.length >= SAMPLE_MIN &&
    entryCount <= 2 * SMALL_COUNT * children.length &&
    8 * differingCount > 7 * children.length
  );
}

function chunksOf(ranges: readonly string[]): (readonly string[])[] {
  const chunks: (readonly string[])[] = [];
  for (let at = 0; at < ranges.length; at += RANGES_MAX) {
    chunks.push(ranges.slice(at, at + RANGES_MAX));
  }
  return chunks;
}

/** Ranges as an engine takes them. */
function engineRanges(ranges: readonly string[]): Uint8Array {
  const writer = new ByteWriter();
  for (const range of ranges) {
    writer.u8(range.length).bytes(idBytes(range.padEnd(16, "0")).toReversed());
  }
  return writer.finish();
}

/** Ranges of one depth: of each so many bytes as its digits take, the high digit first. */
function writePrefixes(ranges: readonly string[]): {
  readonly depth: number;
  readonly prefixes: Uint8Array;
} {
  const depth = ranges[0]?.length ?? 0;
  const writer = new ByteWriter();
  for (const range of ranges) writer.bytes(idBytes(range.padEnd(depth + (depth % 2), "0")));
  return { depth, prefixes: writer.finish() };
}

function readPrefixes(depth: number, prefixes: Uint8Array): readonly string[] {
  const width = Math.ceil(depth / 2);
  if (width === 0) {
    if (prefixes.length > 0) throw notAsked("the root has no digits");
    return [""];
  }
  const count = prefixes.length / width;
  if (!Number.isInteger(count) || count === 0 || count > RANGES_MAX) {
    throw notAsked("ranges do not fill their bytes");
  }
  const reader = new ByteReader(prefixes);
  return Array.from({ length: count }, () => {
    const digits = idText(reader.take(width));
    if (depth % 2 === 1 && !digits.endsWith("0")) throw notAsked("a range has a digit too many");
    return digits.slice(0, depth);
  });
}

function writeFingerprints(fingerprints: readonly Fingerprint[]): Uint8Array {
  const writer = new ByteWriter();
  for (const { count, sum } of fingerprints) {
    writer.varint(count);
    if (count > 0) writer.bytes(idBytes(sum));
  }
  return writer.finish();
}

function readFingerprints(reader: ByteReader, length: number): Fingerprint[] {
  const fingerprints = Array.from({ length }, () => {
    const count = reader.varint();
    return { count, sum: count === 0 ? EMPTY_SUM : idText(reader.take(HASH_BYTES)) };
  });
  reader.end("fingerprints");
  return fingerprints;
}

/** Fingerprints as an engine gives them. */
function readOwnFingerprints(bytes: Uint8Array, length: number): Fingerprint[] {
  const reader = new ByteReader(bytes);
  return Array.from({ length }, () => {
    const sum = idText(reader.take(HASH_BYTES));
    return { sum, count: reader.u32() };
  });
}

/** Key hash and identity of each entry, as hex, of the ranges that were named. */
function readRows(hashes: Uint8Array, ranges: readonly string[]): string[] {
  const reader = new ByteReader(hashes);
  const rows = ranges.flatMap((range) => {
    const count = reader.u32();
    if (count > SMALL_COUNT) throw notAsked("a range that is told by hash is not small");
    const rowsOfRange = readRowsOfRange(reader, count);
    const isWithin = (row: string): boolean => digitsOf(row).startsWith(range);
    if (!rowsOfRange.every(isWithin)) throw notAsked("a hash lies outside of its range");
    return rowsOfRange;
  });
  reader.end("hashes");
  return rows;
}

function readRowsOfRange(reader: ByteReader, count: number): string[] {
  return Array.from({ length: count }, () => idText(reader.take(ROW_BYTES)));
}

/** The key hash of a row, the high digit first. */
function digitsOf(row: string): string {
  return idText(idBytes(row.slice(0, 2 * HASH_BYTES)).toReversed());
}

function keyHashesOf(rows: readonly string[]): Uint8Array {
  const writer = new ByteWriter();
  for (const hash of new Set(rows.map((row) => row.slice(0, 2 * HASH_BYTES)))) {
    writer.bytes(idBytes(hash));
  }
  return writer.finish();
}

function notAsked(reason: string): LastwriteError {
  return new LastwriteError("corrupt-bytes", `${reason} in a comparison by ranges; connect again`);
}
