/** What adapters need of files beyond Node's own calls: who has one, and which one it is. */

import { existsSync, rmSync, statSync } from "node:fs";

import { nativeFileLocks } from "../engine/native.ts";
import { LastwriteError } from "../errors.ts";
import type { FileLock } from "./files-absent.ts";

export type { FileLock };

/**
 * Takes the file at `path` for this opener alone, of all processes, threads and openers, until it is released or the process or thread ends. The file is
 * made if need be; nothing is written to it. Never waits.
 *
 * Throws `store-locked` when somebody else has it, `storage-unavailable` when there is no addon for this system to ask, and the system's own error, with its `code`, when the
 * file cannot be opened for writing.
 */
export function lockFile(path: string): FileLock {
  const locks = fileLocks(path);
  const wasThere = existsSync(path);
  const lock = locks.lockFile(path);
  if (lock < 0) {
    throw new LastwriteError(
      "store-locked",
      `${path} is locked by another opener, here or in another process; close that one first`,
    );
  }
  return new HeldLock(path, wasThere, () => locks.unlockFile(lock));
}

class HeldLock implements FileLock {
  readonly #path: string;
  readonly #wasThere: boolean;
  /** Undefined once it is released. */
  #unlock: (() => void) | undefined;

  constructor(path: string, wasThere: boolean, unlock: () => void) {
    this.#path = path;
    this.#wasThere = wasThere;
    this.#unlock = unlock;
  }

  release(): void {
    this.#unlock?.();
    this.#unlock = undefined;
  }

  discard(): void {
    if (this.#unlock === undefined) return;
    try {
      // While it is held. Who has opened it meanwhile finds, when he has the lock, that it has no name, and takes another; Windows does not tell him.
      if (!this.#wasThere && process.platform !== "win32") rmSync(this.#path, { force: true });
    } catch {
      // It stays, empty, which harms nobody.
    } finally {
      this.release();
    }
  }
}

/**
 * Device and inode of the file at `path`, as text: a copy has another, a file that was moved on the same device has the same.
 *
 * Throws the system's own error, with its `code`, when there is no such file.
 */
export function fileIdentity(path: string): string {
  const { dev, ino } = statSync(path, { bigint: true });
  return `${dev}:${ino}`;
}

function fileLocks(path: string): ReturnType<typeof nativeFileLocks> {
  try {
    return nativeFileLocks();
  } catch (error) {
    throw new LastwriteError(
      "storage-unavailable",
      `${path} cannot be locked, as there is no addon for this system; where nobody else opens it, do without by { lock: "none" }`,
      { cause: error },
    );
  }
}
