import fc from "fast-check";
import { expect, test } from "vitest";

import { payloadOf, plainValue, samePlain, tagOf } from "../../ts/codec/plain.ts";
import { compareText } from "../../ts/codec/text.ts";
import { plain } from "./arbitraries.ts";

const corruptBytes = expect.objectContaining({ code: "corrupt-bytes" });

test("values come back from their tag and payload", () => {
  fc.assert(
    fc.property(plain, (value) => samePlain(plainValue(tagOf(value), payloadOf(value)), value)),
  );
});

test("two values are the same when their canonical bytes are", () => {
  fc.assert(
    fc.property(plain, plain, (a, b) => {
      const bytes = (value: typeof a): string => [tagOf(value), ...payloadOf(value)].join();
      expect(samePlain(a, b)).toBe(bytes(a) === bytes(b));
    }),
  );
});

test("only canonical payloads are taken", () => {
  const array = (depth: number): number[] => [
    ...Array.from({ length: depth - 1 }, () => [1, 11]).flat(),
    0,
  ];
  const good: readonly (readonly [number, ...number[]])[] = [
    [1],
    [4, 5],
    [5, 0, 0, 0, 0, 0, 0, 0, 0x80],
    [6, 0xef, 0xbb, 0xbf],
    [7, 0, 0xdc],
    [8],
    [9, 0],
    [9, 1, 7],
    [10, 0x41],
    [11, ...array(64)],
    [12, 1, 6, 1, 97, 11, 2, 1, 10, 1],
    [13, 1, 116, 6, 120],
    [11, 3, 5, 0, 0, 0, 0, 0, 0, 0, 0x80, 13, 3, 1, 116, 8, 4, 1],
  ];
  for (const [tag, ...payload] of good)
    expect(() => plainValue(tag, Uint8Array.from(payload))).not.toThrow();
  const bad: readonly (readonly [number, ...number[]])[] = [
    [15],
    [1, 0],
    [4],
    [4, 1, 1],
    [5, 0, 0, 0, 0, 0, 0, 0, 0],
    [5, 1, 0, 0, 0, 0, 0, 0xf8, 0x7f],
    [6, 0xff],
    [7, 97, 0],
    [7, 97],
    [9, 1],
    [9, 2, 1],
    [9, 0, 1, 0],
    [10, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x1f],
    [11, ...array(65)],
    [11, 2, 1],
    [11, 1, 0],
    [11, 1, 14],
    [12, 1, 1],
    [13, 0, 6],
    [13, 17, ...Array<number>(17).fill(97), 6],
    [13, 1, 116, 1],
    [13, 1, 116],
  ];
  for (const [tag, ...payload] of bad)
    expect(() => plainValue(tag, Uint8Array.from(payload))).toThrow(corruptBytes);
  expect(() => plainValue(8, new Uint8Array(2 ** 20 - 1))).not.toThrow();
  expect(() => plainValue(8, new Uint8Array(2 ** 20))).toThrow(corruptBytes);
});

test("text is ordered as its UTF-8 bytes are", () => {
  const text = fc.string({
    unit: fc.constantFrom("a", "b", "é", "\ud7ff", "\ue000", "\uffff", "😀", "🤖"),
    maxLength: 4,
  });
  fc.assert(
    fc.property(text, text, (a, b) => {
      expect(Math.sign(compareText(a, b))).toBe(
        Math.sign(Buffer.compare(Buffer.from(a), Buffer.from(b))),
      );
    }),
  );
});
