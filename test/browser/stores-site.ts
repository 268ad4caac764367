/** Loopback sites whose page and workers are bundles of the sources, as the other tests run them. */

import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { build } from "esbuild";

import { serve, type Site } from "./site.ts";

const programs = join(import.meta.dirname, "programs");
const wasm = join(import.meta.dirname, "../../bindings/wasm/pkg/lastwrite_wasm_bg.wasm");

/** The page and the worker that open stores. */
export function serveStores(): Promise<Site> {
  return servePrograms("stores-page.ts", "stores-worker.ts");
}

/** A page with this program of the folder `programs`; the others lie beside it. */
export async function servePrograms(first: string, ...others: readonly string[]): Promise<Site> {
  const names = [first, ...others];
  const { outputFiles } = await build({
    entryPoints: names.map((name) => join(programs, name)),
    bundle: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    jsx: "automatic",
    conditions: ["lastwrite-source"],
    // React checks more, and StrictMode does what it is for.
    define: { "process.env.NODE_ENV": '"development"' },
    write: false,
    logLevel: "silent",
    outdir: "unwritten",
  });
  const scripts = new Map(names.map((name, at) => [addressOf(name), outputFiles[at]?.text]));
  return serve(async (path) => {
    if (path === "/") return ["text/html; charset=utf-8", pageOf(first)];
    // Beside the bundles, where they look for it.
    if (path === "/lastwrite.wasm") return ["application/wasm", await readFile(wasm)];
    const script = scripts.get(path);
    if (script === undefined) throw new Error(`there is no ${path}`);
    return ["text/javascript", script];
  });
}

function pageOf(program: string): string {
  return `<!doctype html>
<meta charset="utf-8">
<title>lastwrite</title>
<link rel="icon" href="data:,">
<script type="module" src="${addressOf(program)}"></script>
`;
}

function addressOf(program: string): string {
  return `/${program.replace(/\.tsx?$/u, ".js")}`;
}
