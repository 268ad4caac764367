/** Makes a program of this folder one that Node runs, with the sources in it: so it starts fast, and needs no build of the package. */

import { mkdirSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

const root = fileURLToPath(new URL("../../../", import.meta.url));

/** Answers the file to run. As deep below the root as the sources are, from where the addon is looked for. */
export async function buildProgram(name: string): Promise<string> {
  const folder = path.join(root, "target", `program-${name}-${process.pid}`);
  mkdirSync(folder, { recursive: true });
  await build({
    entryPoints: [path.join(import.meta.dirname, `${name}.ts`)],
    outdir: folder,
    outExtension: { ".js": ".mjs" },
    bundle: true,
    splitting: true,
    platform: "node",
    format: "esm",
    target: "node20",
    conditions: ["lastwrite-source"],
    external: ["better-sqlite3", "pg"],
    logLevel: "error",
  });
  return path.join(folder, `${name}.mjs`);
}
