import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createDictionary, type DictionaryOptions, type Value } from "../../ts/index.ts";
import { assertRefused, id, onEachEngine, stateOf } from "./engines.ts";

const NOW = 1_700_000_000_000;
const clock = (): number => NOW;

onEachEngine((make) => {
  describe("set, get, has and delete", () => {
    test("a value that was set is read, counted and removed again", () => {
      const dictionary = make();
      expect(dictionary.get("a")).toBeUndefined();
      expect(dictionary.has("a")).toBe(false);
      expect(dictionary.set("a", 1)).toBe(true);
      expect(dictionary.get("a")).toBe(1);
      expect(dictionary.has("a")).toBe(true);
      expect(dictionary.size).toBe(1);
      expect(dictionary.delete("a")).toBe(true);
      expect(dictionary.get("a")).toBeUndefined();
      expect(dictionary.size).toBe(0);
      dictionary.close();
    });

    test("values of every kind come back as they went in", () => {
      const dictionary = make();
      const value: Value = {
        null: null,
        numbers: [0, -0, Number.NaN, Infinity, -Infinity, 2 ** 53, 0.1],
        big: 2n ** 53n + 1n,
        text: ["", "ä€😀", "\ud800"],
        bytes: new Uint8Array([0, 255]),
        date: new Date(NOW),
        __proto__: null,
      };
      for (const each of [value, ...Object.values(value as Record<string, Value>)]) {
        dictionary.set("k", each);
        expect(dictionary.get("k")).toStrictEqual(
          each === value ? { ...(value as Record<string, Value>) } : each,
        );
      }
      dictionary.close();
    });

    test("any number and any text come back exactly", () => {
      const dictionary = make();
      const text = fc.array(fc.nat(0xffff)).map((units) => String.fromCharCode(...units));
      const scalar = fc.oneof(fc.double(), fc.maxSafeInteger(), text);
      fc.assert(
        fc.property(scalar, (value) => {
          dictionary.set("k", value);
          expect(dictionary.get("k")).toBe(value);
        }),
      );
      dictionary.close();
    });

    test("bytes are copied on the way in and on the way out", () => {
      const dictionary = make();
      const bytes = Buffer.from([1, 2, 3]);
      dictionary.set("k", bytes.subarray(1));
      bytes.fill(0);
      const first = dictionary.get("k") as Uint8Array;
      expect(Object.getPrototypeOf(first)).toBe(Uint8Array.prototype);
      first[0] = 9;
      expect(dictionary.get("k")).toEqual(new Uint8Array([2, 3]));
      dictionary.close();
    });

    test("__proto__ is a key like any other", () => {
      const dictionary = make();
      dictionary.set("__proto__", "a");
      dictionary.set("constructor", "b");
      expect(dictionary.get("__proto__")).toBe("a");
      expect([...dictionary.keys()]).toEqual(["__proto__", "constructor"]);
      expect(dictionary.get("toString")).toBeUndefined();
      dictionary.close();
    });

    test("deleting an absent key writes nothing", () => {
      const dictionary = make();
      dictionary.set("a", 1);
      dictionary.delete("a");
      const before = stateOf(dictionary);
      expect(dictionary.delete("a")).toBe(false);
      expect(dictionary.delete("never")).toBe(false);
      expect(stateOf(dictionary)).toEqual(before);
      dictionary.close();
    });

    test("setting an equal value gives it a new stamp", () => {
      const dictionary = make({ clock });
      dictionary.set("a", 1);
      const before = dictionary.stampOf("a");
      expect(dictionary.set("a", 1)).toBe(true);
      expect(dictionary.stampOf("a")).not.toEqual(before);
      dictionary.close();
    });

    test("a key has 1 to 1,024 bytes of UTF-8 and no lone surrogate, whatever is done with it", () => {
      const dictionary = make();
      const before = stateOf(dictionary);
      const wrong: unknown[] = [
        "",
        "x".repeat(1025),
        "€".repeat(342),
        "\ud800",
        "a\udc00b",
        1,
        null,
        undefined,
      ];
      for (const key of wrong as string[]) {
        assertRefused("invalid-key", () => dictionary.set(key, 1));
        assertRefused("invalid-key", () => dictionary.get(key));
        assertRefused("invalid-key", () => dictionary.has(key));
        assertRefused("invalid-key", () => dictionary.delete(key));
        assertRefused("invalid-key", () => dictionary.stampOf(key));
        assertRefused("invalid-key", () => dictionary.set(key, 1, { stamp: { millis: 1 } }));
      }
      expect(stateOf(dictionary)).toEqual(before);
      for (const key of ["x", "x".repeat(1024), "€".repeat(341), "\0", "😀", "\ufffd"]) {
        dictionary.set(key, key);
        expect(dictionary.get(key)).toBe(key);
      }
      dictionary.close();
    });

    test("what cannot be stored is refused with its path before anything changes", () => {
      const dictionary = make();
      dictionary.set("k", 1);
      const before = stateOf(dictionary);
      const value = { tags: [1, 2, 3, { owner: new Map() }] } as unknown as Value;
      const { message } = assertRefused("invalid-value", () => dictionary.set("k", value));
      expect(message).toContain("value.tags[3].owner: a Map cannot be stored");
      assertRefused("invalid-value", () => dictionary.set("k", undefined as unknown as Value));
      for (const text of ["x".repeat(2 ** 20), "€".repeat(2 ** 19), "\ud800".repeat(2 ** 19)]) {
        const top = assertRefused("invalid-value", () => dictionary.set("k", text));
        expect(top.message).toMatch(/^value: more than/u);
        const inner = assertRefused("invalid-value", () => dictionary.set("k", { a: [1, text] }));
        expect(inner.message).toMatch(/^value\.a\[1\]: more than/u);
      }
      expect(stateOf(dictionary)).toEqual(before);
      dictionary.set("k", "x".repeat(2 ** 20 - 1));
      expect(dictionary.get("k")).toHaveLength(2 ** 20 - 1);
      dictionary.close();
    });
  });

  describe("stamps", () => {
    test("the clock ticks past what it gave out, and never back", () => {
      let now = NOW;
      const dictionary = make({ clock: () => now, replicaId: id("a") });
      dictionary.set("a", 1);
      expect(dictionary.stampOf("a")).toEqual({ millis: NOW, counter: 0, replicaId: id("a") });
      dictionary.set("a", 2);
      expect(dictionary.stampOf("a")).toMatchObject({ millis: NOW, counter: 1 });
      now = 5;
      dictionary.set("a", 3);
      expect(dictionary.stampOf("a")).toMatchObject({ millis: NOW, counter: 2 });
      now = NOW + 1.75;
      dictionary.set("a", 4);
      expect(dictionary.stampOf("a")).toMatchObject({ millis: NOW + 1, counter: 0 });
      dictionary.close();
    });

    test("a write under an explicit stamp may lose, and then changes nothing", () => {
      const dictionary = make({ clock, replicaId: id("a") });
      expect(
        dictionary.set("a", "old", { stamp: { millis: 10, counter: 3, replicaId: id("B") } }),
      ).toBe(true);
      expect(dictionary.stampOf("a")).toEqual({ millis: 10, counter: 3, replicaId: id("b") });
      const before = stateOf(dictionary);
      expect(dictionary.set("a", "older", { stamp: { millis: 10 } })).toBe(false);
      expect(dictionary.delete("a", { stamp: { millis: 9 } })).toBe(false);
      expect(stateOf(dictionary)).toEqual(before);
      expect(dictionary.set("a", "new", { stamp: { millis: 11 } })).toBe(true);
      expect(dictionary.stampOf("a")).toEqual({ millis: 11, counter: 0, replicaId: id("a") });
      expect(dictionary.delete("a", { stamp: { millis: 12 } })).toBe(true);
      expect(dictionary.get("a")).toBeUndefined();
      expect(dictionary.stampOf("a")).toMatchObject({ millis: 12 });
      dictionary.close();
    });

    test("an explicit stamp beyond the drift limit is refused and moves no clock", () => {
      const dictionary = make({ clock, driftMaxMs: 1000 });
      expect(dictionary.set("a", 1, { stamp: { millis: NOW + 1000 } })).toBe(true);
      const before = stateOf(dictionary);
      assertRefused("clock-drift", () => dictionary.set("b", 1, { stamp: { millis: NOW + 1001 } }));
      expect(stateOf(dictionary)).toEqual(before);
      dictionary.close();
    });

    test("stamps and clocks out of range are invalid arguments", () => {
      const dictionary = make({ clock });
      const stamps: unknown[] = [
        { millis: -1 },
        { millis: 0.5 },
        { millis: 2 ** 47 },
        { millis: "1" },
        {},
        { millis: 1, counter: 65_536 },
        { millis: 1, counter: -1 },
        { millis: 1, replicaId: "abc" },
        null,
        7,
      ];
      for (const stamp of stamps as { millis: number }[]) {
        assertRefused("invalid-argument", () => dictionary.set("a", 1, { stamp }));
      }
      for (const now of [Number.NaN, -1, 2 ** 47, "5", undefined] as number[]) {
        const other = make({ clock: () => now });
        assertRefused("invalid-argument", () => other.set("a", 1));
        expect(other.size).toBe(0);
        other.close();
      }
      const late = make({ clock: () => 2 ** 47 - 1, driftMaxMs: 2 ** 47 - 1 });
      late.set("a", 1);
      late.set("a", 2, { stamp: { millis: 2 ** 47 - 1, counter: 65_535 } });
      late.set("a", 3);
      expect(late.stampOf("a")).toMatchObject({ millis: 2 ** 47, counter: 0 });
      assertRefused("invalid-argument", () => make({ driftMaxMs: 2 ** 47 }));
      late.close();
      dictionary.close();
    });

    test("a removed key keeps the stamp of its removal, also under a prefix delete", () => {
      const dictionary = make({ clock });
      dictionary.set("a/b", 1);
      dictionary.delete("a/b");
      expect(dictionary.stampOf("a/b")).toMatchObject({ millis: NOW, counter: 1 });
      dictionary.deletePrefix("a/");
      expect(dictionary.stampOf("a/b")).toMatchObject({ millis: NOW, counter: 2 });
      expect(dictionary.stampOf("b")).toBeUndefined();
      dictionary.close();
    });
  });

  describe("deletePrefix and clear", () => {
    test("remove what begins with the prefix, and answer how many values that were", () => {
      const dictionary = make();
      for (const key of ["tasks/", "tasks/4/a", "tasks/4/b", "tasks/42", "users/1"])
        dictionary.set(key, 1);
      dictionary.delete("tasks/4/b");
      expect(dictionary.deletePrefix("tasks/4/")).toBe(1);
      expect([...dictionary.keys()]).toEqual(["tasks/", "tasks/42", "users/1"]);
      expect(dictionary.deletePrefix("tasks/")).toBe(2);
      expect(dictionary.deletePrefix("nothing/")).toBe(0);
      expect(dictionary.clear()).toBe(1);
      expect(dictionary.size).toBe(0);
      dictionary.set("tasks/4/a", 2);
      expect(dictionary.get("tasks/4/a")).toBe(2);
      dictionary.close();
    });

    test("a prefix is empty or ends in a slash", () => {
      const dictionary = make();
      for (const prefix of [
        "tasks/4",
        "/x",
        "\ud800/",
        `${"x".repeat(1024)}/`,
        undefined,
        1,
      ] as string[]) {
        assertRefused("invalid-prefix", () => dictionary.deletePrefix(prefix));
      }
      expect(dictionary.deletePrefix(`${"x".repeat(1023)}/`)).toBe(0);
      dictionary.close();
    });
  });

  describe("making and closing", () => {
    test("an id is taken in either case, or drawn", () => {
      const [a, b, c] = [make({ replicaId: id("F") }), make(), make()];
      expect(a.replicaId).toBe(id("f"));
      expect(b.replicaId).toMatch(/^[0-9a-f]{32}$/);
      expect(b.replicaId).not.toBe(c.replicaId);
      for (const each of [a, b, c]) each.close();
    });

    test("options that are none are invalid arguments", () => {
      assertRefused("invalid-argument", () => make({ replicaId: "short" }));
      assertRefused("invalid-argument", () => make({ driftMaxMs: -1 }));
      assertRefused("invalid-argument", () => make({ clock: 5 as unknown as () => number }));
      assertRefused("invalid-argument", () => make({ snapshot: 5 as unknown as Uint8Array }));
      assertRefused("invalid-argument", () => make({ engine: Promise.resolve() } as object));
      assertRefused("corrupt-bytes", () => make({ snapshot: new Uint8Array(3) }));
      for (const options of [undefined, null, 5] as unknown as DictionaryOptions[]) {
        assertRefused("invalid-argument", () => createDictionary(options));
      }
    });

    test("every call but close throws `closed` afterwards", () => {
      const dictionary = make();
      const version = dictionary.version();
      const delta = dictionary.deltaSince();
      const off = dictionary.subscribe({}, () => {});
      const iterator = dictionary.keys();
      dictionary.close();
      dictionary.close();
      dictionary[Symbol.dispose]();
      off();
      const calls: (() => unknown)[] = [
        () => dictionary.get("a"),
        () => dictionary.set("a", 1),
        () => dictionary.set("a", 1, { stamp: { millis: 1 } }),
        () => dictionary.has("a"),
        () => dictionary.delete("a"),
        () => dictionary.deletePrefix("a/"),
        () => dictionary.clear(),
        () => dictionary.size,
        () => dictionary.keys(),
        () => dictionary.values(),
        () => dictionary.entries(),
        () => iterator.next(),
        () => dictionary.transaction(() => 1),
        () => dictionary.subscribe({}, () => {}),
        () => dictionary.merge(delta),
        () => dictionary.deltaSince(),
        () => dictionary.deltaParts(version),
        () => dictionary.snapshot(),
        () => dictionary.snapshotParts(),
        () => dictionary.version(),
        () => dictionary.horizon(),
        () => dictionary.digest(),
        () => dictionary.stampOf("a"),
        () => dictionary.replicaId,
        () => dictionary.clockAhead,
        () => dictionary.restamp(),
        () => dictionary.collectTombstones(version),
        () => dictionary.reread(delta),
      ];
      for (const call of calls) assertRefused("closed", call);
    });
  });
});
