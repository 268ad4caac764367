/** Results as one table in Markdown: on the terminal, in a file, and in a marked section of a page. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { GROWTH_MAX, sizeName } from "./rows.ts";
import type { Goal, Row } from "./rows.ts";
import type { Result } from "./run.ts";

/** What `--out` writes. */
export interface Report {
  readonly machine: string;
  readonly results: readonly Result[];
}

/** The column that the others are divided by. */
const YARDSTICK = "js";

export const HEADINGS: Readonly<Record<string, string>> = { wasm: "WASM", js: "pure JS" };

export function thisMachine(): string {
  const processors = cpus();
  return `${processors[0]?.model ?? "unknown processor"}, ${processors.length} cores, Node ${process.version}, ${process.platform}`;
}

/** The report, over what the file holds from this machine: a part measured anew replaces its rows alone. */
export function writeReport(
  file: string,
  results: readonly Result[],
  machine: string = thisMachine(),
): Report {
  const before = existsSync(file) ? readReport(file) : undefined;
  const kept = (before?.machine === machine ? before.results : []).filter(
    (old) =>
      !results.some(
        (each) => each.row === old.row && each.size === old.size && each.column === old.column,
      ),
  );
  const report = { machine, results: [...kept, ...results] };
  writeFileSync(file, `${JSON.stringify(report, undefined, 2)}\n`);
  return report;
}

export function readReport(file: string): Report {
  const report: Report = JSON.parse(readFileSync(file, "utf8"));
  return report;
}

/** Replaces what stands between `<!-- bench:begin -->` and `<!-- bench:end -->`, or the same of another name. */
export function writeSection(file: string, text: string, name: string = "bench"): void {
  const page = readFileSync(file, "utf8");
  const [begin, end] = [`<!-- ${name}:begin -->`, `<!-- ${name}:end -->`];
  const [from, to] = [page.indexOf(begin), page.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`${file} has no section between ${begin} and ${end}`);
  writeFileSync(file, `${page.slice(0, from + begin.length)}\n\n${text}\n${page.slice(to)}`);
}

/**
 * The machine in a sentence, the table, and why numbers are missing. `values` leaves out the ratios, goals and growth.
 */
export function render(
  { machine, results }: Report,
  rows: readonly Row[],
  columns: readonly string[],
  detail: "all" | "values" = "all",
): string {
  const compared =
    detail === "all" && columns.includes(YARDSTICK)
      ? columns.filter((column) => column !== YARDSTICK)
      : [];
  const judged = (["native", "wasm"] as const).filter(
    (column) => detail === "all" && columns.includes(column),
  );
  const heading = (column: string) => HEADINGS[column] ?? column;
  const head = [
    "workload",
    "entries",
    ...columns.map(heading),
    ...compared.map((column) => `${heading(column)} ÷ JS`),
    ...judged.map((column) => `goal ${heading(column)}`),
  ];

  const find = (row: Row, size: number) => (column: string) =>
    results.find((each) => each.row === row.id && each.size === size && each.column === column)
      ?.value;
  const body: string[][] = [];
  for (const row of rows) {
    for (const size of row.sizes) {
      const value = find(row, size);
      if (!columns.some((column) => value(column) !== undefined)) continue;
      body.push([
        row.title,
        sizeName(size),
        ...columns.map((column) => amount(value(column), row.unit)),
        ...compared.map((column) => ratio(divided(value(column), value(YARDSTICK)))),
        ...judged.map((column) => {
          const goal = size === row.goalSize ? row.goals?.[column] : undefined;
          return goal ? verdict(goal, value(column), value(YARDSTICK)) : "";
        }),
      ]);
    }
  }
  for (const row of rows.filter((each) => detail === "all" && each.perEntry)) {
    const growth = growthOf(row, find);
    if (!columns.some((column) => growth(column) !== undefined)) continue;
    body.push([
      `cost an entry grows: ${row.title}`,
      "1k → 1M",
      ...columns.map((column) => times(growth(column))),
      ...compared.map(() => ""),
      ...judged.map((column) => {
        const limit = Math.min(GROWTH_MAX, growth(YARDSTICK) ?? GROWTH_MAX);
        return judge(`≤ ${times(limit)}`, growth(column), limit);
      }),
    ]);
  }
  const reasons = reasonsOf(results);
  return [
    `Medians on ${machine}${compared.length > 0 ? "; “÷ JS” is the part of what the hand-written map takes" : ""}.`,
    "",
    ...markdown([head, ...body]),
    "",
    ...(reasons.length > 0 ? [...reasons, ""] : []),
  ].join("\n");
}

/** Why numbers are missing, a line each. */
export function reasonsOf(results: readonly Result[]): readonly string[] {
  return results.flatMap(({ row, size, column, missing }) =>
    missing === undefined
      ? []
      : [
          `- ${HEADINGS[column] ?? column}, ${row}, ${sizeName(size)}: ${missing.split("\n")[0] ?? ""}`,
        ],
  );
}

/** How many times more one entry costs at the greatest size than at the least. */
function growthOf(
  row: Row,
  find: (row: Row, size: number) => (column: string) => number | undefined,
): (column: string) => number | undefined {
  const [least, most] = [Math.min(...row.sizes), Math.max(...row.sizes)];
  // A row in µs counts one operation already; one in ms is the whole.
  const entries = row.unit === "ms" ? most / least : 1;
  return (column) => divided(divided(find(row, most)(column), find(row, least)(column)), entries);
}

function verdict(goal: Goal, value: number | undefined, yardstick: number | undefined): string {
  return "max" in goal
    ? judge(`≤ ${goal.max.toLocaleString("en")}`, value, goal.max)
    : judge(`≤ ${ratio(goal.ratioMax)}`, divided(value, yardstick), goal.ratioMax);
}

export function judge(goal: string, value: number | undefined, limit: number): string {
  if (value === undefined) return goal;
  return `${goal} ${value <= limit ? "ok" : "**missed**"}`;
}

export function divided(value: number | undefined, by: number | undefined): number | undefined {
  return value === undefined || by === undefined || by === 0 ? undefined : value / by;
}

export function amount(value: number | undefined, unit: string): string {
  return value === undefined ? "–" : `${rounded(value)}${unit === "/s" ? "" : " "}${unit}`;
}

function times(value: number | undefined): string {
  return value === undefined ? "–" : `${rounded(value)} ×`;
}

/** `1/12` below a half, where it reads more easily than 0.083. */
export function ratio(value: number | undefined): string {
  if (value === undefined) return "–";
  if (value <= 0) return "0";
  const inverse = 1 / value;
  return value < 0.3
    ? `1/${inverse.toFixed(inverse < 9.95 && inverse % 1 > 0.01 ? 1 : 0)}`
    : value.toFixed(2);
}

function rounded(value: number): string {
  if (Math.abs(value) >= 1_000) return Math.round(value).toLocaleString("en");
  return String(Number(value.toPrecision(3)));
}

/** Padded, so that it can be read on a terminal as well; the columns of `texts` are text, the others numbers. */
export function markdown(
  cells: readonly (readonly string[])[],
  texts: readonly number[] = [0],
): readonly string[] {
  const widths = (cells[0] ?? []).map((_, column) =>
    Math.max(...cells.map((row) => row[column]?.length ?? 0), 3),
  );
  const padded = (cell: string, column: number) =>
    texts.includes(column) ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0);
  const line = (row: readonly string[]) => `| ${row.map(padded).join(" | ")} |`;
  const rule = `|${widths.map((width, column) => (texts.includes(column) ? "-".repeat(width + 2) : `${"-".repeat(width + 1)}:`)).join("|")}|`;
  const [head = [], ...body] = cells;
  return [line(head), rule, ...body.map(line)];
}
