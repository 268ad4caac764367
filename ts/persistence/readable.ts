/** What other programs read of a value, beside the bytes that alone are read back. */

import { idText } from "../codec/entry.ts";
import { isTagged } from "../codec/tagged.ts";
import { isBytes, type Value } from "../codec/value.ts";

/** The type of a value, as other programs see it. */
export type ReadableType =
  | "null"
  | "boolean"
  | "number"
  | "bigint"
  | "text"
  | "bytes"
  | "date"
  | "json";

/** A value for reading only. */
export interface Readable {
  readonly type: ReadableType;
  /**
   * Numbers are finite, and −0 is 0: NaN and the infinities are their names as text. A bigint beyond 64 bits is its digits as text. Text has neither NUL
   * nor lone surrogates: U+FFFD stands for them. Dates are ISO 8601, arrays, objects and tagged values JSON, both as text.
   */
  readonly value: null | boolean | number | bigint | string | Uint8Array;
}

/** What other programs read of a value. */
export function readableOf(value: Value): Readable {
  switch (typeof value) {
    case "boolean":
      return { type: "boolean", value };
    case "number":
      return { type: "number", value: Number.isFinite(value) ? value + 0 : String(value) };
    case "bigint":
      return { type: "bigint", value: BigInt.asIntN(64, value) === value ? value : String(value) };
    case "string":
      return { type: "text", value: readableText(value) };
    default:
      if (value === null) return { type: "null", value };
      if (isBytes(value)) return { type: "bytes", value };
      if (value instanceof Date) return { type: "date", value: value.toISOString() };
      return { type: "json", value: readableJson(value) };
  }
}

function readableText(text: string): string {
  const wellFormed = text.isWellFormed() ? text : text.toWellFormed();
  return wellFormed.includes("\0") ? wellFormed.replaceAll("\0", "\uFFFD") : wellFormed;
}

/** Written by hand, as members may be named `__proto__`, and what JSON lacks stands as text: big integers by their digits, bytes in hex. */
function readableJson(value: Value): string {
  if (typeof value !== "object" || value === null || isBytes(value) || value instanceof Date) {
    const { value: readable } = readableOf(value);
    if (isBytes(readable)) return JSON.stringify(idText(readable));
    return JSON.stringify(typeof readable === "bigint" ? String(readable) : readable);
  }
  if (Array.isArray(value)) {
    return `[${(value as readonly Value[]).map(readableJson).join(",")}]`;
  }
  if (isTagged(value)) {
    return `{"type":${readableJson(value.type)},"text":${readableJson(value.text)}}`;
  }
  const members = Object.entries(value as { readonly [member: string]: Value });
  return `{${members.map(([name, member]) => `${readableJson(name)}:${readableJson(member)}`).join(",")}}`;
}
