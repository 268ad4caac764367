/** Law 1: one total order of entries, and nothing else decides which write wins. */

import fc from "fast-check";
import { expect, test } from "vitest";

import {
  WON,
  type Engine,
  type EngineDictionary,
  type EngineValue,
} from "../../ts/engine/contract.ts";
import { describeEngines } from "../suites/engines.ts";
import { entriesOf, idOf, openReplica, stateOf, wholeDelta } from "../suites/replicas.ts";
import { closeAll, permutations } from "./writes.ts";

const now = 1_000;

interface ExplicitWrite {
  readonly value: EngineValue | undefined;
  readonly millis: number;
  readonly counter: number;
  readonly replica: number;
}

describeEngines("the order of entries", (engine) => {
  test("is total and transitive on a small world, and decides by stamp, value over tombstone, then bytes", () => {
    const world = smallWorld();
    const lefts = world.map((write) => deltaOf(engine, 1, write));
    const rights = world.map((write) => deltaOf(engine, 2, write));
    const beats = lefts.map((left, i) =>
      rights.map((right, j) => (i === j ? "equal" : winner(engine, left, right))),
    );
    let triples = 0;
    for (const [i, left] of world.entries()) {
      for (const [j, right] of world.entries()) {
        const wins = beats[i]?.[j];
        expect(wins).toBe(i === j ? "equal" : compare(left, right) > 0 ? "left" : "right");
        for (const k of world.keys()) {
          if (wins !== "left" || beats[j]?.[k] !== "left") continue;
          triples += 1;
          if (beats[i]?.[k] !== "left")
            expect.unreachable(`${i} beats ${j} beats ${k}, which beats ${i}`);
        }
      }
    }
    expect(triples).toBe((world.length * (world.length - 1) * (world.length - 2)) / 6);
  });

  test("does not ask in which order up to six writes of equal stamps arrive", () => {
    const values = [1, 2, "text", null, true, undefined];
    for (let count = 2; count <= values.length; count += 1) {
      const deltas = values
        .slice(values.length - count)
        .map((value, index) =>
          deltaOf(engine, 1 + index, { value, millis: 5, counter: 0, replica: 9 }),
        );
      const states = new Set<string>();
      for (const order of permutations(deltas)) {
        const reader = openReplica(engine, 50);
        for (const delta of order) reader.merge(delta, now, 0);
        states.add(stateOf(reader));
        reader.close();
      }
      expect(states.size).toBe(1);
    }
  });

  test("keeps the greater dot, then the greater origin, of writes equal in all else", () => {
    const write = { value: 7, millis: 5, counter: 0, replica: 9 };
    const deltas = [1, 2, 3].map((number) => deltaOf(engine, number, write));
    for (const order of permutations(deltas)) {
      const reader = openReplica(engine, 50);
      for (const delta of order) reader.merge(delta, now, 0);
      const [entry, ...others] = entriesOf(reader);
      expect(others).toEqual([]);
      expect(entry?.dot).toEqual({ replica: `${"0".repeat(31)}3`, counter: 1 });
      reader.close();
    }
  });

  test("lets an explicit stamp lose to what is there, without a trace", () => {
    fc.assert(
      fc.property(fc.array(explicitWrite, { minLength: 1, maxLength: 12 }), (writes) => {
        const replica = openReplica(engine, 1);
        let held: ExplicitWrite | undefined;
        for (const write of writes) {
          const before = stateOf(replica);
          const won = (writeTo(replica, write) & WON) !== 0;
          // A tombstone is written only over a value.
          const mayWin =
            write.value !== undefined || (held !== undefined && held.value !== undefined);
          expect(won).toBe(mayWin && (held === undefined || compare(write, held) > 0));
          if (won) held = write;
          else expect(stateOf(replica)).toBe(before);
        }
        replica.close();
      }),
      { numRuns: 300 },
    );
  });

  test("lets every write without an explicit stamp win where it is made", () => {
    fc.assert(
      fc.property(
        fc.array(explicitWrite, { maxLength: 6 }),
        fc.integer({ min: 0, max: 20 }),
        (writes, clockMs) => {
          const replica = openReplica(engine, 1);
          for (const [index, write] of writes.entries()) {
            const other = openReplica(engine, 2 + index);
            writeTo(other, write);
            replica.merge(wholeDelta(other), now, 0);
            other.close();
          }
          expect(replica.set("k", "mine", clockMs) & WON).toBe(WON);
          expect(replica.get("k")).toBe("mine");
          expect(replica.delete("k", clockMs) & WON).toBe(WON);
          expect(replica.has("k")).toBe(false);
          replica.close();
        },
      ),
      { numRuns: 200 },
    );
  });
});

const explicitWrite: fc.Arbitrary<ExplicitWrite> = fc.record({
  value: fc.constantFrom(undefined, null, 0, 1),
  millis: fc.integer({ min: 1, max: 3 }),
  counter: fc.integer({ min: 0, max: 1 }),
  replica: fc.integer({ min: 1, max: 2 }),
});

function smallWorld(): ExplicitWrite[] {
  const world: ExplicitWrite[] = [];
  for (const millis of [1, 2]) {
    for (const counter of [0, 1]) {
      for (const replica of [8, 9]) {
        for (const value of orderedValues) world.push({ value, millis, counter, replica });
      }
    }
  }
  return world;
}

/** In the order of their canonical bytes, which begin with the tag. */
const orderedValues: readonly (EngineValue | undefined)[] = [
  undefined,
  null,
  false,
  true,
  0,
  1,
  0.5,
  "a",
  "b",
  "ba",
];

/** The order as the law words it, written again. */
function compare(left: ExplicitWrite, right: ExplicitWrite): number {
  return (
    left.millis - right.millis ||
    left.counter - right.counter ||
    left.replica - right.replica ||
    orderedValues.indexOf(left.value) - orderedValues.indexOf(right.value)
  );
}

/** Which of two writes stays, from both directions. */
function winner(engine: Engine, left: Uint8Array, right: Uint8Array): string {
  const deltas = [left, right];
  const winners = [deltas, deltas.toReversed()].map((order) => {
    const reader = openReplica(engine, 50);
    for (const delta of order) reader.merge(delta, now, 0);
    const [entry] = entriesOf(reader);
    reader.close();
    return entry?.dot.replica.endsWith("1") === true ? "left" : "right";
  });
  return winners[0] === winners[1] ? (winners[0] ?? "") : "by arrival";
}

/** The delta of a replica that made one explicit write. */
function deltaOf(engine: Engine, number: number, write: ExplicitWrite): Uint8Array {
  const replica = openReplica(engine, number);
  if (write.value === undefined) {
    // A tombstone needs a value to remove: one of the least stamp, which it then supersedes.
    replica.writeAt("k", null, 0, 0, idOf(0), now);
  }
  writeTo(replica, write);
  const delta = wholeDelta(replica);
  closeAll([replica]);
  return delta;
}

function writeTo(
  replica: EngineDictionary,
  { value, millis, counter, replica: stampReplica }: ExplicitWrite,
): number {
  return replica.writeAt("k", value, millis, counter, idOf(stampReplica), now);
}
