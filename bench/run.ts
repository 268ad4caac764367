/** Asks every column for every row, in turn, so that a slow minute of the machine hits all columns alike. */
import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { parseArgs } from "node:util";
import type { Question, Reply } from "./child.ts";
import { sizeName } from "./rows.ts";
import type { Row } from "./rows.ts";
import type { Effort } from "./tasks.ts";

export interface Result {
  readonly row: string;
  readonly size: number;
  readonly column: string;
  /** In the unit of the row; the median. */
  readonly value?: number;
  /** What the row's yardstick took in the same run, where it has one of its own. */
  readonly beside?: number;
  /** How many runs `value` is the median of. */
  readonly runs?: number;
  /** Why there is no value, in words. */
  readonly missing?: string;
}

export interface Plan {
  /** The program to fork; it is told its column as its only argument, and serves it. */
  readonly program: string;
  readonly columns: readonly string[];
  readonly rows: readonly Row[];
  readonly sizes: readonly number[];
  readonly effort: (size: number) => Effort;
  /** A column that takes longer for a row, preparation included, is given up for that row. */
  readonly limitMs: number;
}

export interface Options {
  readonly columns: readonly string[];
  readonly rows: readonly Row[];
  readonly sizes: readonly number[];
  readonly out?: string | undefined;
  readonly from?: string | undefined;
  readonly write?: string | undefined;
  readonly folder?: string | undefined;
}

/** Reads the command line, and refuses with a list of what there is. */
export function readOptions(
  columns: readonly string[],
  rows: readonly Row[],
  sizes: readonly number[],
  { takesFolder = false }: { readonly takesFolder?: boolean } = {},
): Options {
  const { values } = parseArgs({
    options: {
      engine: { type: "string" },
      only: { type: "string" },
      size: { type: "string" },
      out: { type: "string" },
      from: { type: "string" },
      write: { type: "string" },
      folder: { type: "string" },
    },
  });
  if (values.folder !== undefined && !takesFolder) throw new Error("nothing here takes --folder");
  const isSame = (name: string, wanted: string) => name === wanted;
  const isPart = (name: string, wanted: string) => name.includes(wanted);
  return {
    columns: chosen("engine", columns, (column) => column, isSame, values.engine),
    rows: chosen("row", rows, (row) => row.id, isPart, values.only),
    sizes: chosen("size", sizes, sizeName, isSame, values.size),
    out: values.out,
    from: values.from,
    write: values.write,
    folder: values.folder,
  };
}

/** Those of `all` that the comma-separated list names; all of them without a list. */
function chosen<T>(
  what: string,
  all: readonly T[],
  nameOf: (item: T) => string,
  isMeant: (name: string, wanted: string) => boolean,
  list: string | undefined,
): readonly T[] {
  if (list === undefined) return all;
  const wanted = list.split(",").map((each) => each.trim());
  const stray = wanted.find((each) => !all.some((item) => isMeant(nameOf(item), each)));
  if (stray !== undefined) {
    throw new Error(`there is no ${what} "${stray}"; there are: ${all.map(nameOf).join(", ")}`);
  }
  return all.filter((item) => wanted.some((each) => isMeant(nameOf(item), each)));
}

export async function runPlan({
  program,
  columns,
  rows,
  sizes,
  effort,
  limitMs,
}: Plan): Promise<readonly Result[]> {
  const results: Result[] = [];
  for (const size of sizes) {
    const children = new Map<string, ChildProcess>();
    for (const row of rows.filter((each) => each.sizes.includes(size))) {
      for (const column of columns.filter((each) => row.columns?.includes(each) ?? true)) {
        const question = { row: row.id, size, effort: effort(size) };
        process.stderr.write(`${row.title}, ${sizeName(size)}, ${column} … `);
        const reply =
          row.freshProcesses === undefined
            ? await ask(children, program, column, question, limitMs)
            : await askFresh(row.freshProcesses, program, column, question, limitMs);
        process.stderr.write(
          "value" in reply ? `${reply.value.toPrecision(3)} ${row.unit}\n` : `${reply.missing}\n`,
        );
        results.push({ row: row.id, size, column, ...reply });
      }
    }
    for (const child of children.values()) child.kill();
  }
  return results;
}

/** The median over so many processes, each used once. */
async function askFresh(
  count: number,
  program: string,
  column: string,
  question: Question,
  limitMs: number,
): Promise<Reply> {
  const values: number[] = [];
  for (let index = 0; index < count; index += 1) {
    const children = new Map<string, ChildProcess>();
    const reply = await ask(children, program, column, question, limitMs);
    for (const child of children.values()) child.kill();
    if ("missing" in reply) return reply;
    values.push(reply.value);
  }
  values.sort((left, right) => left - right);
  return { value: values[Math.floor(count / 2)] as number, runs: count };
}

async function ask(
  children: Map<string, ChildProcess>,
  program: string,
  column: string,
  question: Question,
  limitMs: number,
): Promise<Reply> {
  let child = children.get(column);
  if (child === undefined) {
    child = fork(program, [column], {
      // A million entries in objects, twice, and the strings to ask for them, are more than the usual limit.
      execArgv: ["--expose-gc", "--enable-source-maps", "--max-old-space-size=8192"],
    });
    children.set(column, child);
    await once(child, "message");
  }
  const asked = child;
  const reply = await new Promise<Reply>((resolve) => {
    const timer = setTimeout(
      () => resolve({ missing: `takes more than ${limitMs / 1_000} s` }),
      limitMs,
    );
    const settle = (answer: Reply) => {
      clearTimeout(timer);
      asked.removeAllListeners();
      resolve(answer);
    };
    asked.once("message", (message) => settle(message as Reply));
    asked.once("exit", (code, signal) => settle({ missing: `ended with ${signal ?? code}` }));
    asked.send(question);
  });
  if ("missing" in reply) {
    // It may still be at it, or gone: the next question goes to another process.
    asked.kill("SIGKILL");
    children.delete(column);
  }
  return reply;
}
