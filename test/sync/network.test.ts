/** Many seeds of a bad network: after it heals, all replicas are equal. One seed again: SYNC_SEED=17 npx vitest run test/sync/network.test.ts. */

import { loadEngine } from "lastwrite";
import { expect, test } from "vitest";

import { type Fault, faults, plantedNetwork } from "./planted.ts";
import { playNetwork, playRestore } from "./played.ts";

const engines = [await loadEngine(), await loadEngine({ backend: "script" })];
const only = process.env["SYNC_SEED"];
const first = only === undefined ? 0 : Number(only);
const count = only === undefined ? Number(process.env["SYNC_SEEDS"] ?? 2000) : 1;
const limitMs = 240_000;

/** The first seed that does not end well, and how. */
function failure(
  play: (seed: number) => void,
  seedCount: number,
): { readonly seed: number; readonly error: unknown } | undefined {
  for (let seed = first; seed < first + seedCount; seed++) {
    try {
      play(seed);
    } catch (error) {
      return { seed, error };
    }
  }
  return undefined;
}

test(
  "replicas end equal after loss, doubling, reordering, crashes and wrong clocks",
  { timeout: limitMs },
  () => {
    expect(failure((seed) => playNetwork(engines, seed), count)).toBeUndefined();
  },
);

test("one that went back to a backup is found, and nothing is lost", { timeout: limitMs }, () => {
  expect(failure((seed) => playRestore(engines, seed), Math.min(count, 200))).toBeUndefined();
});

/** A seed that the right sessions get through, and the wrong ones do not. */
async function noticed(fault: Fault): Promise<number | undefined> {
  const network = await plantedNetwork(fault);
  const planted = [await network.scriptEngine()];
  return failure((seed) => network.playNetwork(planted, seed), 300)?.seed;
}

test.each(faults)("it is noticed when $name", { timeout: limitMs }, async (fault) => {
  expect(await noticed(fault)).toBeDefined();
});

test("nothing is noticed without a fault", { timeout: limitMs }, async () => {
  const network = await plantedNetwork(undefined);
  const planted = [await network.scriptEngine()];
  expect(failure((seed) => network.playRestore(planted, seed), 20)).toBeUndefined();
});
