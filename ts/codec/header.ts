/** Headers of frames, and frames that are nothing more (docs/format.md, Frame): all that is needed where an engine reads the entries. */

import { LastwriteError } from "../errors.ts";
import type { Collector } from "./collector.ts";
import { notEmpty, readRuns, readVector, writeRuns, writeVector } from "./dot-fields.ts";
import { NO_DOTS, type Runs, type Vector, type Version } from "./dots.ts";
import { compareIds, type Hlc, idBytes, idText, type Stamp } from "./entry.ts";
import { checksum, hashOfBytes } from "./hash.ts";
import { ByteReader, ByteWriter, corrupt } from "./numbers.ts";

export const KIND = {
  delta: 1,
  snapshot: 2,
  version: 3,
  changes: 4,
  entries: 5,
  journal: 6,
  frontier: 7,
} as const;

export type Kind = (typeof KIND)[keyof typeof KIND];

export interface Part {
  /** 16 hex digits; equal ids mean the same parts. */
  readonly deltaId: string;
  readonly number: number;
}

/** What a journal tells beside entries and version. */
export interface JournalFields {
  /** Part of a whole state, not of a difference. */
  readonly isWhole: boolean;
  readonly clock: Hlc;
  readonly floor: Hlc;
  /** The own replica id. */
  readonly ownId: string;
  /** In the arrival log, of the first entry, or without entries of the next arrival. */
  readonly place: number;
  /** What a store keeps beside its entries; empty for nothing. */
  readonly attributes: Uint8Array;
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
  /** In changes: vector, horizon, collected and end are what a frontier has not. */
  readonly isDifference?: boolean;
  /** In a journal always. */
  readonly journal?: JournalFields | undefined;
  readonly collector?: Collector | undefined;
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
  readonly isDifference: boolean;
  readonly journal: JournalFields | undefined;
  readonly collector: Collector | undefined;
}

/** A frame of which the header has been read, and the blocks have not. */
export interface OpenHeader {
  readonly header: FrameHeader;
  /** The table of replicas. */
  readonly ids: readonly string[];
  /** Stands before the first block. */
  readonly content: ByteReader;
}

/** A frame of which the header has been written. */
export interface StartedFrame {
  readonly writer: ByteWriter;
  /** Gives each replica id its place in the table of the frame. */
  readonly indexes: ReadonlyMap<string, number>;
}

/** Reads the header of a frame of one of `kinds`. Throws `corrupt-bytes`, and `unsupported-format` for another version or kind. */
export function openHeader(bytes: Uint8Array, kinds: readonly Kind[]): OpenHeader {
  checkChecksum(bytes);
  const { kind, content } = readStart(bytes, kinds);
  const { ids, ...header } = readHeader(content, kind);
  return { header, ids, content };
}

/** As `openHeader`, for a frame that has no entries: `corrupt-bytes` for one that does. */
export function decodeBare(bytes: Uint8Array, kinds: readonly Kind[]): FrameHeader {
  const { header, content } = openHeader(bytes, kinds);
  if (content.remaining > 0) throw misplacedBlock();
  return header;
}

export function misplacedBlock(): LastwriteError {
  return corrupt("a frame has a block where none may be");
}

/** A frame without entries. */
export function encodeBare(header: Header): Uint8Array {
  return finishFrame(startFrame(header, []).writer);
}

/** Begins a frame, for blocks that name these replicas. */
export function startFrame(header: Header, entryIds: Iterable<string>): StartedFrame {
  const ids = usedIds(header, entryIds);
  const indexes = new Map(ids.map((id, index) => [id, index]));
  const writer = new ByteWriter().bytes(MAGIC).u8(FORMAT_VERSION).u8(header.kind);
  writeHeader(writer, header, ids, indexes);
  return { writer, indexes };
}

export function finishFrame(writer: ByteWriter): Uint8Array {
  return writer.u32(checksum(writer.finish())).finish();
}

/** The first 8 bytes of the hash of `bytes`, as text: what parts of one delta have in common. */
export function deltaIdOf(bytes: Uint8Array): string {
  const [first, second] = hashOfBytes(bytes);
  return idText(new ByteWriter().u32(first).u32(second).finish());
}

/** The fields of a header as they stand there, not looked into. */
export interface RawHeader {
  readonly kind: Kind;
  readonly fields: ReadonlyMap<number, Uint8Array>;
}

/** Reads no more of a frame than where the fields of its header are: neither what is in them, nor the entries, nor the checksum. */
export function peekHeader(bytes: Uint8Array, kinds: readonly Kind[]): RawHeader {
  const { kind, content } = readStart(bytes, kinds);
  return { kind, fields: readFields(content, kind) };
}

/** The flags of a frame that may be merged, by a look at no more than `peekHeader` reads. */
export function flagsOf(bytes: Uint8Array): number {
  const { kind, fields } = peekHeader(bytes, [KIND.delta, KIND.snapshot, KIND.changes]);
  return readField(fields.get(FIELD.flags), (field) => readFlags(field, kind)) ?? 0;
}

/** Reads the header of a frame whose checksum somebody else looked at. */
export function decodeHeader(bytes: Uint8Array, kinds: readonly Kind[]): FrameHeader {
  const { kind, content } = readStart(bytes, kinds);
  const { ids: _, ...header } = readHeader(content, kind);
  return header;
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
export const ID_BYTES = 16;
const NO_BYTES = new Uint8Array(0);
const PART_NUMBER_END = 2 ** 32;
const PLACE_END = 2 ** 48;

export const FIELD = {
  replicas: 1,
  part: 2,
  base: 3,
  vector: 4,
  horizon: 5,
  end: 6,
  flags: 7,
  clock: 8,
  place: 9,
  attributes: 10,
  collector: 11,
} as const;

const FIELDS_OF_KIND: Readonly<Record<Kind, readonly number[]>> = {
  [KIND.delta]: [
    FIELD.replicas,
    FIELD.part,
    FIELD.base,
    FIELD.vector,
    FIELD.horizon,
    FIELD.end,
    FIELD.flags,
    FIELD.collector,
  ],
  [KIND.snapshot]: [
    FIELD.replicas,
    FIELD.part,
    FIELD.vector,
    FIELD.horizon,
    FIELD.end,
    FIELD.flags,
    FIELD.collector,
  ],
  [KIND.version]: [FIELD.replicas, FIELD.vector, FIELD.end],
  [KIND.changes]: [
    FIELD.replicas,
    FIELD.vector,
    FIELD.horizon,
    FIELD.end,
    FIELD.flags,
    FIELD.collector,
  ],
  [KIND.entries]: [FIELD.replicas],
  [KIND.journal]: [
    FIELD.replicas,
    FIELD.vector,
    FIELD.horizon,
    FIELD.end,
    FIELD.flags,
    FIELD.clock,
    FIELD.place,
    FIELD.attributes,
    FIELD.collector,
  ],
  [KIND.frontier]: [FIELD.replicas, FIELD.vector, FIELD.horizon, FIELD.end, FIELD.collector],
};

/** Flag of kinds 1, 2 and 4. */
export const TAINTED = 1;
/** Flag of kind 6. */
export const WHOLE = 2;
/** Flag of kind 4. */
export const DIFFERENCE = 4;

/** The flags that a kind may have; those without any have no field for them. */
const FLAGS_OF_KIND: Partial<Readonly<Record<Kind, number>>> = {
  [KIND.delta]: TAINTED,
  [KIND.snapshot]: TAINTED,
  [KIND.changes]: TAINTED | DIFFERENCE,
  [KIND.journal]: WHOLE,
};

/** Kinds in which an empty `end` is left out, as it says no more than none. */
const KINDS_WITH_WHOLE_END: ReadonlySet<Kind> = new Set([
  KIND.version,
  KIND.journal,
  KIND.frontier,
]);

function checkChecksum(bytes: Uint8Array): void {
  if (bytes.length < CHECKSUM_BYTES) throw corrupt("these bytes are no frame");
  const contentEnd = bytes.length - CHECKSUM_BYTES;
  if (checksum(bytes.subarray(0, contentEnd)) !== new ByteReader(bytes, contentEnd).u32()) {
    throw corrupt("the checksum of a frame is wrong");
  }
}

function readStart(bytes: Uint8Array, kinds: readonly Kind[]): { kind: Kind; content: ByteReader } {
  const content = new ByteReader(bytes.subarray(0, Math.max(0, bytes.length - CHECKSUM_BYTES)));
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
  const read = <T>(id: number, readContent: (field: ByteReader) => T): T | undefined =>
    readField(fields.get(id), readContent);

  const ids = read(FIELD.replicas, readIds);
  if (ids === undefined) throw corrupt("a frame has no table of replicas");
  const part = read(FIELD.part, readPart);
  const base = read(FIELD.base, (field) => readVersion(field, ids));
  const vector = read(FIELD.vector, (field) => notEmpty(readVector(field, ids))) ?? NO_DOTS.vector;
  const horizon = read(FIELD.horizon, (field) => readHorizon(field, ids));
  const end = read(FIELD.end, (field) => readRuns(field, ids, vector));
  const flags = read(FIELD.flags, (field) => readFlags(field, kind)) ?? 0;
  if (end !== undefined && KINDS_WITH_WHOLE_END.has(kind)) notEmpty(end);
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
    isTainted: (flags & TAINTED) !== 0,
    isDifference: (flags & DIFFERENCE) !== 0,
    journal: kind === KIND.journal ? readJournalFields(fields, ids, flags === WHOLE) : undefined,
    collector: read(FIELD.collector, (field) => readCollector(field, ids)),
  };
}

function readFlags(field: ByteReader, kind: Kind): number {
  const flags = field.varint();
  const known = FLAGS_OF_KIND[kind] ?? 0;
  if (flags === 0 || flags > known || (flags & ~known) !== 0)
    throw corrupt("the flags of a frame are unknown");
  return flags;
}

/** Reads all of a field, if it is there. */
export function readField<T>(
  bytes: Uint8Array | undefined,
  readContent: (field: ByteReader) => T,
): T | undefined {
  if (bytes === undefined) return undefined;
  const field = new ByteReader(bytes);
  const content = readContent(field);
  field.end("a field");
  return content;
}

function readJournalFields(
  fields: ReadonlyMap<number, Uint8Array>,
  ids: readonly string[],
  isWhole: boolean,
): JournalFields {
  const clocks = readField(fields.get(FIELD.clock), (field) => ({
    clock: readHlc(field),
    floor: readHlc(field),
  }));
  const place = readField(fields.get(FIELD.place), readPlace);
  if (clocks === undefined || place === undefined) throw corrupt("a journal has no clock or place");
  const ownId = ids[place.ownIndex];
  if (ownId === undefined) throw corrupt("the own replica is not in the table of replicas");
  const attributes = fields.get(FIELD.attributes) ?? NO_BYTES;
  if (fields.has(FIELD.attributes) && attributes.length === 0)
    throw corrupt("a field is empty, and given all the same");
  return { isWhole, ...clocks, ownId, place: place.place, attributes };
}

/** Where the own replica id is in the table, and the place in the arrival log. */
export function readPlace(field: ByteReader): { ownIndex: number; place: number } {
  const ownIndex = field.varint();
  const place = field.varint();
  if (place >= PLACE_END) throw corrupt("a place in the arrival log is out of range");
  return { ownIndex, place };
}

function readFields(content: ByteReader, kind: Kind): Map<number, Uint8Array> {
  const fields = new Map<number, Uint8Array>();
  let before = 0;
  for (let id = content.u8(); id !== 0; id = content.u8()) {
    if (id <= before) throw corrupt("the fields of a frame do not ascend");
    if (id <= FIELD.collector && !FIELDS_OF_KIND[kind].includes(id))
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
    isTainted = false,
    isDifference = false,
    journal,
    collector,
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
  if (end !== undefined && !(end.size === 0 && KINDS_WITH_WHOLE_END.has(kind))) {
    writeField(FIELD.end, (field) => writeRuns(field, end, indexes));
  }
  const flags =
    (isTainted ? TAINTED : 0) |
    (isDifference ? DIFFERENCE : 0) |
    (journal?.isWhole === true ? WHOLE : 0);
  if (flags > 0) writeField(FIELD.flags, (field) => field.varint(flags));
  if (journal !== undefined) {
    writeField(FIELD.clock, (field) => {
      writeHlc(field, journal.clock);
      writeHlc(field, journal.floor);
    });
    writeField(FIELD.place, (field) =>
      field.varint(indexes.get(journal.ownId) as number).varint(journal.place),
    );
    if (journal.attributes.length > 0)
      writeField(FIELD.attributes, (field) => field.bytes(journal.attributes));
  }
  if (collector !== undefined)
    writeField(FIELD.collector, (field) => writeCollector(field, collector, indexes));
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

function readCollector(field: ByteReader, ids: readonly string[]): Collector {
  const replicaId = ids[field.varint()];
  if (replicaId === undefined) throw corrupt("the collector was named by no replica");
  const stamp = { ...readHlc(field), replicaId };
  return { stamp, storeId: idText(field.take(ID_BYTES)) };
}

function writeCollector(
  field: ByteWriter,
  { stamp, storeId }: Collector,
  indexes: ReadonlyMap<string, number>,
): void {
  field.varint(indexes.get(stamp.replicaId) as number);
  writeHlc(field, stamp);
  field.bytes(idBytes(storeId));
}

function readHlc(field: ByteReader): Hlc {
  const counter = field.u16();
  return { millis: field.u32() + field.u16() * 2 ** 32, counter };
}

function usedIds(
  { base, vector, horizon, collected, end, journal, collector }: Header,
  entryIds: Iterable<string>,
): string[] {
  const ids = new Set(entryIds);
  for (const writers of [base?.vector, base?.exceptions, vector, horizon, end]) {
    for (const id of writers?.keys() ?? []) ids.add(id);
  }
  if (collected !== undefined) ids.add(collected.replicaId);
  if (journal !== undefined) ids.add(journal.ownId);
  if (collector !== undefined) ids.add(collector.stamp.replicaId);
  return [...ids].toSorted(compareIds);
}
