/**
 * The random model test over real engines: the four guarantees of the rules of versions, horizon and re-reading.
 *
 * MODEL_SEED=7 plays one history and prints it step by step; MODEL_HISTORIES=1000000 plays that many, however long it takes;
 * MODEL_FIRST_SEED begins elsewhere than at 1.
 */

import { expect, test } from "vitest";

import { fastestEngine } from "../suites/engines.ts";
import { testHistories } from "./histories-on-engines.ts";
import { search } from "./history.ts";

testHistories({
  law: "no history breaks a guarantee",
  variable: "MODEL",
  fastest: { count: 20_000, least: 2_000, budgetMs: 60_000 },
  others: { count: 1_500, least: 150, budgetMs: 12_000 },
});

test("the least number of histories is played when the time is over, and no more", () => {
  const options = { firstSeed: 1, count: 5, budgetMs: 10, elapsedMs: () => 11 };
  const played = (least?: number): unknown =>
    search(fastestEngine, { ...options, ...(least !== undefined && { least }) });
  expect(played()).toEqual({ count: 0, failure: undefined });
  expect(played(3)).toEqual({ count: 3, failure: undefined });
  expect(played(7)).toEqual({ count: 5, failure: undefined });
});
