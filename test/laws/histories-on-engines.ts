/** Tests that play random histories on each engine, and on all of them together. */

import { expect, test } from "vitest";

import type { Engine } from "../../ts/engine/contract.ts";
import {
  enginesUnderTest,
  fastestEngine,
  loadedEngines,
  testAllEnginesThere,
} from "../suites/engines.ts";
import { numberFromEnvironment } from "../suites/random.ts";
import { describeFailure, failureOf, type Plan, randomHistory, search } from "./history.ts";
import type { EngineOf } from "./network/setup.ts";
import { noticed, type Variant } from "./planted.ts";

/** How many histories are played without being asked for more. */
export interface Goal {
  readonly count: number;
  /** So many are played however slow the machine is. */
  readonly least: number;
  readonly budgetMs: number;
}

export interface HistoryTests {
  /** What no history does; a name of an engine follows. */
  readonly law: string;
  /** Before `_SEED`, which plays one history and prints it step by step, `_HISTORIES`, which plays so many however long it takes, and `_FIRST_SEED`, which begins elsewhere than at 1. */
  readonly variable: string;
  readonly plan?: Plan;
  readonly fastest: Goal;
  readonly others: Goal;
}

/** Makes the tests. The fastest engine gets most of the time. */
export function testHistories(tests: HistoryTests): void {
  // Long enough for whatever is asked for.
  const options = { timeout: 24 * 60 * 60 * 1_000 };
  testAllEnginesThere();
  for (const { backend, engine } of enginesUnderTest) {
    if (engine === undefined) continue;
    const goal = engine === fastestEngine() ? tests.fastest : tests.others;
    test(`${tests.law} on the ${backend} engine`, options, () => {
      expect(failureIn(tests, goal, backend, () => engine)).toBeUndefined();
    });
  }
  test.runIf(loadedEngines.length > 1)(
    `${tests.law} where replicas run on different engines`,
    options,
    () => {
      const engineOf = (replica: number): Engine =>
        loadedEngines[replica % loadedEngines.length] as Engine;
      expect(failureIn(tests, tests.others, "mixed", engineOf)).toBeUndefined();
    },
  );
}

/** Makes a test of each wrong variant, which some history has to notice. PLANTED=text makes only those whose name has that text, and prints the history that was found. */
export function testVariants(variants: readonly Variant[], timeout: number): void {
  const only = process.env["PLANTED"];
  for (const variant of variants.filter(({ name }) => only === undefined || name.includes(only))) {
    test(`it is noticed when ${variant.name}`, { timeout }, async () => {
      const { count, failure } = await noticed(variant);
      const found = failure === undefined ? "not found" : "found";
      console.log(`planted: ${variant.name}: ${found} after ${count} histories`);
      if (failure !== undefined && only !== undefined) console.log(describeFailure(failure));
      expect(failure, `in ${count} histories`).toBeDefined();
    });
  }
}

/** Plays histories, and says what the first that failed did wrong. */
function failureIn(
  { variable, plan }: HistoryTests,
  goal: Goal,
  name: string,
  engineOf: EngineOf,
): string | undefined {
  const onlySeed = numberFromEnvironment(`${variable}_SEED`);
  if (onlySeed !== undefined) {
    const trace: string[] = [];
    const failure = failureOf(randomHistory(onlySeed, plan), engineOf, trace);
    console.log(`${name}, seed ${onlySeed}:\n${trace.join("\n")}\n${failure ?? "keeps the law"}`);
    return failure;
  }
  const askedCount = numberFromEnvironment(`${variable}_HISTORIES`);
  const start = performance.now();
  const elapsedMs = (): number => performance.now() - start;
  const found = search(engineOf, {
    ...goal,
    ...(askedCount !== undefined && { count: askedCount, budgetMs: Infinity }),
    firstSeed: numberFromEnvironment(`${variable}_FIRST_SEED`) ?? 1,
    elapsedMs,
    ...(plan !== undefined && { plan }),
  });
  const seconds = (elapsedMs() / 1_000).toFixed(1);
  console.log(`${variable.toLowerCase()}: ${found.count} histories on ${name} in ${seconds} s`);
  return found.failure && describeFailure(found.failure);
}
