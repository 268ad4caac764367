/** Whether bytes from outside are the canonical ones of a value; what is not is `corrupt-bytes`. */

import { ByteReader, corrupt, isInteger } from "./numbers.ts";
import { isMeasured, TAG } from "./tags.ts";
import { decodeText } from "./text.ts";

/** The longest payload: with its tag, a value has at most 1 MiB. */
export const PAYLOAD_BYTES_MAX: number = 2 ** 20 - 1;
/** The deepest nesting of arrays and objects. */
export const DEPTH_MAX = 64;
export const BIGINT_BYTES_MAX = 8192;
export const TYPE_NAME_BYTES_MAX = 16;

const DATE_MAX = 8.64e15;

/** Checks the payload of a whole value; tombstones have none. */
export function checkPayload(tag: number, payload: Uint8Array): void {
  if (payload.length > PAYLOAD_BYTES_MAX) throw corrupt("a value is longer than 1 MiB");
  const reader = new ByteReader(payload);
  checkContent(tag, reader, 1);
  reader.end("a value");
}

/** Reads the payload of an item: what `checkContent` reads, after its length where one is given. */
function checkItem(reader: ByteReader, depth: number): void {
  const tag = reader.u8();
  if (tag < TAG.null || tag > TAG.tagged) throw corrupt("an item has an unknown tag");
  const isContainer = tag === TAG.array || tag === TAG.object;
  if (isMeasured(tag) && !isContainer) checkMeasured(tag, reader);
  else checkContent(tag, reader, depth);
}

function checkMeasured(tag: number, reader: ByteReader): void {
  checkContent(tag, new ByteReader(reader.take(reader.length())), 1);
}

/** Reads a payload: to the end of `reader` where the tag does not say how long it is. */
function checkContent(tag: number, reader: ByteReader, depth: number): void {
  switch (tag) {
    case TAG.tombstone:
    case TAG.null:
    case TAG.false:
    case TAG.true:
    case TAG.prefix:
      return;
    case TAG.integer:
      reader.svarint();
      return;
    case TAG.float:
      checkFloat(reader);
      return;
    case TAG.text:
      decodeText(reader.rest());
      return;
    case TAG.wideText:
      checkWideText(reader.rest());
      return;
    case TAG.bytes:
      reader.rest();
      return;
    case TAG.bigint:
      checkBigint(reader);
      return;
    case TAG.date:
      if (Math.abs(reader.svarint()) > DATE_MAX) throw corrupt("a date is out of range");
      return;
    case TAG.array:
      checkItems(reader, depth);
      return;
    case TAG.object:
      checkMembers(reader, depth);
      return;
    case TAG.tagged:
      checkTagged(reader);
      return;
    default:
      throw corrupt("a tag is unknown");
  }
}

function checkFloat(reader: ByteReader): void {
  const bytes = reader.take(8);
  const number = new ByteReader(bytes).f64();
  const isOtherNan = Number.isNaN(number) && !bytes.every((byte, at) => byte === NAN_BYTES[at]);
  if (isInteger(number) || isOtherNan) throw corrupt("a float is not canonical");
}

const NAN_BYTES: readonly number[] = [0, 0, 0, 0, 0, 0, 0xf8, 0x7f];

function checkWideText(bytes: Uint8Array): void {
  const reader = new ByteReader(bytes);
  let isHighBefore = false;
  let hasLone = false;
  while (reader.remaining > 0) {
    const unit = reader.u16();
    const isHigh = unit >= 0xd800 && unit < 0xdc00;
    const isLow = unit >= 0xdc00 && unit < 0xe000;
    if (isHighBefore !== isLow) hasLone = true;
    isHighBefore = isHigh;
  }
  if (!hasLone && !isHighBefore) throw corrupt("a text of UTF-16 has no lone surrogate");
}

function checkBigint(reader: ByteReader): void {
  const sign = reader.u8();
  const magnitude = reader.rest();
  const isZero = magnitude.length === 0;
  if (
    sign > 1 ||
    (isZero && sign === 1) ||
    magnitude.at(-1) === 0 ||
    magnitude.length > BIGINT_BYTES_MAX
  ) {
    throw corrupt("a bigint is not canonical");
  }
}

function checkItems(reader: ByteReader, depth: number): void {
  for (let left = itemCount(reader, depth); left > 0; left--) checkItem(reader, depth + 1);
}

function checkMembers(reader: ByteReader, depth: number): void {
  for (let left = itemCount(reader, depth); left > 0; left--) {
    const tag = reader.u8();
    if (tag !== TAG.text && tag !== TAG.wideText) throw corrupt("the key of a member is no text");
    checkMeasured(tag, reader);
    checkItem(reader, depth + 1);
  }
}

function itemCount(reader: ByteReader, depth: number): number {
  if (depth > DEPTH_MAX) throw corrupt(`a value is nested deeper than ${DEPTH_MAX}`);
  return reader.length();
}

function checkTagged(reader: ByteReader): void {
  const length = reader.u8();
  if (length === 0 || length > TYPE_NAME_BYTES_MAX)
    throw corrupt("a type name is empty or too long");
  decodeText(reader.take(length));
  const tag = reader.u8();
  if (tag < TAG.text || tag > TAG.bytes)
    throw corrupt("a tagged value holds neither text nor bytes");
  checkContent(tag, reader, 1);
}
