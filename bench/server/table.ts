/** The results as one table in Markdown. */
import { sizeName } from "../rows.ts";
import type { Result } from "../run.ts";
import { amount, divided, judge, markdown, reasonsOf, type Report } from "../table.ts";
import type { ServerGoal, ServerRow } from "./rows.ts";
import { SERVERS } from "./served.ts";

/** The machine in a sentence, the table, and why numbers are missing. */
export function renderServer({ machine, results }: Report, rows: readonly ServerRow[]): string {
  const find = (row: ServerRow, column: string): Result | undefined =>
    results.find((each) => each.row === row.id && each.column === column);
  const measured = rows.filter((row) => SERVERS.some((column) => find(row, column) !== undefined));
  const head = ["workload", "clients or entries", ...SERVERS, "beside, lastwrite", "goal"];
  const body = measured.map((row) => {
    const own = find(row, "lastwrite");
    const values = SERVERS.map((column) => amount(find(row, column)?.value, row.unit));
    const size = row.size < 1000 ? String(row.size) : sizeName(row.size);
    const goal = row.goal === undefined ? "" : verdict(row.goal, own);
    return [row.title, size].concat(values, besideOf(row, own), goal);
  });
  const reasons = reasonsOf(results);
  return [
    `Medians on ${machine}; each server on one core.`,
    "",
    ...markdown([head, ...body], [0, SERVERS.length + 2]),
    "",
    ...(reasons.length > 0 ? [...reasons, ""] : []),
  ].join("\n");
}

function besideOf({ beside }: ServerRow, own: Result | undefined): string {
  if (beside === undefined || own?.beside === undefined) return "";
  const [what, unit] = beside;
  return `${unit === "" ? own.beside.toFixed(1) : amount(own.beside, unit)} ${what}`;
}

function verdict(goal: ServerGoal, own: Result | undefined): string {
  const value = own?.value;
  if ("min" in goal) {
    // One that has to be reached from below.
    return judge(
      `≥ ${goal.min.toLocaleString("en")}`,
      value === undefined ? undefined : -value,
      -goal.min,
    );
  }
  if ("max" in goal) return judge(`≤ ${goal.max.toLocaleString("en")}`, value, goal.max);
  if ("heldMin" in goal) {
    const held = value === undefined ? undefined : own?.size;
    const words = `${goal.heldMin.toLocaleString("en")} held`;
    return judge(words, held === undefined ? undefined : -held, -goal.heldMin);
  }
  if ("timesMax" in goal) {
    return judge(`≤ ${goal.timesMax} × beside`, divided(value, own?.beside), goal.timesMax);
  }
  const above = value === undefined || own?.beside === undefined ? undefined : value - own.beside;
  return judge(`≤ ${goal.aboveMax} above beside`, above, goal.aboveMax);
}
