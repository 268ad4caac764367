import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ReadRange } from "../../ts/index.ts";
import { assertRefused, onEachEngine } from "./engines.ts";

function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

onEachEngine((make) => {
  describe("ranges", () => {
    test("keys are ordered by their UTF-8 bytes", () => {
      const dictionary = make();
      const keys = ["z", "a", "\uffff", "😀", "\ue000", "a/b", "a\0", "ä", "A"];
      for (const key of keys) dictionary.set(key, key);
      const ordered = [...keys].toSorted(byBytes);
      expect([...dictionary.keys()]).toEqual(ordered);
      expect([...dictionary.values()]).toEqual(ordered);
      expect([...dictionary.entries()]).toEqual(ordered.map((key) => [key, key]));
      expect([...dictionary.keys({ reverse: true })]).toEqual(ordered.toReversed());
      dictionary.close();
    });

    test("prefix, from, to, reverse and limit say what a filter of all entries says", () => {
      const letter = fc.constantFrom("a", "b", "/", "é", "😀", "\ue000");
      const text = fc.array(letter, { maxLength: 4 }).map((letters) => letters.join(""));
      const key = text.filter((each) => each !== "");
      const range = fc.record(
        {
          prefix: text,
          from: text,
          to: text,
          reverse: fc.boolean(),
          limit: fc.oneof(fc.nat(40), fc.constant(Infinity)),
        },
        { requiredKeys: [] },
      );
      fc.assert(
        fc.property(fc.uniqueArray(key, { maxLength: 60 }), range, (keys, options: ReadRange) => {
          const dictionary = make();
          for (const each of keys) dictionary.set(each, each.length);
          const { prefix = "", from, to, reverse = false, limit = Infinity } = options;
          const expected = keys
            .toSorted(byBytes)
            .filter((each) => each.startsWith(prefix))
            .filter((each) => from === undefined || byBytes(each, from) >= 0)
            .filter((each) => to === undefined || byBytes(each, to) < 0);
          if (reverse) expected.reverse();
          expect([...dictionary.keys(options)]).toEqual(expected.slice(0, limit));
          dictionary.close();
        }),
        { numRuns: 200 },
      );
    });

    test("long reads go on from batch to batch, forwards and backwards", () => {
      const dictionary = make();
      const keys = Array.from({ length: 5000 }, (_, at) => `k/${String(at).padStart(5, "0")}`);
      for (const key of keys) dictionary.set(key, key);
      expect([...dictionary.keys()]).toEqual(keys);
      expect([...dictionary.keys({ limit: 1700 })]).toEqual(keys.slice(0, 1700));
      expect([...dictionary.keys({ reverse: true })]).toEqual(keys.toReversed());
      expect([...dictionary.keys({ reverse: true, limit: 17 })]).toEqual(
        keys.slice(-17).toReversed(),
      );
      dictionary.close();
    });

    test("keys of the greatest length are gone on from, too", () => {
      const dictionary = make();
      const keys = Array.from(
        { length: 40 },
        (_, at) => "x".repeat(1022) + String(at).padStart(2, "0"),
      );
      for (const key of keys) dictionary.set(key, 1);
      expect([...dictionary.keys()]).toEqual(keys);
      dictionary.close();
    });

    test.each([false, true])(
      "what is written meanwhile neither repeats nor hides a key (reverse: %s)",
      (reverse) => {
        const dictionary = make();
        const stays = Array.from({ length: 300 }, (_, at) => `k${String(at * 2).padStart(4, "0")}`);
        for (const key of stays) dictionary.set(key, 0);
        const seen: string[] = [];
        let step = 0;
        for (const key of dictionary.keys({ reverse })) {
          seen.push(key);
          step += 1;
          // Beside the current one, before and behind, there and gone again.
          for (const beside of [`${key}+`, `k${String((step * 37) % 600).padStart(4, "0")}-`]) {
            if (step % 3 === 0) dictionary.delete(beside);
            else dictionary.set(beside, 1);
          }
          if (seen.length > 5000) break;
        }
        expect(new Set(seen).size).toBe(seen.length);
        expect(seen).toEqual([...seen].toSorted(reverse ? (a, b) => byBytes(b, a) : byBytes));
        expect(stays.filter((key) => !seen.includes(key))).toEqual([]);
        dictionary.close();
      },
    );

    test("removing the current key does not disturb, and a limit is kept", () => {
      const dictionary = make();
      const keys = Array.from({ length: 100 }, (_, at) => `k${String(at).padStart(3, "0")}`);
      for (const key of keys) dictionary.set(key, 0);
      const seen: string[] = [];
      for (const key of dictionary.keys({ limit: 70 })) {
        seen.push(key);
        dictionary.delete(key);
      }
      expect(seen).toEqual(keys.slice(0, 70));
      dictionary.close();
    });

    test("large values are read a few at a time", () => {
      const dictionary = make();
      for (let at = 0; at < 100; at += 1) dictionary.set(`k${at}`, "x".repeat(20_000));
      expect([...dictionary.values()]).toHaveLength(100);
      dictionary.close();
    });

    test("bounds and limits of another kind are invalid arguments", () => {
      const dictionary = make();
      const ranges: unknown[] = [
        { limit: -1 },
        { limit: 1.5 },
        { limit: "1" },
        { from: 1 },
        { prefix: "\ud800" },
        { to: "\udc00" },
        null,
        "tasks/",
      ];
      for (const range of ranges as ReadRange[]) {
        assertRefused("invalid-argument", () => dictionary.entries(range));
      }
      expect([
        ...dictionary.keys({ prefix: undefined, limit: undefined } as unknown as ReadRange),
      ]).toEqual([]);
      dictionary.close();
    });
  });
});
