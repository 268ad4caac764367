/** A loopback site with the built package and the programs of these tests. */

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";

import { build, transform } from "esbuild";

const programs = join(import.meta.dirname, "programs");
const dist = join(import.meta.dirname, "../../dist");

const page = `<!doctype html>
<meta charset="utf-8">
<title>lastwrite</title>
<link rel="icon" href="data:,">
<style>body { font: 16px/1.5 sans-serif; margin: 2em } li { overflow-wrap: anywhere }</style>
<h1>lastwrite in Chromium</h1>
<ul></ul>
<script type="importmap">${JSON.stringify({
  imports: {
    lastwrite: "/dist/index.js",
    "lastwrite/wasm": "/dist/engine/wasm-entry.js",
    // What package.json says for hosts that are not Node.
    "#deflate": "/dist/transport/deflate-default.js",
    "#native": "/dist/engine/native-absent.js",
    "#wasm-source": "/dist/engine/wasm-source-default.js",
  },
})}</script>
<script type="module" src="/programs/page.ts"></script>
`;

const types: Record<string, string> = {
  ".js": "text/javascript",
  ".ts": "text/javascript",
  ".wasm": "application/wasm",
};

export interface Site {
  readonly address: string;
  close(): void;
}

/** Serves the page; `/untyped.wasm` is the engine from a server that does not know its type. */
export async function serveSite(): Promise<Site> {
  const worker = await bundleWorker();
  return serve((path) => answer(path, worker));
}

/** What is at a path: its type, and the thing itself. */
export type Answer = [type: string, body: string | Uint8Array];

/** Serves what `answerTo` answers; a path that it rejects is not there. */
export async function serve(answerTo: (path: string) => Promise<Answer>): Promise<Site> {
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? "/", "http://localhost").pathname;
    answerTo(path).then(
      ([type, body]) => response.writeHead(200, { "content-type": type }).end(body),
      (error: unknown) =>
        response.writeHead(404, { "content-type": "text/plain" }).end(String(error)),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return { address: `http://127.0.0.1:${port}`, close: () => void server.close() };
}

async function answer(path: string, worker: string): Promise<Answer> {
  const type = types[extname(path)] ?? "text/html; charset=utf-8";
  if (path === "/") return [type, page];
  if (path === "/worker.js") return [type, worker];
  // The bundle of the worker looks for it beside itself.
  if (path === "/lastwrite.wasm") return [type, readFileSync(join(dist, "engine/lastwrite.wasm"))];
  if (path === "/untyped.wasm") {
    return ["application/octet-stream", readFileSync(join(dist, "engine/lastwrite.wasm"))];
  }
  if (path.startsWith("/dist/"))
    return [type, readFileSync(join(dist, path.slice("/dist/".length)))];
  const source = readFileSync(join(programs, path.slice("/programs/".length)), "utf8");
  return [type, (await transform(source, { loader: "ts", format: "esm", target: "es2022" })).code];
}

async function bundleWorker(): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [join(programs, "worker.ts")],
    bundle: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    write: false,
    logLevel: "silent",
    // The package's own file, which esbuild leaves to be served.
    outdir: "unwritten",
  });
  const [bundle] = outputFiles;
  if (bundle === undefined) throw new Error("esbuild made no bundle of the worker");
  return bundle.text;
}
