/** Law 7: tombstones that everybody acknowledged go, and who has missed them is told and re-reads. */

import fc from "fast-check";
import { expect, test } from "vitest";

import { WON, type EngineDictionary } from "../../ts/engine/contract.ts";
import { describeEngines } from "../suites/engines.ts";
import {
  hasVersion,
  readEntries,
  readHorizon,
  readVersion,
  writeVersion,
} from "../suites/frames.ts";
import {
  codeOf,
  driftMaxMs,
  entriesOf,
  idOf,
  openReplica,
  pull,
  pullAll,
  stateOf,
  wholeDelta,
  wholeSnapshot,
} from "../suites/replicas.ts";
import { closeAll, operations, replicasAfter } from "./writes.ts";

const now = 100_000;

describeEngines("collection", (engine) => {
  test("drops tombstones and prefix tombstones that all have seen, and nothing else", () => {
    fc.assert(
      fc.property(operations, (list) => {
        const replicas = replicasAfter(engine, list);
        pullAll(replicas, now);
        const [collector, ...others] = replicas as [EngineDictionary, ...EngineDictionary[]];
        const values = entriesOf(collector).filter(({ tag }) => tag !== 0 && tag !== 14);
        const tombstones = entriesOf(collector).length - values.length;
        expect(collector.collectTombstones(collector.version(), now)).toBe(tombstones);
        expect(collector.collectTombstones(collector.version(), now)).toBe(0);
        expect(entriesOf(collector)).toEqual(values);
        // The horizon goes with the next exchange, though the versions are equal.
        for (const other of others) pull(other, collector, now);
        for (const other of others) expect(stateOf(other)).toBe(stateOf(collector));
        closeAll(replicas);
      }),
      { numRuns: 100 },
    );
  });

  test("reaches no further than the own vector, nor than stamps that lie ahead of now", () => {
    const [a, b] = [openReplica(engine, 1), openReplica(engine, 2)];
    a.set("x", 1, now);
    a.delete("x", now);
    a.set("y", 1, now + 500);
    a.delete("y", now + 500);
    expect(b.collectTombstones(a.version(), now)).toBe(0);
    expect(readVersion(b.horizon()).vector.size).toBe(0);
    expect(a.collectTombstones(a.version(), now)).toBe(1);
    expect(readVersion(a.horizon()).vector.get(hex(1))).toBe(3);
    expect(a.collectTombstones(a.version(), now + 501)).toBe(1);
    closeAll([a, b]);
  });

  test("leaves nothing to tell an explicit stamp from the time before, so that one is refused", () => {
    const [a, b] = [openReplica(engine, 1), openReplica(engine, 2)];
    a.set("k", 1, 40);
    a.delete("k", 50);
    pull(b, a, now);
    b.collectTombstones(b.version(), now);
    expect(codeOf(() => b.writeAt("other", 1, 49, 0, idOf(9), now))).toBe("below-horizon");
    expect(codeOf(() => b.writeAt("other", 1, 50, 0, idOf(1), now))).toBe("below-horizon");
    expect(b.writeAt("other", 1, 50, 0, idOf(2), now) & WON).toBe(WON);
    expect(b.writeAt("k", 1, 50, 1, idOf(0), now) & WON).toBe(WON);
    closeAll([a, b]);
  });

  test("tells the replica that has missed it, whoever of the two sends", () => {
    const { collector, stranger } = apart();
    const state = stateOf(stranger);
    expect(codeOf(() => pull(stranger, collector, now))).toBe("below-horizon receiver");
    expect(stateOf(stranger)).toBe(state);
    const delta = wholeDelta(stranger, collector.version());
    expect(codeOf(() => collector.merge(delta, now, 0))).toBe("below-horizon sender");
    expect(collector.has("removed")).toBe(false);
    closeAll([collector, stranger]);
  });

  function apart(): { collector: EngineDictionary; stranger: EngineDictionary } {
    const [collector, stranger] = [openReplica(engine, 1), openReplica(engine, 2)];
    collector.set("removed", 1, 1_000);
    collector.set("kept", 1, 1_000);
    pull(stranger, collector, 1_000);
    stranger.set("own", 1, 2_000);
    collector.delete("removed", 2_000);
    collector.collectTombstones(collector.version(), now);
    return { collector, stranger };
  }

  test("lets a re-read bring back what was never seen, and not what was removed", () => {
    const { collector, stranger } = apart();
    const report = stranger.reread(collector.snapshot({ partBytesMax: 30 }), now);
    expect(report).toMatchObject({ applied: 1, complete: true });
    expect(["removed", "kept", "own"].map((key) => stranger.has(key))).toEqual([false, true, true]);
    const own = entriesOf(stranger).find(({ key }) => key === "own");
    expect(own).toMatchObject({
      dot: { replica: hex(2), counter: 2 },
      origin: { replica: hex(2), counter: 1 },
    });
    expect(own?.hlc).toBe(2_000n << 16n);
    pullAll([collector, stranger], now);
    expect(stateOf(stranger)).toBe(stateOf(collector));
    expect(collector.has("own")).toBe(true);
    closeAll([collector, stranger]);
  });

  test("refuses a re-read from who is behind oneself, with missing or doubled parts, or from a clock that is ahead", () => {
    const { collector, stranger } = apart();
    const before = stateOf(collector);
    expect(codeOf(() => collector.reread(stranger.snapshot(), now))).toBe("below-horizon sender");
    expect(stateOf(collector)).toBe(before);

    const parts = collector.snapshot({ partBytesMax: 1 });
    collector.set("more", 1, 3_000);
    const otherParts = collector.snapshot({ partBytesMax: 1 });
    const unchanged = stateOf(stranger);
    const doubled = [...otherParts, ...otherParts.slice(0, 1)];
    for (const wrong of [
      otherParts.slice(1),
      otherParts.slice(0, -1),
      doubled,
      [...parts, ...otherParts],
      [],
    ]) {
      expect(codeOf(() => stranger.reread(wrong, now))).toBe("invalid-argument");
    }
    collector.set("far", 1, now + driftMaxMs + 1);
    expect(codeOf(() => stranger.reread(collector.snapshot(), now))).toBe("clock-drift");
    expect(stateOf(stranger)).toBe(unchanged);
    expect(stranger.reread(otherParts.toReversed(), now).complete).toBe(true);
    closeAll([collector, stranger]);
  });

  test("is the end of no write that the snapshot's version has not seen", () => {
    fc.assert(
      fc.property(operations, operations, (before, after) => {
        const replicas = replicasAfter(engine, before);
        const [collector, known, stranger] = replicas as [
          EngineDictionary,
          EngineDictionary,
          EngineDictionary,
        ];
        pullAll([collector, known], now);
        collector.collectTombstones(collector.version(), now);
        for (const [index, item] of after.entries()) {
          if (item.kind === "set") stranger.set(item.key, item.value, now + index);
          if (item.kind === "deletePrefix") stranger.deletePrefix(item.prefix, now + index);
        }
        const unseen = entriesOf(stranger).filter(
          ({ dot }) =>
            !hasVersion(readVersion(collector.version()), {
              vector: new Map(),
              exceptions: new Map([[dot.replica, [{ start: dot.counter, end: dot.counter }]]]),
            }),
        );
        stranger.reread([wholeSnapshot(collector)], now + 100);
        const held = entriesOf(stranger);
        for (const { key, tag, hlc } of unseen) {
          const same = held.find((entry) => entry.key === key && entry.tag === tag);
          const greater = held.some(
            (entry) => entry.hlc >= hlc && (entry.key === key || entry.tag === 14),
          );
          expect(same?.hlc === hlc || greater).toBe(true);
        }
        expect(hasVersion(readVersion(stranger.version()), readVersion(collector.version()))).toBe(
          true,
        );
        pullAll(replicas, now + 200);
        expect(stateOf(stranger)).toBe(stateOf(collector));
        expect(stateOf(known)).toBe(stateOf(collector));
        closeAll(replicas);
      }),
      { numRuns: 100 },
    );
  });

  test("ends equal to the byte when an entry that a re-read kept was received before by others", () => {
    // The re-reader's id is below the writer's: its new dot must win nevertheless, because it alone is new to all.
    const [a, b, d] = [openReplica(engine, 1), openReplica(engine, 2), openReplica(engine, 9)];
    a.set("removed", 1, 1_000);
    a.delete("removed", 1_000);
    pull(d, a, 1_000);
    const base = d.version();
    d.set("e", 1, 2_000);
    b.merge(wholeDelta(d, base), now, 0);
    a.collectTombstones(a.version(), now);
    b.reread([wholeSnapshot(a)], now);
    expect(entriesOf(b)[0]).toMatchObject({
      key: "e",
      dot: { replica: hex(2) },
      origin: { replica: hex(9) },
    });
    pull(a, d, now);
    pull(a, b, now);
    for (const [to, from] of [
      [b, a],
      [d, a],
      [a, d],
      [a, b],
      [d, a],
    ] as const) {
      pull(to, from, now);
    }
    expect(a.digest()).toEqual(b.digest());
    expect(a.version()).toEqual(b.version());
    expect(entriesOf(b)).toEqual(entriesOf(a));
    expect(stateOf(d)).toBe(stateOf(a));
    closeAll([a, b, d]);
  });

  test("goes on through snapshots: who starts from one has its horizon", () => {
    const { collector, stranger } = apart();
    const fresh = openReplica(engine, 3, { snapshot: [wholeSnapshot(collector)] });
    expect(stateOf(fresh)).toBe(stateOf(collector));
    expect(codeOf(() => fresh.merge(wholeDelta(stranger), now, 0))).toBe("below-horizon sender");
    expect(codeOf(() => fresh.writeAt("x", 1, 2_000, 0, idOf(1), now))).toBe("below-horizon");
    closeAll([collector, stranger, fresh]);
  });

  test("is asked for by the vector of a version: exceptions do not count", () => {
    const replica = openReplica(engine, 1);
    replica.set("k", 1, 10);
    replica.delete("k", 20);
    const exceptions = new Map([[hex(1), [{ start: 1, end: 2 }]]]);
    expect(replica.collectTombstones(writeVersion({ vector: new Map(), exceptions }), now)).toBe(0);
    expect(readHorizon(wholeSnapshot(replica)).vector.size).toBe(0);
    expect(readEntries(wholeSnapshot(replica)).length).toBe(1);
    replica.close();
  });
});

function hex(number: number): string {
  return Buffer.from(idOf(number)).toString("hex");
}
