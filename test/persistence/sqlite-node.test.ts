/** node:sqlite, which Node has from 22.13 on: what every adapter has to do, in a process of such a Node. */

import { execFile } from "node:child_process";
import { cpSync, existsSync, rmSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { persistenceCases } from "../suites/persistence.ts";
import { buildProgram } from "./programs/build.ts";
import { temporaryFolder } from "./sqlite-places.ts";

const RUNTIMES = ["node22", "node24"].map((name) => ({
  name,
  node: path.resolve(import.meta.dirname, `../package/runtimes/node_modules/${name}/bin/node`),
}));

let program: string;

beforeAll(async () => {
  program = await buildProgram("sqlite-node");
});

afterAll(() => rmSync(path.dirname(program), { recursive: true, force: true }));

describe.each(RUNTIMES)("persistence: SQLite, node:sqlite of $name", ({ node }) => {
  test.skipIf(!existsSync(node))("a connection does what every adapter has to do", async () => {
    const done = await run(node, program, "client");
    expect(done).toEqual(persistenceCases.map(({ name }) => ({ name, problem: null })));
  });

  test.skipIf(!existsSync(node))(
    "a path is opened where better-sqlite3 is not installed",
    async () => {
      using away = temporaryFolder();
      const done = await run(node, copyOfProgram(away.path), "path");
      expect(done.length).toBeGreaterThan(20);
      expect(done.filter(({ problem }) => problem !== null)).toEqual([]);
    },
  );
});

test.skipIf(Number(process.versions.node.split(".")[0]) > 20)(
  "a path is refused where there is no SQLite at all, and it is said what to do",
  async () => {
    using away = temporaryFolder();
    const done = await run(process.execPath, copyOfProgram(away.path), "path");
    expect(done[0]?.problem).toContain("install better-sqlite3");
  },
);

interface Done {
  readonly name: string;
  readonly problem: string | null;
}

async function run(node: string, file: string, mode: string): Promise<Done[]> {
  const { stdout } = await promisify(execFile)(node, [file, mode], { timeout: 110_000 });
  const lines = stdout.trim().split("\n");
  return lines.map((line) => JSON.parse(line) as Done);
}

/** Where no package of this repository is found. */
function copyOfProgram(folder: string): string {
  cpSync(path.dirname(program), folder, { recursive: true });
  return path.join(folder, path.basename(program));
}
