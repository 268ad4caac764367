import fc from "fast-check";
import { expect, test } from "vitest";
import type { Change, Dictionary, KeyRange, Value } from "../../ts/index.ts";
import { onEachEngine } from "./engines.ts";

type Step =
  | { readonly do: "set"; readonly on: number; readonly key: string; readonly value: Value }
  | { readonly do: "delete"; readonly on: number; readonly key: string }
  | { readonly do: "stamp"; readonly on: number; readonly key: string; readonly millis: number }
  | { readonly do: "deletePrefix"; readonly on: number; readonly prefix: string }
  | { readonly do: "merge"; readonly on: number }
  | {
      readonly do: "transaction";
      readonly on: number;
      readonly steps: readonly Step[];
      readonly fails: boolean;
    };

const on = fc.nat(1);
const key = fc.constantFrom("a", "b/", "b/1", "b/1/x", "b/2", "c/1", "😀", "\uffff");
const write: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    do: fc.constant("set" as const),
    on,
    key,
    value: fc.constantFrom<Value>(1, -0, 0, "x", [1], { a: [1] }),
  }),
  fc.record({ do: fc.constant("delete" as const), on, key }),
  fc.record({ do: fc.constant("stamp" as const), on, key, millis: fc.nat(3) }),
  fc.record({
    do: fc.constant("deletePrefix" as const),
    on,
    prefix: fc.constantFrom("", "b/", "b/1/"),
  }),
);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: write },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("merge" as const), on }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("transaction" as const),
      on,
      steps: fc.array(write, { maxLength: 5 }),
      fails: fc.boolean(),
    }),
  },
);

const ranges: readonly KeyRange[] = [
  {},
  { prefix: "b/" },
  { prefix: "b/1" },
  { from: "b/1", to: "c" },
  { prefix: "b/", to: "b/1/x" },
  { from: "\uffff" },
];

/** A copy of a range that is kept by nothing but changes. */
function mirrorOf(dictionary: Dictionary, range: KeyRange): Map<string, Value> {
  const mirror = new Map<string, Value>();
  const apply = ({ key: changed, value, previous }: Change): void => {
    expect(previous).toStrictEqual(mirror.get(changed));
    expect(value).not.toStrictEqual(previous);
    if (value === undefined) mirror.delete(changed);
    else mirror.set(changed, value);
  };
  dictionary.subscribe(range, (changes) => {
    expect(new Set(changes.map((change) => change.key)).size).toBe(changes.length);
    for (const change of changes) apply(change);
  });
  return mirror;
}

function run(each: Step, replicas: readonly Dictionary[], at: number): void {
  const own = replicas[at] as Dictionary;
  switch (each.do) {
    case "set":
      own.set(each.key, each.value);
      break;
    case "delete":
      own.delete(each.key);
      break;
    case "stamp":
      own.set(each.key, "stamped", { stamp: { millis: 1000 + each.millis } });
      break;
    case "deletePrefix":
      own.deletePrefix(each.prefix);
      break;
    case "merge":
      own.merge((replicas[1 - at] as Dictionary).deltaSince(own.version()));
      break;
    default: {
      const failure = new Error("rolled back");
      const transact = (): void =>
        own.transaction(() => {
          for (const inner of each.steps) run(inner, replicas, at);
          if (each.fails) throw failure;
        });
      if (each.fails) expect(transact).toThrow(failure);
      else transact();
    }
  }
}

onEachEngine((make) => {
  test("a mirror that only listens holds what the dictionary holds, in any range", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        let now = 1000;
        const replicas = [make({ clock: () => now }), make({ clock: () => now })];
        const mirrors = replicas.map((dictionary) =>
          ranges.map((range) => mirrorOf(dictionary, range)),
        );
        const errors: unknown[] = [];
        collectErrors(errors, () => {
          for (const each of steps) {
            now += 1;
            run(each, replicas, each.on);
          }
        });
        expect(errors).toEqual([]);
        for (const [at, dictionary] of replicas.entries()) {
          for (const [which, range] of ranges.entries()) {
            const mirror = [...(mirrors[at]![which] as Map<string, Value>)];
            const sorted = mirror.toSorted(([a], [b]) =>
              Buffer.compare(Buffer.from(a), Buffer.from(b)),
            );
            expect(sorted).toStrictEqual([...dictionary.entries(range)]);
          }
          dictionary.close();
        }
      }),
    );
  });
});

/** Collects what listeners throw: their failed expectations. */
function collectErrors(errors: unknown[], during: () => void): void {
  const before = globalThis.reportError;
  globalThis.reportError = (error) => void errors.push(error);
  try {
    during();
  } finally {
    globalThis.reportError = before;
  }
}
