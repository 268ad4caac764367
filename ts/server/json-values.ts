/**
 * Values in JSON that programs without the library read and write: docs/server.md, Values in JSON.
 *
 * What JSON can say is itself. The rest is an object of one member: `{"$bytes": base64}`, `{"$bigint": digits}`, `{"$date": ISO}`, `{"$number": "NaN"}` and the like,
 * `{"$tagged": {"type", "text"}}`. An object that is itself of that form has one more `$`.
 */

import { isTagged, tagged, type Tagged } from "../codec/tagged.ts";
import type { Value } from "../codec/value.ts";
import { LastwriteError } from "../errors.ts";

/** What `JSON.parse` gives. */
export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [member: string]: Json };

const FORM = /^\$(?:bytes|bigint|date|number|tagged)$/u;
const ESCAPED_FORM = /^\$\$+(?:bytes|bigint|date|number|tagged)$/u;
/** Members that have to get one more `$`. */
const TO_ESCAPE = /^\$+(?:bytes|bigint|date|number|tagged)$/u;
const DEPTH_MAX = 64;
/** Digits of the greatest bigint that a value can be; more would take long to read. */
const BIGINT_DIGITS_MAX = 20_000;

/** Returns what `JSON.stringify` takes. */
export function jsonOf(value: Value): Json {
  switch (typeof value) {
    case "string":
    case "boolean":
      return value;
    case "number":
      return Number.isFinite(value) && !Object.is(value, -0) ? value : { $number: wordOf(value) };
    case "bigint":
      return { $bigint: String(value) };
    default:
      return value === null ? null : jsonOfObject(value);
  }
}

/** Throws `invalid-value` for what stands for no value. */
export function valueOf(json: Json): Value {
  return read(json, 1);
}

function jsonOfObject(value: Exclude<Value, null | string | boolean | number | bigint>): Json {
  if (value instanceof Uint8Array) return { $bytes: base64Of(value) };
  if (value instanceof Date) return { $date: value.toISOString() };
  if (isTagged(value)) return jsonOfTagged(value);
  if (Array.isArray(value)) return (value as readonly Value[]).map(jsonOf);
  const members = Object.entries(value as { readonly [member: string]: Value });
  const only = members.length === 1 ? members[0] : undefined;
  if (only !== undefined && TO_ESCAPE.test(only[0])) return { [`$${only[0]}`]: jsonOf(only[1]) };
  // Members called __proto__ stay members.
  return Object.fromEntries(members.map(([name, member]) => [name, jsonOf(member)]));
}

function jsonOfTagged({ type, text }: Tagged): Json {
  return {
    $tagged: typeof text === "string" ? { type, text } : { type, bytes: base64Of(text) },
  };
}

function read(json: Json, depth: number): Value {
  if (typeof json !== "object" || json === null) return json;
  if (depth > DEPTH_MAX) throw invalid(`arrays and objects nest at most ${DEPTH_MAX} deep`);
  if (Array.isArray(json)) return (json as readonly Json[]).map((item) => read(item, depth + 1));
  const members = Object.entries(json as { readonly [member: string]: Json });
  const only = members.length === 1 ? members[0] : undefined;
  if (only !== undefined && FORM.test(only[0])) return readForm(only[0], only[1]);
  if (only !== undefined && ESCAPED_FORM.test(only[0])) {
    return { [only[0].slice(1)]: read(only[1], depth + 1) };
  }
  return Object.fromEntries(members.map(([name, member]) => [name, read(member, depth + 1)]));
}

function readForm(form: string, json: Json): Value {
  if (form === "$tagged") return readTagged(json);
  if (typeof json !== "string") throw invalid(`${form} has a text`);
  switch (form) {
    case "$bytes":
      return bytesOf(json, form);
    case "$bigint":
      return bigintOf(json);
    case "$date":
      return dateOf(json);
    default:
      return numberOf(json);
  }
}

function readTagged(json: Json): Tagged {
  const { type, text, bytes, ...others } = (json ?? {}) as { readonly [member: string]: Json };
  const isOne = (text === undefined) !== (bytes === undefined) && Object.keys(others).length === 0;
  if (isOne && typeof type === "string") {
    if (typeof text === "string") return tagged(type, text);
    if (typeof bytes === "string") return tagged(type, bytesOf(bytes, "bytes"));
  }
  throw invalid(
    '$tagged has an object: {"type": name, "text": text} or {"type": name, "bytes": base64}',
  );
}

function bytesOf(text: string, name: string): Uint8Array {
  const bytes = Buffer.from(text, "base64");
  // It reads past whatever it does not know.
  if (bytes.toString("base64") !== text) throw invalid(`${name} has base64 with padding`);
  return new Uint8Array(bytes);
}

function bigintOf(text: string): bigint {
  if (text.length > BIGINT_DIGITS_MAX || !/^-?\d+$/u.test(text)) {
    throw invalid("$bigint has decimal digits, of a number of at most 8 KiB");
  }
  return BigInt(text);
}

function dateOf(text: string): Date {
  const date = new Date(text);
  const isIso = !Number.isNaN(date.getTime()) && date.toISOString() === text;
  if (!isIso) throw invalid("$date has a time such as 2030-01-31T12:00:00.000Z");
  return date;
}

function numberOf(word: string): number {
  const found = WORDS.find(([, known]) => known === word);
  if (found === undefined) throw invalid("$number has NaN, Infinity, -Infinity or -0");
  return found[0];
}

const WORDS: readonly (readonly [number: number, word: string])[] = [
  [NaN, "NaN"],
  [Infinity, "Infinity"],
  [-Infinity, "-Infinity"],
  [-0, "-0"],
];

function wordOf(number: number): string {
  return WORDS.find(([known]) => Object.is(known, number))?.[1] ?? "NaN";
}

function base64Of(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64");
}

function invalid(message: string): LastwriteError {
  return new LastwriteError("invalid-value", message);
}
