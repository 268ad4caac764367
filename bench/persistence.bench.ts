/** `npm run bench:persistence`: stores beside what one cannot do without, or would take instead. See bench/README.md. */
import { fileURLToPath } from "node:url";
import { isChild, serveBy } from "./child.ts";
import type { Question, Reply } from "./child.ts";
import { FILE_TASKS } from "./persistence/file.ts";
import { loadKept } from "./persistence/measure.ts";
import type { Kept } from "./persistence/measure.ts";
import { useFolder } from "./persistence/place.ts";
import { PERSISTENCE_ROWS } from "./persistence/rows.ts";
import { SQLITE_TASKS } from "./persistence/sqlite.ts";
import { renderPersistence } from "./persistence/table.ts";
import { TINYBASE_TASKS } from "./persistence/tinybase.ts";
import { readOptions, runPlan } from "./run.ts";
import { ENGINES } from "./subjects.ts";
import type { EngineName } from "./subjects.ts";
import { readReport, thisMachine, writeReport, writeSection } from "./table.ts";

type Backend = Exclude<EngineName, "js">;

const COLUMNS = ENGINES.filter((engine): engine is Backend => engine !== "js");
const TASKS = { ...FILE_TASKS, ...SQLITE_TASKS, ...TINYBASE_TASKS };
const LIMIT_MS = 600_000;
/** Of the page between `<!-- bench-persistence:begin -->` and its end. */
const SECTION = "bench-persistence";

await main();

async function main(): Promise<void> {
  if (isChild()) return serveBy(() => loadKept(process.argv[2] as Backend), answer);

  const allSizes = [...new Set(PERSISTENCE_ROWS.flatMap(({ sizes }) => sizes))];
  const options = readOptions(COLUMNS, PERSISTENCE_ROWS, allSizes, { takesFolder: true });
  const { columns, rows, sizes, out, from, write, folder = import.meta.dirname } = options;
  if (write !== undefined && from === undefined) {
    throw new Error("--write takes the table from a report: give --from FILE too");
  }
  if (from !== undefined) {
    const text = renderPersistence(readReport(from), PERSISTENCE_ROWS, COLUMNS);
    console.log(text);
    if (write !== undefined) writeSection(write, text, SECTION);
    return;
  }
  const machine = `${thisMachine()}, files in ${useFolder(folder)}`;
  const results = await runPlan({
    program: fileURLToPath(import.meta.url),
    columns,
    rows,
    sizes,
    effort: (size) => ({ iterations: size > 100_000 ? 5 : 15, timeMs: 0 }),
    limitMs: LIMIT_MS,
  });
  if (out !== undefined) writeReport(out, results, machine);
  console.log(`\n${renderPersistence({ machine, results }, PERSISTENCE_ROWS, columns)}`);
  if (results.some(({ missing }) => missing !== undefined)) process.exitCode = 1;
}

async function answer(kept: Kept, { row, size, effort }: Question): Promise<Reply> {
  const measure = TASKS[row];
  if (measure === undefined) throw new Error(`row ${row} has no workload`);
  return measure(kept, size, effort);
}
