/** The bytes of a store file: its header, and records (docs/format.md, Store file). */

import { checksum } from "../codec/hash.ts";
import { LastwriteError } from "../errors.ts";

/** What a record is: a frame of the engine, or the identity of the file that it was written to. */
export const RECORD = { frame: 1, medium: 2 } as const;

export type RecordType = (typeof RECORD)[keyof typeof RECORD];

export const FILE_HEADER_BYTES = 16;
export const RECORD_HEADER_BYTES = 17;

/** A payload ends in the checksum of what it has before it, as every frame does. */
export const PAYLOAD_BYTES_MIN = 4;

export interface RecordHeader {
  readonly check: number;
  readonly payloadBytes: number;
  readonly type: RecordType;
  /** All records before this one were synced when it was written. */
  readonly isAfterSync: boolean;
  /** 1, 2, 3… in each file. */
  readonly sequence: number;
}

/** `salt` tells the records of this file from those of all others, which may lie inside of its payloads or in blocks that the disk used before. */
export function fileHeader(salt: number): Uint8Array {
  const bytes = new Uint8Array(FILE_HEADER_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC);
  view.setUint32(4, VERSION, true);
  view.setUint32(8, salt, true);
  view.setUint32(12, checksum(bytes.subarray(0, 12)), true);
  return bytes;
}

/** The salt of a file, or what is wrong with its header. Throws `store-newer` for a file of a later version. */
export function readFileHeader(bytes: Uint8Array, name: string): number | string {
  if (bytes.length < FILE_HEADER_BYTES) return "it is too short for a store file";
  const view = viewOf(bytes);
  if (view.getUint32(0) !== MAGIC) return "it does not begin as a store file does";
  if (view.getUint32(12, true) !== checksum(bytes.subarray(0, 12))) {
    return "the checksum of its header does not match";
  }
  const version = view.getUint32(4, true);
  if (version > VERSION) {
    throw new LastwriteError(
      "store-newer",
      `${name} is a store file of version ${version}, and this release reads up to ${VERSION}; open it with a later one`,
    );
  }
  return version === VERSION ? view.getUint32(8, true) : `there is no version ${version}`;
}

export interface RecordToWrite {
  readonly type: RecordType;
  readonly sequence: number;
  readonly isAfterSync: boolean;
  readonly payload: Uint8Array;
}

/** Writes the header of a record into `bytes` at `at`; the payload has to follow it. */
export function writeRecordHeader(
  bytes: Uint8Array,
  at: number,
  { type, sequence, isAfterSync, payload }: RecordToWrite,
  salt: number,
): void {
  const view = viewOf(bytes);
  view.setUint32(at + 4, payload.length, true);
  bytes[at + 8] = type | (isAfterSync ? AFTER_SYNC : 0);
  view.setUint32(at + 9, sequence % 2 ** 32, true);
  view.setUint32(at + 13, Math.floor(sequence / 2 ** 32), true);
  view.setUint32(at, (headerChecksum(bytes, at, lastWord(payload)) ^ salt) >>> 0, true);
}

/** Reads the header at `at`, of which all bytes have to be there; undefined for bytes that no header has. Nothing is checked by it. */
export function readRecordHeader(bytes: Uint8Array, at: number): RecordHeader | undefined {
  const byte = bytes[at + 8] as number;
  const type = byte & ~AFTER_SYNC;
  // Most places are given up here when the next record is looked for byte by byte.
  if (type !== RECORD.frame && type !== RECORD.medium) return undefined;
  const high = word(bytes, at + 13);
  const payloadBytes = word(bytes, at + 4);
  if (high >= 2 ** 21 || payloadBytes < PAYLOAD_BYTES_MIN) return undefined;
  return {
    check: word(bytes, at),
    payloadBytes,
    type,
    isAfterSync: (byte & AFTER_SYNC) !== 0,
    sequence: high * 2 ** 32 + word(bytes, at + 9),
  };
}

/** The salt under which a header is whole that stands before a payload of this last word. */
export function saltOf(header: RecordHeader, bytes: Uint8Array, at: number, last: number): number {
  return (headerChecksum(bytes, at, last) ^ header.check) >>> 0;
}

/** Whether a payload is as it was written. */
export function isWhole(payload: Uint8Array): boolean {
  return checksum(payload.subarray(0, payload.length - PAYLOAD_BYTES_MIN)) === lastWord(payload);
}

/** The last four bytes of a payload: its own checksum. */
export function lastWord(payload: Uint8Array): number {
  return word(payload, payload.length - PAYLOAD_BYTES_MIN);
}

/** The payload of a record of type medium. */
export function mediumPayload(identity: string): Uint8Array {
  const text = new TextEncoder().encode(identity);
  const payload = new Uint8Array(text.length + PAYLOAD_BYTES_MIN);
  payload.set(text);
  viewOf(payload).setUint32(text.length, checksum(text), true);
  return payload;
}

export function readMedium(payload: Uint8Array): string {
  return new TextDecoder().decode(payload.subarray(0, payload.length - PAYLOAD_BYTES_MIN));
}

const MAGIC = 0x4c575354;
const VERSION = 1;
const AFTER_SYNC = 0x80;

/** Over the header, with the checksum of the payload where its own goes: so each bit of a record is under one of the two, and a frame need not be hashed again to be written. */
function headerChecksum(bytes: Uint8Array, at: number, last: number): number {
  const covered = bytes.slice(at, at + RECORD_HEADER_BYTES);
  viewOf(covered).setUint32(0, last, true);
  return checksum(covered);
}

function word(bytes: Uint8Array, at: number): number {
  return (
    ((bytes[at] as number) |
      ((bytes[at + 1] as number) << 8) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 3] as number) << 24)) >>>
    0
  );
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
