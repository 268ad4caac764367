/** Keeps a store in one file, on Node: the embedded default, without any dependency. */

import { realpath } from "node:fs/promises";
import path from "node:path";

import { checkOptions } from "../dictionary/arguments.ts";
import { LastwriteError } from "../errors.ts";
import { type FileLock, lockFile } from "#files";

import type { Persistence } from "./contract.ts";
import { diskError, nodeDisk } from "./disk-node.ts";
import { logPersistence } from "./log-persistence.ts";

/** How the file is kept from others. */
export interface FilePersistenceOptions {
  /**
   * `"os"`: the operating system keeps others out, of all processes and threads, until the store is closed or its process has ended in whatever way; by `<path>.lock`, a file
   * that stays, but where the opening that made it fails. It needs the native addon, whichever engine runs. `"none"`: the caller sees to it that nobody else writes; two writers destroy each other's
   * records. Default: "os".
   */
  readonly lock?: "os" | "none";
}

/**
 * Keeps a store in the file at `path`, which is made when it is opened for writing; its folder has to be there. Beside it lie `<path>.lock`, and `<path>.new` while the file is
 * being replaced. docs/persistence/file.md tells what it promises.
 *
 * `open` rejects with `store-locked` at once when somebody else has the file for writing; with `storage-unavailable` when the folder is missing or the file may not be used, when there is
 * no addon to lock with, and for reading when there is no file. What is wrong in the file is said by the reading of it: `store-corrupt` with the place, `store-newer`.
 * Writing rejects with `store-full` and `storage-unavailable`, after which it may be tried again, and with `store-poisoned` once a sync has failed, until it is closed and opened again.
 *
 * An append is one write, and with `sync` one more call to the disk; a replacement writes all of the state to another file, while appends go on.
 *
 * Throws `invalid-argument` for an empty path or an unknown lock.
 */
export function filePersistence(file: string, options: FilePersistenceOptions = {}): Persistence {
  checkOptions(options, ["lock"], "filePersistence");
  const { lock = "os" } = options;
  if (typeof file !== "string" || file === "" || file.includes("\0")) {
    throw new LastwriteError(
      "invalid-argument",
      "filePersistence takes a path: a string without NUL, not empty; of a URL, fileURLToPath(url)",
    );
  }
  if (lock !== "os" && lock !== "none") {
    throw new LastwriteError(
      "invalid-argument",
      `there is no lock ${JSON.stringify(lock)}; choose "os" or "none"`,
    );
  }
  const name = path.resolve(file);
  return logPersistence(name, async (access) => {
    const real = await realName(name);
    const held = access === "write" && lock === "os" ? lockOf(real) : undefined;
    return {
      disk: nodeDisk(),
      path: real,
      release: () => held?.release(),
      abandon: () => held?.discard(),
    };
  });
}

/** The name of the file itself: who opens it by a symbolic link shares its lock, and does not replace the link. */
async function realName(name: string): Promise<string> {
  try {
    return await realpath(name);
  } catch (error) {
    if (error instanceof Error && Reflect.get(error, "code") === "ENOENT")
      return inRealFolder(name);
    throw diskError(error as NodeJS.ErrnoException, name);
  }
}

async function inRealFolder(name: string): Promise<string> {
  const folder = path.dirname(name);
  try {
    return path.join(await realpath(folder), path.basename(name));
  } catch (error) {
    throw new LastwriteError(
      "storage-unavailable",
      `there is no folder ${folder} for ${path.basename(name)}; make it first`,
      { cause: error },
    );
  }
}

/** `store-locked` says itself what to do; the rest is of the disk, but for a lack of the addon. */
function lockOf(name: string): FileLock {
  try {
    return lockFile(`${name}.lock`);
  } catch (error) {
    if (error instanceof LastwriteError && error.code === "storage-unavailable") {
      throw new LastwriteError(
        error.code,
        `${error.message}; or open it with { lock: "none" } where nobody else can`,
        { cause: error },
      );
    }
    throw error instanceof LastwriteError
      ? error
      : diskError(error as NodeJS.ErrnoException, `${name}.lock`);
  }
}
