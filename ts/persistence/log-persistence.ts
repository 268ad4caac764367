/** A persistence of one store file, on any disk. */

import { LastwriteError } from "../errors.ts";
import type { Access, LostBytes, OpenContext, Persistence, WriteContext } from "./contract.ts";
import type { Disk } from "./disk.ts";
import { type LogFile, openLogFile } from "./log-file.ts";

/** Where the file is, and how others are kept out. */
export interface StoreFile {
  readonly disk: Disk;
  /** The name on that disk. */
  readonly path: string;
  /** Lets others have it. */
  release(): void;
  /** As `release`, when nothing could be read or made there: takes back what `take` made. Default: `release`. */
  abandon?(): void;
}

/** `name` is for messages; `take` readies the place each time it is opened, and throws `store-locked` where somebody else has it. */
export function logPersistence(
  name: string,
  take: (access: Access) => StoreFile | Promise<StoreFile>,
): Persistence {
  return new LogPersistence(name, take);
}

class LogPersistence implements Persistence {
  readonly name: string;
  readonly replacesAside = true;
  readonly #take: (access: Access) => StoreFile | Promise<StoreFile>;
  #isOpen = false;
  #place: StoreFile | undefined;
  #log: LogFile | undefined;
  #isLoaded = false;
  #isSuspect = false;

  constructor(name: string, take: (access: Access) => StoreFile | Promise<StoreFile>) {
    this.name = name;
    this.#take = take;
  }

  get isCopy(): boolean {
    return this.#log?.isCopy ?? false;
  }

  async open({ access }: OpenContext): Promise<void> {
    if (this.#isOpen) {
      throw new LastwriteError("store-locked", `${this.name} is open already; close it first`);
    }
    this.#isOpen = true;
    try {
      const { disk, path } = (this.#place = await this.#take(access));
      this.#log = await openLogFile(disk, path, { access, isSuspect: this.#isSuspect });
    } catch (error) {
      this.#letGo();
      throw error;
    }
  }

  load(): AsyncIterable<Uint8Array> {
    return this.#loaded(this.#openLog());
  }

  async append(frame: Uint8Array, context: WriteContext): Promise<void> {
    await this.#openLog().append(frame, context);
  }

  async replace(frames: Iterable<Uint8Array>): Promise<void> {
    await this.#openLog().replace(frames);
  }

  salvage(): AsyncIterable<Uint8Array | LostBytes> {
    return this.#openLog().salvage();
  }

  async close(): Promise<void> {
    const log = this.#log;
    this.#log = undefined;
    if (log === undefined) return;
    try {
      await log.close();
    } finally {
      this.#isSuspect = log.isSuspect;
      this.#letGo();
    }
  }

  async *#loaded(log: LogFile): AsyncGenerator<Uint8Array> {
    yield* log.load();
    this.#isLoaded = true;
  }

  #letGo(): void {
    const place = this.#place;
    if (this.#isLoaded || place?.abandon === undefined) place?.release();
    else place.abandon();
    this.#place = undefined;
    this.#isLoaded = false;
    this.#isOpen = false;
  }

  #openLog(): LogFile {
    if (this.#log === undefined) {
      throw new LastwriteError("store-closed", `${this.name} is not open; open it first`);
    }
    return this.#log;
  }
}
