/** Numbers as docs/format.md writes them: a reader that checks every length, and a writer that grows. */

import { LastwriteError } from "../errors.ts";

/** The greatest number that a varint holds. */
export const VARINT_MAX: number = Number.MAX_SAFE_INTEGER;

const INTEGER_MAX = 2 ** 53;
const U32 = 2 ** 32;
const U64_END = 2 ** 64;

// Views cost more to make than most of what is read and written here.
const floatBytes = new Uint8Array(8);
const floatView = new DataView(floatBytes.buffer);

/** What bytes are refused with that do not follow docs/format.md. */
export function corrupt(reason: string): LastwriteError {
  return new LastwriteError("corrupt-bytes", `${reason}; ask for the bytes again`);
}

/** Reads from the front; running out of bytes, or a form that is not the shortest, is `corrupt-bytes`. */
export class ByteReader {
  readonly bytes: Uint8Array;
  position: number;

  constructor(bytes: Uint8Array, position = 0) {
    this.bytes = bytes;
    this.position = position;
  }

  get remaining(): number {
    return this.bytes.length - this.position;
  }

  u8(): number {
    const byte = this.bytes[this.position];
    if (byte === undefined) throw endsTooEarly();
    this.position++;
    return byte;
  }

  u16(): number {
    const low = this.u8();
    return low + this.u8() * 2 ** 8;
  }

  u32(): number {
    const low = this.u16();
    return low + this.u16() * 2 ** 16;
  }

  f64(): number {
    floatBytes.set(this.take(8));
    return floatView.getFloat64(0, true);
  }

  /** The next `length` bytes, not copied. */
  take(length: number): Uint8Array {
    const start = this.#skip(length);
    return this.bytes.subarray(start, start + length);
  }

  rest(): Uint8Array {
    return this.take(this.remaining);
  }

  varint(): number {
    const byte = this.u8();
    return byte < 0x80 ? byte : this.#continued(byte & 0x7f, 2 ** 7, VARINT_MAX);
  }

  /** A varint that counts what takes at least a byte each: never more than what remains. */
  length(): number {
    const length = this.varint();
    if (length > this.remaining) throw endsTooEarly();
    return length;
  }

  svarint(): number {
    const byte = this.u8();
    const isNegative = (byte & 0x40) !== 0;
    const low = byte & 0x3f;
    const max = isNegative ? INTEGER_MAX - 1 : INTEGER_MAX;
    const magnitude = byte < 0x80 ? low : this.#continued(low, 2 ** 6, max);
    return isNegative ? -1 - magnitude : magnitude;
  }

  /** Refuses bytes that nothing has read. */
  end(what: string): void {
    if (this.remaining > 0) throw corrupt(`${what} has bytes too many`);
  }

  #continued(low: number, firstScale: number, max: number): number {
    let value = low;
    for (let scale = firstScale; ; scale *= 2 ** 7) {
      const byte = this.u8();
      const bits = byte & 0x7f;
      // Asked before adding, as the sum could be rounded to one that is allowed.
      if (bits > (max - value) / scale || scale > max) throw corrupt("a number is too great");
      value += bits * scale;
      if (byte < 0x80) {
        if (byte === 0) throw corrupt("a number is not in its shortest form");
        return value;
      }
    }
  }

  #skip(length: number): number {
    if (length > this.remaining) throw endsTooEarly();
    const start = this.position;
    this.position += length;
    return start;
  }
}

/** Appends numbers and bytes. */
export class ByteWriter {
  #bytes: Uint8Array;
  #length = 0;

  /** `capacity`: how many bytes there is room for before more memory is taken. */
  constructor(capacity = 64) {
    this.#bytes = new Uint8Array(capacity);
  }

  get length(): number {
    return this.#length;
  }

  u8(byte: number): this {
    const start = this.#grow(1);
    this.#bytes[start] = byte;
    return this;
  }

  u16(number: number): this {
    return this.u8(number & 0xff).u8(number >>> 8);
  }

  u32(number: number): this {
    return this.u16(number & 0xffff).u16(number >>> 16);
  }

  /** A u64 from a whole number; what lies beyond is written as the greatest. */
  u64(number: number): this {
    if (number >= U64_END) return this.u32(U32 - 1).u32(U32 - 1);
    return this.u32(number % U32).u32(Math.floor(number / U32));
  }

  f64(number: number): this {
    floatView.setFloat64(0, number, true);
    return this.bytes(floatBytes);
  }

  bytes(bytes: Uint8Array): this {
    const start = this.#grow(bytes.length);
    this.#bytes.set(bytes, start);
    return this;
  }

  varint(number: number): this {
    let rest = number;
    while (rest >= 0x80) {
      this.u8((rest % 0x80) | 0x80);
      rest = Math.floor(rest / 0x80);
    }
    return this.u8(rest);
  }

  svarint(number: number): this {
    const magnitude = number < 0 ? -1 - number : number;
    const first = (magnitude % 0x40) | (number < 0 ? 0x40 : 0);
    if (magnitude < 0x40) return this.u8(first);
    return this.u8(first | 0x80).varint(Math.floor(magnitude / 0x40));
  }

  /** The low byte of each unit of `text`: what it is in UTF-8, and in less time, when it is short and all ASCII. */
  ascii(text: string): this {
    const start = this.#grow(text.length);
    for (let at = 0; at < text.length; at++) this.#bytes[start + at] = text.charCodeAt(at);
    return this;
  }

  /** Zero bytes up to the next multiple of 8. */
  align8(): this {
    while (this.#length % 8 !== 0) this.u8(0);
    return this;
  }

  /** What was written so far; not a copy, so write no more afterwards. */
  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /** A copy of what was written so far, after which writing begins anew in the buffer that is there. */
  takeCopy(): Uint8Array {
    const copy = this.#bytes.slice(0, this.#length);
    this.#length = 0;
    return copy;
  }

  /** Returns where to write; may replace the bytes, so take them afterwards. */
  #grow(length: number): number {
    const start = this.#length;
    this.#length += length;
    if (this.#length > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(this.#length, 2 * this.#bytes.length));
      grown.set(this.#bytes.subarray(0, start));
      this.#bytes = grown;
    }
    return start;
  }
}

/** Whether a number is written as a signed varint: integral, within ±2^53, and not −0. */
export function isInteger(number: number): boolean {
  return Number.isInteger(number) && Math.abs(number) <= INTEGER_MAX && !Object.is(number, -0);
}

/** Signed whole numbers as unsigned ones, small magnitudes first. */
export function zigzag(number: number): number {
  return number < 0 ? -2 * number - 1 : 2 * number;
}

export function unzigzag(number: number): number {
  return number % 2 === 0 ? number / 2 : -(number + 1) / 2;
}

function endsTooEarly(): LastwriteError {
  return corrupt("the bytes end too early");
}
