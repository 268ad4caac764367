/** The kinds of fields that messages are made of: docs/protocol.md, Fields. Each is written and read in two forms, which say the same. */

import { idBytes, idText } from "../codec/entry.ts";
import { type ByteReader, type ByteWriter, corrupt, VARINT_MAX } from "../codec/numbers.ts";
import { decodeText, encodeText, isText } from "../codec/text.ts";
import { base64Length, decodeBase64, encodeBase64 } from "./codec-base64.ts";
import type { Cursor, Held } from "./messages.ts";

/** Places in an order of arrival, and milliseconds of a clock, lie below it. */
const PLACE_END = 2 ** 48;

/** One field of a message, in both forms. */
export interface Field<Value> {
  /** What a value has to be, for messages of errors. */
  readonly is: string;
  allows(value: unknown): value is Value;
  /** Appends a value that is allowed. */
  readonly write: (writer: ByteWriter, value: Value) => void;
  /** Reads a value; it may be one that is not allowed. Throws `corrupt-bytes`. */
  read(reader: ByteReader): Value;
  /** An allowed value as JSON has it; undefined leaves the field out. */
  toJson(value: Value): unknown;
  /** What JSON has, undefined where it has nothing, as a value, which may be one that is not allowed. Throws `corrupt-bytes`. */
  fromJson(json: unknown): unknown;
}

/** A whole number from 0 to `max`. */
export function whole(max: number = VARINT_MAX): Field<number> {
  return {
    is: `a whole number from 0 to ${max}`,
    allows: (value): value is number =>
      Number.isSafeInteger(value) && !Object.is(value, -0) && within(value as number, max),
    write: (writer, value) => void writer.varint(value),
    read: (reader) => reader.varint(),
    toJson: same,
    fromJson: same,
  };
}

/** A place in an order of arrival, or milliseconds. */
export const place: Field<number> = whole(PLACE_END - 1);

export const flag: Field<boolean> = {
  is: "true or false",
  allows: (value): value is boolean => typeof value === "boolean",
  write: (writer, value) => void writer.u8(Number(value)),
  read: (reader) => bit(reader),
  toJson: same,
  fromJson: same,
};

/** One of a few words. */
export function choice<const Word extends string>(...words: readonly Word[]): Field<Word> {
  return {
    is: `one of ${words.join(", ")}`,
    allows: (value): value is Word => words.some((word) => word === value),
    write: (writer, value) => void writer.u8(words.indexOf(value)),
    read: (reader) => {
      const word = words[reader.u8()];
      if (word === undefined) throw corrupt("a choice is unknown");
      return word;
    },
    toJson: same,
    fromJson: same,
  };
}

/** So many bytes as lower-case hex. */
export function hex(byteCount: number): Field<string> {
  const pattern = new RegExp(`^[0-9a-f]{${2 * byteCount}}$`, "u");
  return {
    is: `${2 * byteCount} hex digits`,
    allows: (value): value is string => typeof value === "string" && pattern.test(value),
    write: (writer, value) => void writer.bytes(idBytes(value)),
    read: (reader) => idText(reader.take(byteCount)),
    toJson: same,
    fromJson: same,
  };
}

/** Well-formed text of at most so many bytes of UTF-8. */
export function text(bytesMax: number): Field<string> {
  return {
    is: `text of at most ${bytesMax} bytes of UTF-8`,
    allows: (value): value is string => isText(value, bytesMax),
    write: (writer, value) => {
      const utf8 = encodeText(value);
      writer.varint(utf8.length).bytes(utf8);
    },
    read: (reader) => decodeText(reader.take(measured(reader, bytesMax))),
    toJson: same,
    fromJson: same,
  };
}

/** Bytes, a whole number of `unit` each; those that were read in the binary form are a view. */
export function bytes(bytesMax: number, unit = 1): Field<Uint8Array> {
  return {
    is: `at most ${bytesMax} bytes${unit > 1 ? `, a multiple of ${unit}` : ""}`,
    allows: (value): value is Uint8Array =>
      value instanceof Uint8Array && value.length <= bytesMax && value.length % unit === 0,
    write: (writer, value) => void writer.varint(value.length).bytes(value),
    read: (reader) => reader.take(measured(reader, bytesMax)),
    toJson: encodeBase64,
    fromJson: (json) => {
      if (typeof json !== "string" || base64Length(json) > bytesMax) return undefined;
      return decodeBase64(json);
    },
  };
}

/** At most so many of one kind, in order. */
export function list<Value>(field: Field<Value>, countMax: number): Field<readonly Value[]> {
  return {
    is: `at most ${countMax} times ${field.is}`,
    allows: (value): value is readonly Value[] =>
      Array.isArray(value) && value.length <= countMax && value.every((each) => field.allows(each)),
    write: (writer, values) => {
      writer.varint(values.length);
      for (const value of values) field.write(writer, value);
    },
    read: (reader) => {
      const count = reader.length();
      if (count > countMax) throw corrupt(`a list has more than ${countMax} parts`);
      return Array.from({ length: count }, () => field.read(reader));
    },
    toJson: (values) => values.map((value) => field.toJson(value)),
    fromJson: (json) =>
      Array.isArray(json) ? json.map((part: unknown) => field.fromJson(part)) : undefined,
  };
}

/** A field that may be absent. */
export function optional<Value>(field: Field<Value>): Field<Value | undefined> {
  return {
    is: `${field.is}, or nothing`,
    allows: (value): value is Value | undefined => value === undefined || field.allows(value),
    write: (writer, value) => {
      writer.u8(Number(value !== undefined));
      if (value !== undefined) field.write(writer, value);
    },
    read: (reader) => (bit(reader) ? field.read(reader) : undefined),
    toJson: (value) => (value === undefined ? undefined : field.toJson(value)),
    // What is there and yet nothing is not the one form of nothing.
    fromJson: (json) => (json === undefined ? undefined : (field.fromJson(json) ?? null)),
  };
}

const id8 = hex(8);

/** A place in the order of arrival of one epoch. */
export const cursor: Field<Cursor> = pair("epoch", "place");

/** Parts of one snapshot. */
export const held: Field<Held> = pair("id", "count");

/** An id of 8 bytes and a number below 2^48, by these names. */
function pair<Id extends string, Count extends string>(
  idName: Id,
  countName: Count,
): Field<Readonly<Record<Id, string> & Record<Count, number>>> {
  type Pair = Readonly<Record<Id, string> & Record<Count, number>>;
  const pairOf = (first: string, second: number): Pair =>
    ({ [idName]: first, [countName]: second }) as Pair;
  return {
    is: `\`${idName}\`, ${id8.is}, and \`${countName}\` below 2^48, and nothing else`,
    allows: (value): value is Pair => {
      if (typeof value !== "object" || value === null) return false;
      const members = value as Readonly<Record<string, unknown>>;
      const isPair = id8.allows(members[idName]) && place.allows(members[countName]);
      return isPair && Object.keys(members).length === 2;
    },
    write: (writer, value) => {
      id8.write(writer, value[idName]);
      place.write(writer, value[countName]);
    },
    read: (reader) => pairOf(id8.read(reader), place.read(reader)),
    // Anew, so that the members have one order.
    toJson: (value) => pairOf(value[idName], value[countName]),
    fromJson: (json) => json,
  };
}

/** What JSON has as it is. */
function same(value: unknown): unknown {
  return value;
}

function within(value: number, max: number): boolean {
  return value >= 0 && value <= max;
}

function bit(reader: ByteReader): boolean {
  const byte = reader.u8();
  if (byte > 1) throw corrupt("a flag is neither 0 nor 1");
  return byte === 1;
}

/** The length of what follows, which is checked before anybody takes it. */
function measured(reader: ByteReader, bytesMax: number): number {
  const length = reader.length();
  if (length > bytesMax) throw corrupt(`a field is longer than ${bytesMax} bytes`);
  return length;
}
