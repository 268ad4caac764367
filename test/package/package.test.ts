/** The package as users get it: packed, installed elsewhere, and run where they run it. */
import {
  copyFileSync,
  createReadStream,
  existsSync,
  readFileSync,
  readdirSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { build as esbuild } from "esbuild";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import { build as vite } from "vite";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import webpack from "webpack";

import { browserAbsence, launchBrowser } from "../browser/chromium.ts";
import { type Installed, installPacked, run } from "./installed.ts";

const here = fileURLToPath(new URL(".", import.meta.url));

let installed: Installed;

beforeAll(() => {
  installed = installPacked();
});

afterAll(() => {
  installed?.[Symbol.dispose]();
});

describe("the manifest", () => {
  test("gives publint nothing to say", async () => {
    const { messages, pkg } = await publint({
      pkgDir: installed.folder,
      strict: true,
      pack: false,
    });
    expect(messages.map((message) => formatMessage(message, pkg ?? {}, { color: false }))).toEqual(
      [],
    );
  });

  test("gives every kind of resolution the right types", () => {
    // `esm-only`: CommonJS gets at it by require() of a module, which this tool does not know.
    const attw = join(here, "../../node_modules/@arethetypeswrong/cli/dist/index.js");
    const args = [
      attw,
      installed.tarball,
      "--profile=esm-only",
      "--no-definitely-typed",
      "--exclude-entrypoints=lastwrite.wasm",
    ];
    expect(() => run(process.execPath, args, here)).not.toThrow();
  });

  test("has no script that runs at installation", () => {
    const manifest: object = JSON.parse(
      readFileSync(join(installed.folder, "package.json"), "utf8"),
    );
    expect(manifest).not.toHaveProperty("scripts");
  });
});

describe.each([
  ["this Node", process.execPath],
  ["Node 22", join(here, "runtimes/node_modules/node22/bin/node")],
  ["Node 24", join(here, "runtimes/node_modules/node24/bin/node")],
])("on %s", (_, node) => {
  test("serves rooms and their page by its program", ({ skip }) => {
    skip(!existsSync(node), "npm has this runtime for Linux on x64 alone");
    const { version } = JSON.parse(
      readFileSync(join(installed.folder, "package.json"), "utf8"),
    ) as { version: string };
    expect(run(node, ["serve.mjs"], installed.app)).toBe(`${version}\ntrue\nexchanged\n`);
  });

  test.for(["import.mjs", "require.cjs"])("works by %s", (program, { skip }) => {
    skip(!existsSync(node), "npm has this runtime for Linux on x64 alone");
    const printed = run(node, [program, "native", "wasm", "script"], installed.app);
    expect(printed.trim()).toBe("chose native");
  });

  test.for(["native", "wasm", "script"])("keeps stores on %s", (backend, { skip }) => {
    skip(!existsSync(node), "npm has this runtime for Linux on x64 alone");
    const printed = run(node, ["--no-warnings", "store.mjs", backend], installed.app);
    const isOlder = run(node, ["--print", "process.versions.node"], installed.app).startsWith("20");
    expect(printed.trim()).toBe(
      isOlder ? "kept by memory, file" : "kept by memory, file, node:sqlite",
    );
  });
});

test("works without the addon, on WASM", () => {
  const printed = run(
    process.execPath,
    ["--no-addons", "import.mjs", "wasm", "script"],
    installed.app,
  );
  expect(printed.trim()).toBe("chose wasm");
});

describe.each([
  ["Vite", bundleByVite],
  ["webpack", bundleByWebpack],
  ["esbuild", bundleByEsbuild],
])("bundled by %s", (name, bundle) => {
  let out: string;

  beforeAll(async () => {
    out = join(installed.app, `out-${name}`);
    await bundle(installed.app, out);
  });

  test("names no module of Node", () => {
    const scripts = filesBelow(out).filter((file) => /\.m?js$/.test(file));
    expect(scripts).not.toEqual([]);
    for (const file of scripts) expect(readFileSync(file, "utf8")).not.toMatch(/["'`]node:/);
  });

  test("works in Chromium, on WASM", async ({ skip }) => {
    skip(browserAbsence !== "", browserAbsence);
    expect(await titleOf(out)).toBe("chose wasm");
  });
});

async function bundleByVite(app: string, out: string): Promise<void> {
  await vite({
    root: app,
    base: "./",
    logLevel: "error",
    configFile: false,
    build: { outDir: out },
  });
}

async function bundleByWebpack(app: string, out: string): Promise<void> {
  const compiler = webpack({
    mode: "production",
    context: app,
    entry: "./browser.mjs",
    output: { path: out, filename: "browser.js" },
    performance: false,
  });
  const stats = await promisify(compiler.run.bind(compiler))();
  await promisify(compiler.close.bind(compiler))();
  const { errors, warnings } = stats?.toJson({ all: false, errors: true, warnings: true }) ?? {};
  expect({ errors, warnings }).toEqual({ errors: [], warnings: [] });
  copyPage(app, out);
}

async function bundleByEsbuild(app: string, out: string): Promise<void> {
  const { warnings } = await esbuild({
    absWorkingDir: app,
    entryPoints: ["browser.mjs"],
    bundle: true,
    format: "esm",
    minify: true,
    outdir: out,
    outExtension: { ".js": ".js" },
    logLevel: "silent",
  });
  expect(warnings).toEqual([]);
  // It leaves `new URL(…, import.meta.url)` as it is, so the file has to be put beside the bundle.
  copyFileSync(
    join(app, "node_modules/lastwrite/dist/engine/lastwrite.wasm"),
    join(out, "lastwrite.wasm"),
  );
  copyPage(app, out);
}

function copyPage(app: string, out: string): void {
  const page = readFileSync(join(app, "index.html"), "utf8");
  writeFileSync(join(out, "index.html"), page.replace("browser.mjs", "browser.js"));
}

/** Serves `folder` on a loopback page and waits for the title that its program sets. */
async function titleOf(folder: string): Promise<string> {
  const types: Record<string, string> = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".wasm": "application/wasm",
  };
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? "/", "http://localhost").pathname;
    const file = join(folder, path === "/" ? "index.html" : path);
    if (!existsSync(file)) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { "content-type": types[extname(file)] ?? "application/octet-stream" });
    createReadStream(file).pipe(response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const browser = await launchBrowser();
  try {
    const page = await browser.newPage();
    const { port } = server.address() as AddressInfo;
    await page.goto(`http://127.0.0.1:${port}/`);
    await page.waitForFunction(() => document.title !== "");
    return await page.title();
  } finally {
    await browser.close();
    server.close();
  }
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" }).map((name) =>
    join(folder, name),
  );
}
