/** How the program tells others how it ended: docs/server.md, Exit codes. */

import { type ErrorCode, LastwriteError } from "../errors.ts";

export const EXIT = {
  done: 0,
  failed: 1,
  usage: 2,
  address: 3,
  storage: 4,
} as const;

const BY_CODE: Readonly<Partial<Record<ErrorCode, number>>> = {
  "invalid-argument": EXIT.usage,
  "link-failed": EXIT.address,
  "storage-unavailable": EXIT.storage,
};

/** What an error that nobody caught ends the program with. */
export function exitCodeOf(error: unknown): number {
  const known = error instanceof LastwriteError ? BY_CODE[error.code] : undefined;
  return known ?? EXIT.failed;
}
