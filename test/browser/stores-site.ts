/** A loopback site whose page and worker open stores: bundles of the sources, as the other tests run them. */

import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { build } from "esbuild";

import { serve, type Site } from "./site.ts";

const programs = join(import.meta.dirname, "programs");
const wasm = join(import.meta.dirname, "../../bindings/wasm/pkg/lastwrite_wasm_bg.wasm");

const page = `<!doctype html>
<meta charset="utf-8">
<title>stores</title>
<link rel="icon" href="data:,">
<script type="module" src="/stores-page.js"></script>
`;

export async function serveStores(): Promise<Site> {
  const names = ["stores-page", "stores-worker"];
  const { outputFiles } = await build({
    entryPoints: names.map((name) => join(programs, `${name}.ts`)),
    bundle: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    conditions: ["lastwrite-source"],
    write: false,
    logLevel: "silent",
    outdir: "unwritten",
  });
  const scripts = new Map(names.map((name, index) => [`/${name}.js`, outputFiles[index]?.text]));
  return serve(async (path) => {
    if (path === "/") return ["text/html; charset=utf-8", page];
    // Beside the bundles, where they look for it.
    if (path === "/lastwrite.wasm") return ["application/wasm", await readFile(wasm)];
    const script = scripts.get(path);
    if (script === undefined) throw new Error(`there is no ${path}`);
    return ["text/javascript", script];
  });
}
