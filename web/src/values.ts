/** Values as people read and write them. */

import { isTagged, tagged, type Value } from "lastwrite";

/** The kinds of values that can be written in the page. */
export type ValueType =
  | "text"
  | "number"
  | "boolean"
  | "null"
  | "json"
  | "date"
  | "bigint"
  | "bytes";

/** In the order in which they are offered. */
export const VALUE_TYPES: readonly (readonly [type: ValueType, name: string])[] = [
  ["text", "Text"],
  ["number", "Number"],
  ["boolean", "Boolean"],
  ["json", "JSON"],
  ["date", "Date"],
  ["bigint", "Bigint"],
  ["bytes", "Bytes (Base64)"],
  ["null", "Null"],
];

/** What was typed is no value of the type; the message says why. */
export class Unreadable extends Error {}

export function typeOf(value: Value): ValueType {
  switch (typeof value) {
    case "string":
      return "text";
    case "number":
      return "number";
    case "bigint":
      return "bigint";
    case "boolean":
      return "boolean";
    default:
      if (value === null) return "null";
      if (value instanceof Date) return "date";
      return value instanceof Uint8Array ? "bytes" : "json";
  }
}

/** The type in a word, with that of a tagged value. */
export function typeName(value: Value): string {
  return isTagged(value) ? value.type : typeOf(value);
}

/** All of a value, in a line or several. */
export function textOf(value: Value): string {
  switch (typeof value) {
    case "string":
      return value;
    case "number":
      return numberText(value);
    case "bigint":
    case "boolean":
      return String(value);
    default:
      if (value === null) return "null";
      if (value instanceof Date) return dateText(value);
      if (value instanceof Uint8Array) return base64(value);
      if (isTagged(value)) return typeof value.text === "string" ? value.text : base64(value.text);
      return JSON.stringify(plain(value), undefined, 2);
  }
}

/** What an editor of the value's type begins with. */
export function editableText(value: Value): string {
  if (value instanceof Date) return localText(value);
  return isTagged(value) ? JSON.stringify(plain(value), undefined, 2) : textOf(value);
}

/** The value that was typed. Throws `Unreadable`. */
export function parseValue(type: ValueType, text: string): Value {
  const trimmed = text.trim();
  switch (type) {
    case "text":
      return text;
    case "number":
      return parseNumber(trimmed);
    case "boolean":
      return trimmed === "true";
    case "null":
      return null;
    case "json":
      return parseJson(trimmed);
    case "date":
      return parseDate(trimmed);
    case "bigint":
      if (/^[+-]?\d{1,20000}$/u.test(trimmed)) return BigInt(trimmed);
      throw new Unreadable("A bigint consists of digits alone, with - before them or not.");
    default:
      return parseBase64(trimmed);
  }
}

function parseNumber(text: string): number {
  const special = { NaN, Infinity, "-Infinity": -Infinity }[text];
  if (special !== undefined) return special;
  const number = text === "" ? NaN : Number(text);
  if (Number.isFinite(number)) return number;
  throw new Unreadable(`“${shortened(text)}” is no number; one looks like 42, -1.5 or 6e23.`);
}

function parseJson(text: string): Value {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new Unreadable(`This is no JSON: ${error instanceof Error ? error.message : "?"}`);
  }
  return valueOfPlain(json);
}

function parseDate(text: string): Date {
  const date = new Date(text);
  if (!Number.isNaN(date.getTime())) return date;
  throw new Unreadable("Choose a date and a time.");
}

function parseBase64(text: string): Uint8Array {
  try {
    return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  } catch {
    throw new Unreadable(
      "This is no Base64: it consists of A–Z, a–z, 0–9, + and /, four for each three bytes.",
    );
  }
}

/** Members that stand for what JSON cannot say, as in the server's JSON. */
const FORM = /^\$(?:bytes|bigint|date|number|tagged)$/u;
/** Objects that only look like it have one `$` more. */
const ESCAPED = /^\$+(?:bytes|bigint|date|number|tagged)$/u;

/** What `JSON.stringify` takes. */
function plain(value: Value): unknown {
  if (typeof value === "number" && (!Number.isFinite(value) || Object.is(value, -0))) {
    return { $number: numberText(value) };
  }
  if (typeof value === "bigint") return { $bigint: String(value) };
  if (typeof value !== "object" || value === null) return value;
  if (value instanceof Date) return { $date: dateText(value) };
  if (value instanceof Uint8Array) return { $bytes: base64(value) };
  if (isTagged(value)) return { $tagged: { type: value.type, text: plain(value.text) } };
  if (Array.isArray(value)) return (value as readonly Value[]).map(plain);
  const members = Object.entries(value as { readonly [name: string]: Value });
  const isLookalike = members.length === 1 && ESCAPED.test(members[0]?.[0] ?? "");
  return Object.fromEntries(
    members.map(([name, member]) => [isLookalike ? `$${name}` : name, plain(member)]),
  );
}

function valueOfPlain(json: unknown): Value {
  if (Array.isArray(json)) return json.map(valueOfPlain);
  // What is left is what JSON can say.
  if (typeof json !== "object" || json === null) return json as Value;
  const members = Object.entries(json);
  const [name, inner] = members.length === 1 ? (members[0] as [string, unknown]) : ["", undefined];
  if (FORM.test(name)) return valueOfForm(name, inner);
  return Object.fromEntries(
    members.map(([member, each]) => [
      ESCAPED.test(name) ? member.slice(1) : member,
      valueOfPlain(each),
    ]),
  );
}

function valueOfForm(name: string, inner: unknown): Value {
  if (name === "$tagged") {
    const { type, text } = Object(inner) as { readonly type?: unknown; readonly text?: unknown };
    const carried = valueOfPlain(text);
    if (
      typeof type === "string" &&
      (typeof carried === "string" || carried instanceof Uint8Array)
    ) {
      return tagged(type, carried);
    }
  } else if (typeof inner === "string") {
    if (name === "$number") return inner === "-0" ? -0 : parseNumber(inner);
    if (name === "$date") return parseDate(inner);
    return parseValue(name === "$bytes" ? "bytes" : "bigint", inner);
  }
  throw new Unreadable(`A member ${name} alone in an object has to hold a text.`);
}

function numberText(number: number): string {
  return Object.is(number, -0) ? "-0" : String(number);
}

function dateText(date: Date): string {
  return Number.isNaN(date.getTime()) ? "no date" : date.toISOString();
}

/** As `datetime-local` has it: without the zone. */
function localText(date: Date): string {
  const offsetMs = date.getTimezoneOffset() * 60_000;
  const local = new Date(date.getTime() - offsetMs);
  return Number.isNaN(local.getTime()) ? "" : local.toISOString().slice(0, -1);
}

function base64(bytes: Uint8Array): string {
  let letters = "";
  for (const byte of bytes) letters += String.fromCharCode(byte);
  return btoa(letters);
}

function shortened(text: string): string {
  return text.length > 40 ? `${text.slice(0, 40)}…` : text;
}
