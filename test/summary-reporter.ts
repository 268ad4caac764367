/** What stands below a run of tests: which files took longest, what was skipped, and how many tests there were. */
import type { Reporter, TestCase, TestModule, Vitest } from "vitest/node";

/** Begins the note of a case that one of several implementations of a contract cannot meet: it is left out wherever it runs, and no failure. */
export const LACKING = "cannot be met: ";

const longestCount = 5;

/** Where `CI` is set nothing may be left out, for want of an engine, a runtime or a browser: a skip fails the run. */
export function summaryReporter(): Reporter {
  let vitest: Vitest | undefined;
  return {
    onInit(started) {
      vitest = started;
    },
    onTestRunEnd(modules, errors) {
      const tests = modules.flatMap((module) => [...module.children.allTests()]);
      const count = (state: string): number =>
        tests.filter((test) => test.result().state === state).length;
      const skipped = tests.filter((test) => test.result().state === "skipped");
      // Files that could not be loaded, or whose hooks failed, and errors that belong to no test.
      const broken = modules.filter((module) => module.errors().length > 0).length + errors.length;

      console.log(`Longest: ${longest(modules).join(", ")}\n`);
      const isNarrowed = vitest?.config.testNamePattern !== undefined;
      const isMissing = skipped.some((test) => !noteOf(test).startsWith(LACKING));
      const isFailure = (process.env["CI"] ?? "") !== "" && isMissing && !isNarrowed;
      if (isFailure) {
        console.error("CI is set, and no test may be skipped:");
        process.exitCode = 1;
      }
      if (!isNarrowed) for (const test of skipped) console.log(`skipped: ${nameOf(test)}`);
      console.log(
        `${count("passed")} passed, ${count("failed") + broken} failed, ${skipped.length} skipped`,
      );
    },
  };
}

function longest(modules: readonly TestModule[]): readonly string[] {
  return modules
    .map((module) => ({ name: module.relativeModuleId, ms: module.diagnostic().duration }))
    .toSorted((a, b) => b.ms - a.ms)
    .slice(0, longestCount)
    .map(({ name, ms }) => `${name} ${(ms / 1_000).toFixed(1)} s`);
}

function nameOf(test: TestCase): string {
  const note = noteOf(test);
  return `${test.module.relativeModuleId} > ${test.fullName}${note === "" ? "" : `: ${note}`}`;
}

function noteOf(test: TestCase): string {
  const result = test.result();
  return (result.state === "skipped" ? result.note : undefined) ?? "";
}
