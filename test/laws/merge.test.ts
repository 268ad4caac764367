/** Laws 2 and 5: merging is commutative, associative and idempotent, and a version says what was seen. */

import fc from "fast-check";
import { expect, test } from "vitest";

import type { Engine, EngineDictionary } from "../../ts/engine/contract.ts";
import { describeEngines } from "../suites/engines.ts";
import { hasVersion, readEntries, readVersion, versionText } from "../suites/frames.ts";
import {
  entriesOf,
  openReplica,
  pull,
  pullAll,
  stateOf,
  wholeDelta,
  wholeSnapshot,
} from "../suites/replicas.ts";
import { closeAll, operations, replicasAfter } from "./writes.ts";

const now = 2_000;

describeEngines("merging", (engine) => {
  test("gives the same state in whichever order deltas come", () => {
    forAllWorlds(engine, (replicas) => {
      const deltas = replicas.map((replica) => wholeDelta(replica));
      const forward = merged(engine, deltas);
      const backward = merged(engine, deltas.toReversed());
      expect(stateOf(backward)).toBe(stateOf(forward));
      closeAll([forward, backward]);
    });
  });

  test("gives the same state however deltas are grouped", () => {
    forAllWorlds(engine, ([a, b, c]) => {
      const left = openReplica(engine, 20);
      for (const replica of [a, b, c]) left.merge(wholeDelta(replica), now, 0);
      const pair = merged(engine, [wholeDelta(b), wholeDelta(c)]);
      const right = merged(engine, [wholeDelta(a), wholeDelta(pair)]);
      expect(stateOf(right)).toBe(stateOf(left));
      closeAll([left, pair, right]);
    });
  });

  test("changes nothing the second time", () => {
    forAllWorlds(engine, (replicas) => {
      const deltas = replicas.map((replica) => wholeDelta(replica));
      const once = merged(engine, deltas);
      const state = stateOf(once);
      const head = once.head();
      for (const delta of deltas) expect(once.merge(delta, now, 0).applied).toBe(0);
      expect(stateOf(once)).toBe(state);
      expect(once.head()).toBe(head);
      once.close();
    });
  });

  test("gives the same by deltas as by snapshots", () => {
    forAllWorlds(engine, ([a, b, c]) => {
      const byDeltas = openReplica(engine, 20);
      const bySnapshots = openReplica(engine, 21);
      for (const replica of [a, b, c, a]) {
        pull(byDeltas, replica, now);
        bySnapshots.merge(wholeSnapshot(replica), now, 0);
      }
      expect(stateOf(bySnapshots)).toBe(stateOf(byDeltas));
      closeAll([byDeltas, bySnapshots]);
    });
  });

  test("brings all to the same bytes, digest and version after an exchange", () => {
    forAllWorlds(engine, (replicas) => {
      pullAll(replicas, now);
      const [first, ...others] = replicas;
      for (const other of others) {
        expect(stateOf(other)).toBe(stateOf(first));
        expect(other.digest()).toEqual(first.digest());
        expect(other.version()).toEqual(first.version());
        expect(other.size()).toBe(first.size());
      }
    });
  });

  test("passes entries on as they were written: stamp, dot and value", () => {
    forAllWorlds(engine, ([author]) => {
      const relay = merged(engine, [wholeDelta(author)]);
      const reader = merged(engine, [wholeDelta(relay)]);
      expect(entriesOf(relay)).toEqual(entriesOf(author));
      expect(entriesOf(reader)).toEqual(entriesOf(author));
      closeAll([relay, reader]);
    });
  });

  test("takes parts of any size in any order, doubled and lost and sent again", () => {
    fc.assert(
      fc.property(
        operations,
        fc.constantFrom(1, 30, 80),
        fc.infiniteStream(fc.nat()),
        (list, partBytesMax, choices) => {
          const replicas = replicasAfter(engine, list);
          const receiver = openReplica(engine, 20);
          const parts = replicas.flatMap((replica) => replica.delta(undefined, { partBytesMax }));
          const doubled = [...parts, ...parts];
          const shuffled = shuffle(doubled, choices);
          const lost = new Set(parts.filter(() => choices.next().value % 3 === 0));
          for (const part of shuffled) if (!lost.has(part)) receiver.merge(part, now, 0);
          // What was lost comes again, by the version that the receiver has by now.
          for (const replica of replicas) {
            const known = readVersion(receiver.version());
            const resent = replica.delta(receiver.version(), { partBytesMax });
            for (const { dot } of resent.flatMap(readEntries)) {
              expect(
                hasVersion(known, {
                  vector: new Map(),
                  exceptions: new Map([[dot.replica, [{ start: dot.counter, end: dot.counter }]]]),
                }),
              ).toBe(false);
            }
            for (const part of shuffle(resent, choices)) receiver.merge(part, now, 0);
          }
          const direct = merged(
            engine,
            replicas.map((replica) => wholeDelta(replica)),
          );
          expect(stateOf(receiver)).toBe(stateOf(direct));
          closeAll([...replicas, receiver, direct]);
        },
      ),
      { numRuns: 150 },
    );
  });

  test("says that it is complete exactly when the version covers the sender's", () => {
    forAllWorlds(engine, ([a, b]) => {
      const delta = wholeDelta(a, b.version());
      const report = b.merge(delta, now, 0);
      expect(report.complete).toBe(true);
      expect(hasVersion(readVersion(b.version()), readVersion(a.version()))).toBe(true);
      expect(readEntries(wholeDelta(a, b.version()))).toEqual([]);
    });
  });

  test("leaves no two replicas with equal versions and other data", () => {
    fc.assert(
      fc.property(operations, (list) => {
        const replicas = replicasAfter(engine, list);
        const states = new Map<string, string>();
        for (const replica of replicas) {
          const version = versionText(readVersion(replica.version()));
          const entries = JSON.stringify(entriesOf(replica), (_, value: unknown) =>
            typeof value === "bigint" ? String(value) : value,
          );
          expect(states.get(version) ?? entries).toBe(entries);
          states.set(version, entries);
        }
        closeAll(replicas);
      }),
      { numRuns: 300 },
    );
  });
});

type World = [EngineDictionary, EngineDictionary, EngineDictionary];

function forAllWorlds(engine: Engine, law: (replicas: World) => void): void {
  fc.assert(
    fc.property(operations, (list) => {
      const [a, b, c] = replicasAfter(engine, list);
      if (a === undefined || b === undefined || c === undefined)
        throw new Error("three replicas are missing");
      law([a, b, c]);
      closeAll([a, b, c]);
    }),
    { numRuns: 150 },
  );
}

/** A fresh replica with these deltas. */
function merged(engine: Engine, deltas: readonly Uint8Array[]): EngineDictionary {
  const replica = openReplica(engine, 20);
  for (const delta of deltas) replica.merge(delta, now, 0);
  return replica;
}

function shuffle<Item>(items: readonly Item[], choices: fc.Stream<number>): Item[] {
  const left = [...items];
  const shuffled: Item[] = [];
  while (left.length > 0) shuffled.push(...left.splice(choices.next().value % left.length, 1));
  return shuffled;
}
