/** Rows as columns, and what other programs read in them. */

import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { tagged } from "../../ts/codec/tagged.ts";
import type { Value } from "../../ts/codec/value.ts";
import type { EntryRow } from "../../ts/dictionary/rows.ts";
import {
  columnsOf,
  dotColumn,
  readableOf,
  rowOf,
  stampColumn,
} from "../../ts/persistence/row-columns.ts";

const replicaId = fc
  .uint8Array({ minLength: 16, maxLength: 16 })
  .map((bytes) => Buffer.from(bytes).toString("hex"));
const stamp = fc.record({
  millis: fc.integer({ min: 0, max: 2 ** 48 - 1 }),
  counter: fc.integer({ min: 0, max: 2 ** 16 - 1 }),
  replicaId,
});
const dot = fc.record({ replicaId, counter: fc.integer({ min: 1, max: 2 ** 40 - 1 }) });
const row = fc.record({
  key: fc.string({ unit: "binary" }),
  kind: fc.constantFrom("value" as const, "tombstone" as const, "prefix" as const),
  bytes: fc.uint8Array({ minLength: 1 }),
  stamp,
  dot,
  origin: fc.option(dot),
});

describe("columns of a row", () => {
  test("give the row back", () => {
    fc.assert(
      fc.property(row, (given) => {
        const bytes = given.kind === "value" ? given.bytes : new Uint8Array(0);
        const entry: EntryRow = { ...given, bytes };
        expect(rowOf(columnsOf(entry))).toEqual(entry);
      }),
    );
  });

  test("of a stamp compare as stamps do", () => {
    fc.assert(
      fc.property(stamp, stamp, (a, b) => {
        const difference =
          a.millis - b.millis ||
          a.counter - b.counter ||
          Number(a.replicaId > b.replicaId) - Number(a.replicaId < b.replicaId);
        expect(Buffer.compare(stampColumn(a), stampColumn(b))).toBe(Math.sign(difference));
      }),
    );
  });

  test("of a dot are the replica id and then the counter, big-endian", () => {
    const column = dotColumn({ replicaId: "0f".repeat(16), counter: 0x01_02030405 });
    expect(Buffer.from(column).toString("hex")).toBe(`${"0f".repeat(16)}0000000102030405`);
  });

  test("of another shape are refused", () => {
    const columns = columnsOf({
      key: "a",
      kind: "value",
      bytes: Uint8Array.of(1),
      stamp: { millis: 1, counter: 2, replicaId: "01".repeat(16) },
      dot: { replicaId: "01".repeat(16), counter: 3 },
      origin: null,
    });
    const wrong = [
      { ...columns, kind: 3 },
      { ...columns, bytes: null },
      { ...columns, kind: 1 },
      { ...columns, stamp: columns.stamp.subarray(1) },
      { ...columns, stamp: new Uint8Array(24).fill(0xff), kind: 4 },
      { ...columns, dot: columns.dot.subarray(1) },
      { ...columns, origin: new Uint8Array(0) },
      { ...columns, key: Uint8Array.of(0xff) },
    ];
    for (const other of wrong) {
      expect(() => rowOf(other)).toThrow(expect.objectContaining({ code: "corrupt-bytes" }));
    }
  });
});

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
