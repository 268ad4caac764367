/**
 * The disk of a browser, for workers: files of one folder in the origin's own file system, each held by the one handle that the browser gives of it.
 *
 * Browsers rename no file that is open, so names are our own. The files are called 0, 1, 2…, and stay, so that the folder itself seldom changes; which of
 * them has which name tells the file `names`: two slots of which the later whole one counts, and the other one is written next.
 */

import { checksum } from "../codec/hash.ts";
import { LastwriteError } from "../errors.ts";
import type { Disk, DiskFile } from "./disk.ts";

export interface OpfsDisk extends Disk {
  /** Lets go of all files. */
  close(): void;
}

/**
 * Opens the folder at `path`, made if need be. For writing nobody else has it: `store-locked` at once when somebody does. For reading it is looked at
 * beside a writer, also from pages.
 *
 * Rejects with `storage-unavailable` where there is no such file system, and for writing everywhere but in dedicated workers.
 */
export async function openOpfsDisk(
  path: readonly string[],
  access: "read" | "write",
): Promise<OpfsDisk> {
  const name = path.join("/");
  try {
    let folder = await navigator.storage.getDirectory();
    for (const part of path) {
      folder = await folder.getDirectoryHandle(part, { create: access === "write" });
    }
    if (access === "read") return readingDisk(folder, name);
    const disk = new WritingDisk(folder, name, await accessTo(folder, NAMES));
    try {
      await disk.ready();
    } catch (error) {
      disk.close();
      throw error;
    }
    return disk;
  } catch (error) {
    throw opfsError(error, name);
  }
}

const NAMES = "names";
/** As much as a disk writes at once. */
const SLOT_BYTES = 4096;
/** Checksum of what follows, number of the slot, length of the text. */
const SLOT_HEADER_BYTES = 12;

/** Which file has which name. */
type Names = Map<string, number>;

/** `FileSystemSyncAccessHandle`, which the types know in workers only. */
interface SyncAccess {
  read(into: Uint8Array, options: { readonly at: number }): number;
  write(bytes: Uint8Array, options: { readonly at: number }): number;
  getSize(): number;
  truncate(size: number): void;
  flush(): void;
  close(): void;
}

class WritingDisk implements OpfsDisk {
  readonly #folder: FileSystemDirectoryHandle;
  readonly #path: string;
  readonly #slots: SyncAccess;
  #names: Names = new Map();
  /** Of the slot that counts. */
  #number = 0;
  readonly #files = new Map<number, SyncAccess>();
  /** How often each file is open. */
  readonly #openCounts = new Map<number, number>();

  constructor(folder: FileSystemDirectoryHandle, path: string, slots: SyncAccess) {
    this.#folder = folder;
    this.#path = path;
    this.#slots = slots;
  }

  /** Reads the names, and opens the files that there will be: later each call answers at once, and a replacement waits for no turn of the event loop. */
  async ready(): Promise<void> {
    const bytes = new Uint8Array(2 * SLOT_BYTES);
    this.#slots.read(bytes, { at: 0 });
    const { number, names } = readSlots(bytes);
    this.#number = number;
    this.#names = names;
    // From here on a slot needs no space that could be missing.
    if (this.#slots.getSize() < bytes.length) writeAll(this.#slots, bytes, 0);
    for (const file of new Set([0, 1, ...this.#names.values()])) await this.#accessTo(file);
  }

  open(name: string): Promise<DiskFile | undefined> {
    return this.#try(async () => {
      const file = this.#names.get(name);
      return file === undefined ? undefined : this.#file(file);
    });
  }

  create(name: string): Promise<DiskFile> {
    return this.#try(async () => {
      const used = new Set(this.#names.values());
      let file = 0;
      while (used.has(file) || (this.#openCounts.get(file) ?? 0) > 0) file++;
      const access = await this.#accessTo(file);
      access.truncate(0);
      this.#names.set(name, file);
      return this.#file(file);
    });
  }

  rename(from: string, to: string): Promise<void> {
    return this.#try(async () => {
      const file = this.#names.get(from);
      if (file === undefined) throw new DOMException(`there is no ${from}`, "NotFoundError");
      this.#names.delete(from);
      // Should this fail, nobody knows which slot counts: `from` stays gone, by which that is told.
      this.#save(new Map(this.#names).set(to, file));
      this.#names.set(to, file);
    });
  }

  remove(name: string): Promise<void> {
    return this.#try(async () => {
      if (this.#names.delete(name)) this.#save(this.#names);
    });
  }

  syncFolder(): Promise<void> {
    return this.#try(async () => this.#slots.flush());
  }

  /** A browser copies no files of an origin. */
  async identity(): Promise<string> {
    return "";
  }

  close(): void {
    for (const access of this.#files.values()) access.close();
    this.#files.clear();
    this.#slots.close();
  }

  #save(names: ReadonlyMap<string, number>): void {
    const number = this.#number + 1;
    const at = (number % 2) * SLOT_BYTES;
    const slot = writeSlot(number, names);
    writeAll(this.#slots, slot, at);
    this.#slots.flush();
    this.#number = number;
  }

  async #accessTo(file: number): Promise<SyncAccess> {
    const known = this.#files.get(file);
    if (known !== undefined) return known;
    const access = await accessTo(this.#folder, String(file));
    this.#files.set(file, access);
    return access;
  }

  async #file(file: number): Promise<DiskFile> {
    const access = await this.#accessTo(file);
    const count = (more: number): void => {
      this.#openCounts.set(file, (this.#openCounts.get(file) ?? 0) + more);
    };
    count(1);
    let isOpen = true;
    return {
      size: () => this.#try(async () => access.getSize()),
      read: (into, at) => this.#try(async () => access.read(into, { at })),
      write: (bytes, at) => this.#try(async () => writeAll(access, bytes, at)),
      sync: () =>
        this.#try(async () => {
          access.flush();
          // Whoever writes without end must not keep the worker from all else.
          await nextTurn();
        }),
      truncate: (size) => this.#try(async () => access.truncate(size)),
      close: async () => {
        if (isOpen) count(-1);
        isOpen = false;
      },
    };
  }

  async #try<Answer>(work: () => Promise<Answer>): Promise<Answer> {
    try {
      return await work();
    } catch (error) {
      throw opfsError(error, this.#path);
    }
  }
}

/** Files as they are at each look; whoever writes them is not kept from it. */
async function readingDisk(folder: FileSystemDirectoryHandle, path: string): Promise<OpfsDisk> {
  const contentOf = async (file: string): Promise<File> =>
    (await folder.getFileHandle(file)).getFile();
  const read = async (file: string, from: number, to: number): Promise<Uint8Array> => {
    // What was written since the look cannot be read: then it is looked again.
    for (let look = 1; ; look++) {
      try {
        return new Uint8Array(await (await contentOf(file)).slice(from, to).arrayBuffer());
      } catch (error) {
        if (look === LOOKS_MAX) throw opfsError(error, path);
      }
    }
  };
  const refuse = (): Promise<never> =>
    Promise.reject(new LastwriteError("store-read-only", `${path} is open for reading`));
  return {
    async open(name) {
      const { names } = readSlots(await read(NAMES, 0, 2 * SLOT_BYTES));
      const file = names.get(name);
      if (file === undefined) return undefined;
      return {
        async size() {
          try {
            return (await contentOf(String(file))).size;
          } catch (error) {
            throw opfsError(error, path);
          }
        },
        async read(into, at) {
          const bytes = await read(String(file), at, at + into.length);
          into.set(bytes);
          return bytes.length;
        },
        write: refuse,
        sync: refuse,
        truncate: refuse,
        close: async () => {},
      };
    },
    create: refuse,
    rename: refuse,
    remove: refuse,
    syncFolder: refuse,
    identity: async () => "",
    close: () => {},
  };
}

const LOOKS_MAX = 10;

async function accessTo(folder: FileSystemDirectoryHandle, name: string): Promise<SyncAccess> {
  const file = (await folder.getFileHandle(name, { create: true })) as FileSystemFileHandle & {
    createSyncAccessHandle?(): Promise<SyncAccess>;
  };
  if (file.createSyncAccessHandle !== undefined) return file.createSyncAccessHandle();
  throw new LastwriteError(
    "storage-unavailable",
    "files can be written in dedicated workers only; use indexedDbPersistence elsewhere",
  );
}

function writeAll(access: SyncAccess, bytes: Uint8Array, at: number): void {
  const count = access.write(bytes, { at });
  // There is no other reason to stop half-way.
  if (count < bytes.length) throw new DOMException("no space is left", "QuotaExceededError");
}

/** Resolves after what the event loop has waiting; `setTimeout` would take milliseconds. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.addEventListener("message", () => {
      port1.close();
      resolve();
    });
    port1.start();
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a port has none
    port2.postMessage(undefined);
  });
}

function writeSlot(number: number, names: ReadonlyMap<string, number>): Uint8Array {
  const text = new TextEncoder().encode(JSON.stringify([...names]));
  const slot = new Uint8Array(SLOT_HEADER_BYTES + text.length);
  const view = new DataView(slot.buffer);
  view.setUint32(4, number, true);
  view.setUint32(8, text.length, true);
  slot.set(text, SLOT_HEADER_BYTES);
  view.setUint32(0, checksum(slot.subarray(4)), true);
  return slot;
}

function readSlots(bytes: Uint8Array): { readonly number: number; readonly names: Names } {
  let last = { number: 0, names: new Map<string, number>() };
  for (const start of [0, SLOT_BYTES]) {
    if (bytes.length < start + SLOT_HEADER_BYTES) continue;
    const view = new DataView(bytes.buffer, bytes.byteOffset + start);
    const number = view.getUint32(4, true);
    const end = start + SLOT_HEADER_BYTES + view.getUint32(8, true);
    const isWhole =
      end <= start + SLOT_BYTES &&
      end <= bytes.length &&
      view.getUint32(0, true) === checksum(bytes.subarray(start + 4, end));
    if (!isWhole || number <= last.number) continue;
    const text = new TextDecoder().decode(bytes.subarray(start + SLOT_HEADER_BYTES, end));
    last = { number, names: new Map(JSON.parse(text) as [string, number][]) };
  }
  return last;
}

function opfsError(error: unknown, path: string): LastwriteError {
  if (error instanceof LastwriteError) return error;
  const reason = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  switch (error instanceof Error ? error.name : "") {
    case "QuotaExceededError":
      return new LastwriteError("store-full", `${path}: the browser gives no more space`, {
        cause: error,
      });
    case "NoModificationAllowedError":
      return new LastwriteError(
        "store-locked",
        `${path} is open in another worker; close it there`,
        {
          cause: error,
        },
      );
    default:
      return new LastwriteError("storage-unavailable", `${path}: ${reason}`, { cause: error });
  }
}
