/**
 * The random model test over real engines: the four guarantees of the rules of versions, horizon and re-reading.
 *
 * MODEL_SEED=7 plays one history and prints it step by step; MODEL_HISTORIES=1000000 plays that many, however long it takes;
 * MODEL_FIRST_SEED begins elsewhere than at 1.
 */

import { expect, test } from "vitest";

import type { Engine } from "../../ts/engine/contract.ts";
import {
  enginesUnderTest,
  fastestEngine,
  loadedEngines,
  testAllEnginesThere,
} from "../suites/engines.ts";
import { numberFromEnvironment } from "../suites/random.ts";
import { describeFailure, failureOf, randomHistory, search } from "./history.ts";
import type { EngineOf } from "./network.ts";

const onlySeed = numberFromEnvironment("MODEL_SEED");
const askedCount = numberFromEnvironment("MODEL_HISTORIES");
const firstSeed = numberFromEnvironment("MODEL_FIRST_SEED") ?? 1;

/** For CI: the fastest engine gets most of the time. The least number is played however slow the machine is. */
const goals = {
  fastest: { count: 20_000, least: 2_000, budgetMs: 60_000 },
  others: { count: 1_500, least: 150, budgetMs: 12_000 },
} as const;
const timeoutMs = 24 * 60 * 60 * 1_000;

testAllEnginesThere();

for (const { backend, engine } of enginesUnderTest) {
  if (engine === undefined) continue;
  const goal = engine === fastestEngine() ? goals.fastest : goals.others;
  test(`no history breaks a guarantee on the ${backend} engine`, { timeout: timeoutMs }, () => {
    expect(brokenGuarantee(backend, () => engine, goal)).toBeUndefined();
  });
}

test.runIf(loadedEngines.length > 1)(
  "no history breaks a guarantee where replicas run on different engines",
  { timeout: timeoutMs },
  () => {
    const engineOf = (replica: number): Engine =>
      loadedEngines[replica % loadedEngines.length] as Engine;
    expect(brokenGuarantee("mixed", engineOf, goals.others)).toBeUndefined();
  },
);

test("the least number of histories is played when the time is over, and no more", () => {
  const options = { firstSeed: 1, count: 5, budgetMs: 10, elapsedMs: () => 11 };
  const played = (least?: number): unknown =>
    search(fastestEngine, { ...options, ...(least !== undefined && { least }) });
  expect(played()).toEqual({ count: 0, failure: undefined });
  expect(played(3)).toEqual({ count: 3, failure: undefined });
  expect(played(7)).toEqual({ count: 5, failure: undefined });
});

/** Plays histories and says which guarantee was broken. */
function brokenGuarantee(
  name: string,
  engineOf: EngineOf,
  goal: { readonly count: number; readonly least: number; readonly budgetMs: number },
): string | undefined {
  if (onlySeed !== undefined) {
    const trace: string[] = [];
    const failure = failureOf(randomHistory(onlySeed), engineOf, trace);
    console.log(
      `${name}, seed ${onlySeed}:\n${trace.join("\n")}\n${failure ?? "keeps every guarantee"}`,
    );
    return failure;
  }
  const start = performance.now();
  const elapsedMs = (): number => performance.now() - start;
  const count = askedCount ?? goal.count;
  const budgetMs = askedCount === undefined ? goal.budgetMs : Infinity;
  const { least } = goal;
  const found = search(engineOf, { firstSeed, count, least, budgetMs, elapsedMs });
  console.log(
    `model: ${found.count} histories on ${name} in ${(elapsedMs() / 1_000).toFixed(1)} s`,
  );
  return found.failure && describeFailure(found.failure);
}
