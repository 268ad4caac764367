import { describe, expect, test } from "vitest";
import type { Change, Report } from "../../ts/index.ts";
import { assertRefused, onEachEngine, stateOf } from "./engines.ts";

const NOW = 1_700_000_000_000;

onEachEngine((make) => {
  describe("a transaction", () => {
    test("reads its own writes, and returns what its function returns", () => {
      const dictionary = make();
      dictionary.set("a", 1);
      const result = dictionary.transaction(() => {
        dictionary.set("b", 2);
        dictionary.delete("a");
        expect(dictionary.get("b")).toBe(2);
        expect(dictionary.has("a")).toBe(false);
        expect(dictionary.size).toBe(1);
        expect([...dictionary.keys()]).toEqual(["b"]);
        return "done";
      });
      expect(result).toBe("done");
      expect(dictionary.get("b")).toBe(2);
      dictionary.close();
    });

    test("that throws leaves nothing behind: values, clock, version and bytes are as before", () => {
      const dictionary = make({ clock: () => NOW });
      dictionary.set("a/1", 1);
      dictionary.set("a/2", 2);
      const before = stateOf(dictionary);
      const stamp = dictionary.stampOf("a/1");
      const error = new Error("no");
      const fail = (): void =>
        dictionary.transaction(() => {
          dictionary.set("a/1", 9);
          dictionary.set("new", 9);
          dictionary.deletePrefix("a/");
          dictionary.set("a/3", 3);
          dictionary.clear();
          throw error;
        });
      expect(fail).toThrow(error);
      expect(stateOf(dictionary)).toEqual(before);
      expect(dictionary.stampOf("a/1")).toEqual(stamp);
      expect([...dictionary.entries()]).toEqual([
        ["a/1", 1],
        ["a/2", 2],
      ]);
      dictionary.set("b", 1);
      expect(dictionary.stampOf("b")).toMatchObject({ millis: NOW, counter: 2 });
      dictionary.close();
    });

    test("tells once, of the net change of each key, after it is done", () => {
      const dictionary = make();
      dictionary.set("a", 1);
      dictionary.set("same", 1);
      dictionary.set("p/1", 1);
      const told: (readonly Change[])[] = [];
      dictionary.subscribe({}, (changes) => told.push(changes));
      dictionary.transaction(() => {
        dictionary.set("a", 2);
        dictionary.set("a", 3);
        dictionary.set("same", 5);
        dictionary.set("same", 1);
        dictionary.set("passing", 1);
        dictionary.delete("passing");
        dictionary.deletePrefix("p/");
        expect(told).toEqual([]);
      });
      expect(told).toEqual([
        [
          { key: "a", previous: 1, value: 3 },
          { key: "p/1", previous: 1, value: undefined },
        ],
      ]);
      dictionary.transaction(() => dictionary.set("a", 3));
      dictionary.transaction(() => {});
      expect(told).toHaveLength(1);
      dictionary.close();
    });

    test("that throws tells nobody", () => {
      const dictionary = make();
      const told: unknown[] = [];
      dictionary.subscribe({}, (changes) => told.push(changes));
      expect(() =>
        dictionary.transaction(() => {
          dictionary.set("a", 1);
          throw new Error("no");
        }),
      ).toThrow("no");
      expect(told).toEqual([]);
      dictionary.set("b", 1);
      expect(told).toHaveLength(1);
      dictionary.close();
    });

    test("is one delta", () => {
      const [a, b] = [make(), make()];
      const before = a.version();
      a.transaction(() => {
        a.set("x", 1);
        a.set("y", 2);
      });
      expect(b.merge(a.deltaSince(before))).toMatchObject({ applied: 2, complete: true });
      a.close();
      b.close();
    });

    test("inside another one joins it", () => {
      const dictionary = make();
      const told: (readonly Change[])[] = [];
      dictionary.subscribe({}, (changes) => told.push(changes));
      const result = dictionary.transaction(() => {
        dictionary.set("a", 1);
        return dictionary.transaction(() => {
          dictionary.set("b", 2);
          return dictionary.get("a");
        });
      });
      expect(result).toBe(1);
      expect(told).toHaveLength(1);
      expect(told[0]).toHaveLength(2);
      dictionary.close();
    });

    test("undoes the outer one too when it throws inside, even if that is caught", () => {
      const dictionary = make();
      const before = stateOf(dictionary);
      const inner = new Error("inner");
      const outer = (): void =>
        dictionary.transaction(() => {
          dictionary.set("a", 1);
          try {
            dictionary.transaction(() => {
              dictionary.set("b", 1);
              throw inner;
            });
          } catch {}
          dictionary.set("c", 1);
        });
      expect(outer).toThrow(inner);
      expect(stateOf(dictionary)).toEqual(before);
      dictionary.close();
    });

    test("cannot be async: what was written is undone", async () => {
      const dictionary = make();
      const before = stateOf(dictionary);
      let ran = false;
      assertRefused("invalid-argument", () =>
        dictionary.transaction(async () => {
          ran = true;
          await Promise.resolve();
        }),
      );
      expect(ran).toBe(false);
      assertRefused("invalid-argument", () =>
        dictionary.transaction(() => {
          dictionary.set("a", 1);
          return Promise.reject(new Error("late"));
        }),
      );
      assertRefused("invalid-argument", () =>
        dictionary.transaction(() => {
          dictionary.set("a", 1);
          // oxlint-disable-next-line unicorn/no-thenable -- what is tested
          return { then: () => {} };
        }),
      );
      assertRefused("invalid-argument", () => dictionary.transaction(5 as unknown as () => void));
      expect(stateOf(dictionary)).toEqual(before);
      // A rejection of its own would end the test run.
      await new Promise((resolve) => setTimeout(resolve, 5));
      dictionary.close();
    });

    test("refuses what it could not undo, and goes on", () => {
      const [dictionary, other] = [make(), make()];
      other.set("x", 1);
      const [delta, snapshot, version] = [other.deltaSince(), other.snapshot(), other.version()];
      dictionary.transaction(() => {
        dictionary.set("a", 1);
        const calls: Record<string, () => unknown> = {
          merge: () => dictionary.merge(delta),
          deltaSince: () => dictionary.deltaSince(),
          deltaParts: () => dictionary.deltaParts(),
          snapshot: () => dictionary.snapshot(),
          snapshotParts: () => dictionary.snapshotParts(),
          restamp: () => dictionary.restamp(),
          collectTombstones: () => dictionary.collectTombstones(version),
          reread: () => dictionary.reread(snapshot),
          close: () => dictionary.close(),
        };
        for (const [name, call] of Object.entries(calls)) {
          expect(assertRefused("transaction-open", call).message).toMatch(`${name} cannot`);
        }
        dictionary.set("b", 1);
      });
      expect([...dictionary.keys()]).toEqual(["a", "b"]);
      expect(dictionary.merge(delta).complete).toBe(true);
      dictionary.close();
      other.close();
    });

    test("takes writes with stamps, and undoes them", () => {
      const dictionary = make();
      dictionary.set("a", 1, { stamp: { millis: 10 } });
      expect(() =>
        dictionary.transaction(() => {
          dictionary.set("a", 2, { stamp: { millis: 20 } });
          dictionary.delete("a", { stamp: { millis: 30 } });
          throw new Error("no");
        }),
      ).toThrow("no");
      expect(dictionary.get("a")).toBe(1);
      expect(dictionary.stampOf("a")).toMatchObject({ millis: 10 });
      dictionary.close();
    });

    test("reports a clock that it found ahead at its end, or not at all when it throws", () => {
      let now = NOW;
      const reports: Report[] = [];
      const dictionary = make({
        clock: () => now,
        driftMaxMs: 1000,
        onReport: (report) => reports.push(report),
      });
      dictionary.set("a", 1);
      now -= 5000;
      expect(() =>
        dictionary.transaction(() => {
          dictionary.set("a", 2);
          throw new Error("no");
        }),
      ).toThrow("no");
      expect(dictionary.clockAhead).toBe(false);
      expect(reports).toEqual([]);
      dictionary.transaction(() => {
        dictionary.set("a", 2);
        expect(reports).toEqual([]);
      });
      expect(dictionary.clockAhead).toBe(true);
      expect(reports).toEqual([{ code: "clock-ahead", aheadMs: 5000 }]);
      dictionary.close();
    });
  });
});
