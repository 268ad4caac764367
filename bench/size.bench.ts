/** `npm run bench:size`: bytes that a browser loads for a store in IndexedDB which is connected to a server. See bench/README.md. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

import { build, type BuildResult } from "esbuild";

import { judge, markdown } from "./table.ts";

// The built bundle of this file lies in bench/.bench-build/.
const root = join(import.meta.dirname, "../..");

/** What is measured: all that a page without React writes. */
const PROGRAM = `
import { open } from "lastwrite";
import { indexedDbPersistence } from "lastwrite/persistence/indexeddb";

globalThis.store = await open({
  persistence: indexedDbPersistence("team"),
  connect: \`wss://\${location.host}/team\`,
});
`;
/** The same with the hooks, beside React itself. */
const REACT_PROGRAM = `${PROGRAM}
export * from "lastwrite/react";
`;
const GOALS = { script: 25_000, wasm: 60_000 };
/** What the program does not load, and when another one does. */
const ON_DEMAND: ReadonlyMap<string, string> = new Map([
  [
    "dist/engine/script.js",
    "script engine, where WebAssembly is not to be had or it was asked for",
  ],
  ["dist/sync/peer-exchange.js", "peer exchange, with `peers`"],
  ["dist/sync/collector.js", "collector, with `collector`"],
]);
const SHOWN_MODULES = 20;

const page = await bundled(PROGRAM);
const react = await bundled(REACT_PROGRAM);
const loaded = sizeOf(page, loadedOf(page));
const wasm = sizeOfBytes(readFileSync(join(root, "dist/engine/lastwrite.wasm")));
// A bundle that lost its parts would be a small one.
for (const part of [
  "sync/session.js",
  "persistence/tabs.js",
  "engine/wasm.js",
  "transport/websocket.js",
]) {
  assert(
    weightsOf(page, loadedOf(page)).some(([name]) => name === `dist/${part}`),
    `${part} is missing`,
  );
}

const rows = [
  ["", "minified", "gzipped", "goal"],
  [
    "JavaScript that is loaded",
    ...columns(loaded),
    judge(`≤ ${bytes(GOALS.script)}`, loaded.packed, GOALS.script),
  ],
  ["WebAssembly", ...columns(wasm), judge(`≤ ${bytes(GOALS.wasm)}`, wasm.packed, GOALS.wasm)],
  ...Array.from(ON_DEMAND, ([part, name]) => [
    name,
    ...columns(difference(sizeOf(page, loadedOf(page, part)), loaded)),
    "",
  ]),
  [
    "React hooks, without React",
    ...columns(difference(sizeOf(react, loadedOf(react)), loaded)),
    "",
  ],
];
console.log(`${markdown(rows).join("\n")}\n`);
const heaviest = weightsOf(page, loadedOf(page)).slice(0, SHOWN_MODULES);
console.log(
  markdown([
    ["module", "minified"],
    ...heaviest.map(([name, weight]) => [name.replace(/^dist\//u, ""), bytes(weight)]),
  ]).join("\n"),
);

interface Size {
  readonly plain: number;
  readonly packed: number;
}

interface Bundle extends BuildResult {
  readonly metafile: NonNullable<BuildResult["metafile"]>;
  readonly outputFiles: NonNullable<BuildResult["outputFiles"]>;
}

function bundled(program: string): Promise<Bundle> {
  return build({
    stdin: { contents: program, resolveDir: root, sourcefile: "program.js" },
    absWorkingDir: root,
    bundle: true,
    minify: true,
    splitting: true,
    treeShaking: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    external: ["react"],
    outdir: "unwritten",
    write: false,
    metafile: true,
    logLevel: "warning",
  });
}

/** The files that a browser gets: all but what is on demand, `demanded` excepted, and what only that imports. */
function loadedOf({ metafile: { outputs } }: Bundle, demanded?: string): readonly string[] {
  const found = new Set<string>();
  const left = new Set<string>();
  const follow = (name: string): void => {
    const output = outputs[name];
    if (output === undefined || found.has(name)) return;
    const { entryPoint = "" } = output;
    if (ON_DEMAND.has(entryPoint)) left.add(entryPoint);
    if (ON_DEMAND.has(entryPoint) && entryPoint !== demanded) return;
    found.add(name);
    for (const { path } of output.imports) follow(path);
  };
  follow("unwritten/stdin.js");
  // One that has moved would be loaded unseen, or left out for what it was.
  assert.deepEqual([...left].toSorted(), [...ON_DEMAND.keys()].toSorted());
  return [...found];
}

function sizeOf({ outputFiles }: Bundle, names: readonly string[]): Size {
  const sizes = outputFiles
    .filter(({ path }) => names.some((name) => path === join(root, name)))
    .map(({ contents }) => sizeOfBytes(contents));
  assert.equal(sizes.length, names.length);
  return {
    plain: sizes.reduce((sum, { plain }) => sum + plain, 0),
    packed: sizes.reduce((sum, { packed }) => sum + packed, 0),
  };
}

function sizeOfBytes(contents: Uint8Array): Size {
  return { plain: contents.length, packed: gzipSync(contents, { level: 9 }).length };
}

function difference(one: Size, other: Size): Size {
  return { plain: one.plain - other.plain, packed: one.packed - other.packed };
}

/** Modules with how many bytes of each are in these files, heaviest first. */
function weightsOf(
  { metafile: { outputs } }: Bundle,
  names: readonly string[],
): readonly (readonly [string, number])[] {
  return names
    .flatMap((name) => Object.entries(outputs[name]?.inputs ?? {}))
    .map(([module, { bytesInOutput }]) => [module, bytesInOutput] as const)
    .toSorted(([, one], [, other]) => other - one);
}

function columns({ plain, packed }: Size): readonly [string, string] {
  return [bytes(plain), bytes(packed)];
}

function bytes(count: number): string {
  return count.toLocaleString("en");
}
