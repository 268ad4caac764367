/**
 * A store in one file: frames one after the other, each in a record that tells whether it is whole, on any `Disk`. The bytes are in docs/format.md, Store file.
 *
 * What holds it together: a file is under its name only once all of it is synced, so what a loss of power can tear lies behind it; and a record tells whether
 * all before it was synced when it was written, so that a torn end, which nobody was promised, is told from damage, which is never cut away.
 */

import { LastwriteError } from "../errors.ts";
import type { Access, LostBytes, WriteContext } from "./contract.ts";
import type { Disk, DiskFile } from "./disk.ts";
import { FILE_HEADER_BYTES, fileHeader, readFileHeader, readMedium, RECORD } from "./log-record.ts";
import { findRecord, FIRST_PLACE, type Place, readFully, RecordReader } from "./log-scan.ts";
import { LogTail, poisoned } from "./log-tail.ts";

/** One open store file: the calls of `Persistence` of the same names, with what they promise there. `replacesAside` is true of it. */
export interface LogFile {
  readonly isCopy: boolean;
  /** What the file has to be opened with next time. */
  readonly isSuspect: boolean;
  load(): AsyncIterable<Uint8Array>;
  append(frame: Uint8Array, context: WriteContext): Promise<void>;
  replace(frames: Iterable<Uint8Array>): Promise<void>;
  salvage(): AsyncIterable<Uint8Array | LostBytes>;
  /** Syncs what was appended without, and closes the file. */
  close(): Promise<void>;
}

export interface LogFileOptions {
  readonly access: Access;
  /**
   * A sync of this file failed before it was closed. What is read of it may then be in memory alone, whatever later syncs say, and so all of it is written to
   * a new file at the end of `load`. Default: false.
   */
  readonly isSuspect?: boolean;
}

/**
 * Opens the file `name`, or makes it if `access` is `"write"`; then also `<name>.new` is its own, and what an interrupted `replace` left there is removed. Locks nothing.
 *
 * Rejects with what the disk says, and for reading with `storage-unavailable` when there is no file. What is wrong in the file is told by `load`.
 */
export async function openLogFile(
  disk: Disk,
  name: string,
  { access, isSuspect = false }: LogFileOptions,
): Promise<LogFile> {
  if (access === "read") {
    const file = await disk.open(name, "read");
    if (file !== undefined) return new OpenLogFile(disk, name, access, file, isSuspect);
    throw new LastwriteError(
      "storage-unavailable",
      `there is no store file ${name}; open it for writing once, which makes it`,
    );
  }
  await disk.remove(newName(name));
  let file = await disk.open(name, "write");
  if (file === undefined || (await isEmpty(file))) {
    await file?.close();
    await makeEmpty(disk, name);
    file = await disk.open(name, "write");
  }
  if (file === undefined) {
    throw new LastwriteError("storage-unavailable", `${name} was removed while it was opened`);
  }
  return new OpenLogFile(disk, name, access, file, isSuspect);
}

class OpenLogFile implements LogFile {
  readonly #disk: Disk;
  readonly #name: string;
  readonly #access: Access;
  #isSuspect: boolean;
  #file: DiskFile | undefined;
  /** Where it goes on; undefined until `load` came to its end, and when it is open for reading. */
  #tail: LogTail | undefined;
  #isCopy = false;
  #poison: unknown;
  /** The append under way. */
  #appending: Promise<void> | undefined;
  /** What is appended while a replacement is being written. */
  #aside: Uint8Array[] | undefined;
  /** Resolves when the file has been exchanged, for which appends wait. */
  #exchange: Promise<void> | undefined;

  constructor(disk: Disk, name: string, access: Access, file: DiskFile, isSuspect: boolean) {
    this.#disk = disk;
    this.#name = name;
    this.#access = access;
    this.#file = file;
    this.#isSuspect = isSuspect;
  }

  get isCopy(): boolean {
    return this.#isCopy;
  }

  get isSuspect(): boolean {
    return this.#isSuspect || this.#poison !== undefined;
  }

  async *load(): AsyncGenerator<Uint8Array> {
    const file = this.#openFile();
    const size = await file.size();
    // Somebody else is about to make it, or did not come to it.
    if (size === 0 && this.#access === "read") return;
    const header = readFileHeader(await readFully(file, 0, FILE_HEADER_BYTES), this.#name);
    if (typeof header === "string") throw this.#corrupt(0, header);

    let medium: string | undefined;
    let damagedAt: number | undefined;
    let reader = new RecordReader(file, size, FIRST_PLACE, header);
    for (;;) {
      for (let records = await reader.next(); records.length > 0; records = await reader.next()) {
        for (const record of records) {
          if (record.header.type === RECORD.frame) yield record.payload;
          else medium = readMedium(record.payload);
        }
      }
      const { damage, place } = reader;
      if (damage === undefined || (await isTorn(file, place, header))) break;
      if (this.#access === "write" || damagedAt === place.at) throw this.#corrupt(place.at, damage);
      // A writer may have cut a failed write and gone on there while it was read.
      damagedAt = place.at;
      reader = new RecordReader(file, await file.size(), place, header);
    }

    const identity = await this.#disk.identity(this.#name);
    this.#isCopy = identity !== "" && identity !== medium;
    if (this.#access === "read") return;
    const options = { salt: header, identity, wantsIdentity: this.#isCopy };
    await this.#goOn(new LogTail(file, reader.place, options));
    if (this.#isSuspect) await this.#renew(medium);
  }

  async append(frame: Uint8Array, { sync }: WriteContext): Promise<void> {
    while (this.#exchange !== undefined) await this.#exchange;
    const tail = this.#openTail();
    // A replacement under way has all that was appended before it.
    const aside = this.#aside;
    this.#appending = this.#poisonable(async () => {
      await tail.append(frame, sync);
      aside?.push(frame);
      this.#isCopy = tail.wantsIdentity;
    });
    await this.#appending;
  }

  async replace(frames: Iterable<Uint8Array>): Promise<void> {
    await this.#replace(frames);
    this.#isCopy = false;
  }

  async *salvage(): AsyncGenerator<Uint8Array | LostBytes> {
    const file = this.#openFile();
    const size = await file.size();
    const header = readFileHeader(await readFully(file, 0, FILE_HEADER_BYTES), this.#name);
    let salt = typeof header === "string" ? undefined : header;
    let reason = typeof header === "string" ? header : undefined;
    let place: Place = salt === undefined ? { at: 0, sequence: 1 } : FIRST_PLACE;
    while (place.at < size) {
      if (salt !== undefined && reason === undefined) {
        const reader = new RecordReader(file, size, place, salt);
        for (let records = await reader.next(); records.length > 0; records = await reader.next()) {
          for (const record of records) {
            if (record.header.type === RECORD.frame) yield record.payload;
          }
        }
        if (reader.damage === undefined) return;
        place = reader.place;
        reason = reader.damage;
      }
      const from = { ...place, from: place.at + 1, salt, isAfterSync: false };
      const found = await findRecord(file, size, from);
      const end = found?.at ?? size;
      yield { offset: place.at, byteCount: end - place.at, reason: reason ?? "" };
      if (found === undefined) return;
      place = found;
      salt = found.salt;
      reason = undefined;
    }
  }

  async close(): Promise<void> {
    const file = this.#file;
    const tail = this.#tail;
    this.#file = undefined;
    this.#tail = undefined;
    try {
      if (tail !== undefined && this.#poison === undefined) await this.#seal(tail);
    } finally {
      await file?.close();
    }
  }

  async #seal(tail: LogTail): Promise<void> {
    try {
      await this.#poisonable(() => tail.seal());
    } catch (error) {
      // All that was appended is synced but for the seal, without which the file is as good.
      if (this.#poison !== undefined || tail.unsyncedBytes > 0) throw error;
    }
  }

  /** Makes the end of what was read the end of the file, and what was read durable: later writes stand on it. */
  async #goOn(tail: LogTail): Promise<void> {
    if ((await tail.file.size()) > tail.end) await tail.file.truncate(tail.end);
    await this.#poisonable(() => tail.sync());
    this.#tail = tail;
  }

  /** Writes all that is there to another file, where it cannot be in memory alone. */
  async #renew(medium: string | undefined): Promise<void> {
    const { file, end, salt } = this.#openTail();
    const corrupt = this.#corrupt.bind(this);
    async function* frames(): AsyncGenerator<Uint8Array> {
      const reader = new RecordReader(file, end, FIRST_PLACE, salt);
      for (let records = await reader.next(); records.length > 0; records = await reader.next()) {
        for (const { header, payload } of records) if (header.type === RECORD.frame) yield payload;
      }
      // As `load` saw it a moment ago.
      if (reader.damage !== undefined) throw corrupt(reader.place.at, reader.damage);
    }
    await this.#replace(frames(), this.#isCopy ? (medium ?? "") : undefined);
    this.#isSuspect = false;
  }

  async #replace(
    frames: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
    formerMedium?: string,
  ): Promise<void> {
    this.#openTail();
    if (this.#aside !== undefined) throw misused(this.#name, "replaced while it is being replaced");
    const aside: Uint8Array[] = [];
    this.#aside = aside;
    let next: LogTail | undefined;
    try {
      next = await createNew(this.#disk, this.#name, frames, formerMedium);
      // Most of what came meanwhile is copied while more may come; who appends then waits for little.
      const copied = aside.length;
      await next.addFrames(aside.slice(0, copied));
      await this.#exchangeFor(next, aside, copied);
    } catch (error) {
      await next?.file.close().catch(() => {});
      await this.#disk.remove(newName(this.#name)).catch(() => {});
      throw error;
    } finally {
      this.#aside = undefined;
    }
  }

  async #exchangeFor(
    next: LogTail,
    aside: readonly Uint8Array[],
    copiedCount: number,
  ): Promise<void> {
    let end = (): void => {};
    this.#exchange = new Promise((resolve) => (end = resolve));
    try {
      await this.#appending?.catch(() => {});
      const { file } = this.#openTail();
      if (aside.length > 0) {
        await next.addFrames(aside.slice(copiedCount));
        await next.addIdentity();
        await next.file.sync();
      }
      await this.#poisonable(() => nameNew(this.#disk, this.#name));
      this.#tail = next;
      this.#file = next.file;
      await file.close().catch(() => {});
    } finally {
      this.#exchange = undefined;
      end();
    }
  }

  /** Remembers a failure after which nobody knows what is on the disk. */
  async #poisonable(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (error instanceof LastwriteError && error.code === "store-poisoned") this.#poison = error;
      throw error;
    }
  }

  #openFile(): DiskFile {
    if (this.#file === undefined) {
      throw new LastwriteError("store-closed", `${this.#name} is closed; open it again`);
    }
    return this.#file;
  }

  #openTail(): LogTail {
    this.#openFile();
    if (this.#access === "read") {
      throw new LastwriteError(
        "store-read-only",
        `${this.#name} is open for reading; open it for writing to change it`,
      );
    }
    if (this.#poison !== undefined) {
      throw poisoned(`nothing is written to ${this.#name} since a write failed`, this.#poison);
    }
    if (this.#tail === undefined) throw misused(this.#name, "written before it was loaded");
    return this.#tail;
  }

  #corrupt(offset: number, reason: string): LastwriteError {
    return new LastwriteError(
      "store-corrupt",
      `${this.#name} is damaged at byte ${offset}: ${reason}; it is left as it is, and salvage() gives what can be read`,
      { damage: { file: this.#name, offset, reason } },
    );
  }
}

function newName(name: string): string {
  return `${name}.new`;
}

async function isEmpty(file: DiskFile): Promise<boolean> {
  return (await file.size()) === 0;
}

/** Whether what stands at a place, and behind it, was never known to be synced. */
async function isTorn(file: DiskFile, { at, sequence }: Place, salt: number): Promise<boolean> {
  const wanted = { from: at + 1, salt, sequence, isAfterSync: true };
  return (await findRecord(file, await file.size(), wanted)) === undefined;
}

/** Leaves nothing behind when it fails. */
async function makeEmpty(disk: Disk, name: string): Promise<void> {
  try {
    const { file } = await createNew(disk, name, []);
    try {
      await nameNew(disk, name);
    } finally {
      await file.close();
    }
  } catch (error) {
    await disk.remove(newName(name)).catch(() => {});
    throw error;
  }
}

/**
 * The file to be, synced: a header, the frames, and behind them its identity; or that of `formerMedium`, since a copy stays one until something was written to it
 * under other ids.
 */
async function createNew(
  disk: Disk,
  name: string,
  frames: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  formerMedium?: string,
): Promise<LogTail> {
  const file = await disk.create(newName(name), name);
  try {
    const identity = await disk.identity(newName(name));
    const [salt = 0] = crypto.getRandomValues(new Uint32Array(1));
    await file.write(fileHeader(salt), 0);
    const wantsIdentity = formerMedium !== undefined;
    const tail = new LogTail(file, FIRST_PLACE, { salt, identity, wantsIdentity });
    await tail.addFrames(frames);
    await tail.addIdentity(formerMedium);
    await file.sync();
    return tail;
  } catch (error) {
    await file.close().catch(() => {});
    throw error;
  }
}

/** Throws `store-poisoned` where it can no longer be told which file the name is for. */
async function nameNew(disk: Disk, name: string): Promise<void> {
  try {
    await disk.rename(newName(name), name);
  } catch (error) {
    const still = await disk.open(newName(name), "read").catch(() => undefined);
    if (still === undefined) throw poisoned(`${name} could not be exchanged`, error);
    await still.close();
    throw error;
  }
  try {
    await disk.syncFolder(name);
  } catch (error) {
    throw poisoned(`the folder of ${name} could not be synced`, error);
  }
}

function misused(name: string, what: string): LastwriteError {
  return new LastwriteError("invalid-argument", `${name} is ${what}`);
}
