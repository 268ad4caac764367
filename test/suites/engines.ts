/** The engines that every law is tested on. */

import { describe, expect, test } from "vitest";

import type { Backend, Engine } from "../../ts/engine/contract.ts";
import { loadEngine } from "../../ts/index.ts";

export interface EngineUnderTest {
  readonly backend: Backend;
  /** Undefined where it cannot be loaded. */
  readonly engine: Engine | undefined;
  /** Why it cannot be loaded. */
  readonly absence: string;
}

/** Fastest first. */
const backends: readonly Backend[] = ["native", "wasm", "script"];

/** Where all engines have to be there, an absent one fails; elsewhere it is skipped where everyone sees it. */
const required =
  (process.env["CI"] ?? "") !== "" || process.env["LASTWRITE_REQUIRE_ENGINES"] === "1";

export const enginesUnderTest: readonly EngineUnderTest[] = await Promise.all(
  backends.map(async (backend) => {
    try {
      return { backend, engine: await loadEngine({ backend }), absence: "" };
    } catch (error) {
      return {
        backend,
        engine: undefined,
        absence: error instanceof Error ? error.message : String(error),
      };
    }
  }),
);

/** The engines that are there. */
export const loadedEngines: readonly Engine[] = enginesUnderTest.flatMap(({ engine }) =>
  engine === undefined ? [] : [engine],
);

/** The first of the engines that are there: the fastest. */
export function fastestEngine(): Engine {
  const [engine] = loadedEngines;
  if (engine === undefined) throw new Error("no engine can be loaded");
  return engine;
}

/** One block of tests for each engine. */
export function describeEngines(name: string, define: (engine: Engine) => void): void {
  for (const { backend, engine, absence } of enginesUnderTest) {
    describe(`${name} (${backend})`, () => {
      if (engine === undefined) testAbsence(backend, absence);
      else define(engine);
    });
  }
}

/** For tests that need all engines at once: says of each absent one that it is. */
export function testAllEnginesThere(): void {
  for (const { backend, engine, absence } of enginesUnderTest) {
    if (engine === undefined) testAbsence(backend, absence);
  }
}

function testAbsence(backend: Backend, absence: string): void {
  test.skipIf(!required)(`the ${backend} engine can be loaded (${absence})`, () => {
    expect.unreachable(absence);
  });
}
