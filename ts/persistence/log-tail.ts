/** The end of a store file, where it is written. */

import { LastwriteError } from "../errors.ts";
import type { DiskFile } from "./disk.ts";
import {
  mediumPayload,
  PAYLOAD_BYTES_MIN,
  RECORD,
  RECORD_HEADER_BYTES,
  type RecordType,
  writeRecordHeader,
} from "./log-record.ts";
import type { Place } from "./log-scan.ts";

export interface LogTailOptions {
  readonly salt: number;
  /** The identity of the file. */
  readonly identity: string;
  /** The file was written elsewhere, and says so until something is appended. */
  readonly wantsIdentity: boolean;
}

/** Writes records behind each other; what fails leaves no trace, or the tail throws `store-poisoned` and is not to be used any more. */
export class LogTail {
  readonly file: DiskFile;
  readonly salt: number;
  #end: number;
  #sequence: number;
  #unsyncedBytes = 0;
  readonly #identity: string;
  /** The identity is to be written behind the next frame. */
  #wantsIdentity: boolean;
  /** Something was appended, and no record stands behind it that says so. */
  #isOpenEnded = false;

  constructor(
    file: DiskFile,
    { at, sequence }: Place,
    { salt, identity, wantsIdentity }: LogTailOptions,
  ) {
    this.file = file;
    this.salt = salt;
    this.#end = at;
    this.#sequence = sequence;
    this.#identity = identity;
    this.#wantsIdentity = wantsIdentity;
  }

  get end(): number {
    return this.#end;
  }

  get unsyncedBytes(): number {
    return this.#unsyncedBytes;
  }

  get wantsIdentity(): boolean {
    return this.#wantsIdentity;
  }

  /** Adds a frame by one write call, and syncs it if `isSynced`, or if much was added without. */
  async append(frame: Uint8Array, isSynced: boolean): Promise<void> {
    // Behind the frame: torn off, the file is still the copy that it was, and the ids in the frame are taken once more.
    const medium = this.#wantsIdentity ? mediumPayload(this.#identity) : undefined;
    const byteCount =
      recordBytes(frame) + (medium === undefined ? 0 : RECORD_HEADER_BYTES + medium.length);
    // One write call needs it in one piece.
    const bytes = new Uint8Array(byteCount);
    const isAfterSync = this.#unsyncedBytes === 0;
    const mediumAt = this.#put(bytes, 0, RECORD.frame, frame, this.#sequence, isAfterSync);
    if (medium !== undefined)
      this.#put(bytes, mediumAt, RECORD.medium, medium, this.#sequence + 1, false);
    await this.#write(bytes, medium === undefined ? 1 : 2);
    this.#wantsIdentity = false;
    this.#isOpenEnded = true;
    if (isSynced || this.#unsyncedBytes >= UNSYNCED_BYTES_MAX) await this.sync();
  }

  async sync(): Promise<void> {
    try {
      await this.file.sync();
    } catch (error) {
      throw poisoned("what was written could not be synced", error);
    }
    this.#unsyncedBytes = 0;
  }

  /** Syncs, and sets a record behind all that was appended, so that damage to the last frame is not taken for a torn write. */
  async seal(): Promise<void> {
    if (this.#unsyncedBytes > 0) await this.sync();
    if (!this.#isOpenEnded) return;
    const medium = mediumPayload(this.#identity);
    const bytes = new Uint8Array(recordBytes(medium));
    this.#put(bytes, 0, RECORD.medium, medium, this.#sequence, true);
    await this.#write(bytes, 1);
    await this.sync();
    this.#isOpenEnded = false;
  }

  /** For a file that gets its name once it is synced: so each record is one that others can stand on. Leaves no room for a second try. */
  async addFrames(frames: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<void> {
    let batch: Uint8Array[] = [];
    let byteCount = 0;
    for await (const frame of frames) {
      batch.push(frame);
      byteCount += recordBytes(frame);
      if (byteCount < BATCH_BYTES) continue;
      await this.#addBatch(batch, byteCount);
      batch = [];
      byteCount = 0;
    }
    if (byteCount > 0) await this.#addBatch(batch, byteCount);
  }

  /** As `addFrames`: the identity of the file, or another one; also so that damage to the last frame is not taken for a torn write. */
  async addIdentity(identity: string = this.#identity): Promise<void> {
    const medium = mediumPayload(identity);
    await this.#addBatch([medium], recordBytes(medium), RECORD.medium);
  }

  async #addBatch(
    payloads: readonly Uint8Array[],
    byteCount: number,
    type: RecordType = RECORD.frame,
  ): Promise<void> {
    const bytes = new Uint8Array(byteCount);
    let at = 0;
    for (const payload of payloads) {
      at = this.#put(bytes, at, type, payload, this.#sequence, true);
      this.#sequence += 1;
    }
    await this.file.write(bytes, this.#end);
    this.#end += byteCount;
  }

  async #write(bytes: Uint8Array, recordCount: number): Promise<void> {
    try {
      await this.file.write(bytes, this.#end);
    } catch (error) {
      await this.#cutBack();
      throw error;
    }
    this.#end += bytes.length;
    this.#sequence += recordCount;
    this.#unsyncedBytes += bytes.length;
  }

  #put(
    bytes: Uint8Array,
    at: number,
    type: RecordType,
    payload: Uint8Array,
    sequence: number,
    isAfterSync: boolean,
  ): number {
    writeRecordHeader(bytes, at, { type, sequence, isAfterSync, payload }, this.salt);
    bytes.set(payload, at + RECORD_HEADER_BYTES);
    return at + RECORD_HEADER_BYTES + payload.length;
  }

  async #cutBack(): Promise<void> {
    try {
      await this.file.truncate(this.#end);
    } catch (error) {
      throw poisoned("a write failed half-way and could not be cut off", error);
    }
  }
}

export function poisoned(what: string, cause: unknown): LastwriteError {
  return new LastwriteError(
    "store-poisoned",
    `${what}; close the store and open it again, which reads what is there`,
    { cause },
  );
}

const BATCH_BYTES = 256 * 1024;
/** So that a loss of power, or damage that looks like one, costs a relaxed store no more. */
const UNSYNCED_BYTES_MAX = 1024 * 1024;

/** Throws unless `payload` can be one. */
function recordBytes(payload: Uint8Array): number {
  if (payload.length < PAYLOAD_BYTES_MIN) {
    throw new LastwriteError(
      "invalid-argument",
      `a frame has at least ${PAYLOAD_BYTES_MIN} bytes, got ${payload.length}`,
    );
  }
  if (payload.length >= 2 ** 32) {
    throw new LastwriteError(
      "too-large",
      `a frame of ${payload.length} bytes is too long for a record; replace by parts`,
    );
  }
  return RECORD_HEADER_BYTES + payload.length;
}
