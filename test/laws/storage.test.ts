/**
 * What a replica told its storage is what it comes back with: random histories in which stores journal, crash, close and open again, over
 * real engines. After each opening all of the state is compared with that of the last journal kept.
 *
 * STORAGE_SEED=7 plays one history and prints it step by step; STORAGE_HISTORIES=1000000 plays that many, however long it takes;
 * PLANTED=text plays only the wrong variants whose name has that text.
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
import { storageVariants } from "./planted-storage.ts";
import { noticed } from "./planted.ts";

const onlySeed = numberFromEnvironment("STORAGE_SEED");
const askedCount = numberFromEnvironment("STORAGE_HISTORIES");
const onlyVariants = process.env["PLANTED"];
const plan = "storage";

/** For CI: the fastest engine gets most of the time. The least number is played however slow the machine is. */
const goals = {
  fastest: { count: 5_000, least: 500, budgetMs: 30_000 },
  others: { count: 500, least: 50, budgetMs: 10_000 },
} as const;
const timeoutMs = 24 * 60 * 60 * 1_000;

testAllEnginesThere();

for (const { backend, engine } of enginesUnderTest) {
  if (engine === undefined) continue;
  const goal = engine === fastestEngine() ? goals.fastest : goals.others;
  test(`replicas come back as they were on the ${backend} engine`, { timeout: timeoutMs }, () => {
    expect(brokenLaw(backend, () => engine, goal)).toBeUndefined();
  });
}

test.runIf(loadedEngines.length > 1)(
  "replicas come back as they were where each runs on another engine",
  { timeout: timeoutMs },
  () => {
    const engineOf = (replica: number): Engine =>
      loadedEngines[replica % loadedEngines.length] as Engine;
    expect(brokenLaw("mixed", engineOf, goals.others)).toBeUndefined();
  },
);

for (const variant of storageVariants) {
  if (onlyVariants !== undefined && !variant.name.includes(onlyVariants)) continue;
  test(`it is noticed when ${variant.name}`, { timeout: 120_000 }, async () => {
    const { count, failure } = await noticed(variant);
    console.log(
      `planted: ${variant.name}: ${failure === undefined ? "not found" : "found"} after ${count} histories`,
    );
    if (failure !== undefined && onlyVariants !== undefined) console.log(describeFailure(failure));
    expect(failure, `in ${count} histories`).toBeDefined();
  });
}

/** Plays histories and says which law was broken. */
function brokenLaw(
  name: string,
  engineOf: EngineOf,
  goal: { readonly count: number; readonly least: number; readonly budgetMs: number },
): string | undefined {
  if (onlySeed !== undefined) {
    const trace: string[] = [];
    const failure = failureOf(randomHistory(onlySeed, plan), engineOf, trace);
    console.log(`${name}, seed ${onlySeed}:\n${trace.join("\n")}\n${failure ?? "keeps every law"}`);
    return failure;
  }
  const start = performance.now();
  const elapsedMs = (): number => performance.now() - start;
  const count = askedCount ?? goal.count;
  const budgetMs = askedCount === undefined ? goal.budgetMs : Infinity;
  const { least } = goal;
  const found = search(engineOf, { firstSeed: 1, count, least, budgetMs, elapsedMs, plan });
  console.log(
    `storage: ${found.count} histories on ${name} in ${(elapsedMs() / 1_000).toFixed(1)} s`,
  );
  return found.failure && describeFailure(found.failure);
}
