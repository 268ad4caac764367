/** Text as UTF-8, the order of its bytes, and what a key and a prefix may be. */

import { corrupt } from "./numbers.ts";

/** The longest key or prefix. */
export const KEY_BYTES_MAX = 1024;

// A byte order mark is a character like any other.
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();
// Short text, which is nearly all of it, takes a fifth of the time by way of a buffer that is there already.
const SHORT_UNITS_MAX = 1024;
const shortBytes = new Uint8Array(3 * SHORT_UNITS_MAX);

export function encodeText(text: string): Uint8Array {
  if (text.length > SHORT_UNITS_MAX) return encoder.encode(text);
  return shortBytes.slice(0, encoder.encodeInto(text, shortBytes).written);
}

/** Refuses what is not UTF-8 with `corrupt-bytes`. */
export function decodeText(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch (error) {
    throw corrupt(`a text is no UTF-8 (${String(error)})`);
  }
}

/** Whether it is well-formed text of at most so many bytes. */
export function isText(given: unknown, bytesMax: number): given is string {
  // A unit of UTF-16 takes at least one byte.
  if (typeof given !== "string" || given.length > bytesMax) return false;
  return given.isWellFormed() && encodeText(given).length <= bytesMax;
}

/** Orders well-formed text as its UTF-8 bytes would be, which is by code point. */
export function compareText(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at++) {
    const left = a.charCodeAt(at);
    const right = b.charCodeAt(at);
    if (left !== right) return surrogatesLast(left) - surrogatesLast(right);
  }
  return a.length - b.length;
}

export function isKey(key: string): boolean {
  return key.length > 0 && fits(key);
}

export function isPrefix(prefix: string): boolean {
  return (prefix === "" || prefix.endsWith("/")) && fits(prefix);
}

function fits(text: string): boolean {
  // A unit of UTF-16 takes at most three bytes, so most texts need not be measured.
  if (text.length * 3 <= KEY_BYTES_MAX) return true;
  return text.length <= KEY_BYTES_MAX && encodeText(text).length <= KEY_BYTES_MAX;
}

/** Moves the surrogates, which stand for the greatest code points, above all other units. */
function surrogatesLast(unit: number): number {
  if (unit < 0xd800) return unit;
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
}
