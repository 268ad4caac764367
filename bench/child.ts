/**
 * One column of the table in a process of its own: no engine runs on another's heap, or through call sites that
 * the compiler has already seen used by another.
 */
import { SPEED_ROWS, MEMORY_ROWS } from "./rows.ts";
import type { Subject } from "./subjects.ts";
import { TASKS, time } from "./tasks.ts";
import type { Effort } from "./tasks.ts";
import { WEIGHTS } from "./weights.ts";

export interface Question {
  readonly row: string;
  readonly size: number;
  readonly effort: Effort;
}

export type Reply =
  | { readonly value: number; readonly beside?: number; readonly runs: number }
  /** In words, why there is no number. */
  | { readonly missing: string };

/** Whether this process was forked to answer questions. */
export function isChild(): boolean {
  return process.send !== undefined;
}

/** Answers the parent's questions about one subject, one after the other, until it hangs up. */
export function serve(load: () => Promise<Subject>): Promise<void> {
  return serveBy(load, answerOf);
}

/** The same for questions about anything. */
export async function serveBy<T extends object>(
  load: () => Promise<T>,
  answer: (subject: T, question: Question) => Promise<Reply>,
): Promise<void> {
  if (globalThis.gc === undefined)
    throw new Error("run with --expose-gc: garbage must be collected outside the clock");
  const subject = await load().catch((error: unknown) => explain(error));
  process.on("message", (question: Question) => {
    const reply: Promise<Reply> =
      typeof subject === "string"
        ? Promise.resolve({ missing: subject })
        : answer(subject, question).catch((error: unknown) => ({ missing: explain(error) }));
    void reply.then((message) => process.send?.(message));
  });
  process.send?.("ready");
}

async function answerOf(subject: Subject, { row: id, size, effort }: Question): Promise<Reply> {
  const row = [...SPEED_ROWS, ...MEMORY_ROWS].find((each) => each.id === id);
  if (row === undefined) throw new Error(`there is no row ${id}`);
  if (id === "prefix" && !subject.firstByPrefix) return { missing: "keeps no order of keys" };

  const weigh = WEIGHTS[id];
  if (weigh) return { value: await weigh(subject, size), runs: 1 };
  const task = TASKS[id]?.(subject, size);
  if (task === undefined) throw new Error(`row ${id} has no workload`);
  const { ms, runs } = time(task, row.title, effort);
  return { value: row.unit === "µs" ? ms * 1_000 : ms, runs };
}

/** An assertion's message goes on for lines; where it was thrown is what helps to find it. */
function explain(error: unknown): string {
  return error instanceof Error
    ? (error.stack ?? error.message).replace(/^Error: /, "")
    : String(error);
}
