/** Base64 with padding, in the one form that each string of bytes has. */

import { corrupt } from "../codec/numbers.ts";

const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const NONE = 64;

/** By code unit; one more than the greatest digit for whatever is no digit. */
const VALUES: Uint8Array = new Uint8Array(128).fill(NONE);
for (let value = 0; value < DIGITS.length; value++) VALUES[DIGITS.charCodeAt(value)] = value;

const decoder = new TextDecoder("latin1");

export function encodeBase64(bytes: Uint8Array): string {
  const codes = new Uint8Array(4 * Math.ceil(bytes.length / 3)).fill(61);
  let to = 0;
  for (let at = 0; at < bytes.length; at += 3) {
    const count = Math.min(3, bytes.length - at) + 1;
    const bits = ((bytes[at] ?? 0) << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0);
    for (let digit = 0; digit < count; digit++) {
      codes[to + digit] = DIGITS.charCodeAt((bits >>> (18 - 6 * digit)) & 63);
    }
    to += 4;
  }
  return decoder.decode(codes);
}

/** How many bytes `text` stands for, if it is base64 at all. */
export function base64Length(text: string): number {
  return (text.length / 4) * 3 - paddingOf(text);
}

/** Refuses with `corrupt-bytes` what `encodeBase64` would not give. */
export function decodeBase64(text: string): Uint8Array {
  if (text.length % 4 !== 0) throw noBase64();
  const padding = paddingOf(text);
  const bytes = new Uint8Array(base64Length(text));
  const digitsEnd = text.length - padding;
  let to = 0;
  for (let at = 0; at < text.length; at += 4) {
    let bits = 0;
    for (let digit = at; digit < at + 4; digit++) {
      const value = digit < digitsEnd ? VALUES[text.charCodeAt(digit)] : 0;
      if (value === undefined || value === NONE) throw noBase64();
      bits = (bits << 6) | value;
    }
    const count = Math.min(3, bytes.length - to);
    for (let byte = 0; byte < count; byte++) bytes[to++] = bits >>> (16 - 8 * byte);
    // Bits that belong to no byte.
    if (count < 3 && (bits & (2 ** (8 * (3 - count)) - 1)) !== 0) throw noBase64();
  }
  return bytes;
}

function paddingOf(text: string): number {
  if (text.endsWith("==")) return 2;
  return text.endsWith("=") ? 1 : 0;
}

function noBase64(): Error {
  return corrupt("bytes are not in base64 with padding");
}
