/** Entries from the columns of an engine and back into such columns. */

import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { columnsOfEntries, NO_REPLICA } from "../../ts/engine/columns.ts";
import { afterPrefix, ColumnWriter, EntryReader } from "../../ts/persistence/row-columns.ts";

// So few that entries share them.
const replicaId = fc
  .integer({ min: 0, max: 5 })
  .map((first) => first.toString(16).padStart(2, "0").repeat(16));
const dot = fc.record({ replicaId, counter: fc.integer({ min: 1, max: 2 ** 53 - 1 }) });
const stamp = fc.record({
  millis: fc.integer({ min: 0, max: 2 ** 48 - 1 }),
  counter: fc.integer({ min: 0, max: 2 ** 16 - 1 }),
  replicaId,
});
const meta = { stamp, dot, origin: fc.option(dot, { nil: undefined }) };
const entry = fc.oneof(
  fc.record({
    key: fc.string({ unit: "grapheme" }),
    isPrefix: fc.constant(false),
    value: fc.option(fc.oneof(fc.string(), fc.double(), fc.boolean()), { nil: undefined }),
    ...meta,
  }),
  fc.record({
    key: fc.string({ unit: "grapheme" }).map((key) => `${key}/`),
    isPrefix: fc.constant(true),
    value: fc.constant(undefined),
    ...meta,
  }),
);

describe("entries that are read from columns", () => {
  test("give the same columns when they are written, whatever the order of the ids", () => {
    fc.assert(
      fc.property(fc.array(entry), fc.boolean(), (entries, isBackwards) => {
        const columns = columnsOfEntries(entries);
        expect(Buffer.from(rewritten(columns, isBackwards))).toEqual(Buffer.from(columns));
      }),
    );
  });

  test("lie at any place of a buffer", () => {
    const columns = columnsOfEntries(fc.sample(entry, { numRuns: 20, seed: 1 }));
    const shifted = new Uint8Array(columns.length + 3);
    shifted.set(columns, 3);
    expect(Buffer.from(rewritten(shifted.subarray(3), false))).toEqual(Buffer.from(columns));
  });
});

test("the key after a prefix is greater than all keys that begin with it, and no greater than others", () => {
  const after = (prefix: string): string =>
    Buffer.from(afterPrefix(Buffer.from(prefix))).toString("hex");
  expect(after("a/")).toBe(Buffer.from("a0").toString("hex"));
  expect(after("")).toBe("ff");
});

function rewritten(columns: Uint8Array, isBackwards: boolean): Uint8Array {
  const entries = new EntryReader(columns);
  const ids = entries.ids.map((id) => Buffer.from(id).toString("hex"));
  const place = (index: number): number => (isBackwards ? ids.length - 1 - index : index);
  const writer = new ColumnWriter(entries.count);
  for (let at = 0; at < entries.count; at++) {
    writer.next(entries.tag(at), entries.key(at), entries.payload(at));
    writer.stamp(entries.millis(at), entries.counter(at), place(entries.replica(at)));
    writer.dot(place(entries.dotReplica(at)), entries.dotCounter(at));
    const origin = entries.originReplica(at);
    if (origin !== NO_REPLICA) writer.origin(place(origin), entries.originCounter(at));
  }
  return writer.finish(isBackwards ? ids.toReversed() : ids);
}
