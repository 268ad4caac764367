/**
 * The same random script on every engine: the same bytes, results and error codes after every step.
 *
 * PARITY_SEED=7 plays one script; PARITY_SCRIPTS=100000 plays that many, however long it takes; PARITY_FIRST_SEED begins
 * elsewhere than at 1.
 */

import { expect, test } from "vitest";

import { fastestEngine, loadedEngines, testAllEnginesThere } from "../suites/engines.ts";
import { numberFromEnvironment } from "../suites/random.ts";
import { describeScript, differenceIn, randomScript, shorten } from "./script-player.ts";

const onlySeed = numberFromEnvironment("PARITY_SEED");
const askedCount = numberFromEnvironment("PARITY_SCRIPTS");
const firstSeed = onlySeed ?? numberFromEnvironment("PARITY_FIRST_SEED") ?? 1;
const goal = onlySeed === undefined ? (askedCount ?? 5_000) : 1;
/** Played however slow the machine is. */
const scriptsMin = 500;
const budgetMs = askedCount === undefined ? 90_000 : Infinity;

testAllEnginesThere();

test.runIf(loadedEngines.length > 1)(
  "all engines answer the same script with the same bytes, results and error codes",
  { timeout: 24 * 60 * 60 * 1_000 },
  () => {
    const start = performance.now();
    let count = 0;
    let steps = 0;
    const goesOn = (): boolean =>
      count < goal && (count < scriptsMin || performance.now() - start < budgetMs);
    for (; goesOn(); count += 1) {
      const script = randomScript(firstSeed + count);
      steps += script.length;
      const difference = differenceIn(script, loadedEngines);
      if (difference === undefined) continue;
      const short = shorten(script, loadedEngines);
      expect.unreachable(
        `script of seed ${firstSeed + count}:\n${describeScript(short, loadedEngines)}`,
      );
    }
    const names = loadedEngines.map(({ backend }) => backend).join(", ");
    console.log(
      `parity: ${count} scripts of ${steps} steps on ${names} in ${((performance.now() - start) / 1_000).toFixed(1)} s`,
    );
  },
);

test("the same script gives the same bytes when it is played again", () => {
  const engine = fastestEngine();
  for (let seed = 1; seed <= 20; seed += 1) {
    expect(differenceIn(randomScript(seed), [engine, engine])).toBeUndefined();
  }
});
