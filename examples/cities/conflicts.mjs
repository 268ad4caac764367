/** Conflicts to look at one by one: what both sides write, what has to come of it, and why. */
import { cityNamed, prefixOf } from "./data.mjs";

/**
 * Each writes on the sides it is given when it is called; afterwards `key` must read `expected` on both.
 *
 * @returns {readonly { key: string, law: string, tellsNative: string, tellsWasm: string, expected: string | number | undefined, write(sides): void }[]}
 */
export function namedConflicts(cities) {
  const keyOf = (name, field) => `${prefixOf(cityNamed(cities, name))}${field}`;
  const population = (name) => cityNamed(cities, name).population;
  const conflict = (key, law, tellsNative, tellsWasm, expected, write) => ({
    key,
    law,
    tellsNative,
    tellsWasm,
    expected,
    write(sides) {
      sides.time.now += 1;
      write(sides, key);
      sides.time.now += 1;
    },
  });

  return [
    conflict(
      keyOf("reykjavik", "population"),
      "the later write wins",
      "140000",
      "then 139875",
      139_875,
      ({ native, wasm, time }, key) => {
        native.set(key, 140_000);
        time.now += 1;
        wasm.set(key, 139_875);
      },
    ),
    conflict(
      keyOf("nairobi", "population"),
      "at the same time the greater replica id wins",
      "4397073",
      "4400000",
      4_400_000,
      ({ native, wasm }, key) => {
        wasm.set(key, 4_400_000);
        native.set(key, 4_397_073);
      },
    ),
    conflict(
      keyOf("quito", "name"),
      "a write after a removal lives",
      "removed",
      "then Kitu",
      "Kitu",
      ({ native, wasm, time }, key) => {
        native.delete(key);
        time.now += 1;
        wasm.set(key, "Kitu");
      },
    ),
    conflict(
      keyOf("hanoi", "feature"),
      "a removal after a write stays",
      "then removed",
      "PPLX",
      undefined,
      ({ native, wasm, time }, key) => {
        wasm.set(key, "PPLX");
        time.now += 1;
        native.delete(key);
      },
    ),
    conflict(
      keyOf("oslo", "name"),
      "a prefix delete covers what was written before",
      "then city/NO/ removed",
      "Christiania",
      undefined,
      ({ native, wasm, time }, key) => {
        wasm.set(key, "Christiania");
        time.now += 1;
        native.deletePrefix("city/NO/");
      },
    ),
    conflict(
      keyOf("bergen", "name"),
      "a later write below the prefix lives",
      "city/NO/ removed",
      "then Bjørgvin",
      "Bjørgvin",
      ({ wasm }, key) => wasm.set(key, "Bjørgvin"),
    ),
    conflict(
      keyOf("lisbon", "population"),
      "a transaction arrives whole",
      "530000",
      "then 545796, with a name",
      545_796,
      ({ native, wasm, time }, key) => {
        native.set(key, 530_000);
        time.now += 1;
        wasm.transaction(() => {
          wasm.set(keyOf("lisbon", "name"), "Lisboa");
          wasm.set(key, 545_796);
        });
      },
    ),
    conflict(
      keyOf("suva", "population"),
      "a transaction that throws leaves nothing",
      "93970",
      "then 0, thrown away",
      93_970,
      ({ native, wasm, time }, key) => {
        native.set(key, 93_970);
        time.now += 1;
        try {
          wasm.transaction(() => {
            wasm.set(key, 0);
            throw new Error("the census was not finished");
          });
        } catch {
          // It is the point of this conflict.
        }
      },
    ),
    conflict(
      keyOf("montevideo", "population"),
      "a write dated before what is there loses",
      "–",
      "1 as of 2020",
      population("montevideo"),
      ({ wasm }, key) => {
        if (wasm.setAt(key, 1, Date.UTC(2020, 0, 1))) throw new Error(`${key} took an old write`);
      },
    ),
  ];
}
