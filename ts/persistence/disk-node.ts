/** The disk of Node: calls with callbacks, since those of `node:fs/promises` cost strict writes a quarter more. */

import fs from "node:fs";
import path from "node:path";

import { LastwriteError } from "../errors.ts";
import { fileIdentity } from "./files.ts";

import type { Disk, DiskFile } from "./disk.ts";

/** Names are paths. */
export function nodeDisk(): Disk {
  return {
    open: openFile,
    create: createFile,
    rename: (from, to) => settled(to, (done) => fs.rename(from, to, done)),
    remove: (name) => settled(name, (done) => fs.rm(name, { force: true }, done)),
    syncFolder,
    identity: async (name) => identityOf(name),
  };
}

/** What the system says of `name`, under the codes of this library. */
export function diskError(error: NodeJS.ErrnoException, name: string): LastwriteError {
  const { code } = error;
  if (code !== undefined && FULL.has(code)) {
    return new LastwriteError("store-full", `there is no room for ${name}: ${error.message}`, {
      cause: error,
    });
  }
  return new LastwriteError("storage-unavailable", `${name} cannot be used: ${error.message}`, {
    cause: error,
  });
}

const FULL: ReadonlySet<string> = new Set(["ENOSPC", "EDQUOT", "EFBIG"]);

type Done = (error: NodeJS.ErrnoException | null) => void;

class NodeFile implements DiskFile {
  readonly #descriptor: number;
  readonly #name: string;

  constructor(descriptor: number, name: string) {
    this.#descriptor = descriptor;
    this.#name = name;
  }

  size(): Promise<number> {
    return answered(this.#name, (done) =>
      fs.fstat(this.#descriptor, (error, stats) => done(error, stats?.size)),
    );
  }

  async read(into: Uint8Array, at: number): Promise<number> {
    let count = 0;
    while (count < into.length) {
      const start = count;
      const more = await answered<number>(this.#name, (done) =>
        fs.read(this.#descriptor, into, start, into.length - start, at + start, done),
      );
      if (more === 0) break;
      count += more;
    }
    return count;
  }

  write(bytes: Uint8Array, at: number): Promise<void> {
    return settled(this.#name, (done) => writeAll(this.#descriptor, bytes, 0, at, done));
  }

  sync(): Promise<void> {
    return settled(this.#name, (done) => fs.fdatasync(this.#descriptor, done));
  }

  truncate(size: number): Promise<void> {
    return settled(this.#name, (done) => fs.ftruncate(this.#descriptor, size, done));
  }

  close(): Promise<void> {
    return settled(this.#name, (done) => fs.close(this.#descriptor, done));
  }
}

async function openFile(name: string, access: "read" | "write"): Promise<DiskFile | undefined> {
  const flags = access === "read" ? "r" : "r+";
  try {
    return new NodeFile(await descriptorOf(name, flags), name);
  } catch (error) {
    if (error instanceof LastwriteError && isAbsent(error.cause)) return undefined;
    throw error;
  }
}

async function createFile(name: string, like?: string): Promise<DiskFile> {
  const descriptor = await descriptorOf(name, "w+");
  try {
    if (like !== undefined) await copyPermissions(like, descriptor);
  } catch (error) {
    fs.closeSync(descriptor);
    throw error;
  }
  return new NodeFile(descriptor, name);
}

/** A store that only its owner may read stays so when it is replaced. */
async function copyPermissions(like: string, descriptor: number): Promise<void> {
  const stats = await answered<fs.Stats | undefined>(like, (done) =>
    fs.stat(like, (error, found) => (isAbsent(error) ? done(null) : done(error, found))),
  );
  if (stats === undefined) return;
  await settled(like, (done) => fs.fchmod(descriptor, stats.mode & 0o7777, done));
  // Only root may give files away; whoever else may write here keeps the new one.
  await settled(like, (done) => fs.fchown(descriptor, stats.uid, stats.gid, done)).catch(() => {});
}

/** Windows has no way to sync a folder, and no need: a rename is in its journal. */
async function syncFolder(name: string): Promise<void> {
  if (process.platform === "win32") return;
  const descriptor = await descriptorOf(path.dirname(name), "r");
  try {
    await settled(name, (done) => fs.fsync(descriptor, done));
  } finally {
    fs.closeSync(descriptor);
  }
}

function identityOf(name: string): string {
  try {
    return fileIdentity(name);
  } catch (error) {
    throw diskError(error as NodeJS.ErrnoException, name);
  }
}

function descriptorOf(name: string, flags: string): Promise<number> {
  return answered(name, (done) => fs.open(name, flags, done));
}

function isAbsent(error: unknown): boolean {
  return error instanceof Error && Reflect.get(error, "code") === "ENOENT";
}

/** A write may stop short of its end, before a signal or the limit of one call; what is wrong with the rest the next one tells. */
function writeAll(
  descriptor: number,
  bytes: Uint8Array,
  from: number,
  at: number,
  done: Done,
): void {
  fs.write(descriptor, bytes, from, bytes.length - from, at + from, (error, count) => {
    if (error !== null || from + count === bytes.length) done(error);
    else writeAll(descriptor, bytes, from + count, at, done);
  });
}

function settled(name: string, call: (done: Done) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    call((error) => (error === null ? resolve() : reject(diskError(error, name))));
  });
}

function answered<Answer>(
  name: string,
  call: (done: (error: NodeJS.ErrnoException | null, answer?: Answer) => void) => void,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    call((error, answer) =>
      error === null ? resolve(answer as Answer) : reject(diskError(error, name)),
    );
  });
}
