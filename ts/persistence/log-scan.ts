/** Reads the records of a store file one after the other, and finds the next whole one after damage. */

import type { DiskFile } from "./disk.ts";
import {
  FILE_HEADER_BYTES,
  isWhole,
  lastWord,
  PAYLOAD_BYTES_MIN,
  readRecordHeader,
  RECORD_HEADER_BYTES,
  type RecordHeader,
  saltOf,
} from "./log-record.ts";

export interface LogRecord {
  readonly header: RecordHeader;
  readonly payload: Uint8Array;
}

/** A place where a record begins, and the sequence number that it has to have. */
export interface Place {
  readonly at: number;
  readonly sequence: number;
}

export const FIRST_PLACE: Place = { at: FILE_HEADER_BYTES, sequence: 1 };

/** Reads records from a place on, in pieces, as long as they are whole. */
export class RecordReader {
  readonly #file: DiskFile;
  readonly #salt: number;
  #size: number;
  #at: number;
  #sequence: number;
  #damage: string | undefined;
  #isDone = false;
  #piece: Promise<Uint8Array>;

  constructor(file: DiskFile, size: number, { at, sequence }: Place, salt: number) {
    this.#file = file;
    this.#size = size;
    this.#at = at;
    this.#sequence = sequence;
    this.#salt = salt;
    this.#piece = this.#read(new Uint8Array(0), 0);
  }

  /** Where the last whole record ends. */
  get place(): Place {
    return { at: this.#at, sequence: this.#sequence };
  }

  /** What is wrong with the bytes behind the last whole record; undefined where the file ends with it. */
  get damage(): string | undefined {
    return this.#damage;
  }

  /** The next records; none at the end. The following piece is read while they are looked at. */
  async next(): Promise<readonly LogRecord[]> {
    while (!this.#isDone) {
      const bytes = await this.#piece;
      const records: LogRecord[] = [];
      let offset = 0;
      let recordBytes = 0;
      for (;;) {
        recordBytes = this.#recordBytes(bytes, offset);
        if (this.#isDone || bytes.length - offset < recordBytes) break;
        const record = this.#record(bytes, offset, recordBytes);
        if (record === undefined) break;
        records.push(record);
        offset += recordBytes;
      }
      await this.#checkLong(bytes, offset, recordBytes);
      if (!this.#isDone) {
        this.#piece = this.#read(bytes.subarray(offset), recordBytes);
        // It is waited for by the next call, which a reader who has enough never makes.
        this.#piece.catch(() => {});
      }
      if (records.length > 0) return records;
    }
    return [];
  }

  /** The bytes of the record at `offset`, or those of a header if more of it are needed to know. Ends the reading where there can be none. */
  #recordBytes(bytes: Uint8Array, offset: number): number {
    const left = this.#size - this.#at;
    if (left === 0) this.#isDone = true;
    else if (left < RECORD_HEADER_BYTES + PAYLOAD_BYTES_MIN) this.#end("it ends within a record");
    if (this.#isDone || bytes.length - offset < RECORD_HEADER_BYTES) return RECORD_HEADER_BYTES;

    const header = readRecordHeader(bytes, offset);
    if (header === undefined) this.#end("no record begins here");
    else if (header.payloadBytes > left - RECORD_HEADER_BYTES) this.#end("it ends within a record");
    return RECORD_HEADER_BYTES + (header?.payloadBytes ?? 0);
  }

  #record(bytes: Uint8Array, offset: number, recordBytes: number): LogRecord | undefined {
    const header = readRecordHeader(bytes, offset) as RecordHeader;
    const payload = bytes.subarray(offset + RECORD_HEADER_BYTES, offset + recordBytes);
    if (saltOf(header, bytes, offset, lastWord(payload)) !== this.#salt) {
      return this.#end("the checksum of a record does not match");
    }
    if (header.sequence !== this.#sequence) {
      return this.#end(`record ${header.sequence} stands where ${this.#sequence} should`);
    }
    if (!isWhole(payload)) return this.#end("the checksum of a frame does not match");
    this.#at += recordBytes;
    this.#sequence += 1;
    return { header, payload };
  }

  /** A damaged length should not take memory: of a record that is longer than a piece the header is checked before the rest is read. */
  async #checkLong(bytes: Uint8Array, offset: number, recordBytes: number): Promise<void> {
    if (this.#isDone || recordBytes <= PIECE_BYTES) return;
    const header = readRecordHeader(bytes, offset) as RecordHeader;
    const last = await readFully(
      this.#file,
      this.#at + recordBytes - PAYLOAD_BYTES_MIN,
      PAYLOAD_BYTES_MIN,
    );
    if (
      last.length < PAYLOAD_BYTES_MIN ||
      saltOf(header, bytes, offset, lastWord(last)) !== this.#salt
    ) {
      this.#end("the checksum of a record does not match");
    }
  }

  #end(damage: string): undefined {
    this.#isDone = true;
    this.#damage = damage;
  }

  /** A piece that begins with the bytes left over from the one before. */
  async #read(rest: Uint8Array, bytesMin: number): Promise<Uint8Array> {
    const start = this.#at;
    const length = Math.min(this.#size - start, Math.max(PIECE_BYTES, bytesMin));
    const bytes = new Uint8Array(length);
    bytes.set(rest);
    const count = await this.#file.read(bytes.subarray(rest.length), start + rest.length);
    if (rest.length + count === length) return bytes;
    // It was cut by its writer meanwhile.
    this.#size = start + rest.length + count;
    return bytes.subarray(0, rest.length + count);
  }
}

/** What is looked for. */
export interface Wanted {
  readonly from: number;
  /** Undefined where the header of the file is lost: then each salt will do. */
  readonly salt: number | undefined;
  /** No sequence below this one. */
  readonly sequence: number;
  /** Only records that say that all before them was synced. */
  readonly isAfterSync: boolean;
}

export interface Found extends Place {
  readonly salt: number;
}

/** The first whole record from a byte on, wherever it begins; undefined where there is none. */
export async function findRecord(
  file: DiskFile,
  size: number,
  wanted: Wanted,
): Promise<Found | undefined> {
  const last = size - RECORD_HEADER_BYTES - PAYLOAD_BYTES_MIN;
  for (let start = wanted.from; start <= last; start += PIECE_BYTES) {
    const length = Math.min(size - start, PIECE_BYTES + RECORD_HEADER_BYTES - 1);
    const bytes = await readFully(file, start, length);
    for (let offset = 0; offset + RECORD_HEADER_BYTES <= bytes.length; offset++) {
      const header = readRecordHeader(bytes, offset);
      if (header === undefined || !isPlausible(header, start + offset, size, wanted)) continue;
      const payloadAt = start + offset + RECORD_HEADER_BYTES;
      const lastBytes = await readFully(
        file,
        payloadAt + header.payloadBytes - PAYLOAD_BYTES_MIN,
        PAYLOAD_BYTES_MIN,
      );
      if (lastBytes.length < PAYLOAD_BYTES_MIN) continue;
      const salt = saltOf(header, bytes, offset, lastWord(lastBytes));
      if (wanted.salt !== undefined && wanted.salt !== salt) continue;
      const payload = await readFully(file, payloadAt, header.payloadBytes);
      if (payload.length === header.payloadBytes && isWhole(payload)) {
        return { at: start + offset, sequence: header.sequence, salt };
      }
    }
  }
  return undefined;
}

/** As many bytes as there are, up to `length`. */
export async function readFully(file: DiskFile, at: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  const count = await file.read(bytes, at);
  return count === length ? bytes : bytes.subarray(0, count);
}

const PIECE_BYTES = 1024 * 1024;

function isPlausible(header: RecordHeader, at: number, size: number, wanted: Wanted): boolean {
  const { from, sequence, isAfterSync } = wanted;
  const between = (at - from) / (RECORD_HEADER_BYTES + PAYLOAD_BYTES_MIN);
  return (
    header.payloadBytes <= size - at - RECORD_HEADER_BYTES &&
    header.sequence >= sequence &&
    header.sequence <= sequence + between + 1 &&
    (header.isAfterSync || !isAfterSync)
  );
}
