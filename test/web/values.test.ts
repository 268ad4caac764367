/** Values of the web page: what people read of them, and what they write. */

import fc from "fast-check";
import { describe, expect, test } from "vitest";

import type { Value } from "../../ts/index.ts";
import { encodeValue } from "../../ts/codec/value.ts";
import { editableText, parseValue, typeOf, Unreadable } from "../../web/src/values.ts";
import { value } from "../codec/arbitraries.ts";

test("what an editor begins with is read as the same value, whatever that is", () => {
  fc.assert(
    fc.property(value, (each) => {
      const read = parseValue(typeOf(each), editableText(each));
      expect(encodeValue(read)).toEqual(encodeValue(each));
    }),
    { numRuns: 2000 },
  );
});

test("objects that only look like a form of JSON stay what they are", () => {
  const values: readonly Value[] = [
    { $date: "2026-01-31" },
    { $$date: "2026-01-31" },
    { $bytes: { $bigint: "1" } },
    { $date: "one", other: "two" },
    { nested: [{ $number: "NaN" }] },
  ];
  for (const each of values) expect(parseValue("json", editableText(each))).toEqual(each);
});

describe("what is typed", () => {
  test.each<[type: Parameters<typeof parseValue>[0], text: string, read: Value]>([
    ["text", " kept as it is ", " kept as it is "],
    ["number", " 1e3 ", 1000],
    ["number", "0x10", 16],
    ["number", "-Infinity", -Infinity],
    ["boolean", "true", true],
    ["null", "anything", null],
    ["json", '{"$bigint":"12"}', 12n],
    ["json", '[{"$bytes":"AP8="},{"$number":"NaN"}]', [new Uint8Array([0, 255]), NaN]],
    ["bigint", "+12", 12n],
    ["bytes", "", new Uint8Array()],
  ])("%s %j is read", (type, text, read) => {
    expect(parseValue(type, text)).toEqual(read);
  });

  test.each([
    ["number", "1,5"],
    ["number", "1e999"],
    ["json", ""],
    ["json", '{"$bytes":"?"}'],
    ["json", '{"$tagged":{"type":"decimal"}}'],
    ["json", '{"$tagged":null}'],
    ["date", "tomorrow"],
    ["bigint", "1n"],
    ["bytes", "A"],
  ] as const)("%s %j is refused in words", (type, text) => {
    expect(() => parseValue(type, text)).toThrow(Unreadable);
  });
});
