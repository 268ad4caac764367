/**
 * A second reading of docs/format.md, for tests alone: it shares no code with any engine, so that a test can say
 * what a frame carries without asking the engine that made it. It trusts its input to be well-formed.
 */

import { toHex } from "./bytes.ts";

export const KIND = {
  delta: 1,
  snapshot: 2,
  version: 3,
  changes: 4,
  entries: 5,
  journal: 6,
  frontier: 7,
} as const;
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
export const TAG = { tombstone: 0, integer: 4, prefixTombstone: 14 } as const;

/** Replica ids are hex everywhere in the tests: their order is that of the bytes. */
export type ReplicaId = string;

export interface Dot {
  readonly replica: ReplicaId;
  readonly counter: number;
}

export interface FrameEntry {
  readonly key: string;
  readonly tag: number;
  readonly payload: Uint8Array;
  /** `milliseconds << 16 | counter`, which a double does not hold. */
  readonly hlc: bigint;
  readonly stampReplica: ReplicaId;
  readonly dot: Dot;
  readonly origin: Dot | undefined;
}

export interface Run {
  readonly start: number;
  readonly end: number;
}

/** Dots as a closed vector and exceptions beyond it. */
export interface VersionSet {
  readonly vector: ReadonlyMap<ReplicaId, number>;
  readonly exceptions: ReadonlyMap<ReplicaId, readonly Run[]>;
}

export interface Frame {
  readonly kind: number;
  readonly fields: ReadonlyMap<number, Uint8Array>;
  /** Everything between the header and the checksum. */
  readonly blocks: Uint8Array;
  readonly replicas: readonly ReplicaId[];
}

export const emptyVersion: VersionSet = { vector: new Map(), exceptions: new Map() };

/** Splits a frame; entries and fields are read by the functions below. */
export function readFrame(bytes: Uint8Array): Frame {
  const input = new Reader(bytes.subarray(0, bytes.length - 4));
  input.take(3);
  const kind = input.byte();
  const fields = new Map<number, Uint8Array>();
  for (let id = input.byte(); id !== 0; id = input.byte())
    fields.set(id, input.take(input.varint()));
  const ids = fields.get(FIELD.replicas) ?? new Uint8Array();
  const replicas = Array.from({ length: ids.length / 16 }, (_, index) =>
    toHex(ids.subarray(index * 16, index * 16 + 16)),
  );
  return { kind, fields, blocks: input.rest(), replicas };
}

/** Puts a frame together from a header and blocks, checksum included. */
export function writeFrame(
  kind: number,
  fields: ReadonlyMap<number, Uint8Array>,
  blocks: Uint8Array = new Uint8Array(),
): Uint8Array {
  const bytes = [0x4c, 0x57, 1, kind];
  for (const [id, content] of [...fields].toSorted(([left], [right]) => left - right)) {
    bytes.push(id);
    pushVarint(bytes, content.length);
    for (const byte of content) bytes.push(byte);
  }
  bytes.push(0, ...blocks);
  const checksum = xxh32(Uint8Array.from(bytes));
  for (let shift = 0; shift < 32; shift += 8) bytes.push((checksum >>> shift) & 0xff);
  return Uint8Array.from(bytes);
}

/** The version that a version frame holds, or the sender's in any other frame. */
export function readVersion(bytes: Uint8Array): VersionSet {
  const frame = readFrame(bytes);
  const vector = frame.fields.get(FIELD.vector);
  const end = frame.fields.get(FIELD.end);
  return {
    vector: vector === undefined ? new Map() : readVector(new Reader(vector), frame.replicas),
    exceptions: end === undefined ? new Map() : readRuns(new Reader(end), frame.replicas),
  };
}

export interface CollectedStamp {
  readonly hlc: bigint;
  readonly replica: ReplicaId;
}

/** The greatest collected stamp that a frame carries. */
export function readCollected(bytes: Uint8Array): CollectedStamp | undefined {
  const frame = readFrame(bytes);
  const horizon = frame.fields.get(FIELD.horizon);
  if (horizon === undefined) return undefined;
  const input = new Reader(horizon);
  readVector(input, frame.replicas);
  const index = input.varint();
  if (index === 0) return undefined;
  const hlc = Buffer.from(input.take(8)).readBigUInt64LE();
  return { hlc, replica: at(frame.replicas, index - 1) };
}

export interface NamedCollector {
  readonly hlc: bigint;
  readonly replica: ReplicaId;
  /** 32 hex digits: the store that is named. */
  readonly store: string;
}

/** Who collects, as a frame has it. */
export function readCollector(bytes: Uint8Array): NamedCollector | undefined {
  const frame = readFrame(bytes);
  const field = frame.fields.get(FIELD.collector);
  if (field === undefined) return undefined;
  const input = new Reader(field);
  const replica = at(frame.replicas, input.varint());
  const hlc = Buffer.from(input.take(8)).readBigUInt64LE();
  return { hlc, replica, store: toHex(input.take(16)) };
}

/** The horizon vector that a frame carries. */
export function readHorizon(bytes: Uint8Array): VersionSet {
  const frame = readFrame(bytes);
  const horizon = frame.fields.get(FIELD.horizon);
  return {
    vector: horizon === undefined ? new Map() : readVector(new Reader(horizon), frame.replicas),
    exceptions: new Map(),
  };
}

export function writeVersion({ vector, exceptions }: VersionSet): Uint8Array {
  const replicas = [...new Set([...vector.keys(), ...exceptions.keys()])].toSorted();
  const fields = new Map<number, Uint8Array>();
  fields.set(FIELD.replicas, Uint8Array.from(Buffer.from(replicas.join(""), "hex")));
  if (vector.size > 0) fields.set(FIELD.vector, Uint8Array.from(vectorBytes(vector, replicas)));
  if (exceptions.size > 0)
    fields.set(FIELD.end, Uint8Array.from(runsBytes(vector, exceptions, replicas)));
  return writeFrame(KIND.version, fields);
}

export function isTainted(bytes: Uint8Array): boolean {
  return ((readFrame(bytes).fields.get(FIELD.flags)?.[0] ?? 0) & 1) === 1;
}

export function hasDot({ vector, exceptions }: VersionSet, { replica, counter }: Dot): boolean {
  if (counter <= (vector.get(replica) ?? 0)) return true;
  return (exceptions.get(replica) ?? []).some(
    ({ start, end }) => start <= counter && counter <= end,
  );
}

/** Whether `outer` has every dot of `inner`. */
export function hasVersion(outer: VersionSet, inner: VersionSet): boolean {
  for (const [replica, runs] of runsOf(inner)) {
    const held = runsOf(outer).get(replica) ?? [];
    if (!runs.every((run) => held.some(({ start, end }) => start <= run.start && run.end <= end)))
      return false;
  }
  return true;
}

/** The dots as text, the same for the same set however it is split into vector and exceptions. */
export function versionText(version: VersionSet): string {
  return [...runsOf(version)]
    .toSorted(([left], [right]) => (left < right ? -1 : 1))
    .map(
      ([replica, runs]) =>
        `${replica}:${runs.map(({ start, end }) => `${start}-${end}`).join(",")}`,
    )
    .join(" ");
}

/** The dots that all of these have in their vectors: what everybody has seen. */
export function meetOfVectors(versions: readonly VersionSet[]): VersionSet {
  const [first = emptyVersion, ...others] = versions;
  const vector = new Map<ReplicaId, number>();
  for (const [replica, counter] of first.vector) {
    const least = Math.min(counter, ...others.map((other) => other.vector.get(replica) ?? 0));
    if (least > 0) vector.set(replica, least);
  }
  return { vector, exceptions: new Map() };
}

/** The entries of a frame of any kind but 3 and 7, in its order. */
export function readEntries(bytes: Uint8Array): FrameEntry[] {
  const frame = readFrame(bytes);
  const input = new Reader(frame.blocks);
  const entries: FrameEntry[] = [];
  while (!input.done) readBlock(input, frame.replicas, entries);
  return entries;
}

/** XXH32 with seed 0. */
export function xxh32(bytes: Uint8Array): number {
  const [p1, p2, p3, p4, p5] = [0x9e3779b1, 0x85ebca77, 0xc2b2ae3d, 0x27d4eb2f, 0x165667b1];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const rotate = (word: number, by: number): number => (word << by) | (word >>> (32 - by));
  let place = 0;
  let hash = p5;
  if (bytes.length >= 16) {
    const lanes = [(p1 + p2) | 0, p2, 0, -p1 | 0];
    for (; place + 16 <= bytes.length; place += 16) {
      for (const [lane, value] of lanes.entries()) {
        const word = view.getUint32(place + lane * 4, true);
        lanes[lane] = Math.imul(rotate((value + Math.imul(word, p2)) | 0, 13), p1);
      }
    }
    const [a = 0, b = 0, c = 0, d = 0] = lanes;
    hash = rotate(a, 1) + rotate(b, 7) + rotate(c, 12) + rotate(d, 18);
  }
  hash = (hash + bytes.length) | 0;
  for (; place + 4 <= bytes.length; place += 4) {
    hash = Math.imul(rotate((hash + Math.imul(view.getUint32(place, true), p3)) | 0, 17), p4);
  }
  for (; place < bytes.length; place += 1) {
    hash = Math.imul(rotate((hash + Math.imul(view.getUint8(place), p5)) | 0, 11), p1);
  }
  hash = Math.imul(hash ^ (hash >>> 15), p2);
  hash = Math.imul(hash ^ (hash >>> 13), p3);
  return (hash ^ (hash >>> 16)) >>> 0;
}

class Reader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get done(): boolean {
    return this.#at >= this.#bytes.length;
  }

  byte(): number {
    const byte = this.#bytes[this.#at];
    if (byte === undefined) throw new Error("the frame ends too early");
    this.#at += 1;
    return byte;
  }

  take(length: number): Uint8Array {
    if (this.#at + length > this.#bytes.length) throw new Error("the frame ends too early");
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  rest(): Uint8Array {
    return this.take(this.#bytes.length - this.#at);
  }

  varint(): number {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = this.byte();
      value += (byte & 0x7f) * factor;
      if (byte < 128) return value;
    }
  }
}

function pushVarint(bytes: number[], value: number): void {
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  bytes.push(rest);
}

function readVector(input: Reader, replicas: readonly ReplicaId[]): Map<ReplicaId, number> {
  const vector = new Map<ReplicaId, number>();
  let index = -1;
  for (let left = input.varint(); left > 0; left -= 1) {
    index += input.varint() + 1;
    vector.set(at(replicas, index), input.varint());
  }
  return vector;
}

function readRuns(input: Reader, replicas: readonly ReplicaId[]): Map<ReplicaId, Run[]> {
  const all = new Map<ReplicaId, Run[]>();
  let index = -1;
  for (let left = input.varint(); left > 0; left -= 1) {
    index += input.varint() + 1;
    const runs: Run[] = [];
    let end = -1;
    for (let count = input.varint(); count > 0; count -= 1) {
      const start = end + 2 + input.varint();
      end = start + input.varint();
      runs.push({ start, end });
    }
    all.set(at(replicas, index), runs);
  }
  return all;
}

function vectorBytes(
  vector: ReadonlyMap<ReplicaId, number>,
  replicas: readonly ReplicaId[],
): number[] {
  const bytes: number[] = [];
  pushVarint(bytes, vector.size);
  let previous = -1;
  for (const [index, replica] of replicas.entries()) {
    const counter = vector.get(replica);
    if (counter === undefined) continue;
    pushVarint(bytes, index - previous - 1);
    pushVarint(bytes, counter);
    previous = index;
  }
  return bytes;
}

function runsBytes(
  vector: ReadonlyMap<ReplicaId, number>,
  exceptions: ReadonlyMap<ReplicaId, readonly Run[]>,
  replicas: readonly ReplicaId[],
): number[] {
  const bytes: number[] = [];
  pushVarint(bytes, exceptions.size);
  let previous = -1;
  for (const [index, replica] of replicas.entries()) {
    const runs = exceptions.get(replica);
    if (runs === undefined) continue;
    if (runs.some(({ start }) => start <= (vector.get(replica) ?? 0)))
      throw new Error("an exception below the vector");
    pushVarint(bytes, index - previous - 1);
    pushVarint(bytes, runs.length);
    let end = -1;
    for (const run of runs) {
      pushVarint(bytes, run.start - end - 2);
      pushVarint(bytes, run.end - run.start);
      end = run.end;
    }
    previous = index;
  }
  return bytes;
}

/** Vector and exceptions as one list of runs a writer, touching ones joined. */
function runsOf({ vector, exceptions }: VersionSet): Map<ReplicaId, Run[]> {
  const all = new Map<ReplicaId, Run[]>();
  for (const [replica, counter] of vector) all.set(replica, [{ start: 1, end: counter }]);
  for (const [replica, runs] of exceptions) {
    const joined = all.get(replica) ?? [];
    for (const run of runs) {
      const last = joined.at(-1);
      if (last !== undefined && run.start <= last.end + 1)
        joined.splice(-1, 1, { start: last.start, end: run.end });
      else joined.push(run);
    }
    all.set(replica, joined);
  }
  return all;
}

function readBlock(input: Reader, replicas: readonly ReplicaId[], entries: FrameEntry[]): void {
  const count = input.varint();
  const columns = new Map<number, Reader>();
  for (let id = input.byte(); id !== 0; id = input.byte())
    columns.set(id, new Reader(input.take(input.varint())));
  const column = (id: number): Reader => columns.get(id) ?? new Reader(new Uint8Array());

  const keys = readKeys(column(1), column(2), count);
  const tags = readTags(column(3), count);
  const writers = readReplicaRuns(column(4), replicas, count);
  const counters = readCounters(column(5), writers);
  const hlcs = readHlcs(column(6), count);
  const stampWriters = columns.has(7) ? readReplicaRuns(column(7), replicas, count) : writers;
  const origins = readOrigins(column(8), replicas);
  for (let index = 0; index < count; index += 1) {
    const tag = at(tags, index);
    entries.push({
      key: at(keys, index),
      tag,
      payload: readPayload(tag, column(9), column(10), column(11), column(12)),
      hlc: at(hlcs, index),
      stampReplica: at(stampWriters, index),
      dot: { replica: at(writers, index), counter: at(counters, index) },
      origin: origins.get(index),
    });
  }
}

function readKeys(lengths: Reader, suffixes: Reader, count: number): string[] {
  const keys: string[] = [];
  let previous = Buffer.alloc(0);
  for (let index = 0; index < count; index += 1) {
    const byte = lengths.byte();
    const shared = byte >> 4 === 15 ? 15 + lengths.varint() : byte >> 4;
    const suffix = (byte & 15) === 15 ? 15 + lengths.varint() : byte & 15;
    previous = Buffer.concat([previous.subarray(0, shared), suffixes.take(suffix)]);
    keys.push(previous.toString("utf8"));
  }
  return keys;
}

function readTags(input: Reader, count: number): number[] {
  const tags: number[] = [];
  while (tags.length < count) {
    const byte = input.byte();
    tags.push(byte & 15, byte >> 4);
  }
  return tags.slice(0, count);
}

function readReplicaRuns(
  input: Reader,
  replicas: readonly ReplicaId[],
  count: number,
): ReplicaId[] {
  const writers: ReplicaId[] = [];
  while (writers.length < count) {
    const replica = at(replicas, input.varint());
    for (let left = input.varint(); left >= 0; left -= 1) writers.push(replica);
  }
  return writers;
}

function readCounters(input: Reader, writers: readonly ReplicaId[]): number[] {
  const last = new Map<ReplicaId, number>();
  let zeros = 0;
  return writers.map((writer) => {
    let difference = 0;
    if (zeros > 0) {
      zeros -= 1;
    } else {
      const token = input.varint();
      if (token % 2 === 0) zeros = token / 2;
      else difference = unzigzag((token - 1) / 2);
    }
    const counter = (last.get(writer) ?? 0) + 1 + difference;
    last.set(writer, counter);
    return counter;
  });
}

function readHlcs(input: Reader, count: number): bigint[] {
  const hlcs: bigint[] = [];
  let hlc = 0n;
  while (hlcs.length < count) {
    const token = input.varint();
    const value = Math.floor(token / 4);
    const millis = hlc >> 16n;
    if (token % 4 === 0) {
      for (let left = value; left >= 0; left -= 1) {
        hlc += 1n;
        hlcs.push(hlc);
      }
      continue;
    }
    if (token % 4 === 1) hlc = (millis << 16n) + BigInt(value);
    else if (token % 4 === 2) hlc = (millis + BigInt(value)) << 16n;
    else hlc = ((millis + BigInt(unzigzag(value))) << 16n) + BigInt(input.varint());
    hlcs.push(hlc);
  }
  return hlcs;
}

function readOrigins(input: Reader, replicas: readonly ReplicaId[]): Map<number, Dot> {
  const origins = new Map<number, Dot>();
  let index = -1;
  while (!input.done) {
    index += input.varint() + 1;
    const replica = at(replicas, input.varint());
    origins.set(index, { replica, counter: input.varint() });
  }
  return origins;
}

function readPayload(
  tag: number,
  integers: Reader,
  floats: Reader,
  lengths: Reader,
  payloads: Reader,
): Uint8Array {
  switch (tag) {
    case 4:
    case 10: {
      const bytes = [integers.byte()];
      while ((bytes.at(-1) ?? 0) >= 128) bytes.push(integers.byte());
      return Uint8Array.from(bytes);
    }
    case 5:
      return floats.take(8);
    case 6:
    case 7:
    case 8:
    case 9:
    case 11:
    case 12:
    case 13:
      return payloads.take(lengths.varint());
    default:
      return new Uint8Array();
  }
}

function unzigzag(value: number): number {
  return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
}

function at<Item>(items: readonly Item[], index: number): Item {
  const item = items[index];
  if (item === undefined) throw new Error(`nothing at ${index}`);
  return item;
}
