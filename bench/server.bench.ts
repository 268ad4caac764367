/** `npm run bench:server`: the server, and two of others, under many clients. See bench/README.md. */
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { isChild } from "./child.ts";
import { inFolder, useFolder } from "./persistence/place.ts";
import { readOptions, type Result } from "./run.ts";
import { type Measured, measureAs } from "./server/measure.ts";
import { type Helper, serveQuestions, start } from "./server/processes.ts";
import { SERVER_ROWS, type ServerRow } from "./server/rows.ts";
import { serveAs, type ServerName, SERVERS } from "./server/served.ts";
import { renderServer } from "./server/table.ts";
import { readReport, thisMachine, writeReport, writeSection } from "./table.ts";

const PROGRAM = fileURLToPath(import.meta.url);
/** Of the page between `<!-- bench-server:begin -->` and its end. */
const SECTION = "bench-server";
const THROUGHPUT_MS = 5000;
const WINDOW = 64;

await main();

async function main(): Promise<void> {
  const [, , role, name, folder = ""] = process.argv;
  if (isChild()) {
    const server = name as ServerName;
    serveQuestions(role === "server" ? await serveAs(server, folder) : await measureAs(server));
    return;
  }
  const rows = SERVER_ROWS.map((row) => Object.assign({}, row, { sizes: [row.size] }));
  const sizes = [...new Set(SERVER_ROWS.map(({ size }) => size))];
  const options = readOptions(SERVERS, rows, sizes, { takesFolder: true });
  const { out, from, write } = options;
  if (write !== undefined && from === undefined) {
    throw new Error("--write takes the table from a report: give --from FILE too");
  }
  if (from !== undefined) {
    const text = renderServer(readReport(from), SERVER_ROWS);
    console.log(text);
    if (write !== undefined) writeSection(write, text, SECTION);
    return;
  }
  if (
    options.rows.some(({ id }) => id === "deliveries") &&
    !options.columns.includes("lastwrite")
  ) {
    throw new Error(
      "others get as many changes a message as lastwrite puts together: measure deliveries of lastwrite, too",
    );
  }
  const machine = `${thisMachine()}, files in ${useFolder(options.folder ?? import.meta.dirname)}`;
  const results: Result[] = [];
  for (const row of SERVER_ROWS.filter(({ id }) => options.rows.some((each) => each.id === id))) {
    for (const column of options.columns as readonly ServerName[]) {
      if (row.isOurs === true && column !== "lastwrite") continue;
      results.push(await measured(row, column, results));
    }
  }
  if (out !== undefined) writeReport(out, results, machine);
  console.log(`\n${renderServer({ machine, results }, SERVER_ROWS)}`);
  if (results.some(({ missing }) => missing !== undefined)) process.exitCode = 1;
}

async function measured(
  row: ServerRow,
  column: ServerName,
  before: readonly Result[],
): Promise<Result> {
  process.stderr.write(`${row.title}, ${column} … `);
  const place = { row: row.id, size: row.size, column };
  try {
    const found = await inFolder((folder) => measure(row, column, folder, before));
    const beside = found.beside === undefined ? "" : `, beside ${found.beside.toPrecision(3)}`;
    process.stderr.write(`${found.value.toPrecision(3)} ${row.unit}${beside}\n`);
    return { ...place, ...found };
  } catch (error) {
    const missing = error instanceof Error ? String(error.stack) : String(error);
    process.stderr.write(`${missing}\n`);
    return { ...place, missing };
  }
}

/** A server, and its clients, for one row. */
async function measure(
  row: ServerRow,
  column: ServerName,
  folder: string,
  before: readonly Result[],
): Promise<Measured> {
  const server = await start(PROGRAM, ["server", column, folder], 0);
  const clients = await start(
    PROGRAM,
    ["clients", column],
    availableParallelism() > 1 ? 1 : undefined,
  );
  try {
    const port = await server.ask<number>({ what: "port" });
    switch (row.id) {
      case "deliveries": {
        const together = changesAFrame(column, before);
        return await clients.ask({
          what: "deliveries",
          port,
          count: row.size,
          window: WINDOW,
          together,
          ms: THROUGHPUT_MS,
        });
      }
      case "deliveries-single":
        return await clients.ask({
          what: "deliveries",
          port,
          count: row.size,
          window: 1,
          together: 1,
          ms: THROUGHPUT_MS,
        });
      case "idle":
        return await idle(server, clients, port, row.size);
      case "first-load":
        await server.ask({ what: "fill", room: "first-load", size: row.size });
        return await clients.ask({ what: "first-load", port, size: row.size });
      case "held":
        return await clients.ask({ what: "held", port, count: row.size });
      default:
        return await clients.ask({ what: row.id, port, folder });
    }
  } finally {
    await Promise.all([server.stop(), clients.stop()]);
  }
}

/** Ours puts together what comes while it waits for the disk; the others are given the same by who writes. */
function changesAFrame(column: ServerName, before: readonly Result[]): number {
  if (column === "lastwrite") return 1;
  const own = before.find(({ row, column: of }) => row === "deliveries" && of === "lastwrite");
  if (own?.beside === undefined) {
    throw new Error(
      "the others are given as many changes a message as lastwrite, which was not measured before them",
    );
  }
  return Math.max(1, Math.round(own.beside));
}

async function idle(
  server: Helper,
  clients: Helper,
  port: number,
  count: number,
): Promise<Measured> {
  // What the first ones take, they take once.
  const first = Math.floor(count / 5);
  await clients.ask({ what: "connect", port, count: first });
  const before = await server.ask<number>({ what: "memory" });
  await clients.ask({ what: "connect", port, count });
  const after = await server.ask<number>({ what: "memory" });
  return { value: (after - before) / count, runs: count };
}
