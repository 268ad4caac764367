import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { ByteReader, ByteWriter, unzigzag, VARINT_MAX, zigzag } from "../../ts/codec/numbers.ts";

const LIMIT = 2 ** 53;

describe("varints", () => {
  test("come back, and take seven bits a byte", () => {
    for (const [number, length] of [
      [0, 1],
      [127, 1],
      [128, 2],
      [2 ** 14 - 1, 2],
      [2 ** 32, 5],
      [VARINT_MAX, 8],
    ] as const) {
      const bytes = new ByteWriter().varint(number).finish();
      expect(bytes).toHaveLength(length);
      expect(new ByteReader(bytes).varint()).toBe(number);
    }
    fc.assert(
      fc.property(
        fc.maxSafeNat(),
        (number) => new ByteReader(new ByteWriter().varint(number).finish()).varint() === number,
      ),
    );
  });

  test("are refused when they are long, too great or cut off", () => {
    for (const bytes of [
      [],
      [0x80],
      [0x80, 0],
      [0xff, 0x80, 0],
      [...Array(7).fill(0xff), 0x10],
      Array(20).fill(0xff),
      Array(20).fill(0x80),
    ]) {
      expect(() => new ByteReader(Uint8Array.from(bytes)).varint()).toThrow(
        expect.objectContaining({ code: "corrupt-bytes" }),
      );
    }
  });

  test("that measure are refused when less follows", () => {
    expect(new ByteReader(Uint8Array.of(1, 9)).length()).toBe(1);
    expect(() => new ByteReader(Uint8Array.of(2, 9)).length()).toThrow(
      expect.objectContaining({ code: "corrupt-bytes" }),
    );
  });
});

describe("signed varints", () => {
  test("come back from −2^53 to 2^53", () => {
    for (const number of [
      0,
      -1,
      1,
      63,
      64,
      -64,
      -65,
      8191,
      8192,
      LIMIT - 1,
      LIMIT,
      1 - LIMIT,
      -LIMIT,
    ]) {
      const bytes = new ByteWriter().svarint(number).finish();
      expect(new ByteReader(bytes).svarint()).toBe(number);
    }
    fc.assert(
      fc.property(
        fc.maxSafeInteger(),
        (number) => new ByteReader(new ByteWriter().svarint(number).finish()).svarint() === number,
      ),
    );
  });

  test("hold the sign beside six bits", () => {
    expect([...new ByteWriter().svarint(-1).finish()]).toEqual([0x40]);
    expect([...new ByteWriter().svarint(64).finish()]).toEqual([0x80, 1]);
  });

  test("are refused beyond 2^53, even where a double would round them back", () => {
    // 2^53 + 1 and −2^53 − 1: six bits, then seven a byte.
    for (const bytes of [
      [0x81, ...Array(6).fill(0x80), 0x20],
      [0xc0, ...Array(6).fill(0x80), 0x20],
      [0x80, 0],
      [0xbf, 0x80],
    ]) {
      expect(() => new ByteReader(Uint8Array.from(bytes)).svarint()).toThrow(
        expect.objectContaining({ code: "corrupt-bytes" }),
      );
    }
    expect(new ByteReader(Uint8Array.from([0x80, ...Array(6).fill(0x80), 0x20])).svarint()).toBe(
      LIMIT,
    );
  });
});

test("zigzag puts small magnitudes first", () => {
  expect([0, -1, 1, -2, 2].map(zigzag)).toEqual([0, 1, 2, 3, 4]);
  fc.assert(
    fc.property(
      fc.integer({ min: -(2 ** 48), max: 2 ** 48 }).map(Math.trunc),
      (number) => unzigzag(zigzag(number)) === number,
    ),
  );
});

test("numbers of fixed width come back across the growth of the writer", () => {
  const writer = new ByteWriter();
  for (let at = 0; at < 100; at++)
    writer
      .u8(at)
      .u16(65_535 - at)
      .u32(2 ** 32 - 1 - at)
      .f64(-at / 3)
      .u64(2 ** 40 + at);
  const reader = new ByteReader(writer.finish());
  for (let at = 0; at < 100; at++) {
    expect([reader.u8(), reader.u16(), reader.u32(), reader.f64()]).toEqual([
      at,
      65_535 - at,
      2 ** 32 - 1 - at,
      -at / 3,
    ]);
    expect([reader.u32(), reader.u32()]).toEqual([at, 2 ** 8]);
  }
  expect(reader.remaining).toBe(0);
  expect([...new ByteWriter().u64(Infinity).finish()]).toEqual(Array(8).fill(0xff));
});
