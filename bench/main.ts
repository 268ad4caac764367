/** What both benchmarks of the engines do: read the command line, measure or read a report, print the table. */
import { fileURLToPath } from "node:url";
import { isChild, serve } from "./child.ts";
import { MEMORY_ROWS, SPEED_ROWS } from "./rows.ts";
import type { Row } from "./rows.ts";
import { readOptions, runPlan } from "./run.ts";
import { ENGINES, loadSubject } from "./subjects.ts";
import type { EngineName } from "./subjects.ts";
import { readReport, render, thisMachine, writeReport, writeSection } from "./table.ts";
import type { Effort } from "./tasks.ts";

const LIMIT_MS = 300_000;

export async function main(url: string, rows: readonly Row[]): Promise<void> {
  if (isChild()) return serve(() => loadSubject(process.argv[2] as EngineName));

  const allSizes = [...new Set(rows.flatMap(({ sizes }) => sizes))].toSorted(
    (left, right) => left - right,
  );
  const { columns, rows: chosen, sizes, out, from, write } = readOptions(ENGINES, rows, allSizes);
  if (from !== undefined) {
    const text = render(
      readReport(from),
      [...SPEED_ROWS, ...MEMORY_ROWS.filter((row) => !SPEED_ROWS.includes(row))],
      ENGINES,
    );
    console.log(text);
    if (write !== undefined) writeSection(write, text);
    return;
  }
  if (write !== undefined)
    throw new Error("--write takes the table from a report: give --from FILE too");

  const results = await runPlan({
    program: fileURLToPath(url),
    columns,
    rows: chosen,
    sizes,
    effort: effortFor,
    limitMs: LIMIT_MS,
  });
  if (out !== undefined) writeReport(out, results);
  console.log(`\n${render({ machine: thisMachine(), results }, rows, columns)}`);
  if (
    results.some(
      ({ row, column, missing }) => missing !== undefined && !(row === "prefix" && column === "js"),
    )
  ) {
    process.exitCode = 1;
  }
}

/** Runs of a million entries take seconds, and vary little; those of a thousand take microseconds. */
function effortFor(size: number): Effort {
  if (size > 100_000) return { iterations: 3, timeMs: 200 };
  return size > 1_000 ? { iterations: 15, timeMs: 300 } : { iterations: 100, timeMs: 300 };
}
