/** How sessions end: what is told of it, by which close code, and whether to try again. */

import { type ErrorCode, LastwriteError } from "../errors.ts";
import { FAILURE_MESSAGE_BYTES_MAX } from "./limits.ts";
import type { Failure } from "./messages.ts";

export const CLOSE_REGULAR = 1000;
/** Final close codes for who sends what cannot be read, or may not have what he asks for. */
const CLOSE_CODES: Readonly<Partial<Record<ErrorCode, number>>> = {
  "corrupt-bytes": 4400,
  unauthorized: 4401,
  "room-invalid": 4404,
};
/** What the other side says before it gives up and is about the two of them; the rest is its own affair. */
const SHARED_CODES: ReadonlySet<string> = new Set<ErrorCode>([
  "unsupported-protocol",
  "unauthorized",
  "room-invalid",
  "rate-limited",
  "server-closed",
  "clock-drift",
  "too-large",
]);
/** Trying again leads to the same. */
const FINAL_CODES: ReadonlySet<string> = new Set<ErrorCode>([
  "invalid-argument",
  "corrupt-bytes",
  "unsupported-protocol",
  "unauthorized",
  "room-invalid",
  "engine-poisoned",
  "closed",
  "store-closed",
  "store-corrupt",
  "store-locked",
  "store-poisoned",
  "store-read-only",
]);

/** Whether trying again leads to the same. */
export function isFinalCode(code: string): boolean {
  return FINAL_CODES.has(code);
}

/** Whether what was met on the way to a session would be met again. */
export function isFinalError(error: unknown): boolean {
  return error instanceof LastwriteError && FINAL_CODES.has(error.code);
}

export function closeCodeOf(error: LastwriteError): number {
  return CLOSE_CODES[error.code] ?? CLOSE_REGULAR;
}

/** What the other side says is wrong; undefined for what is its own affair. */
export function sharedError({ code, message }: Failure): LastwriteError | undefined {
  return SHARED_CODES.has(code) ? new LastwriteError(code as ErrorCode, message) : undefined;
}

/** Of a frame: nothing of it was merged. */
export function isUnreadable(error: unknown): error is LastwriteError {
  return (
    error instanceof LastwriteError &&
    ["corrupt-bytes", "unsupported-format", "too-large"].includes(error.code)
  );
}

export function noHello(): LastwriteError {
  return new LastwriteError("corrupt-bytes", "the other side did not say hello first");
}

export function driftedOnce(): LastwriteError {
  return new LastwriteError(
    "clock-drift",
    "the clocks of the two sides lie too far apart: what is stamped beyond the limit was not exchanged",
  );
}

/** What the other side is told. */
export function failureOf({ code, message }: LastwriteError, final: boolean): Failure {
  // Four bytes at most for each unit of it.
  return {
    type: "error",
    code,
    message: message.slice(0, FAILURE_MESSAGE_BYTES_MAX / 4).toWellFormed(),
    final,
  };
}
