/**
 * The table of the three engines beside the map that a good developer writes by hand (bench/baseline), on some of the cities.
 *
 * Each column runs in a process of its own, so that none runs on another's heap. `npm run bench` measures more, and with more care.
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

import { Mismatch } from "./expect.mjs";
import {
  bytes,
  count,
  eraseProgress,
  milliseconds,
  print,
  showProgress,
  table,
} from "./terminal.mjs";

/** More take the script engine minutes. */
const CITIES_MAX = 20_000;
const COLUMNS = { native: "native", wasm: "WASM", script: "script", js: "pure JS" };

/** Throws a Mismatch when a column gave a wrong answer. */
export async function compareEngines(cityCount) {
  const subjects = await compileSubjects();
  const columns = [];
  for (const column of Object.keys(COLUMNS)) {
    columns.push(await measured(column, subjects, Math.min(cityCount, CITIES_MAX)));
    eraseProgress();
  }

  const [{ rows, entryCount, changeCount }] = columns;
  const engines = columns.slice(0, -1);
  const cells = rows.map(({ unit }, index) => {
    const values = columns.map((column) => column.rows[index].value);
    const yardstick = values.at(-1);
    const ratios = engines.map((_, engine) => ratio(values[engine] / yardstick));
    return values.map((value) => amount(value, unit)).concat(ratios);
  });
  const names = Object.values(COLUMNS);
  const headings = names.concat(names.slice(0, -1).map((name) => `${name} ÷ JS`));
  table(
    ["", ...headings],
    rows.map(({ title }, index) => [title].concat(cells[index])),
    headings.map((_, column) => column + 1),
  );
  print(
    `  ${count(entryCount)} keys, ${count(changeCount)} of them changed for the delta; the median of 3 runs on Node ${process.version}`,
  );
}

/** What the benchmarks measure too is TypeScript, which Node 20 does not read. */
async function compileSubjects() {
  const outfile = fileURLToPath(new URL("../../bench/.bench-build/subjects.mjs", import.meta.url));
  await build({
    entryPoints: [fileURLToPath(new URL("../../bench/subjects.ts", import.meta.url))],
    outfile,
    bundle: true,
    packages: "external",
    platform: "node",
    format: "esm",
    target: "node20",
    logLevel: "error",
  });
  return outfile;
}

async function measured(column, subjects, cityCount) {
  const child = fork(
    fileURLToPath(new URL("measure.mjs", import.meta.url)),
    [column, subjects, String(cityCount)],
    { execArgv: ["--expose-gc", "--max-old-space-size=4096"] },
  );
  let report;
  child.on("message", (message) => {
    if (typeof message === "string") showProgress(`${COLUMNS[column]}: ${message}`);
    else report = message;
  });
  const [code, signal] = await once(child, "exit");
  if (report === undefined) {
    throw new Mismatch(
      `the measurements of ${COLUMNS[column]} ended with ${signal ?? code}; see above`,
    );
  }
  return report;
}

function amount(value, unit) {
  return unit === "ms" ? milliseconds(value) : bytes(value);
}

function ratio(value) {
  return value < 0.5 ? `1/${(1 / value).toFixed(1)}` : value.toFixed(2);
}
