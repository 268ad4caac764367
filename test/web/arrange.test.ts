/** The order of the page's list: after any changes the same as of one that is sorted anew. */

import fc from "fast-check";
import { expect, test } from "vitest";

import { samePlain } from "../../ts/codec/plain.ts";
import { encodeValue } from "../../ts/codec/value.ts";
import { createDictionary, loadEngine, type Store, type Value } from "../../ts/index.ts";
import type { Entry } from "../../ts/react/index.ts";
import { Arranger, type Order } from "../../web/src/arrange.ts";

const engine = await loadEngine({ backend: "script" });

const key = fc.stringMatching(/^[a-cA-C]{1,2}$/u);
const value: fc.Arbitrary<Value> = fc.oneof(
  fc.integer({ min: -3, max: 3 }),
  fc.constantFrom("x", "Xy", "", true, false, null, 2n, NaN, new Date(5), new Uint8Array([1])),
  fc.array(fc.integer({ min: 0, max: 2 }), { maxLength: 2 }),
);
const writes = fc.array(fc.record({ key, value: fc.option(value, { nil: undefined }) }), {
  maxLength: 6,
});
const order: fc.Arbitrary<Order> = fc.record({
  by: fc.constantFrom("key", "value", "when"),
  descending: fc.boolean(),
});

test("few changes of a sorted list give the list that sorting anew gives", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(writes, order), { maxLength: 8 }), (steps) => {
      let millis = 0;
      const dictionary = createDictionary({ engine, clock: () => ++millis });
      const store = dictionary as unknown as Store;
      const lasting = new Arranger(store);
      let entries: readonly Entry[] = [];
      for (const [changes, wanted] of steps) {
        const changed = new Set<string>();
        const stop = dictionary.subscribe({}, (told) => {
          for (const { key: name } of told) changed.add(name);
        });
        for (const change of changes) {
          const { key: name, value: wished } = change;
          if (wished === undefined) dictionary.delete(name);
          // A write of an equal value is no change, of which nobody is told.
          else if (!isEqual(dictionary.get(name), wished)) dictionary.set(name, wished);
        }
        stop();
        const known = new Map(entries.map((entry) => [entry[0], entry]));
        // As the hook gives them: entries that did not change are the same objects.
        entries = Array.from(dictionary.entries(), (entry) =>
          changed.has(entry[0]) ? entry : (known.get(entry[0]) ?? entry),
        );
        const fresh = new Arranger(store).arranged(entries, "", wanted);
        expect(lasting.arranged(entries, "", wanted)).toEqual(fresh);
        expect(fresh.map(([each]) => each).toSorted()).toEqual(
          entries.map(([each]) => each).toSorted(),
        );
      }
      dictionary.close();
    }),
    { numRuns: 500 },
  );
});

test("entries are in the order that was asked for", () => {
  let millis = 1000;
  const dictionary = createDictionary({ engine, clock: () => millis-- });
  for (const [each, held] of [
    ["b", 10],
    ["a", 9],
    ["c", "text"],
    ["d", 100],
  ] as const) {
    dictionary.set(each, held);
  }
  const arranger = new Arranger(dictionary as unknown as Store);
  const entries: readonly Entry[] = [...dictionary.entries()];
  const keysBy = (by: Order["by"], descending: boolean): string =>
    arranger
      .arranged(entries, "", { by, descending })
      .map(([each]) => each)
      .join("");
  expect(keysBy("key", false)).toBe("abcd");
  expect(keysBy("key", true)).toBe("dcba");
  expect(keysBy("value", false)).toBe("cabd");
  // The clock went backwards, the order of writing did not.
  expect(keysBy("when", false)).toBe("bacd");
  expect(keysBy("when", true)).toBe("dcab");
  dictionary.close();
});

test("a filter finds keys and values, in either case of letters", () => {
  const dictionary = createDictionary({ engine });
  dictionary.set("Tasks/1", "Ship it");
  dictionary.set("users/1", { name: "Tasker" });
  dictionary.set("other", 1);
  const arranger = new Arranger(dictionary as unknown as Store);
  const entries: readonly Entry[] = [...dictionary.entries()];
  const found = (filter: string): readonly string[] =>
    arranger.arranged(entries, filter, { by: "key", descending: false }).map(([each]) => each);
  expect(found("TASK")).toEqual(["Tasks/1", "users/1"]);
  expect(found("ship")).toEqual(["Tasks/1"]);
  expect(found("nowhere")).toEqual([]);
  dictionary.close();
});

function isEqual(one: Value | undefined, other: Value): boolean {
  return one !== undefined && samePlain(encodeValue(one), encodeValue(other));
}
