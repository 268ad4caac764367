/** Frames: a header of fields, blocks of entries, a checksum (docs/format.md, Frame). */

import { LastwriteError } from "../errors.ts";
import {
  BLOCK_ENTRIES_MAX,
  encodedEntry,
  type EncodedEntry,
  readBlock,
  writeBlock,
} from "./block.ts";
import { NO_DOTS, type Run, type Runs, type Vector, type Version } from "./dots.ts";
import {
  compareByDot,
  compareIds,
  compareKeys,
  DOT_COUNTER_END,
  type Entry,
  type Hlc,
  idBytes,
  idText,
  type Stamp,
} from "./entry.ts";
import { checksum, hashOfBytes } from "./hash.ts";
import { ByteReader, ByteWriter, corrupt } from "./numbers.ts";

export const KIND = { delta: 1, snapshot: 2, version: 3, changes: 4, entries: 5 } as const;

export type Kind = (typeof KIND)[keyof typeof KIND];

export interface Part {
  /** 16 hex digits; equal ids mean the same parts. */
  readonly deltaId: string;
  readonly number: number;
}

export interface Header {
  readonly kind: Kind;
  readonly part?: Part | undefined;
  /** Where a delta starts from. */
  readonly base?: Version | undefined;
  /** The sender's V. */
  readonly vector?: Vector | undefined;
  /** The sender's H. */
  readonly horizon?: Vector | undefined;
  /** The sender's HS. */
  readonly collected?: Stamp | undefined;
  /** The sender's X, which makes its version known. */
  readonly end?: Runs | undefined;
  /** Entries were withheld. */
  readonly isTainted?: boolean;
}

/** A header that was read: nothing is left out but what a frame need not have. */
export interface FrameHeader {
  readonly kind: Kind;
  readonly part: Part | undefined;
  readonly base: Version | undefined;
  readonly vector: Vector;
  readonly horizon: Vector;
  readonly collected: Stamp | undefined;
  readonly end: Runs | undefined;
  readonly isTainted: boolean;
}

export interface Frame extends FrameHeader {
  readonly entries: readonly Entry[];
}

/** A frame of which the header has been read, and the entries have not. */
export interface OpenFrame {
  readonly header: FrameHeader;
  /** Reads them all; once only. */
  readonly readEntries: () => Entry[];
}

/**
 * Reads a frame of one of `kinds`.
 *
 * Throws `corrupt-bytes`, `unsupported-format` for another version or kind, and `too-large` where the entries would
 * take more than 64 times the bytes of the frame.
 */
export function decodeFrame(bytes: Uint8Array, kinds: readonly Kind[]): Frame {
  const { header, readEntries } = openFrame(bytes, kinds);
  return { ...header, entries: readEntries() };
}

/** As `decodeFrame`, for callers that judge the header before they read on. */
export function openFrame(bytes: Uint8Array, kinds: readonly Kind[]): OpenFrame {
  const { kind, content } = readStart(bytes, kinds);
  const { ids, ...header } = readHeader(content, kind);
  return {
    header,
    readEntries: () => readBlocks(content, kind, ids, EXPANSION_MAX * bytes.length),
  };
}

export function encodeFrame(header: Header, entries: readonly EncodedEntry[] = []): Uint8Array {
  const ids = usedIds(header, entries);
  const indexes = new Map(ids.map((id, index) => [id, index]));
  const writer = new ByteWriter().bytes(MAGIC).u8(FORMAT_VERSION).u8(header.kind);
  writeHeader(writer, header, ids, indexes);
  for (let at = 0; at < entries.length; at += BLOCK_ENTRIES_MAX) {
    writeBlock(writer, entries.slice(at, at + BLOCK_ENTRIES_MAX), indexes);
  }
  return writer.u32(checksum(writer.finish())).finish();
}

/** A frame of entries without any version. */
export function encodeEntriesFrame(entries: readonly Entry[]): Uint8Array {
  return encodeFrame({ kind: KIND.entries }, entries.map(encodedEntry));
}

/** The first 8 bytes of the hash of `bytes`, as text: what parts of one delta have in common. */
export function deltaIdOf(bytes: Uint8Array): string {
  const [first, second] = hashOfBytes(bytes);
  return idText(new ByteWriter().u32(first).u32(second).finish());
}

/** The HLC of a stamp as a u64. */
export function writeHlc(writer: ByteWriter, { millis, counter }: Hlc): void {
  writer
    .u16(counter)
    .u32(millis % 2 ** 32)
    .u16(Math.floor(millis / 2 ** 32));
}

const MAGIC = Uint8Array.of(0x4c, 0x57);
const FORMAT_VERSION = 1;
const CHECKSUM_BYTES = 4;
const EXPANSION_MAX = 64;
const ID_BYTES = 16;
const PART_NUMBER_END = 2 ** 32;

const FIELD = { replicas: 1, part: 2, base: 3, vector: 4, horizon: 5, end: 6, flags: 7 } as const;

const FIELDS_OF_KIND: Readonly<Record<Kind, readonly number[]>> = {
  [KIND.delta]: [
    FIELD.replicas,
    FIELD.part,
    FIELD.base,
    FIELD.vector,
    FIELD.horizon,
    FIELD.end,
    FIELD.flags,
  ],
  [KIND.snapshot]: [
    FIELD.replicas,
    FIELD.part,
    FIELD.vector,
    FIELD.horizon,
    FIELD.end,
    FIELD.flags,
  ],
  [KIND.version]: [FIELD.replicas, FIELD.vector, FIELD.end],
  [KIND.changes]: [FIELD.replicas, FIELD.vector, FIELD.horizon, FIELD.end, FIELD.flags],
  [KIND.entries]: [FIELD.replicas],
};

const TAINTED = 1;

function readStart(bytes: Uint8Array, kinds: readonly Kind[]): { kind: Kind; content: ByteReader } {
  if (bytes.length < CHECKSUM_BYTES) throw corrupt("these bytes are no frame");
  const contentEnd = bytes.length - CHECKSUM_BYTES;
  if (checksum(bytes.subarray(0, contentEnd)) !== new ByteReader(bytes, contentEnd).u32()) {
    throw corrupt("the checksum of a frame is wrong");
  }
  const content = new ByteReader(bytes.subarray(0, contentEnd));
  if (!MAGIC.every((byte) => content.u8() === byte)) throw corrupt("these bytes are no frame");
  const version = content.u8();
  if (version !== FORMAT_VERSION) {
    throw new LastwriteError(
      "unsupported-format",
      `a frame of format ${version}; this release reads ${FORMAT_VERSION}`,
    );
  }
  const kindByte = content.u8();
  const kind = kinds.find((candidate) => candidate === kindByte);
  if (kind === undefined) {
    throw new LastwriteError(
      "unsupported-format",
      `a frame of kind ${kindByte}; this call reads ${kinds.join(", ")}`,
    );
  }
  return { kind, content };
}

function readHeader(content: ByteReader, kind: Kind): FrameHeader & { ids: readonly string[] } {
  const fields = readFields(content, kind);
  const read = <T>(id: number, readField: (field: ByteReader) => T): T | undefined => {
    const bytes = fields.get(id);
    if (bytes === undefined) return undefined;
    const field = new ByteReader(bytes);
    const value = readField(field);
    field.end("a field");
    return value;
  };

  const ids = read(FIELD.replicas, readIds);
  if (ids === undefined) throw corrupt("a frame has no table of replicas");
  const part = read(FIELD.part, readPart);
  const base = read(FIELD.base, (field) => readVersion(field, ids));
  const vector = read(FIELD.vector, (field) => notEmpty(readVector(field, ids))) ?? NO_DOTS.vector;
  const horizon = read(FIELD.horizon, (field) => readHorizon(field, ids));
  const end = read(FIELD.end, (field) => readRuns(field, ids, vector));
  const flags = read(FIELD.flags, (field) => field.varint());
  if (flags !== undefined && flags !== TAINTED) throw corrupt("the flags of a frame are unknown");
  if (kind === KIND.version && end !== undefined) notEmpty(end);
  if (kind === KIND.delta && base === undefined) throw corrupt("a delta has no base");
  if ((kind === KIND.delta || kind === KIND.snapshot) && part === undefined && end === undefined) {
    throw corrupt("a delta of one part has no end");
  }
  return {
    kind,
    ids,
    part,
    base,
    vector,
    horizon: horizon?.vector ?? NO_DOTS.vector,
    collected: horizon?.collected,
    end,
    isTainted: flags === TAINTED,
  };
}

function readFields(content: ByteReader, kind: Kind): Map<number, Uint8Array> {
  const fields = new Map<number, Uint8Array>();
  let before = 0;
  for (let id = content.u8(); id !== 0; id = content.u8()) {
    if (id <= before) throw corrupt("the fields of a frame do not ascend");
    if (id <= FIELD.flags && !FIELDS_OF_KIND[kind].includes(id))
      throw corrupt(`a frame of kind ${kind} has field ${id}`);
    before = id;
    fields.set(id, content.take(content.length()));
  }
  return fields;
}

function writeHeader(
  writer: ByteWriter,
  {
    kind,
    part,
    base,
    vector = NO_DOTS.vector,
    horizon = NO_DOTS.vector,
    collected,
    end,
    isTainted,
  }: Header,
  ids: readonly string[],
  indexes: ReadonlyMap<string, number>,
): void {
  const writeField = (id: number, write: (field: ByteWriter) => void): void => {
    const field = new ByteWriter();
    write(field);
    writer.u8(id).varint(field.length).bytes(field.finish());
  };

  writeField(FIELD.replicas, (field) => {
    for (const id of ids) field.bytes(idBytes(id));
  });
  if (part !== undefined) {
    writeField(FIELD.part, (field) => field.bytes(idBytes(part.deltaId)).varint(part.number));
  }
  if (base !== undefined) {
    writeField(FIELD.base, (field) => {
      writeVector(field, base.vector, indexes);
      writeRuns(field, base.exceptions, indexes);
    });
  }
  if (vector.size > 0) writeField(FIELD.vector, (field) => writeVector(field, vector, indexes));
  if (horizon.size > 0 || collected !== undefined) {
    writeField(FIELD.horizon, (field) => writeHorizon(field, horizon, collected, indexes));
  }
  if (end !== undefined && !(kind === KIND.version && end.size === 0)) {
    writeField(FIELD.end, (field) => writeRuns(field, end, indexes));
  }
  if (isTainted === true) writeField(FIELD.flags, (field) => field.varint(TAINTED));
  writer.u8(0);
}

function readIds(field: ByteReader): string[] {
  const ids: string[] = [];
  while (field.remaining > 0) {
    const id = idText(field.take(ID_BYTES));
    const before = ids.at(-1);
    if (before !== undefined && id <= before)
      throw corrupt("the replicas of a frame do not ascend");
    ids.push(id);
  }
  return ids;
}

function readPart(field: ByteReader): Part {
  const deltaId = idText(field.take(8));
  const number = field.varint();
  if (number >= PART_NUMBER_END) throw corrupt("the number of a part is out of range");
  return { deltaId, number };
}

function readVersion(field: ByteReader, ids: readonly string[]): Version {
  const vector = readVector(field, ids);
  return { vector, exceptions: readRuns(field, ids, vector) };
}

function readVector(field: ByteReader, ids: readonly string[]): Map<string, number> {
  const vector = new Map<string, number>();
  readWriters(field, ids, (id) => {
    const counter = field.varint();
    if (counter < 1 || counter >= DOT_COUNTER_END)
      throw corrupt("a counter of a vector is out of range");
    vector.set(id, counter);
  });
  return vector;
}

function writeVector(
  field: ByteWriter,
  vector: Vector,
  indexes: ReadonlyMap<string, number>,
): void {
  writeWriters(field, vector, indexes, (counter) => field.varint(counter));
}

function readRuns(field: ByteReader, ids: readonly string[], vector: Vector): Map<string, Run[]> {
  const allRuns = new Map<string, Run[]>();
  readWriters(field, ids, (id) => {
    const runs: Run[] = [];
    let count = field.length();
    if (count === 0) throw corrupt("a replica has no runs");
    for (let next = 1; count > 0; count--) {
      const first = next + field.varint();
      const last = first + field.varint();
      if (last >= DOT_COUNTER_END) throw corrupt("a run is out of range");
      runs.push({ first, last });
      next = last + 2;
    }
    if ((runs[0] as Run).first <= (vector.get(id) ?? 0))
      throw corrupt("a run lies in the vector beside it");
    allRuns.set(id, runs);
  });
  return allRuns;
}

function writeRuns(field: ByteWriter, allRuns: Runs, indexes: ReadonlyMap<string, number>): void {
  writeWriters(field, allRuns, indexes, (runs) => {
    field.varint(runs.length);
    let next = 1;
    for (const { first, last } of runs) {
      field.varint(first - next).varint(last - first);
      next = last + 2;
    }
  });
}

function readHorizon(
  field: ByteReader,
  ids: readonly string[],
): { vector: Vector; collected: Stamp | undefined } {
  const vector = readVector(field, ids);
  const place = field.varint();
  if (place === 0) {
    notEmpty(vector);
    return { vector, collected: undefined };
  }
  const replicaId = ids[place - 1];
  if (replicaId === undefined) throw corrupt("the stamp of a horizon is of no replica");
  return { vector, collected: { ...readHlc(field), replicaId } };
}

function writeHorizon(
  field: ByteWriter,
  vector: Vector,
  collected: Stamp | undefined,
  indexes: ReadonlyMap<string, number>,
): void {
  writeVector(field, vector, indexes);
  if (collected === undefined) {
    field.varint(0);
  } else {
    field.varint(1 + (indexes.get(collected.replicaId) as number));
    writeHlc(field, collected);
  }
}

/** Reads the writers of a vector or of runs, by ascending index. */
function readWriters(
  field: ByteReader,
  ids: readonly string[],
  readOf: (id: string) => void,
): void {
  let count = field.length();
  for (let next = 0; count > 0; count--) {
    const index = next + field.varint();
    const id = ids[index];
    if (id === undefined) throw corrupt("a writer is not in the table of replicas");
    readOf(id);
    next = index + 1;
  }
}

function writeWriters<T>(
  field: ByteWriter,
  writers: ReadonlyMap<string, T>,
  indexes: ReadonlyMap<string, number>,
  writeOf: (content: T) => void,
): void {
  field.varint(writers.size);
  let next = 0;
  for (const id of [...writers.keys()].toSorted(compareIds)) {
    const index = indexes.get(id) as number;
    field.varint(index - next);
    writeOf(writers.get(id) as T);
    next = index + 1;
  }
}

function readHlc(field: ByteReader): Hlc {
  const counter = field.u16();
  return { millis: field.u32() + field.u16() * 2 ** 32, counter };
}

function notEmpty<T extends ReadonlyMap<string, unknown>>(writers: T): T {
  if (writers.size === 0) throw corrupt("a field is empty, and given all the same");
  return writers;
}

function readBlocks(
  content: ByteReader,
  kind: Kind,
  ids: readonly string[],
  bytesMax: number,
): Entry[] {
  const entries: Entry[] = [];
  const budget = { left: bytesMax };
  while (content.remaining > 0) {
    if (kind === KIND.version || entries.length % BLOCK_ENTRIES_MAX !== 0) {
      throw corrupt("a frame has a block where none may be");
    }
    // No spread: 4,096 arguments a block add up on the stack of small devices.
    for (const entry of readBlock(content, ids, budget)) entries.push(entry);
  }
  checkOrder(kind, entries);
  return entries;
}

function checkOrder(kind: Kind, entries: readonly Entry[]): void {
  if (kind !== KIND.delta && kind !== KIND.snapshot) return;
  checkAscending(entries, kind === KIND.delta ? compareByDot : compareKeys);
}

/** Refuses entries that do not strictly ascend. */
export function checkAscending(
  entries: readonly Entry[],
  compare: (a: Entry, b: Entry) => number,
): void {
  const isOrdered = entries.every(
    (entry, at) => at === 0 || compare(entries[at - 1] as Entry, entry) < 0,
  );
  if (!isOrdered) throw corrupt("the entries of a frame do not ascend");
}

function usedIds(
  { base, vector, horizon, collected, end }: Header,
  entries: readonly EncodedEntry[],
): string[] {
  const ids = new Set<string>();
  for (const writers of [base?.vector, base?.exceptions, vector, horizon, end]) {
    for (const id of writers?.keys() ?? []) ids.add(id);
  }
  if (collected !== undefined) ids.add(collected.replicaId);
  for (const { entry } of entries) {
    ids.add(entry.dot.replicaId).add(entry.stamp.replicaId);
    if (entry.origin !== undefined) ids.add(entry.origin.replicaId);
  }
  return [...ids].toSorted(compareIds);
}
