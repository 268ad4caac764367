/** Keys crafted to meet in a table whose hash is known do not meet in one whose seed is not. */

import { describe, expect, test, vi } from "vitest";

import type { Engine, EngineDictionary } from "../../ts/engine/contract.ts";
import { craftKeys, type HookedBackend, hookedBackends, loadHooked, probesOf } from "./hooks.ts";

const NOW = 1_700_000_000_000;
const ID = new Uint8Array(16).fill(7);
const COUNT = 100_000;
/** So many keys share a 256th of the table. */
const BITS = 8;

describe.each(hookedBackends)("on the %s engine", (backend: HookedBackend) => {
  test("100,000 crafted keys take at most three times the probes of random ones", async () => {
    const engine = await loadHooked(backend);
    const crafted = craftKeys(engine, COUNT, BITS);
    expect(new Set(crafted).size).toBe(COUNT);
    const random = Array.from({ length: COUNT }, (_, at) => Math.imul(at, 0x9e3779b1).toString(36));
    expect(probesFor(engine, crafted)).toBeLessThanOrEqual(3 * probesFor(engine, random));
  });

  test("the same keys do flood a table with seed 0, so the test can fail", async () => {
    const engine = await loadHooked(backend);
    const crafted = craftKeys(engine, 3_000, BITS);
    const seeded = probesFor(engine, crafted);
    const getRandomValues = vi
      .spyOn(crypto, "getRandomValues")
      .mockImplementation((array) => array);
    try {
      expect(probesFor(engine, crafted)).toBeGreaterThan(30 * seeded);
    } finally {
      getRandomValues.mockRestore();
    }
  });

  test("two engines hash differently", async () => {
    const keys = Array.from({ length: 20_000 }, (_, at) => `key ${at}`);
    const [first, second] = await Promise.all([loadHooked(backend), loadHooked(backend)]);
    expect(probesFor(first, keys)).not.toBe(probesFor(second, keys));
  });
});

/** How many slots are looked at to write and read all keys. */
function probesFor(engine: Engine, keys: readonly string[]): number {
  const dictionary: EngineDictionary = engine.create({
    replicaId: ID,
    spareId: ID,
    driftMaxMs: 60_000,
  });
  for (const key of keys) dictionary.set(key, 1, NOW);
  expect(keys.every((key) => dictionary.has(key))).toBe(true);
  const probes = probesOf(engine, dictionary);
  dictionary.close();
  return probes;
}
