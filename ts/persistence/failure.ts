/** What adapters throw, as the errors of a store. */

import { type ErrorCode, LastwriteError } from "../errors.ts";

/** After these the next try may succeed. */
const TRIED_AGAIN: ReadonlySet<ErrorCode> = new Set(["store-full", "storage-unavailable"]);

/** Whether the next try to keep something may succeed where this error was met. */
export function isTriedAgain(error: unknown): boolean {
  return error instanceof LastwriteError && TRIED_AGAIN.has(error.code);
}

/** What was thrown by the place of that name: as it is, if it is one of ours. */
export function asStoreError(error: unknown, name: string): LastwriteError {
  if (error instanceof LastwriteError) return error;
  const why = error instanceof Error ? error.message : String(error);
  return new LastwriteError("storage-unavailable", `${name} cannot be used: ${why}`, {
    cause: error,
  });
}
