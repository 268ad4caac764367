/** What other programs read of values. */

import { describe, expect, test } from "vitest";

import { tagged } from "../../ts/codec/tagged.ts";
import type { Value } from "../../ts/codec/value.ts";
import { readableOf } from "../../ts/persistence/readable.ts";

describe("what other programs read", () => {
  const cases: readonly (readonly [Value, string, unknown])[] = [
    [null, "null", null],
    [true, "boolean", true],
    [1.5, "number", 1.5],
    [-0, "number", 0],
    [Number.NaN, "number", "NaN"],
    [-Infinity, "number", "-Infinity"],
    [2n ** 63n - 1n, "bigint", 2n ** 63n - 1n],
    [2n ** 63n, "bigint", "9223372036854775808"],
    ["text", "text", "text"],
    ["a\0b\uD800", "text", "a\uFFFDb\uFFFD"],
    [Uint8Array.of(1, 2), "bytes", Uint8Array.of(1, 2)],
    [new Date(0), "date", "1970-01-01T00:00:00.000Z"],
    [[1, "a", null], "json", '[1,"a",null]'],
    [
      { b: 5n, a: [Uint8Array.of(255), Number.NaN, true] },
      "json",
      '{"b":"5","a":["ff","NaN",true]}',
    ],
    [JSON.parse('{"__proto__":{"x":"\\u0000"}}') as Value, "json", '{"__proto__":{"x":"\uFFFD"}}'],
    [tagged("decimal", "0.10"), "json", '{"type":"decimal","text":"0.10"}'],
  ];

  test.each(cases)("of %o", (value, type, readable) => {
    expect(readableOf(value)).toStrictEqual({ type, value: readable });
  });
});
