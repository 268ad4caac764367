/** Values as an engine keeps them: JavaScript's own form where there is one, else canonical bytes. */

import { ByteReader, ByteWriter, isInteger } from "./numbers.ts";
import { TAG } from "./tags.ts";
import { decodeText, encodeText } from "./text.ts";
import { checkPayload } from "./validate.ts";

/** Primitives as they are; bytes are canonical, of tag 7 to 13. */
export type PlainValue = null | boolean | number | string | Uint8Array;

const NO_BYTES: Uint8Array = new Uint8Array(0);

export function tagOf(value: PlainValue | undefined): number {
  switch (typeof value) {
    case "undefined":
      return TAG.tombstone;
    case "boolean":
      return value ? TAG.true : TAG.false;
    case "number":
      return isInteger(value) ? TAG.integer : TAG.float;
    case "string":
      return TAG.text;
    default:
      return value === null ? TAG.null : (value[0] as number);
  }
}

/** The canonical bytes without their tag. */
export function payloadOf(value: PlainValue | undefined): Uint8Array {
  switch (typeof value) {
    case "number":
      return numberPayload(value);
    case "string":
      return encodeText(value);
    case "object":
      return value === null ? NO_BYTES : value.subarray(1);
    default:
      return NO_BYTES;
  }
}

/** The value of a tag and a payload from outside; refuses with `corrupt-bytes` what is not canonical. Tags 1 to 13. */
export function plainValue(tag: number, payload: Uint8Array): PlainValue {
  // Checked by decoding, which text would else go through twice.
  if (tag !== TAG.text) checkPayload(tag, payload);
  switch (tag) {
    case TAG.null:
      return null;
    case TAG.false:
      return false;
    case TAG.true:
      return true;
    case TAG.integer:
      return new ByteReader(payload).svarint();
    case TAG.float:
      return new ByteReader(payload).f64();
    case TAG.text:
      return decodeText(payload);
    default:
      return canonicalBytes(tag, payload);
  }
}

/** Whether the canonical bytes of both are the same. */
export function samePlain(a: PlainValue | undefined, b: PlainValue | undefined): boolean {
  if (!(a instanceof Uint8Array && b instanceof Uint8Array)) return Object.is(a, b);
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}

function numberPayload(number: number): Uint8Array {
  const writer = new ByteWriter();
  if (isInteger(number)) return writer.svarint(number).finish();
  return (Number.isNaN(number) ? writer.u32(0).u32(0x7ff80000) : writer.f64(number)).finish();
}

function canonicalBytes(tag: number, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(1 + payload.length);
  bytes[0] = tag;
  bytes.set(payload, 1);
  return bytes;
}
