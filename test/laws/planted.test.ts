/**
 * The model test notices wrong rules: each wrong variant of the script engine breaks a guarantee within its budget, in a
 * history that the right engine gets through. PLANTED=text plays only the variants whose name has that text, and prints the
 * history that was found.
 */

import { expect, test } from "vitest";

import type { Engine } from "../../ts/engine/contract.ts";
import { describeFailure, failureOf, randomHistory, search, type Failure } from "./history.ts";
import { plantedEngine, variants, type Variant } from "./planted.ts";

const only = process.env["PLANTED"];
const historyCount = 20_000;
const budgetMs = 60_000;

const rightEngine = await plantedEngine({ name: "nothing", edits: [] });

for (const variant of variants.filter(({ name }) => only === undefined || name.includes(only))) {
  test(`it is noticed when ${variant.name}`, { timeout: 2 * budgetMs }, async () => {
    const { count, failure } = await noticed(variant);
    console.log(
      `planted: ${variant.name}: ${failure === undefined ? "not found" : "found"} after ${count} histories`,
    );
    if (failure !== undefined && only !== undefined) console.log(describeFailure(failure));
    expect(failure, `in ${count} histories`).toBeDefined();
  });
}

async function noticed(
  variant: Variant,
): Promise<{ readonly count: number; readonly failure: Failure | undefined }> {
  const engine: Engine = await plantedEngine(variant);
  const start = performance.now();
  const { plan } = variant;
  let count = 0;
  for (;;) {
    const found = search(() => engine, {
      firstSeed: count + 1,
      count: historyCount - count,
      budgetMs,
      elapsedMs: () => performance.now() - start,
      ...(plan === undefined ? {} : { plan }),
    });
    count += found.count;
    if (found.failure === undefined) return { count, failure: undefined };
    const isOwn =
      failureOf(randomHistory(found.failure.seed, plan), () => rightEngine) === undefined;
    if (isOwn) return { count, failure: found.failure };
  }
}
