/** Law 10: a prefix tombstone covers what is below it, whatever arrives first. */

import fc from "fast-check";
import { expect, test } from "vitest";

import { WON } from "../../ts/engine/contract.ts";
import { describeEngines } from "../suites/engines.ts";
import { readEntries, TAG, type FrameEntry } from "../suites/frames.ts";
import { entriesOf, idOf, openReplica, pullAll, stateOf, wholeDelta } from "../suites/replicas.ts";
import { supersedes } from "./oracle.ts";
import { closeAll, permutations } from "./writes.ts";

const now = 1_000;
const keys = ["k", "p/", "p/x", "p/q/", "p/q/y"];
const prefixes = ["", "p/", "p/q/"];

describeEngines("prefix tombstones", (engine) => {
  test("leave the same normal form in whichever order writes arrive, and it is the one that the law words", () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            isPrefix: fc.boolean(),
            key: fc.nat({ max: keys.length - 1 }),
            millis: fc.integer({ min: 1, max: 4 }),
          }),
          { minLength: 2, maxLength: 5 },
        ),
        (list) => {
          const deltas = list.map(({ isPrefix, key, millis }, index) => {
            const author = openReplica(engine, 1 + index);
            if (isPrefix) author.deletePrefix(prefixes[key % prefixes.length] ?? "", millis);
            else author.writeAt(keys[key] ?? "k", index, millis, 0, idOf(1 + index), now);
            const delta = wholeDelta(author);
            author.close();
            return delta;
          });
          const states = new Set<string>();
          for (const order of permutations(deltas)) {
            const reader = openReplica(engine, 50);
            for (const delta of order) reader.merge(delta, now, 0);
            states.add(stateOf(reader));
            if (states.size === 1)
              expect(entriesOf(reader).map(nameOf)).toEqual(normalForm(deltas));
            reader.close();
          }
          expect(states.size).toBe(1);
        },
      ),
      { numRuns: 60 },
    );
  });

  test("cover later arrivals of other replicas, the key equal to the prefix included, and nothing outside", () => {
    const [a, b] = [openReplica(engine, 1), openReplica(engine, 2)];
    for (const key of ["tasks/4", "tasks/4/", "tasks/4/title", "tasks/42/title"])
      a.set(key, key, now);
    expect(b.deletePrefix("tasks/4/", now + 1)).toBe(0);
    pullAll([a, b], now + 1);
    for (const replica of [a, b]) {
      expect(
        ["tasks/4", "tasks/4/", "tasks/4/title", "tasks/42/title"].filter((key) =>
          replica.has(key),
        ),
      ).toEqual(["tasks/4", "tasks/42/title"]);
      expect(replica.size()).toBe(2);
    }
    closeAll([a, b]);
  });

  test("let a later write below them live, and lose to it nowhere else", () => {
    const [a, b] = [openReplica(engine, 1), openReplica(engine, 2)];
    a.set("p/x", 1, now);
    a.set("p/y", 1, now);
    pullAll([a, b], now);
    expect(b.deletePrefix("p/", now + 1)).toBe(2);
    a.set("p/x", 2, now + 2);
    pullAll([a, b], now + 2);
    for (const replica of [a, b])
      expect([replica.get("p/x"), replica.get("p/y")]).toEqual([2, undefined]);
    closeAll([a, b]);
  });

  test("are one entry on the wire, however much they cover", () => {
    const replica = openReplica(engine, 1);
    for (let index = 0; index < 5_000; index += 1) replica.set(`p/${index}`, index, now);
    expect(replica.deletePrefix("p/", now)).toBe(5_000);
    expect(replica.size()).toBe(0);
    const entries = readEntries(wholeDelta(replica));
    expect(entries.map(({ key, tag }) => [key, tag])).toEqual([["p/", TAG.prefixTombstone]]);
    replica.close();
  });

  test("answer for the stamp of what they cover", () => {
    const replica = openReplica(engine, 1);
    replica.set("p/q/y", 1, now);
    replica.deletePrefix("p/", now);
    replica.deletePrefix("p/q/", now);
    const [outer, inner] = entriesOf(replica);
    expect(outer?.key).toBe("p/");
    expect(inner?.key).toBe("p/q/");
    expect(stampAt(replica.stampOf("p/q/y"))).toBe(inner?.hlc);
    expect(stampAt(replica.stampOf("p/other"))).toBe(outer?.hlc);
    expect(replica.stampOf("k")).toBeUndefined();
    replica.close();
  });

  test("beat a value of an equal stamp below them: law 1 puts values above tombstones of the same key only", () => {
    for (const valueFirst of [true, false]) {
      const [a, b] = [openReplica(engine, 1), openReplica(engine, 2)];
      a.deletePrefix("p/", 5);
      const [tombstone] = entriesOf(a);
      expect(b.writeAt("p/x", 1, 5, 0, idOf(1), now) & WON).toBe(WON);
      const reader = openReplica(engine, 50);
      const deltas = [wholeDelta(b), wholeDelta(a)];
      for (const delta of valueFirst ? deltas : deltas.toReversed()) reader.merge(delta, now, 0);
      expect(entriesOf(reader).map(({ key }) => key)).toEqual([tombstone?.key]);
      closeAll([a, b, reader]);
    }
  });
});

/** What is left of these deltas' entries by law 10, read off pair by pair. */
function normalForm(deltas: readonly Uint8Array[]): string[] {
  const all = deltas.flatMap((delta) => readEntries(delta));
  return all
    .filter((entry) => !all.some((other) => other !== entry && supersedes(other, entry)))
    .toSorted((left, right) =>
      left.key === right.key
        ? right.tag - left.tag
        : Buffer.compare(Buffer.from(left.key), Buffer.from(right.key)),
    )
    .map(nameOf);
}

function nameOf({ key, tag, hlc, dot }: FrameEntry): string {
  return `${key} ${tag} ${hlc} ${dot.replica}`;
}

function stampAt(stamp: Uint8Array | undefined): bigint | undefined {
  return stamp === undefined
    ? undefined
    : new DataView(stamp.buffer, stamp.byteOffset).getBigUint64(0, true);
}
