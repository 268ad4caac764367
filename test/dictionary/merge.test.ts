import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { compareVersions, type Dictionary, type Report } from "../../ts/index.ts";
import { internalsOf } from "../../ts/dictionary/internals.ts";
import { assertRefused, id, onEachEngine, stateOf } from "./engines.ts";

const NOW = 1_700_000_000_000;

function expectEqual(a: Dictionary, b: Dictionary): void {
  expect(a.digest()).toBe(b.digest());
  expect(a.snapshot()).toEqual(b.snapshot());
  expect(compareVersions(a.version(), b.version())).toBe("equal");
}

onEachEngine((make) => {
  describe("merge", () => {
    test("two replicas exchange deltas and end equal", () => {
      const [a, b] = [make(), make()];
      a.set("x", "from a");
      b.set("x", "from b");
      b.set("y", [1, 2]);
      a.deletePrefix("z/");
      expect(compareVersions(a.version(), b.version())).toBe("concurrent");
      const fromA = a.deltaSince(b.version());
      expect(b.merge(fromA)).toEqual({
        applied: expect.any(Number),
        ignored: expect.any(Number),
        refused: [],
        complete: true,
      });
      expect(compareVersions(a.version(), b.version())).toBe("before");
      expect(compareVersions(b.version(), a.version())).toBe("after");
      a.merge(b.deltaSince(a.version()));
      expectEqual(a, b);
      expect(a.merge(b.deltaSince(a.version()))).toEqual({
        applied: 0,
        ignored: 0,
        refused: [],
        complete: true,
      });
      expect(b.merge(fromA)).toMatchObject({ applied: 0, refused: [], complete: true });
      expect(a.digest()).toMatch(/^[0-9a-f]{32}$/);
      a.close();
      b.close();
    });

    test("snapshots and parts in any order do as deltas do", () => {
      const [a, b, c, d] = [make(), make(), make(), make()];
      for (let at = 0; at < 500; at += 1) a.set(`key/${at}`, "x".repeat(at % 50));
      const parts = [...a.deltaParts(undefined, { partBytesMax: 2000 })];
      expect(parts.length).toBeGreaterThan(5);
      const results = parts.toReversed().map((part) => b.merge(part));
      expect(results.map(({ complete }) => complete)).toEqual([
        ...parts.slice(1).map(() => false),
        true,
      ]);
      expectEqual(a, b);
      c.merge(a.snapshot());
      expectEqual(a, c);
      for (const part of a.snapshotParts({ partBytesMax: 2000 })) d.merge(part);
      expectEqual(a, d);
      const e = make({ snapshot: a.snapshotParts({ partBytesMax: 2000 }) });
      expectEqual(a, e);
      expect(e.replicaId).not.toBe(a.replicaId);
      expect([...a.deltaParts(a.version())]).toHaveLength(1);
      for (const each of [a, b, c, d, e]) each.close();
    });

    test("bytes that are damaged, foreign or no bytes are refused, and change nothing", () => {
      const [a, b] = [make(), make()];
      a.set("x", 1);
      b.set("y", 1);
      const before = stateOf(b);
      const delta = a.deltaSince();
      const damaged = Uint8Array.from(delta, (byte, at) => (at === 5 ? byte ^ 1 : byte));
      assertRefused("corrupt-bytes", () => b.merge(damaged));
      assertRefused("corrupt-bytes", () => b.merge(delta.subarray(1)));
      assertRefused("corrupt-bytes", () => b.merge(new Uint8Array(0)));
      assertRefused("unsupported-format", () => b.merge(a.version()));
      assertRefused("invalid-argument", () => b.merge("delta" as unknown as Uint8Array));
      assertRefused("invalid-argument", () => b.deltaSince([1] as unknown as Uint8Array));
      assertRefused("corrupt-bytes", () => b.deltaSince(new Uint8Array(7)));
      assertRefused("corrupt-bytes", () => compareVersions(new Uint8Array(7), a.version()));
      for (const wrong of [0, -1, 1.5, Number.NaN, "9", null] as number[]) {
        const ofDelta = () => b.deltaParts(undefined, { partBytesMax: wrong });
        const ofSnapshot = () => b.snapshotParts({ partBytesMax: wrong });
        expect(assertRefused("invalid-argument", ofDelta).message).toContain("partBytesMax");
        expect(assertRefused("invalid-argument", ofSnapshot).message).toContain("partBytesMax");
      }
      expect([...b.snapshotParts({ partBytesMax: Infinity })]).toHaveLength(1);
      assertRefused("invalid-argument", () => b.reread([5] as unknown as Uint8Array[]));
      expect(stateOf(b)).toEqual(before);
      expect(b.merge(Buffer.from(delta)).applied).toBe(1);
      a.close();
      b.close();
    });

    test("entries too far ahead are refused one by one, and reported", () => {
      const reports: Report[] = [];
      const a = make({ clock: () => NOW, replicaId: id("a") });
      const ahead = make({ clock: () => NOW + 10_000, replicaId: id("b") });
      const b = make({
        clock: () => NOW,
        driftMaxMs: 5000,
        onReport: (report) => reports.push(report),
      });
      ahead.set("good", 1, { stamp: { millis: NOW } });
      ahead.set("far", 1);
      ahead.set("gone", 1, { stamp: { millis: NOW } });
      ahead.delete("gone");
      ahead.deletePrefix("p/");
      const result = b.merge(ahead.deltaSince());
      const stamp = (counter: number): unknown => ({
        millis: NOW + 10_000,
        counter,
        replicaId: id("b"),
      });
      const refusals = [
        { key: "far", kind: "value", stamp: stamp(0), reason: "clock-drift" },
        { key: "gone", kind: "tombstone", stamp: stamp(1), reason: "clock-drift" },
        { key: "p/", kind: "prefix", stamp: stamp(2), reason: "clock-drift" },
      ];
      expect(result).toMatchObject({ applied: 1, complete: false });
      expect([...result.refused].toSorted((l, r) => (l.key < r.key ? -1 : 1))).toEqual(refusals);
      expect(reports).toEqual([{ code: "clock-drift", refused: result.refused }]);
      expect([...b.keys()]).toEqual(["good"]);
      for (const each of [a, ahead, b]) each.close();
    });

    test("a clone takes a new id and is reported; nothing is lost", () => {
      const reports: Report[] = [];
      const original = make({ replicaId: id("c") });
      original.set("x", 1);
      const clone = make({
        replicaId: id("c"),
        snapshot: original.snapshot(),
        onReport: (report) => reports.push(report),
      });
      original.set("y", "of the original");
      clone.set("z", "of the clone");
      // By versions alone it could not be seen: both have given out the same dots.
      clone.merge(original.deltaSince());
      expect(clone.replicaId).not.toBe(id("c"));
      expect(reports).toEqual([
        { code: "replica-cloned", previousReplicaId: id("c"), replicaId: clone.replicaId },
      ]);
      const firstNew = clone.replicaId;
      original.merge(clone.deltaSince());
      clone.merge(original.deltaSince());
      expect([...clone.keys()]).toEqual(["x", "y", "z"]);
      expect(clone.digest()).toBe(original.digest());
      expect(clone.replicaId).toBe(firstNew);
      original.close();
      clone.close();
    });

    test("an id cloned twice finds another spare one each time", () => {
      const ids = new Set<string>();
      const victim = make({ replicaId: id("d") });
      victim.set("v", 1);
      for (let round = 0; round < 3; round += 1) {
        ids.add(victim.replicaId);
        const imitator = make({ replicaId: victim.replicaId });
        for (let write = 0; write < 10 + round * 10; write += 1)
          imitator.set(`i${round}/${write}`, round);
        victim.merge(imitator.deltaSince());
        imitator.close();
      }
      ids.add(victim.replicaId);
      expect(ids.size).toBe(4);
      expect(victim.get("v")).toBe(1);
      victim.close();
    });
  });

  describe("the clock", () => {
    test("ahead is reported once, until it no longer is; writes are taken all the while", () => {
      let now = NOW;
      const reports: Report[] = [];
      const dictionary = make({
        clock: () => now,
        driftMaxMs: 1000,
        onReport: (report) => reports.push(report),
      });
      dictionary.set("a", 1);
      expect(dictionary.clockAhead).toBe(false);
      now = NOW - 1500;
      dictionary.set("a", 2);
      dictionary.set("b", 2);
      dictionary.delete("b");
      expect(dictionary.delete("absent")).toBe(false);
      expect(dictionary.clockAhead).toBe(true);
      expect(reports).toEqual([{ code: "clock-ahead", aheadMs: 1500 }]);
      now = NOW;
      dictionary.set("a", 3);
      expect(dictionary.clockAhead).toBe(false);
      now = NOW - 2000;
      dictionary.set("a", 4);
      expect(reports[1]).toEqual({ code: "clock-ahead", aheadMs: 2000 });
      expect(reports).toHaveLength(2);
      dictionary.close();
    });

    test("ahead is found by deletePrefix and clear, too", () => {
      for (const prefix of ["", "a/", `${"x".repeat(1023)}/`]) {
        let now = NOW;
        const reports: Report[] = [];
        const onReport = (report: Report): number => reports.push(report);
        const dictionary = make({ clock: () => now, driftMaxMs: 1000, onReport });
        dictionary.set("a/b", 1);
        now = NOW - 1000;
        dictionary.deletePrefix(prefix);
        expect(dictionary.clockAhead).toBe(false);
        now = NOW - 1001;
        dictionary.deletePrefix(prefix);
        dictionary.deletePrefix(prefix);
        expect(dictionary.clockAhead).toBe(true);
        expect(reports).toEqual([{ code: "clock-ahead", aheadMs: 1001 }]);
        now = NOW;
        dictionary.transaction(() => dictionary.deletePrefix(prefix));
        expect(dictionary.clockAhead).toBe(false);
        dictionary.close();
      }
    });

    test("is no longer ahead after a restamp, unless what was sent keeps it there", () => {
      let now = NOW + 100_000_000;
      const dictionary = make({ clock: () => now });
      dictionary.set("a", 1);
      now = NOW;
      dictionary.set("/", 2);
      expect(dictionary.clockAhead).toBe(true);
      dictionary.restamp();
      expect(dictionary.clockAhead).toBe(false);
      expect(dictionary.get("/")).toBe(2);
      now = NOW - 100_000_000;
      dictionary.set("a", 1);
      dictionary.deltaSince();
      const before = stateOf(dictionary);
      expect(dictionary.restamp()).toBe(0);
      expect(dictionary.clockAhead).toBe(true);
      expect(stateOf(dictionary)).toEqual(before);
      dictionary.close();
    });

    test("restamp gives own entries that were never sent the present time, by the clock unless told", () => {
      let now = NOW + 100_000_000;
      const dictionary = make({ clock: () => now });
      dictionary.set("a", 1);
      dictionary.set("b", 2);
      expect(dictionary.restamp()).toBe(0);
      now = NOW;
      expect(dictionary.restamp()).toBe(2);
      expect(dictionary.stampOf("a")?.millis).toBe(NOW);
      expect(dictionary.get("b")).toBe(2);
      dictionary.set("c", 1);
      expect(dictionary.restamp({ now: NOW - 100_000_000 })).toBe(3);
      expect(dictionary.stampOf("c")?.millis).toBe(NOW - 100_000_000);
      assertRefused("invalid-argument", () => dictionary.restamp({ now: -1 }));
      dictionary.close();
    });

    test("is read once for each write and merge, and not at all for reading", () => {
      const clock = vi.fn<() => number>(() => NOW);
      const dictionary = make({ clock });
      dictionary.get("a");
      expect([...dictionary.entries()]).toEqual([]);
      dictionary.stampOf("a");
      dictionary.deltaSince(dictionary.version());
      dictionary.snapshot();
      expect(clock).not.toHaveBeenCalled();
      dictionary.set("a", 1);
      dictionary.delete("a");
      dictionary.deletePrefix("a/");
      dictionary.merge(dictionary.snapshot());
      expect(clock).toHaveBeenCalledTimes(4);
      dictionary.close();
    });
  });

  describe("reports", () => {
    const uncaught: unknown[] = [];
    beforeEach(() => {
      uncaught.length = 0;
      vi.stubGlobal("reportError", (error: unknown) => uncaught.push(error));
    });
    afterEach(() => {
      vi.unstubAllGlobals();
    });

    test("whose receiver throws harm nobody", () => {
      let now = NOW;
      const error = new Error("report");
      const dictionary = make({
        clock: () => now,
        onReport: () => {
          throw error;
        },
      });
      dictionary.set("a", 1);
      now = 0;
      expect(dictionary.set("a", 2)).toBe(true);
      expect(uncaught).toEqual([error]);
      dictionary.close();
    });
  });

  describe("tombstones and re-reading", () => {
    test("collected tombstones put those below the horizon back to a snapshot", () => {
      const [a, b] = [make(), make()];
      a.set("kept", 1);
      a.set("removed", 1);
      b.merge(a.deltaSince());
      const old = b.version();
      a.delete("removed");
      expect(a.collectTombstones(a.version())).toBe(1);
      expect(compareVersions(a.horizon(), a.version())).toBe("equal");
      b.set("mine", "not seen by a");
      const told: unknown[] = [];
      b.subscribe({}, (changes, origin) => told.push(changes, origin));
      const before = stateOf(b);
      expect(assertRefused("below-horizon", () => b.merge(a.deltaSince(old))).side).toBe(
        "receiver",
      );
      expect(assertRefused("below-horizon", () => a.merge(b.deltaSince())).side).toBe("sender");
      expect(stateOf(b)).toEqual(before);
      const result = b.reread(a.snapshot());
      expect(result).toMatchObject({ applied: 1, refused: [], complete: true });
      expect([...b.entries()]).toEqual([
        ["kept", 1],
        ["mine", "not seen by a"],
      ]);
      expect(told).toEqual([[{ key: "removed", previous: 1, value: undefined }], "remote"]);
      a.merge(b.deltaSince(a.version()));
      expectEqual(a, b);
      expect(
        assertRefused("below-horizon", () => b.set("x", 1, { stamp: { millis: 1 } })).side,
      ).toBeUndefined();
      a.close();
      b.close();
    });

    test("a re-read takes parts, all of them", () => {
      const a = make();
      const b = make();
      for (let at = 0; at < 200; at += 1) a.set(`k${at}`, at);
      const parts = [...a.snapshotParts({ partBytesMax: 500 })];
      expect(parts.length).toBeGreaterThan(2);
      assertRefused("invalid-argument", () => b.reread(parts.slice(1)));
      assertRefused("invalid-argument", () => b.reread([]));
      expect(b.reread(parts.toReversed()).complete).toBe(true);
      expectEqual(a, b);
      a.close();
      b.close();
    });
  });

  describe("what other layers reach", () => {
    test("the engine below, and merges that notify", () => {
      const [a, b] = [make(), make()];
      a.set("x", 1);
      const told: unknown[] = [];
      b.subscribe({}, (changes) => told.push(...changes));
      const { frame, atHead } = internalsOf(a).entries.changesSince(0);
      expect(atHead).toBe(true);
      expect(internalsOf(b).merge(frame, { adopt: true })).toMatchObject({
        applied: 1,
        complete: true,
      });
      expect(told).toEqual([{ key: "x", previous: undefined, value: 1 }]);
      expectEqual(a, b);

      // A difference is for sessions, which have seen what it is to.
      const { entries } = internalsOf(a);
      const [since, place] = [entries.frontier(), entries.head()];
      a.set("y", 2);
      const difference = entries.changesSince(place, { since }).frame;
      assertRefused("unsupported-format", () => b.merge(difference));
      expect(internalsOf(b).merge(difference, { adopt: true }).complete).toBe(true);
      expectEqual(a, b);
      expect(() => internalsOf({} as Dictionary)).toThrow(TypeError);
      a.close();
      b.close();
    });
  });
});
