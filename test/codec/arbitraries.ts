/** Random values, entries and versions. */

import fc from "fast-check";

import { type Runs, unionRuns, type Version } from "../../ts/codec/dots.ts";
import { type Dot, type Entry, MILLIS_END, type Stamp } from "../../ts/codec/entry.ts";
import type { PlainValue } from "../../ts/codec/plain.ts";
import { tagged } from "../../ts/codec/tagged.ts";
import type { Value } from "../../ts/codec/value.ts";

export const replicaId: fc.Arbitrary<string> = fc.constantFrom(
  "00000000000000000000000000000001",
  "0000000000000000000000000000ff00",
  "fedcba98765432100123456789abcdef",
);

export const dot: fc.Arbitrary<Dot> = fc.record({
  replicaId,
  counter: fc.oneof(fc.integer({ min: 1, max: 9 }), fc.constant(2 ** 40 - 1)),
});

export const stamp: fc.Arbitrary<Stamp> = fc.record({
  millis: fc.oneof(fc.integer({ min: 1_000, max: 1_003 }), fc.constantFrom(0, MILLIS_END - 1)),
  counter: fc.oneof(fc.integer({ min: 0, max: 3 }), fc.constantFrom(0xfffe, 0xffff)),
  replicaId,
});

export const plain: fc.Arbitrary<PlainValue> = fc.oneof(
  fc.constantFrom(null, true, false, NaN, -0, 0, 2 ** 53, -(2 ** 53), Infinity),
  fc.integer(),
  fc.double(),
  fc.string({ unit: "grapheme", maxLength: 20 }).filter((text) => text.isWellFormed()),
  fc.uint8Array({ maxLength: 20 }).map((bytes) => Uint8Array.of(8, ...bytes)),
  fc.constantFrom(
    Uint8Array.of(7, 0x00, 0xd8),
    Uint8Array.of(9, 0),
    Uint8Array.of(9, 1, 0, 7),
    Uint8Array.of(10, 0x80, 1),
    Uint8Array.of(11, 2, 1, 12, 1, 6, 1, 97, 10, 5),
    Uint8Array.of(13, 1, 116, 6, 120),
  ),
);

export const key: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom(
    "a",
    "a/b",
    "a/b/",
    "é",
    "\ufffd",
    "😀",
    "z".repeat(1024),
    `${"y".repeat(40)}1`,
    `${"y".repeat(40)}2`,
  ),
  fc.string({ minLength: 1, maxLength: 40 }),
);

export const entry: fc.Arbitrary<Entry> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      key,
      isPrefix: fc.constant(false),
      value: fc.option(plain, { nil: undefined }),
      stamp,
      dot,
      origin: fc.option(dot, { nil: undefined }),
    }),
  },
  fc.record({
    key: fc.constantFrom("", "a/", "a/b/"),
    isPrefix: fc.constant(true),
    value: fc.constant(undefined),
    stamp,
    dot,
    origin: fc.option(dot, { nil: undefined }),
  }),
);

const runs: fc.Arbitrary<Runs> = fc
  .array(fc.tuple(replicaId, fc.integer({ min: 4, max: 20 }), fc.integer({ min: 0, max: 3 })), {
    maxLength: 8,
  })
  .map((items) => {
    const all = new Map<string, { first: number; last: number }[]>();
    for (const [id, first, more] of items)
      all.set(id, unionRuns(all.get(id) ?? [], [{ first, last: first + more }]));
    return all;
  });

/** Vectors reach 3 at most, and exceptions begin at 4, with or without a gap. */
export const version: fc.Arbitrary<Version> = fc.record({
  vector: fc
    .uniqueArray(fc.tuple(replicaId, fc.integer({ min: 1, max: 3 })), { selector: ([id]) => id })
    .map((pairs) => new Map(pairs)),
  exceptions: runs,
});

const { value: carried } = fc.letrec<{ value: Value }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.constant(null),
    fc.boolean(),
    fc.double(),
    fc.integer(),
    fc.maxSafeInteger(),
    fc.bigInt(),
    fc.string({ unit: "binary" }),
    // Units as they come: lone surrogates too.
    fc.array(fc.nat(0xffff)).map((units) => String.fromCharCode(...units)),
    fc.uint8Array(),
    fc.date({ noInvalidDate: true }),
    fc.string({ minLength: 1, maxLength: 16 }).map((text) => tagged("decimal", text)),
    fc.uint8Array().map((bytes) => tagged("json", bytes)),
    fc.array(tie("value")),
    fc.dictionary(fc.oneof(fc.string(), fc.constant("__proto__")), tie("value")).map(
      // As it would come back: members of the same names in the same order, with a prototype.
      (members) => Object.fromEntries(Object.entries(members)),
    ),
  ) as fc.Arbitrary<Value>,
}));

/** Whatever can be carried. */
export const value: fc.Arbitrary<Value> = carried;
