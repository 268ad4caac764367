/** Makes a program of this folder one that Node runs, with the sources in it: so it starts fast, and needs no build of the package. */

import { mkdirSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

const root = fileURLToPath(new URL("../../../", import.meta.url));

/** Answers the file to run, of the program in `source`. As deep below the root as the sources are, from where the addon is looked for. */
export async function buildProgram(
  name: string,
  source: string = path.join(import.meta.dirname, `${name}.ts`),
): Promise<string> {
  const folder = path.join(root, "target", `program-${name}-${process.pid}`);
  mkdirSync(folder, { recursive: true });
  await build({
    entryPoints: { [name]: source },
    outdir: folder,
    outExtension: { ".js": ".mjs" },
    bundle: true,
    splitting: true,
    platform: "node",
    format: "esm",
    target: "node20",
    conditions: ["lastwrite-source"],
    external: ["better-sqlite3", "commander", "pg", "ws"],
    logLevel: "error",
  });
  return path.join(folder, `${name}.mjs`);
}
