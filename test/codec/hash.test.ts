import { expect, test } from "vitest";

import { checksum, hashOfBytes, Mix } from "../../ts/codec/hash.ts";
import { sipHash13 } from "../../ts/codec/sip.ts";

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

test("the checksum is XXH32 with seed 0", () => {
  expect(checksum(bytesOf(""))).toBe(0x02cc5d05);
  expect(checksum(bytesOf("a"))).toBe(0x550d7456);
  expect(checksum(bytesOf("abc"))).toBe(0x32d153ff);
  expect(checksum(bytesOf("Nobody inspects the spammish repetition"))).toBe(0xe2293b2f);
});

test("session hashes are SipHash-1-3", () => {
  const zeros = new Uint8Array(16);
  // As CPython hashes bytes with its hash seed set to 0.
  expect(sipHash13(zeros, bytesOf("a"))).toEqual({ high: 0x407448d2, low: 0xb89b1813 });
  expect(sipHash13(zeros, bytesOf("abcdefgh"))).toEqual({ high: 0x3f7b849c, low: 0x0b8e35ea });
  expect(sipHash13(zeros, bytesOf("lastwrite engine 0123"))).toEqual({
    high: 0xc0fec56e,
    low: 0x29b88335,
  });
  expect(sipHash13(new Uint8Array(16).fill(1), bytesOf("a"))).not.toEqual(
    sipHash13(zeros, bytesOf("a")),
  );
});

test("mix is MurmurHash3 x86_128 over whole blocks", () => {
  const block = bytesOf("0123456789abcdefFEDCBA9876543210");
  expect(new Mix([42, 42, 42, 42]).bytes(block).finish()).toEqual([
    0x470888ce, 0x6bed2e38, 0xf2980f9c, 0x758b3df9,
  ]);
});

test("the hash of bytes tells padding from zeros", () => {
  expect(hashOfBytes(Uint8Array.of(1))).not.toEqual(hashOfBytes(Uint8Array.of(1, 0)));
  expect(hashOfBytes(new Uint8Array(0))).toEqual(new Mix([0, 0, 0, 0]).block(0, 0, 0, 0).finish());
});
