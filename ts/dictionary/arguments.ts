/** What callers may pass: checked here once, so that engines can rely on it. */

import { STAMP_COUNTER_END, idBytes } from "../codec/entry.ts";
import { isBytes } from "../codec/value.ts";
import { LastwriteError, type ErrorCode } from "../errors.ts";
import type { ExplicitStamp, KeyRange, ReadRange } from "./contract.ts";

/**
 * Times are below this, the year 6429: half of what a stamp can hold. So no time and no drift limit, one upon the other, reach the end of
 * stamps, where a clock could not tick any more and all stamps would be equal. Only a snapshot that one starts from is taken as it is.
 */
const TIME_END = 2 ** 47;

/** Throws `invalid-key` unless `key` is a string without lone surrogates; how long it is, the engine looks at. */
export function checkKey(key: string): void {
  if (typeof key !== "string" || !key.isWellFormed()) {
    throw notWellFormed(key, "the key", "invalid-key");
  }
}

/** As `checkKey`, for `deletePrefix`; that it ends in `/` is looked at by the engine. */
export function checkPrefix(prefix: string): void {
  if (typeof prefix !== "string" || !prefix.isWellFormed()) {
    throw notWellFormed(prefix, "the prefix", "invalid-prefix");
  }
}

/** The bounds that are given, checked. */
export function checkRange(range: KeyRange): KeyRange {
  if (typeof range !== "object" || range === null) {
    throw invalid(`a range must be an object such as { prefix: "tasks/" }, not ${typeof range}`);
  }
  for (const name of ["prefix", "from", "to"] as const) {
    const bound: unknown = range[name];
    if (bound !== undefined && (typeof bound !== "string" || !bound.isWellFormed())) {
      throw notWellFormed(bound, `\`${name}\` of the range`, "invalid-argument");
    }
  }
  return range;
}

export function checkReadRange(range: ReadRange): ReadRange {
  checkRange(range);
  const { limit } = range;
  if (limit !== undefined && limit !== Infinity && !(Number.isInteger(limit) && limit >= 0)) {
    throw invalid(`the limit must be a whole number from 0, not ${String(limit)}`);
  }
  return range;
}

/** How many bytes a part may have, checked. */
export function checkPartBytesMax(partBytesMax: number): number {
  if (partBytesMax !== Infinity && !(Number.isInteger(partBytesMax) && partBytesMax >= 1)) {
    throw invalid(`\`partBytesMax\` must be a whole number from 1, not ${inWords(partBytesMax)}`);
  }
  return partBytesMax;
}

export function checkBytes(bytes: Uint8Array, what: string): void {
  if (!isBytes(bytes)) throw invalid(`${what} must be a Uint8Array, not ${typeof bytes}`);
}

/** One piece or several as a list. */
export function checkParts(parts: Uint8Array | Iterable<Uint8Array>, what: string): Uint8Array[] {
  if (isBytes(parts)) return [parts];
  if (typeof parts !== "object" || parts === null || !(Symbol.iterator in parts)) {
    throw invalid(`${what} must be a Uint8Array, or several, not ${typeof parts}`);
  }
  const list = [...parts];
  for (const part of list) checkBytes(part, `each part of ${what}`);
  return list;
}

export function checkFunction(fn: unknown, what: string): void {
  if (typeof fn !== "function") throw invalid(`${what} must be a function, not ${typeof fn}`);
}

/** The 16 bytes of a replica id. */
export function checkReplicaId(id: string): Uint8Array {
  if (typeof id !== "string" || !/^[0-9a-f]{32}$/iu.test(id)) {
    throw invalid(`a replica id is 32 hex digits, not ${JSON.stringify(id)}`);
  }
  return idBytes(id);
}

export function checkStamp(stamp: ExplicitStamp): void {
  if (typeof stamp !== "object" || stamp === null) {
    throw invalid(
      `a stamp must be an object such as { millis: 1_700_000_000_000 }, not ${typeof stamp}`,
    );
  }
  const { millis, counter = 0 } = stamp;
  if (!isBelow(millis, TIME_END)) {
    throw invalid(
      `the milliseconds of a stamp are a whole number below 2^47, not ${String(millis)}`,
    );
  }
  if (!isBelow(counter, STAMP_COUNTER_END)) {
    throw invalid(`the counter of a stamp is a whole number below 65,536, not ${String(counter)}`);
  }
}

/** Whole milliseconds that an engine takes. `what` names where they come from. */
export function checkMillis(millis: number, what: string): number {
  // Not of type number fails the comparisons too, or is caught by the last one.
  if (!(millis >= 0 && millis < TIME_END) || typeof millis !== "number") {
    throw invalid(
      `${what} must be a number of milliseconds from 0 to below 2^47, not ${String(millis)}`,
    );
  }
  return Math.floor(millis);
}

/** Refuses options of which there are none such: one that is misspelt would otherwise be lost without a word. */
export function checkOptions(given: object, names: readonly string[], what: string): void {
  if (typeof given !== "object" || given === null) {
    throw invalid(`the options of ${what} are an object, not ${inWords(given)}`);
  }
  const strange = Object.keys(given).find((name) => !names.includes(name));
  if (strange === undefined) return;
  throw invalid(
    `there is no option ${JSON.stringify(strange)} of ${what}; there are ${names.join(", ")}`,
  );
}

export function invalid(message: string): LastwriteError {
  return new LastwriteError("invalid-argument", message);
}

/** What was given, so that "9" is told from 9. */
function inWords(given: unknown): string {
  return typeof given === "string" ? JSON.stringify(given) : String(given);
}

function isBelow(value: number, end: number): boolean {
  return Number.isInteger(value) && value >= 0 && value < end;
}

function notWellFormed(text: unknown, what: string, code: ErrorCode): LastwriteError {
  if (typeof text !== "string") {
    return new LastwriteError(code, `${what} must be a string, not ${typeof text}`);
  }
  const shown = JSON.stringify(text.length > 64 ? `${text.slice(0, 64)}…` : text);
  return new LastwriteError(
    code,
    `${what} ${shown} holds a lone surrogate, which UTF-8 cannot carry; see String.prototype.toWellFormed`,
  );
}
