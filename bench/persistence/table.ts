/** The results as one table in Markdown. */
import { sizeName } from "../rows.ts";
import type { Result } from "../run.ts";
import { amount, divided, HEADINGS, judge, markdown, ratio, reasonsOf } from "../table.ts";
import type { Report } from "../table.ts";
import type { PersistenceGoal, PersistenceRow } from "./rows.ts";

/** The machine and its disk in a sentence, the table, and why numbers are missing. Columns of which nothing was measured are left out; the goals are those of the native engine. */
export function renderPersistence(
  { machine, results }: Report,
  rows: readonly PersistenceRow[],
  allColumns: readonly string[],
): string {
  const heading = (column: string) => HEADINGS[column] ?? column;
  const columns = allColumns.filter((column) => results.some((each) => each.column === column));
  const [judged = ""] = columns;
  const hasGoals = judged === "native";
  const head = [
    "workload",
    "entries",
    ...columns.map(heading),
    "beside",
    `it takes, ${heading(judged)}`,
    ...columns.map((column) => `${heading(column)} ÷ it`),
    ...(hasGoals ? [`goal ${heading(judged)}`] : []),
  ];
  const body = rows.flatMap((row) =>
    row.sizes.flatMap((size) => {
      const find = (column: string): Result | undefined =>
        results.find((each) => each.row === row.id && each.size === size && each.column === column);
      if (!columns.some((column) => find(column)?.value !== undefined)) return [];
      return [
        [
          row.title,
          sizeName(size),
          ...columns.map((column) => amount(find(column)?.value, row.unit)),
          row.beside ?? "",
          row.beside === undefined ? "" : amount(find(judged)?.beside, row.unit),
          ...columns.map((column) => ratio(divided(find(column)?.value, find(column)?.beside))),
          ...(hasGoals ? [row.goal === undefined ? "" : verdict(row.goal, find(judged))] : []),
        ],
      ];
    }),
  );
  const reasons = reasonsOf(results);
  return [
    `Medians on ${machine}; “÷ it” is how many times what it was measured beside, in turn and in the same process.`,
    "",
    ...markdown([head, ...body], [0, columns.length + 2]),
    "",
    ...(reasons.length > 0 ? [...reasons, ""] : []),
  ].join("\n");
}

function verdict(goal: PersistenceGoal, result: Result | undefined): string {
  const times = divided(result?.value, result?.beside);
  if ("timesMax" in goal) return judge(`≤ ${ratio(goal.timesMax)}`, times, goal.timesMax);
  if ("max" in goal) return judge(`≤ ${goal.max.toLocaleString("en")}`, result?.value, goal.max);
  // One that has to be reached from below.
  return judge(`≥ ${goal.timesMin}`, times === undefined ? undefined : -times, -goal.timesMin);
}
