/** Stands for the files of Node where there are none, so that no bundle for a browser names its modules. */

import { LastwriteError } from "../errors.ts";

/** A file that one opener has for itself. */
export interface FileLock {
  /** Lets others have it. Harmless when done twice. */
  release(): void;
  /** As `release`, for whoever could not open what it is the lock of: the file is removed where it was made for this lock. */
  discard(): void;
}

/** Throws `storage-unavailable`. */
export function lockFile(path: string): FileLock {
  throw noFiles(path);
}

/** Throws `storage-unavailable`. */
export function fileIdentity(path: string): string {
  throw noFiles(path);
}

function noFiles(path: string): LastwriteError {
  return new LastwriteError(
    "storage-unavailable",
    `${path} is a file, which only Node has; take another persistence`,
  );
}
