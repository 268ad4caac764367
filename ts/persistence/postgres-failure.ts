/** What went wrong in the database, as codes of this library. */

import { type ErrorCode, LastwriteError } from "../errors.ts";

/** A statement that failed, and what follows from it. */
export interface Failure {
  readonly error: LastwriteError;
  /** The session is of no use any more, and whether the statement had an effect is not known. */
  readonly isLost: boolean;
  /** The same statement may succeed when it is run again. */
  readonly isPassing: boolean;
}

/** What an error of any client means for a store; `name` is that of the place. */
export function failureOf(error: unknown, name: string): Failure {
  if (error instanceof LastwriteError) return { error, isLost: false, isPassing: false };
  const state = sqlState(error);
  const message = error instanceof Error ? error.message : String(error);
  const failed = (code: ErrorCode, what: string): LastwriteError =>
    new LastwriteError(
      code,
      `${name}: ${what}: ${message}${state === undefined ? "" : ` (${state})`}`,
      {
        cause: error,
        ...(code === "store-corrupt" && { damage: { file: name, offset: 0, reason: message } }),
      },
    );
  // Without an answer of the server anything may have happened.
  const isLost = state === undefined || LOST.test(state);
  const isPassing = state !== undefined && PASSING.test(state);
  if (state === "53100") return { error: failed("store-full", "no room"), isLost, isPassing };
  if (state !== undefined && CORRUPT.test(state))
    return { error: failed("store-corrupt", "damaged"), isLost, isPassing };
  return {
    error: failed("storage-unavailable", isLost ? "no connection" : "refused"),
    isLost,
    isPassing,
  };
}

/** Connection exceptions; the server shuts down, crashed or ended the session; a session idle for too long, or a transaction that took or idled too long. */
const LOST = /^(08...|57P0[1235]|25P0[34])$/u;
/** Serialization failure and deadlock. */
const PASSING = /^40(001|P01)$/u;
/** Data or index corrupted. */
const CORRUPT = /^XX00[12]$/u;

/** The code that PostgreSQL gives, and not one of the operating system, some of which are as long. */
export function sqlState(error: unknown): string | undefined {
  const code = (error as { readonly code?: unknown } | null)?.code;
  return typeof code === "string" && /^[0-9FHPX][0-9A-Z]{4}$/u.test(code) ? code : undefined;
}
