/**
 * Measures IndexedDB and OPFS beside each other in Chromium, as docs/decisions/0010 has it: `node test/browser/measure-media.mjs [rounds]`.
 * The media take turns, in a worker; the answers are checked outside the clock.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";

import { build } from "esbuild";
import { chromium } from "playwright-core";

const ROUNDS = Number(process.argv[2] ?? 5);
const root = join(import.meta.dirname, "../..");

const { outputFiles } = await build({
  entryPoints: [join(import.meta.dirname, "programs/media.ts")],
  bundle: true,
  format: "esm",
  platform: "browser",
  target: "es2022",
  conditions: ["lastwrite-source"],
  write: false,
});
const wasm = readFileSync(join(root, "bindings/wasm/pkg/lastwrite_wasm_bg.wasm"));
const answers = {
  "/": ["text/html", "<!doctype html><title>media</title>"],
  "/media.js": ["text/javascript", outputFiles[0].text],
  "/lastwrite.wasm": ["application/wasm", wasm],
};
const server = createServer((request, response) => {
  const [type, body] = answers[request.url] ?? answers["/"];
  response.writeHead(200, { "content-type": type }).end(body);
});
await new Promise((resolve) => {
  server.listen(0, "127.0.0.1", resolve);
});

// On the disk: without a folder of its own the browser keeps all in memory.
const folder = mkdtempSync("/var/tmp/lastwrite-media-");
const context = await chromium.launchPersistentContext(folder, {
  executablePath: "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu"],
});
const page = await context.newPage();
await page.goto(`http://127.0.0.1:${server.address().port}/`);
const measured = await page.evaluate(
  (rounds) =>
    new Promise((resolve, reject) => {
      const worker = new Worker("/media.js", { type: "module" });
      worker.addEventListener("message", ({ data }) => resolve(data));
      worker.addEventListener("error", ({ message }) => reject(new Error(message)));
      worker.postMessage(rounds);
    }),
  ROUNDS,
);
console.table(measured);
await context.close();
server.close();
rmSync(folder, { recursive: true, force: true });
