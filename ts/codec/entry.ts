/** Entries, and what they are made of. */

import type { PlainValue } from "./plain.ts";

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

export function compareHlcs(a: Hlc, b: Hlc): number {
  return a.millis - b.millis || a.counter - b.counter;
}

export function compareStamps(a: Stamp, b: Stamp): number {
  return compareHlcs(a, b) || compareIds(a.replicaId, b.replicaId);
}

export function compareIds(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

export function laterHlc(a: Hlc, b: Hlc): Hlc {
  return compareHlcs(a, b) >= 0 ? a : b;
}

/** The next HLC, the counter carrying into the milliseconds; undefined after the last. */
export function followingHlc({ millis, counter }: Hlc): Hlc | undefined {
  if (counter + 1 < STAMP_COUNTER_END) return { millis, counter: counter + 1 };
  return millis + 1 < MILLIS_END ? { millis: millis + 1, counter: 0 } : undefined;
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
