/** JavaScript values as what an engine carries, and back. Exact, or refused: nothing is converted on the way. */

import { LastwriteError } from "../errors.ts";
import { isTagged, type Tagged } from "./tagged.ts";
import { ByteWriter, isInteger } from "./numbers.ts";
import type { PlainValue } from "./plain.ts";
import { TAG } from "./tags.ts";
import { encodeText } from "./text.ts";
import { BIGINT_BYTES_MAX, DEPTH_MAX, PAYLOAD_BYTES_MAX } from "./validate.ts";

/**
 * What a key can hold. Comes back as it went in: −0, NaN, the infinities, big integers of up to 8 KiB, any string (lone
 * surrogates included), the order of members, `__proto__` as a member. Typed views come back as a plain `Uint8Array` of
 * their own, and objects without a prototype as plain objects.
 *
 * A value has at most 1 MiB encoded, and arrays and objects nest at most 64 deep.
 */
export type Value =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | Date
  | Tagged
  | readonly Value[]
  | { readonly [member: string]: Value };

/**
 * Returns what to hand to an engine for `value`: the primitive itself, or new canonical bytes.
 *
 * Throws `invalid-value`, with the path of the culprit in the message, for what cannot be carried.
 */
export function encodeValue(value: unknown): PlainValue {
  switch (typeof value) {
    case "number":
    case "boolean":
      return value;
    case "string":
      return value.length <= SURE_UNITS_MAX && value.isWellFormed() ? value : longText(value);
    default:
      return value === null ? null : canonicalBytes(value);
  }
}

/** Text of so many units fits whatever they are: none takes more than 3 bytes. */
const SURE_UNITS_MAX = Math.floor(PAYLOAD_BYTES_MAX / 3);

/** Text that is not well-formed, or that has to be measured. */
function longText(text: string): PlainValue {
  const bytes = canonicalBytes(text);
  return bytes[0] === TAG.text ? text : bytes;
}

/** Up to here the buffer of an encoder is kept for the next value. */
const KEPT_BYTES_MAX = 2 ** 14;
/** Up to here a loop over the units beats the call of the platform. */
const SHORT_UNITS_MAX = 24;

/** To be used again, as most values are small. Not there while in use: the trap of a proxy may come back here. */
let idleEncoder: ValueEncoder | undefined;

function canonicalBytes(value: unknown): Uint8Array {
  const encoder = idleEncoder ?? new ValueEncoder();
  idleEncoder = undefined;
  // One that throws is in the middle of a value, and forgotten.
  encoder.write(value);
  if (encoder.length > KEPT_BYTES_MAX) return encoder.finish();
  idleEncoder = encoder;
  return encoder.takeCopy();
}

class ValueEncoder {
  readonly #out = new ByteWriter();
  /** The objects around the current value, outermost first; as many as its depth. */
  readonly #around: object[] = [];
  /** Where the current value stands in each of them. */
  readonly #path: (string | number)[] = [];

  /** How many bytes were written. */
  get length(): number {
    return this.#out.length;
  }

  /** Writes a whole value. */
  write(value: unknown): void {
    this.#write(value);
    if (this.#out.length > PAYLOAD_BYTES_MAX + 1) throw tooLarge();
  }

  /** The bytes themselves; the encoder is of no use afterwards. */
  finish(): Uint8Array {
    return this.#out.finish();
  }

  /** A copy of the bytes, after which the encoder is as new. */
  takeCopy(): Uint8Array {
    return this.#out.takeCopy();
  }

  #write(value: unknown): void {
    switch (typeof value) {
      case "boolean":
        return this.#writeTag(value ? TAG.true : TAG.false);
      case "number":
        return this.#writeNumber(value);
      case "string":
        return this.#writeText(value);
      case "bigint":
        return this.#writeBigint(value);
      case "object":
        if (value === null) return this.#writeTag(TAG.null);
        return this.#writeObject(value);
      default:
        throw this.#refuse(value);
    }
  }

  #writeTag(kind: number): void {
    // Asked item by item, so that a small graph of shared objects does not unfold without end.
    if (this.#out.length > PAYLOAD_BYTES_MAX) throw tooLarge();
    this.#out.u8(kind);
  }

  /** Writes a tag and a payload that ends with the value at the top, and is measured inside of others. */
  #writeMeasured(kind: number, payload: Uint8Array): void {
    if (payload.length > PAYLOAD_BYTES_MAX) throw this.#invalid(TOO_LARGE);
    if (this.#out.length + payload.length > PAYLOAD_BYTES_MAX) throw tooLarge();
    this.#out.u8(kind);
    if (this.#around.length > 0) this.#out.varint(payload.length);
    this.#out.bytes(payload);
  }

  #writeNumber(value: number): void {
    if (isInteger(value)) {
      this.#writeTag(TAG.integer);
      this.#out.svarint(value);
    } else {
      this.#writeTag(TAG.float);
      // The bits of a NaN are up to the machine, so the one NaN is written by hand.
      if (Number.isNaN(value)) this.#out.u32(0).u32(0x7ff80000);
      else this.#out.f64(value);
    }
  }

  #writeText(text: string): void {
    if (this.#around.length > 0 && isShortAscii(text)) {
      this.#writeTag(TAG.text);
      this.#out.varint(text.length).ascii(text);
      return;
    }
    // So that nobody's gigabyte is encoded only to be refused.
    if (text.length > PAYLOAD_BYTES_MAX) throw this.#invalid(TOO_LARGE);
    const [kind, payload] = textPayload(text);
    this.#writeMeasured(kind, payload);
  }

  #writeBigint(value: bigint): void {
    const magnitude = value < 0n ? -value : value;
    if (BigInt.asUintN(8 * BIGINT_BYTES_MAX, magnitude) !== magnitude) {
      throw this.#invalid(`a bigint of more than ${BIGINT_BYTES_MAX} bytes cannot be stored`);
    }
    const digits = magnitude === 0n ? "" : magnitude.toString(16);
    const payload = new ByteWriter().u8(value < 0n ? 1 : 0);
    for (let end = digits.length; end > 0; end -= 2) {
      payload.u8(Number.parseInt(digits.slice(Math.max(0, end - 2), end), 16));
    }
    this.#writeMeasured(TAG.bigint, payload.finish());
  }

  #writeObject(value: object): void {
    if (isPlainArray(value)) {
      this.#enter(value, TAG.array);
      this.#writeItems(value);
      this.#around.pop();
    } else if (isPlainObject(value)) {
      this.#enter(value, TAG.object);
      this.#writeMembers(value);
      this.#around.pop();
    } else if (isBytes(value)) {
      this.#writeMeasured(TAG.bytes, value);
    } else if (isTagged(value)) {
      this.#writeTagged(value);
    } else if (value instanceof Date && Object.getPrototypeOf(value) === Date.prototype) {
      this.#writeDate(value);
    } else {
      throw this.#refuse(value);
    }
  }

  #enter(container: object, kind: number): void {
    if (this.#around.includes(container)) {
      throw this.#invalid("a cycle cannot be stored: this object is also one of those around it");
    }
    if (this.#around.length >= DEPTH_MAX) {
      throw this.#invalid(`arrays and objects nest more than ${DEPTH_MAX} deep`);
    }
    this.#writeTag(kind);
    this.#around.push(container);
  }

  #writeDate(date: Date): void {
    const millis = date.getTime();
    if (Number.isNaN(millis)) throw this.#invalid("an invalid Date cannot be stored");
    this.#writeTag(TAG.date);
    this.#out.svarint(millis);
  }

  #writeTagged({ type, text }: Tagged): void {
    const [kind, payload] = typeof text === "string" ? textPayload(text) : [TAG.bytes, text];
    const typeName = encodeText(type);
    const body = new ByteWriter().u8(typeName.length).bytes(typeName).u8(kind).bytes(payload);
    this.#writeMeasured(TAG.tagged, body.finish());
  }

  #writeItems(items: readonly unknown[]): void {
    if (items.length > PAYLOAD_BYTES_MAX) throw tooLarge();
    // One more than the items: `length` itself. Holes are met below, as undefined.
    const names = Reflect.ownKeys(items);
    if (names.length > items.length + 1) {
      const extra = names.find((name) => name !== "length" && !isIndex(name, items.length));
      throw this.#invalid(
        `an array with the further property ${String(extra)} cannot be stored; use a plain object`,
      );
    }
    this.#out.varint(items.length);
    for (let index = 0; index < items.length; index += 1) {
      this.#writeMember(items, index, "a hole of a sparse array cannot be stored; use null");
    }
  }

  #writeMembers(members: object): void {
    const names = Reflect.ownKeys(members);
    this.#out.varint(names.length);
    for (const name of names) {
      if (typeof name === "symbol") {
        throw this.#invalid(`a member named by a symbol, ${String(name)}, cannot be stored`);
      }
      this.#writeText(name);
      this.#writeMember(members, name, "a member that is gone cannot be stored");
    }
  }

  /** Reads the member once, through its descriptor: so no accessor is run, and what was checked is what is written. */
  #writeMember(owner: object, name: string | number, absent: string): void {
    this.#path.push(name);
    const descriptor = Object.getOwnPropertyDescriptor(owner, name);
    if (descriptor === undefined) throw this.#invalid(absent);
    if (descriptor.get !== undefined || descriptor.set !== undefined) {
      throw this.#invalid("an accessor cannot be stored; read it and store what it gives");
    }
    if (descriptor.enumerable !== true) {
      throw this.#invalid("a member that is not enumerable cannot be stored");
    }
    this.#write(descriptor.value);
    this.#path.pop();
  }

  #refuse(value: unknown): LastwriteError {
    const [what, instead] = describe(value);
    return this.#invalid(`${what} cannot be stored; ${instead}`);
  }

  #invalid(why: string): LastwriteError {
    const path = this.#path.map((name) =>
      typeof name === "number"
        ? `[${name}]`
        : /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(name)
          ? `.${name}`
          : `[${JSON.stringify(name)}]`,
    );
    return new LastwriteError("invalid-value", `value${path.join("")}: ${why}`);
  }
}

function isShortAscii(text: string): boolean {
  if (text.length > SHORT_UNITS_MAX) return false;
  for (let at = 0; at < text.length; at++) if (text.charCodeAt(at) >= 0x80) return false;
  return true;
}

function textPayload(text: string): readonly [kind: number, payload: Uint8Array] {
  if (text.isWellFormed()) return [TAG.text, encodeText(text)];
  const units = new ByteWriter();
  for (let index = 0; index < text.length; index += 1) units.u16(text.charCodeAt(index));
  return [TAG.wideText, units.finish()];
}

/** What `value` is, in words, and what to use instead. */
function describe(value: unknown): readonly [what: string, instead: string] {
  switch (typeof value) {
    case "undefined":
      return ["undefined", "use null, delete the key, or leave the member out"];
    case "function":
      return ["a function", "store what it returns"];
    case "symbol":
      return ["a symbol", "use a string"];
    default: {
      const name = Object.prototype.toString.call(value).slice("[object ".length, -1);
      switch (name) {
        case "Map":
          return ["a Map", "use a plain object, or an array of pairs"];
        case "Set":
          return ["a Set", "use an array"];
        case "ArrayBuffer":
        case "SharedArrayBuffer":
        case "DataView":
          return [`a ${name}`, "use a Uint8Array over it"];
        default: {
          if (ArrayBuffer.isView(value)) return [`a ${name}`, "use a Uint8Array over its buffer"];
          return [`an instance of ${className(value)}`, "use a plain object"];
        }
      }
    }
  }
}

function className(value: unknown): string {
  const owner: unknown = (value as { constructor?: unknown }).constructor;
  return typeof owner === "function" && owner.name !== "" ? owner.name : "a class";
}

const TOO_LARGE = `more than ${PAYLOAD_BYTES_MAX + 1} bytes encoded; split it over several keys`;

/** The whole is too large, though nothing in it is. */
function tooLarge(): LastwriteError {
  return new LastwriteError("invalid-value", `value: ${TOO_LARGE}`);
}

/** Also true for a Buffer, and for a Uint8Array of another realm. */
export function isBytes(value: unknown): value is Uint8Array {
  return (
    value instanceof Uint8Array ||
    (ArrayBuffer.isView(value) && Object.prototype.toString.call(value) === "[object Uint8Array]")
  );
}

/** An array that is no instance of a subclass: `Array.prototype`, of any realm, is an array itself. */
function isPlainArray(value: object): value is readonly unknown[] {
  return Array.isArray(value) && Array.isArray(Object.getPrototypeOf(value));
}

/** Without prototype, or with the `Object.prototype` of any realm. */
function isPlainObject(value: object): boolean {
  if (Array.isArray(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return (
    prototype === null ||
    prototype === Object.prototype ||
    (Object.getPrototypeOf(prototype) === null &&
      Object.hasOwn(prototype as object, "isPrototypeOf"))
  );
}

function isIndex(name: string | symbol, length: number): boolean {
  return typeof name === "string" && String(Number(name)) === name && Number(name) < length;
}
