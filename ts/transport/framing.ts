/** Messages on a stream of bytes: docs/protocol.md, On a stream. */

import { decodeMessage, encodeMessage, encodeText } from "../sync/codec.ts";
import { MESSAGE_BYTES_MAX, TEXT_LENGTH_MAX } from "../sync/limits.ts";
import { corrupt } from "../codec/numbers.ts";
import { decodeText } from "../codec/text.ts";
import type { Message } from "./contract.ts";

/** What goes over a stream: messages of bytes, each after its length, or lines of text. */
export type StreamForm = "binary" | "text";

const LENGTH_BYTES = 4;
const SHORT_BYTES_MAX = 4096;
const NEWLINE = 0x0a;
const encoder = new TextEncoder();

/** What to write for a message. One of the other form is put into this one, which says the same; throws `corrupt-bytes` or `unsupported-format` when it is none of docs/protocol.md. */
export function framed(message: Message, form: StreamForm): readonly Uint8Array[] {
  if (form === "text") return [encoder.encode(`${asText(message)}\n`)];
  const bytes = asBytes(message);
  // What is short costs less to copy than to write twice.
  const isShort = bytes.length <= SHORT_BYTES_MAX;
  const head = new Uint8Array(LENGTH_BYTES + (isShort ? bytes.length : 0));
  new DataView(head.buffer).setUint32(0, bytes.length);
  if (!isShort) return [head, bytes];
  head.set(bytes, LENGTH_BYTES);
  return [head];
}

/** Takes a stream apart. */
export class Deframer {
  #form: StreamForm | undefined;
  /** The part of a message that has come. */
  #part: Uint8Array = new Uint8Array(0);
  #partLength = 0;

  /** Without a form the first byte tells: a length never begins with anything but 0, and a line never does. */
  constructor(form: StreamForm | undefined) {
    this.#form = form;
  }

  get form(): StreamForm | undefined {
    return this.#form;
  }

  /** Whether a message has begun that has not ended. */
  get isInside(): boolean {
    return this.#partLength > 0;
  }

  /** Takes memory only for what has come. Throws `corrupt-bytes` for a message that is too long, and a line that is no UTF-8. */
  push(chunk: Uint8Array, deliver: (message: Message) => void): void {
    if (chunk.length === 0) return;
    this.#form ??= chunk[0] === 0 ? "binary" : "text";
    if (this.#form === "binary") this.#pushBinary(chunk, deliver);
    else this.#pushText(chunk, deliver);
  }

  #pushBinary(chunk: Uint8Array, deliver: (message: Message) => void): void {
    let rest = chunk;
    while (rest.length > 0) {
      if (this.#partLength < LENGTH_BYTES) {
        // Most messages come whole, and are not copied.
        const whole = this.#partLength === 0 ? lengthAt(rest) : undefined;
        if (whole !== undefined && rest.length >= LENGTH_BYTES + whole) {
          deliver(rest.subarray(LENGTH_BYTES, LENGTH_BYTES + whole));
          rest = rest.subarray(LENGTH_BYTES + whole);
          continue;
        }
        rest = this.#keep(rest, LENGTH_BYTES);
        if (this.#partLength < LENGTH_BYTES) return;
      }
      const end = LENGTH_BYTES + (lengthAt(this.#part) as number);
      rest = this.#keep(rest, end);
      if (this.#partLength === end) deliver(this.#takePart().subarray(LENGTH_BYTES));
    }
  }

  #pushText(chunk: Uint8Array, deliver: (message: Message) => void): void {
    let rest = chunk;
    while (rest.length > 0) {
      const end = rest.indexOf(NEWLINE);
      if ((end === -1 ? rest.length : end) + this.#partLength > TEXT_LENGTH_MAX) {
        throw corrupt("a line is longer than 8 MiB");
      }
      if (end === -1) {
        this.#keep(rest, Infinity);
        return;
      }
      let line = rest.subarray(0, end);
      if (this.#partLength > 0) {
        this.#keep(line, Infinity);
        line = this.#takePart();
      }
      rest = rest.subarray(end + 1);
      const text = decodeText(line).trim();
      // Whoever types may press return twice.
      if (text !== "") deliver(text);
    }
  }

  /** Adds bytes to the part until it has `lengthMax`, and returns those that are left. */
  #keep(bytes: Uint8Array, lengthMax: number): Uint8Array {
    const count = Math.min(bytes.length, lengthMax - this.#partLength);
    const length = this.#partLength + count;
    if (length > this.#part.length) {
      const grown = new Uint8Array(Math.max(length, 2 * this.#part.length, 64));
      grown.set(this.#part.subarray(0, this.#partLength));
      this.#part = grown;
    }
    this.#part.set(bytes.subarray(0, count), this.#partLength);
    this.#partLength = length;
    return bytes.subarray(count);
  }

  #takePart(): Uint8Array {
    const part = this.#part.subarray(0, this.#partLength);
    this.#part = new Uint8Array(0);
    this.#partLength = 0;
    return part;
  }
}

/** The length at the front, checked; undefined when it has not come whole. */
function lengthAt(bytes: Uint8Array): number | undefined {
  if (bytes.length < LENGTH_BYTES) return undefined;
  const length = new DataView(bytes.buffer, bytes.byteOffset, LENGTH_BYTES).getUint32(0);
  if (length > MESSAGE_BYTES_MAX) throw corrupt("a message is longer than 1 MiB and 64 KiB");
  return length;
}

function asText(message: Message): string {
  if (typeof message === "string") return message;
  const decoded = decodeMessage(message);
  return encodeText(decoded.message, decoded.number);
}

function asBytes(message: Message): Uint8Array {
  if (typeof message !== "string") return message;
  const decoded = decodeMessage(message);
  return encodeMessage(decoded.message, decoded.number);
}
