/** `npm run bench:peers`: libraries that a developer might take instead, at the same work. See bench/README.md. */
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { isChild, serve } from "../child.ts";
import { SPEED_ROWS } from "../rows.ts";
import { readOptions, runPlan } from "../run.ts";
import { loadSubject } from "../subjects.ts";
import type { Subject } from "../subjects.ts";
import { readReport, render, thisMachine, writeReport, writeSection } from "../table.ts";
import { automerge } from "./automerge.ts";
import { flock } from "./flock.ts";
import { jsonJoy } from "./json-joy.ts";
import { loro } from "./loro.ts";
import { tinybase } from "./tinybase.ts";
import { yjs } from "./yjs.ts";

const SIZES = [10_000, 100_000];
/** For one library and one row, preparation included; longer is skipped, and said. */
const LIMIT_MS = 60_000;

const SUBJECTS: Readonly<Record<string, () => Promise<Subject>>> = {
  native: () => loadSubject("native", importLastwrite),
  wasm: () => loadSubject("wasm", importLastwrite),
  js: () => loadSubject("js"),
  yjs,
  loro,
  automerge,
  "json-joy": jsonJoy,
  tinybase,
  flock,
};

/** Not what others have, or nothing to compare: order of keys, versions of thousands of writers, memory. */
const OURS = new Set(["prefix", "version-bytes", "overwrites"]);
const ROWS = SPEED_ROWS.filter(({ id }) => !OURS.has(id)).map((row) =>
  Object.assign({}, row, { sizes: SIZES }),
);

await main();

async function main(): Promise<void> {
  const [, , column = ""] = process.argv;
  if (isChild()) {
    return serve(async () => {
      const load = SUBJECTS[column];
      if (load === undefined) throw new Error(`there is no library "${column}"`);
      return load();
    });
  }
  const { columns, rows, sizes, out, from, write } = readOptions(
    Object.keys(SUBJECTS),
    ROWS,
    SIZES,
  );
  if (write !== undefined && from === undefined) {
    throw new Error("--write takes the table from a report: give --from FILE too");
  }
  if (from !== undefined) {
    const text = render(readReport(from), ROWS, Object.keys(SUBJECTS), "values");
    console.log(text);
    if (write !== undefined) writeSection(write, text);
    return;
  }
  const results = await runPlan({
    program: fileURLToPath(import.meta.url),
    columns,
    rows,
    sizes,
    effort: () => ({ iterations: 3, timeMs: 200 }),
    limitMs: LIMIT_MS,
  });
  if (out !== undefined) writeReport(out, results);
  console.log(`\n${render({ machine: thisMachine(), results }, rows, columns, "values")}`);
}

/**
 * Only from its own folder, where npm runs its scripts, does the package go by its name: this folder has a
 * package.json of its own. A link in it would have npm install lastwrite's dependencies a second time.
 */
async function importLastwrite(): Promise<typeof import("lastwrite")> {
  const file = createRequire(join(process.cwd(), "package.json")).resolve("lastwrite");
  return import(pathToFileURL(file).href);
}
