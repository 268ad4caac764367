/** Law 7b: two copies of one replica are found out, and nothing is lost. */

import fc from "fast-check";
import { expect, test } from "vitest";

import { type Engine, type EngineDictionary } from "../../ts/engine/contract.ts";
import { toHex } from "../suites/bytes.ts";
import { describeEngines } from "../suites/engines.ts";
import { readVersion, versionText } from "../suites/frames.ts";
import {
  entriesOf,
  idOf,
  openReplica,
  pull,
  pullAll,
  stateOf,
  wholeDelta,
  wholeSnapshot,
} from "../suites/replicas.ts";
import { compareRank } from "./oracle.ts";
import { closeAll } from "./writes.ts";

const now = 1_000;

describeEngines("a copied replica", (engine) => {
  test("is found out by a counter that it never gave out, and takes its spare id", () => {
    const { original, copy } = copied(engine);
    original.set("a", 1, now);
    original.set("b", 1, now);
    copy.set("c", 1, now);
    const report = pull(copy, original, now);
    expect(report.cloned).toBe(true);
    expect(toHex(copy.replicaId())).toBe(toHex(idOf(200)));
    // Its own entries have dots of the new id, with the stamps that they had.
    for (const { dot, stampReplica } of entriesOf(copy).filter(
      ({ key }) => key === "c" || key === "before",
    )) {
      expect(dot.replica).toBe(toHex(idOf(200)));
      expect(stampReplica).toBe(toHex(idOf(1)));
    }
    // The copy's version had the dot of «a», for «c»: what is hidden so comes by a full exchange.
    copy.merge(wholeDelta(original), now, 0);
    pullAll([original, copy], now);
    expect(["before", "a", "b", "c"].map((key) => original.has(key))).toEqual([
      true,
      true,
      true,
      true,
    ]);
    expect(stateOf(copy)).toBe(stateOf(original));
    closeAll([original, copy]);
  });

  test("is found out by one dot that stands for two writes", () => {
    for (const [left, right] of [
      [
        ["x", 1],
        ["y", 1],
      ],
      [
        ["x", 1],
        ["x", 2],
      ],
    ] as const) {
      const { original, copy } = copied(engine);
      original.set(left[0], left[1], now);
      copy.set(right[0], right[1], now);
      expect(copy.merge(wholeDelta(original), now, 0).cloned).toBe(true);
      exchange(original, copy);
      expect(stateOf(copy)).toBe(stateOf(original));
      expect(original.has(left[0]) && original.has(right[0])).toBe(true);
      closeAll([original, copy]);
    }
  });

  test("is found out in a delta's base, in a version without entries, and by a re-read", () => {
    const findings: readonly ((original: EngineDictionary, copy: EngineDictionary) => boolean)[] = [
      (original, copy) => copy.merge(wholeDelta(original, original.version()), now, 0).cloned,
      (original, copy) => copy.merge(original.changesSince(original.head()).frame, now, 0).cloned,
      (original, copy) => copy.merge(wholeSnapshot(original), now, 0).cloned,
      (original, copy) => copy.reread([wholeSnapshot(original)], now).cloned,
    ];
    for (const find of findings) {
      const { original, copy } = copied(engine);
      original.set("a", 1, now);
      expect(find(original, copy)).toBe(true);
      expect(toHex(copy.replicaId())).toBe(toHex(idOf(200)));
      closeAll([original, copy]);
    }
  });

  test("leaves a third replica with two writes of one dot, which passes both on", () => {
    const { original, copy } = copied(engine);
    original.set("x", 1, now);
    copy.set("y", 1, now);
    const [third, fourth] = [openReplica(engine, 3), openReplica(engine, 4)];
    third.merge(wholeDelta(original), now, 0);
    third.merge(wholeDelta(copy), now, 0);
    expect(entriesOf(third).filter(({ dot }) => dot.counter === 2).length).toBe(2);
    expect(pull(fourth, third, now)).toMatchObject({ applied: 3, complete: true });
    expect(stateOf(fourth)).toBe(stateOf(third));
    closeAll([original, copy, third, fourth]);
  });

  test("keeps its spare id for later when nothing is wrong", () => {
    const [a, b] = [openReplica(engine, 1), openReplica(engine, 2)];
    a.set("k", 1, now);
    for (let round = 0; round < 3; round += 1) {
      expect(pull(b, a, now).cloned).toBe(false);
      expect(pull(a, b, now).cloned).toBe(false);
      b.set("k", round, now);
    }
    expect(toHex(a.replicaId())).toBe(toHex(idOf(1)));
    closeAll([a, b]);
  });

  test("loses no write, and its copy none, after a full exchange both ways", () => {
    const write = fc.record({
      at: fc.nat({ max: 2 }),
      key: fc.constantFrom("before", "x", "y", "z"),
      value: fc.integer({ min: 0, max: 9 }),
      timeMs: fc.integer({ min: now, max: now + 4 }),
    });
    fc.assert(
      fc.property(fc.array(write, { minLength: 1, maxLength: 14 }), (writes) => {
        const { original, copy } = copied(engine);
        const third = openReplica(engine, 3);
        const all = [original, copy, third];
        for (const { at, key, value, timeMs } of writes) (all[at] ?? third).set(key, value, timeMs);
        const winners = new Map<string, string>();
        for (const entry of all.flatMap(entriesOf).toSorted(compareRank))
          winners.set(entry.key, toHex(entry.payload));
        for (let round = 0; round < 4; round += 1) {
          for (const [left, right] of [
            [original, copy],
            [original, third],
            [copy, third],
          ] as const)
            exchange(left, right);
        }
        for (const replica of all) {
          expect(
            new Map(entriesOf(replica).map(({ key, payload }) => [key, toHex(payload)])),
          ).toEqual(winners);
          expect(stateOf(replica)).toBe(stateOf(original));
        }
        closeAll(all);
      }),
      { numRuns: 200 },
    );
  });
});

/** Replica 1 with one entry, and a copy of it with the same id. */
function copied(engine: Engine): { original: EngineDictionary; copy: EngineDictionary } {
  const original = openReplica(engine, 1);
  original.set("before", 1, now);
  const copy = engine.create({
    replicaId: idOf(1),
    spareId: idOf(200),
    driftMaxMs: 300_000,
    snapshot: [wholeSnapshot(original)],
  });
  return { original, copy };
}

/** Both ways by version, and by hashes where equal versions go with other data. */
function exchange(left: EngineDictionary, right: EngineDictionary): void {
  pull(left, right, now + 10);
  pull(right, left, now + 10);
  const versions = [left, right].map((replica) => versionText(readVersion(replica.version())));
  if (versions[0] !== versions[1] || toHex(left.digest()) === toHex(right.digest())) return;
  for (const [to, from] of [
    [left, right],
    [right, left],
  ] as const) {
    const seed = new Uint8Array(16);
    const table = from.hashes(seed, new Uint8Array(9));
    const count = new DataView(table.buffer, table.byteOffset).getUint32(0, true);
    const keyHashes = Buffer.concat(
      Array.from({ length: count }, (_, index) => table.subarray(4 + index * 16, 12 + index * 16)),
    );
    to.merge(from.entriesByHash(seed, keyHashes), now + 10, 0);
  }
}
