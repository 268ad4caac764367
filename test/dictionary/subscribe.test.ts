import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Change, Dictionary, KeyRange, Origin } from "../../ts/index.ts";
import { internalsOf } from "../../ts/dictionary/internals.ts";
import { assertRefused, onEachEngine } from "./engines.ts";

type Told = readonly [changes: readonly Change[], origin: Origin];

function record(dictionary: Dictionary, range: KeyRange = {}): Told[] {
  const told: Told[] = [];
  dictionary.subscribe(range, (changes, origin) => told.push([changes, origin]));
  return told;
}

function change(key: string, previous: unknown, value: unknown): unknown {
  return { key, previous, value };
}

/** What was thrown where only the program's own handler catches it. */
function catchUncaught(): unknown[] {
  const caught: unknown[] = [];
  beforeEach(() => {
    caught.length = 0;
    vi.stubGlobal("reportError", (error: unknown) => caught.push(error));
  });
  afterEach(() => {
    vi.unstubAllGlobals();
  });
  return caught;
}

onEachEngine((make) => {
  describe("subscriptions", () => {
    test("tell of effective local changes, before the writing call returns", () => {
      const dictionary = make();
      const told = record(dictionary);
      dictionary.set("a", 1);
      expect(told).toEqual([[[change("a", undefined, 1)], "local"]]);
      dictionary.set("a", { b: [1n] });
      dictionary.delete("a");
      expect(told.slice(1)).toEqual([
        [[change("a", 1, { b: [1n] })], "local"],
        [[change("a", { b: [1n] }, undefined)], "local"],
      ]);
      dictionary.close();
    });

    test("an equal value, an absent key and a write that lost are no changes", () => {
      const dictionary = make();
      const values = [
        1,
        Number.NaN,
        -0,
        "x",
        "\ud800",
        [1, { a: new Uint8Array(2) }],
        new Date(5),
        null,
      ];
      for (const value of values) {
        dictionary.set("a", value);
        const told = record(dictionary);
        dictionary.set("a", value);
        dictionary.delete("b");
        dictionary.set("a", "lost", { stamp: { millis: 1 } });
        dictionary.delete("a", { stamp: { millis: 1 } });
        expect(told).toEqual([]);
      }
      const told = record(dictionary);
      dictionary.set("a", 0);
      dictionary.set("a", -0);
      expect(told).toHaveLength(2);
      dictionary.close();
    });

    test("a range keeps to its prefix and bounds", () => {
      const dictionary = make();
      const prefix = record(dictionary, { prefix: "b/" });
      const bounds = record(dictionary, { from: "b/1", to: "c" });
      const both = record(dictionary, { prefix: "b/", from: "b/1", to: "b/2" });
      const astral = record(dictionary, { from: "\uffff" });
      for (const key of ["a", "b/", "b/1", "b/1/x", "b/2", "c", "😀"]) dictionary.set(key, 1);
      const keys = (told: readonly Told[]): string[] => told.map(([changes]) => changes[0]!.key);
      expect(keys(prefix)).toEqual(["b/", "b/1", "b/1/x", "b/2"]);
      expect(keys(bounds)).toEqual(["b/1", "b/1/x", "b/2"]);
      expect(keys(both)).toEqual(["b/1", "b/1/x"]);
      expect(keys(astral)).toEqual(["😀"]);
      dictionary.close();
    });

    test("deletePrefix and clear tell of each value they removed", () => {
      const dictionary = make();
      for (const key of ["a/1", "a/2", "b/1", "c"]) dictionary.set(key, key);
      dictionary.delete("a/2");
      const all = record(dictionary);
      const below = record(dictionary, { prefix: "a/1" });
      const beside = record(dictionary, { prefix: "b/" });
      dictionary.deletePrefix("a/");
      expect(all).toEqual([[[change("a/1", "a/1", undefined)], "local"]]);
      expect(below).toEqual(all);
      expect(beside).toEqual([]);
      dictionary.clear();
      expect(all[1]).toEqual([
        [change("b/1", "b/1", undefined), change("c", "c", undefined)],
        "local",
      ]);
      expect(beside).toEqual([[[change("b/1", "b/1", undefined)], "local"]]);
      dictionary.clear();
      expect(all).toHaveLength(2);
      dictionary.close();
    });

    test("a merge tells once, of net changes, with the origin remote", () => {
      const [a, b] = [make(), make()];
      a.set("x/same", 1);
      a.set("x/gone", 2);
      b.merge(a.deltaSince());
      a.set("x/same", 1);
      a.delete("x/gone");
      a.set("x/new", 3);
      a.set("y", 4);
      const told = record(b, { prefix: "x/" });
      const narrow = record(b, { from: "x/h", to: "x/z" });
      b.merge(a.deltaSince(b.version()));
      expect(told).toHaveLength(1);
      expect(told[0]![1]).toBe("remote");
      expect([...told[0]![0]].toSorted((l, r) => (l.key < r.key ? -1 : 1))).toEqual([
        change("x/gone", 2, undefined),
        change("x/new", undefined, 3),
      ]);
      expect(narrow).toEqual([[[change("x/new", undefined, 3)], "remote"]]);
      b.merge(a.deltaSince());
      expect(told).toHaveLength(1);
      a.deletePrefix("x/");
      b.merge(a.deltaSince(b.version()));
      expect([...told[1]![0]].toSorted((l, r) => (l.key < r.key ? -1 : 1))).toEqual([
        change("x/new", 3, undefined),
        change("x/same", 1, undefined),
      ]);
      a.close();
      b.close();
    });

    test("a key that a merge empties by a prefix delete and writes again is one change, or none", () => {
      const [a, b] = [make(), make()];
      a.set("p/1", 1);
      a.set("p/2", 2);
      b.merge(a.deltaSince());
      a.deletePrefix("p/");
      a.set("p/1", "new");
      a.set("p/2", 2);
      const told = record(b);
      b.merge(a.deltaSince(b.version()));
      expect(told).toEqual([[[change("p/1", 1, "new")], "remote"]]);
      a.close();
      b.close();
    });

    test("who unsubscribed, or subscribed later, is not told", () => {
      const [a, b] = [make(), make()];
      const told: string[] = [];
      const off = b.subscribe({}, () => {
        told.push("first");
        offSecond();
        b.subscribe({}, () => told.push("late"));
      });
      const offSecond = b.subscribe({}, () => told.push("second"));
      b.set("a", 1);
      expect(told).toEqual(["first"]);
      off();
      off();
      b.set("a", 2);
      expect(told).toEqual(["first", "late"]);
      a.set("b", 1);
      b.merge(a.deltaSince());
      expect(told).toEqual(["first", "late", "late"]);
      a.close();
      b.close();
    });

    test("listeners are called in order of subscription, each once", () => {
      const dictionary = make();
      const told: string[] = [];
      dictionary.subscribe({ prefix: "a/b/" }, () => told.push("deep"));
      dictionary.subscribe({}, () => told.push("all"));
      dictionary.subscribe({ prefix: "a/" }, (changes) => told.push(`a ${changes.length}`));
      dictionary.transaction(() => {
        dictionary.set("a/1", 1);
        dictionary.set("a/b/1", 1);
      });
      expect(told).toEqual(["deep", "all", "a 2"]);
      dictionary.close();
    });

    test("what a listener writes is delivered after what it was told, in order", () => {
      const dictionary = make();
      const told: string[] = [];
      dictionary.subscribe({}, ([change_]) => {
        told.push(`first ${change_!.key}`);
        if (change_!.key !== "a") return;
        dictionary.set("b", 1);
        dictionary.set("c", 1);
        told.push(`b is ${dictionary.get("b") as number}`);
      });
      dictionary.subscribe({}, ([change_]) => told.push(`second ${change_!.key}`));
      dictionary.set("a", 1);
      expect(told).toEqual([
        "first a",
        "b is 1",
        "second a",
        "first b",
        "second b",
        "first c",
        "second c",
      ]);
      dictionary.close();
    });

    test("below another one cost a merge nothing more", () => {
      const [dictionary, other] = [make(), make()];
      const { entries } = internalsOf(dictionary);
      const watch = vi.spyOn(entries, "watch");
      const offs = Array.from({ length: 10_000 }, (_, at) =>
        dictionary.subscribe({ prefix: `a/${at}/` }, () => {}),
      );
      const told = record(dictionary, { prefix: "a/77/" });
      const offAll = dictionary.subscribe({ prefix: "a/" }, () => {});
      record(dictionary, { prefix: "a\uffff" });
      other.set("a/77/x", 1);
      dictionary.merge(other.deltaSince());
      expect(watch).toHaveBeenLastCalledWith(["a/", "a\uffff"]);
      expect(told).toEqual([[[change("a/77/x", undefined, 1)], "remote"]]);
      for (const off of offs) off();
      offAll();
      other.set("a/77/x", 2);
      dictionary.merge(other.deltaSince());
      expect(watch).toHaveBeenLastCalledWith(["a/77/", "a\uffff"]);
      expect(told[1]).toEqual([[change("a/77/x", 1, 2)], "remote"]);
      dictionary.close();
      other.close();
    });

    test("nobody is told of a restamp", () => {
      let now = 1_700_000_000_000;
      const dictionary = make({ clock: () => now });
      dictionary.set("a", 1);
      dictionary.delete("a");
      dictionary.set("a", 2);
      dictionary.deletePrefix("b/");
      dictionary.set("b/c", 1);
      const told = record(dictionary);
      now -= 100_000_000;
      expect(dictionary.restamp()).toBe(3);
      expect(told).toEqual([]);
      expect([...dictionary.keys()]).toEqual(["a", "b/c"]);
      dictionary.close();
    });

    test("nobody watches, nothing is read", () => {
      const dictionary = make();
      const off = dictionary.subscribe({}, () => {});
      off();
      expect(dictionary.set("a", 1)).toBe(true);
      expect(dictionary.clear()).toBe(1);
      dictionary.close();
    });

    test("a listener that closes the dictionary ends its own deliveries", () => {
      const dictionary = make();
      const told: string[] = [];
      dictionary.subscribe({}, () => {
        told.push("first");
        dictionary.close();
      });
      dictionary.subscribe({}, () => told.push("second"));
      expect(dictionary.set("a", 1)).toBe(true);
      expect(told).toEqual(["first"]);
    });

    test("ranges and listeners of another kind are invalid arguments", () => {
      const dictionary = make();
      assertRefused("invalid-argument", () => dictionary.subscribe({}, 5 as unknown as () => void));
      assertRefused("invalid-argument", () => dictionary.subscribe({ prefix: "\ud800" }, () => {}));
      assertRefused("invalid-argument", () =>
        dictionary.subscribe((() => {}) as unknown as KeyRange, () => {}),
      );
      dictionary.close();
    });
  });

  describe("a listener that throws", () => {
    const uncaught = catchUncaught();

    test("harms nobody: the write stands, the others are told, the error comes out elsewhere", () => {
      const dictionary = make();
      const error = new Error("listener");
      dictionary.subscribe({}, () => {
        throw error;
      });
      const told = record(dictionary);
      expect(dictionary.set("a", 1)).toBe(true);
      expect(dictionary.transaction(() => dictionary.set("b", 1))).toBe(true);
      expect(told).toHaveLength(2);
      expect(uncaught).toEqual([error, error]);
      expect(dictionary.get("b")).toBe(1);
      dictionary.close();
    });

    test("is caught by the program's own handler where there is no reportError", async () => {
      vi.stubGlobal("reportError", undefined);
      const microtask = vi.fn<(task: () => void) => void>();
      vi.stubGlobal("queueMicrotask", microtask);
      const dictionary = make();
      const error = new Error("listener");
      dictionary.subscribe({}, () => {
        throw error;
      });
      dictionary.set("a", 1);
      expect(microtask).toHaveBeenCalledTimes(1);
      expect(() => microtask.mock.calls[0]![0]()).toThrow(error);
      dictionary.close();
    });
  });
});
