/**
 * The model test notices wrong rules: each wrong variant of the script engine breaks a guarantee within its budget.
 * PLANTED=text plays only the variants whose name has that text, and prints the history that was found.
 */

import { expect, test } from "vitest";

import type { Engine } from "../../ts/engine/contract.ts";
import { describeFailure, search, type Failure } from "./history.ts";
import { plantedEngine, variants } from "./planted.ts";

const only = process.env["PLANTED"];
const historyCount = 20_000;
const budgetMs = 60_000;

test("the script engine without a planted error passes", { timeout: 60_000 }, async () => {
  const engine = await plantedEngine({ name: "none", edits: [] });
  const { failure } = findIn(engine, 200);
  expect(failure).toBeUndefined();
});

for (const variant of variants.filter(({ name }) => only === undefined || name.includes(only))) {
  test(`it is noticed when ${variant.name}`, { timeout: 2 * budgetMs }, async () => {
    const { count, failure } = findIn(await plantedEngine(variant), historyCount);
    console.log(
      `planted: ${variant.name}: ${failure === undefined ? "not found" : "found"} after ${count} histories`,
    );
    if (failure !== undefined && only !== undefined) console.log(describeFailure(failure));
    expect(failure, `in ${count} histories`).toBeDefined();
  });
}

function findIn(engine: Engine, count: number): { count: number; failure: Failure | undefined } {
  const start = performance.now();
  return search(() => engine, {
    firstSeed: 1,
    count,
    budgetMs,
    elapsedMs: () => performance.now() - start,
  });
}
