/** Entries, what decides between two of them, and their hash. */

import { type Lanes, Mix } from "./hash.ts";
import { payloadOf, type PlainValue, samePlain, tagOf } from "./plain.ts";
import { TAG } from "./tags.ts";
import { compareText, encodeText } from "./text.ts";

/** The limits of docs/format.md for stamps and dots; each is the first number that is too great. */
export const MILLIS_END: number = 2 ** 48;
export const STAMP_COUNTER_END: number = 2 ** 16;
export const DOT_COUNTER_END: number = 2 ** 40;

/** A hybrid logical clock: 64 bits, so never one number. */
export interface Hlc {
  readonly millis: number;
  readonly counter: number;
}

/** Replica ids are 32 hex digits, which order as the bytes do. */
export interface Stamp extends Hlc {
  readonly replicaId: string;
}

export interface Dot {
  readonly replicaId: string;
  readonly counter: number;
}

/** What was written, when and by whom. */
export interface Write {
  /** The key, or the prefix of a prefix tombstone. */
  readonly key: string;
  readonly isPrefix: boolean;
  /** Undefined in a tombstone of either sort. */
  readonly value: PlainValue | undefined;
  readonly stamp: Stamp;
}

export interface Entry extends Write {
  readonly dot: Dot;
  /** The first dot, where a re-read gave another one. */
  readonly origin: Dot | undefined;
}

export const HLC_ZERO: Hlc = { millis: 0, counter: 0 };

/** Which of two entries of one key stays: the one of greater rank. */
export function compareRank(a: Entry, b: Entry): number {
  // A dot that a re-read gave is new to all, so it has to win over the first one, whatever the ids.
  const isNewer = Number(a.origin !== undefined) - Number(b.origin !== undefined);
  return (
    compareBeforeDot(a, b) ||
    isNewer ||
    compareDots(a.dot, b.dot) ||
    compareOrigins(a.origin, b.origin)
  );
}

/** As `compareRank`, but for dot and origin. */
export function compareBeforeDot(a: Write, b: Write): number {
  return (
    compareStamps(a.stamp, b.stamp) ||
    Number(a.value !== undefined) - Number(b.value !== undefined) ||
    compareValues(a.value, b.value)
  );
}

export function compareHlcs(a: Hlc, b: Hlc): number {
  return a.millis - b.millis || a.counter - b.counter;
}

export function compareStamps(a: Stamp, b: Stamp): number {
  return compareHlcs(a, b) || compareIds(a.replicaId, b.replicaId);
}

export function compareDots(a: Dot, b: Dot): number {
  return compareIds(a.replicaId, b.replicaId) || a.counter - b.counter;
}

/** By dot; clones give one dot to several writes, so then by key bytes, a prefix tombstone before an entry. */
export function compareByDot(a: Entry, b: Entry): number {
  return compareDots(a.dot, b.dot) || compareKeys(a, b);
}

export function compareIds(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/** By key bytes, a prefix tombstone before an entry. */
export function compareKeys(a: Write, b: Write): number {
  return compareText(a.key, b.key) || Number(b.isPrefix) - Number(a.isPrefix);
}

/** Whether both are the same write: key, kind, stamp and value. */
export function sameWrite(a: Write, b: Write): boolean {
  return (
    a.key === b.key &&
    a.isPrefix === b.isPrefix &&
    compareStamps(a.stamp, b.stamp) === 0 &&
    samePlain(a.value, b.value)
  );
}

export function laterHlc(a: Hlc, b: Hlc): Hlc {
  return compareHlcs(a, b) >= 0 ? a : b;
}

/** The next HLC, the counter carrying into the milliseconds; undefined after the last. */
export function followingHlc({ millis, counter }: Hlc): Hlc | undefined {
  if (counter + 1 < STAMP_COUNTER_END) return { millis, counter: counter + 1 };
  return millis + 1 < MILLIS_END ? { millis: millis + 1, counter: 0 } : undefined;
}

export function entryTag(entry: Write): number {
  return entry.isPrefix ? TAG.prefix : tagOf(entry.value);
}

export function entryHash(entry: Write): Lanes {
  const { millis, counter, replicaId } = entry.stamp;
  const key = encodeText(entry.key);
  const payload = payloadOf(entry.value);
  return new Mix(idLanes(replicaId))
    .block(
      key.length | (entryTag(entry) << 16),
      payload.length,
      ((millis % STAMP_COUNTER_END) << 16) | counter,
      Math.floor(millis / STAMP_COUNTER_END),
    )
    .bytes(key)
    .bytes(payload)
    .finish();
}

export function idText(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes)
    text += (HEX_DIGITS[byte >>> 4] as string) + (HEX_DIGITS[byte & 15] as string);
  return text;
}

export function idBytes(id: string): Uint8Array {
  const bytes = new Uint8Array(id.length / 2);
  for (let at = 0; at < bytes.length; at++)
    bytes[at] = Number.parseInt(id.slice(2 * at, 2 * at + 2), 16);
  return bytes;
}

const HEX_DIGITS = "0123456789abcdef";

// Entries of one writer come in rows, so the last id is asked for again.
let lastId = "";
let lastLanes: Lanes = [0, 0, 0, 0];

function idLanes(id: string): Lanes {
  if (id !== lastId) {
    const view = new DataView(idBytes(id).buffer);
    const lane = (at: number): number => view.getUint32(at, true);
    [lastId, lastLanes] = [id, [lane(0), lane(4), lane(8), lane(12)]];
  }
  return lastLanes;
}

function compareOrigins(a: Dot | undefined, b: Dot | undefined): number {
  if (a === undefined || b === undefined) return Number(a !== undefined) - Number(b !== undefined);
  return compareDots(a, b);
}

/** Orders values as their canonical bytes; no value comes first. */
function compareValues(a: PlainValue | undefined, b: PlainValue | undefined): number {
  return tagOf(a) - tagOf(b) || compareBytes(payloadOf(a), payloadOf(b));
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at++) {
    const difference = (a[at] as number) - (b[at] as number);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}
