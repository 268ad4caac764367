/** What the numbers mean by which the native addon and the WASM build say that a call failed. */

import { type ErrorCode, LastwriteError, type Side } from "../errors.ts";

/** By number, from 1: the kinds of crates/core/src/error.rs. */
const KINDS: readonly (readonly [code: ErrorCode, side?: Side])[] = [
  ["invalid-argument"],
  ["invalid-key"],
  ["invalid-prefix"],
  ["invalid-value"],
  ["corrupt-bytes"],
  ["unsupported-format"],
  ["too-large"],
  ["clock-drift"],
  ["below-horizon"],
  ["below-horizon", "receiver"],
  ["below-horizon", "sender"],
  ["transaction-open"],
  ["closed"],
];

/** The error of this number; undefined for a panic, and for whatever else is none of the kinds. */
export function failure(number: number, reason: string): LastwriteError | undefined {
  const kind = KINDS[number - 1];
  if (kind === undefined) return undefined;
  const [code, side] = kind;
  return new LastwriteError(code, reason, side && { side });
}

/** The error of every call of an engine that panicked with this message. */
export function poisoned(message: string, cause?: unknown): LastwriteError {
  return new LastwriteError(
    "engine-poisoned",
    `the engine panicked and is out of use, with all its dictionaries; load another one. The panic said: ${message}`,
    cause === undefined ? {} : { cause },
  );
}
