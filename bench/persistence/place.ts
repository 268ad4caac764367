/** Where the stores of a run lie: in a folder of their own on a real disk, which is named in the report. */
import { mkdtempSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { join, sep } from "node:path";

/** Tells the processes of the columns which folder the command line named. */
const VARIABLE = "LASTWRITE_BENCH_FOLDER";

/** Syncing to these costs nothing, as nothing of them survives. */
const IN_MEMORY = new Set(["tmpfs", "ramfs", "devtmpfs"]);

/** Sets the folder for this process and those that it forks, and says what it is on. Throws for one in memory. */
export function useFolder(folder: string): string {
  const real = realpathSync(folder);
  const { type, source } = mountOf(real);
  if (IN_MEMORY.has(type)) {
    throw new Error(`${real} is in memory (${type}); name a folder on a disk with --folder`);
  }
  process.env[VARIABLE] = real;
  return `${type} on ${source}`;
}

/** Calls `use` with the path of an empty folder, which is gone afterwards. */
export async function inFolder<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const parent = process.env[VARIABLE];
  if (parent === undefined) throw new Error(`${VARIABLE} is not set`);
  const folder = mkdtempSync(join(parent, "lastwrite-persistence-"));
  try {
    return await use(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Linux says what is mounted where; of others the report says nothing. */
function mountOf(folder: string): { readonly type: string; readonly source: string } {
  if (process.platform !== "linux") return { type: "a file system", source: "this machine" };
  let best = { point: "", type: "unknown", source: "unknown" };
  for (const line of readFileSync("/proc/self/mountinfo", "utf8").trimEnd().split("\n")) {
    const [left = "", right = ""] = line.split(" - ");
    const point = left.split(" ")[4] ?? "";
    const [type = "", source = ""] = right.split(" ");
    const isAbove = `${folder}${sep}`.startsWith(point.endsWith(sep) ? point : `${point}${sep}`);
    if (isAbove && point.length >= best.point.length) best = { point, type, source };
  }
  return best;
}
