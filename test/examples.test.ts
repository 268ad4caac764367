/**
 * Runs every example: the `ts` and `tsx` blocks of README.md and docs, and those of the doc comments in ts/.
 *
 * A line `console.log(…); // text` also has to print that text. A block that begins with three backticks and
 * `ts no-run` is shown only, and says in its first line why.
 */

import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { format } from "node:util";
import { transform } from "esbuild";
import { describe, expect, test } from "vitest";

const root = path.resolve(import.meta.dirname, "..");
const require = createRequire(import.meta.url);

interface Example {
  /** File and line, to find it by. */
  readonly name: string;
  readonly language: "ts" | "tsx";
  readonly code: string;
}

const examples = [...documents(), ...sources()].flatMap(examplesOf);

test("there are examples", () => {
  expect(examples.length).toBeGreaterThan(5);
});

describe("examples run, and print what they say", () => {
  test.each(examples)("$name", async (example) => {
    await assertRuns(example);
  });
});

function documents(): string[] {
  const pages = ["docs", "docs/persistence"].flatMap((folder) =>
    readdirSync(path.join(root, folder)).map((name) => `${folder}/${name}`),
  );
  return ["README.md", ...pages].filter((name) => name.endsWith(".md") && exists(name));
}

function sources(): string[] {
  return readdirSync(path.join(root, "ts"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => `ts/${name}`);
}

function exists(name: string): boolean {
  return readdirSync(path.join(root, path.dirname(name))).includes(path.basename(name));
}

/** In a source the blocks stand in comments, behind ` * `. */
function examplesOf(file: string): Example[] {
  const text = readFileSync(path.join(root, file), "utf8");
  const blocks = text.matchAll(/^([ \t]*(?:\* )?)```(tsx?)\n([\s\S]*?)^\1```$/gmu);
  return Array.from(blocks, ([block, indent = "", language, code = ""]) => ({
    name: `${file}:${text.slice(0, text.indexOf(block)).split("\n").length}`,
    language: language === "tsx" ? "tsx" : "ts",
    code: code
      .split("\n")
      .map((line) =>
        line.startsWith(indent) ? line.slice(indent.length) : line.replace(/^\s*\*/u, ""),
      )
      .join("\n"),
  }));
}

async function assertRuns({ language, code }: Example): Promise<void> {
  const lines = code.split("\n").map((line) => {
    const [, before, logged, expected] = PRINTS.exec(line) ?? [];
    return logged === undefined
      ? { script: line, expected: undefined }
      : { script: `${before}printed(${JSON.stringify(expected)})${logged}`, expected };
  });
  const { code: script } = await transform(lines.map((line) => line.script).join("\n"), {
    loader: language,
    jsx: "automatic",
    format: "esm",
    target: "node20",
  });
  const body = script
    .replaceAll(/^import \* as (\w+) from "([^"]+)";$/gmu, 'const $1 = await load("$2");')
    .replaceAll(/^import (\w+) from "([^"]+)";$/gmu, 'const { default: $1 } = await load("$2");')
    .replaceAll(/^import (\{[^}]*\}) from "([^"]+)";$/gmu, (_, names: string, from: string) => {
      return `const ${names.replaceAll(/\bas\b/gu, ":")} = await load("${from}");`;
    });
  const seen = new Set<string>();
  const printed =
    (expected: string) =>
    (...values: unknown[]): void => {
      seen.add(expected);
      expect(format(...values)).toBe(expected);
    };
  const silent = { ...console, log: () => {} };
  await new AsyncFunction("load", "printed", "console", body)(load, printed, silent);
  for (const { expected } of lines) {
    if (expected !== undefined)
      expect(seen, "a line that says what it prints ran").toContain(expected);
  }
}

/** A line that says what it prints: what stands before, the arguments and what follows, the text. */
const PRINTS = /^(.*)console\.log(\(.*\);(?: \}+)?) \/\/ (.*)$/u;

const AsyncFunction = (async () => {}).constructor as new (
  ...text: string[]
) => (...values: unknown[]) => Promise<unknown>;

/** The package is its sources; everything else comes from where it always does. */
async function load(name: string): Promise<unknown> {
  const [, adapter] = /^lastwrite\/persistence\/([a-z]+)$/u.exec(name) ?? [];
  if (adapter !== undefined) return import(`../ts/persistence/${adapter}.ts`);
  const [, transport] = /^lastwrite\/transport\/([a-z-]+)$/u.exec(name) ?? [];
  if (transport !== undefined) return import(`../ts/transport/${transport}.ts`);
  switch (name) {
    case "lastwrite":
      return import("../ts/index.ts");
    case "lastwrite/server":
      return import("../ts/server/index.ts");
    case "lastwrite/wasm":
      return import("../ts/engine/wasm-entry.ts");
    case "lastwrite/react":
      return import("../ts/react/index.ts");
    default:
      return import(name.startsWith("node:") ? name : require.resolve(name));
  }
}
