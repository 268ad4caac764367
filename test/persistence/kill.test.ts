/**
 * A process that writes is killed, again and again, on the same store: nothing that it was told to be kept is lost, and the store opens each time.
 * KILL_ROUNDS=20000 asks for more rounds over all adapters, KILL_ONLY=file for those of one alone.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { numberFromEnvironment, seededRandom } from "../suites/random.ts";
import { absence as postgresAbsence, makeDatabase } from "./postgres-server.ts";
import { buildProgram } from "./programs/build.ts";

interface KilledPlace extends AsyncDisposable {
  readonly name: string;
}

interface KilledAdapter {
  readonly name: string;
  /** Why it cannot be tried. */
  readonly absence?: string | undefined;
  /** A new place, by the name that the program is given. */
  readonly make: () => Promise<KilledPlace>;
}

const ADAPTERS: readonly KilledAdapter[] = [
  { name: "file", make: async () => folderPlace("store.lw") },
  { name: "sqlite", absence: absenceOf("better-sqlite3"), make: async () => folderPlace("app.db") },
  { name: "postgres", absence: postgresAbsence, make: () => makeDatabase() },
];

const isRequired = (process.env["CI"] ?? "") !== "";
const only = process.env["KILL_ONLY"];
const tried = ADAPTERS.filter(({ name }) => only === undefined || only === name);
const ROUNDS = Math.ceil((numberFromEnvironment("KILL_ROUNDS") ?? 150) / tried.length);
const HOUR_MS = 3_600_000;

let program: string;

beforeAll(async () => {
  program = await buildProgram("writer");
});

afterAll(() => rmSync(path.dirname(program), { recursive: true, force: true }));

describe.each(tried)("kill -9 of a strict writer: $name", ({ name, absence, make }) => {
  const isSkipped = absence !== undefined && !isRequired;
  const because = absence === undefined ? "" : ` (${absence})`;

  test.skipIf(isSkipped)(
    `loses nothing acknowledged in ${ROUNDS} rounds${because}`,
    { timeout: 24 * HOUR_MS },
    async () => {
      await using place = await make();
      const random = seededRandom(numberFromEnvironment("SEED") ?? 1);
      let acknowledged = 0;
      let killedWhileWriting = 0;
      for (let round = 0; round < ROUNDS; round++) {
        // Some die before they have opened it, or while they do.
        const early = random.once(6) ? random.below(150) : undefined;
        const writes = random.below(60);
        const { found, last } = await playRound(name, place.name, { early, writes });
        if (found !== undefined) {
          expect(found, `round ${round} found less than was acknowledged`).toBeGreaterThanOrEqual(
            acknowledged,
          );
          acknowledged = Math.max(found, last);
          if (last > found) killedWhileWriting++;
        }
      }
      console.log(`${name}: ${acknowledged} writes acknowledged in ${ROUNDS} rounds`);
      expect(killedWhileWriting).toBeGreaterThan(ROUNDS / 3);
    },
  );
});

describe("twenty processes that open one store", () => {
  test(
    "are refused at once but for one, and when that one is killed the next has it",
    { timeout: 120_000 },
    async () => {
      await using place = folderPlace("store.lw");
      const racers = Array.from({ length: 20 }, () => start("file", place.name, "wait"));
      try {
        for (const racer of racers) expect(await racer.next()).toBe("ready");
        for (const racer of racers) racer.process.stdin?.write("go\n");
        const answers = await Promise.all(racers.map((racer) => racer.next()));
        expect(answers.filter((line) => line === "found 0")).toHaveLength(1);
        expect(answers.filter((line) => line === "refused store-locked")).toHaveLength(19);
        const winner = racers[answers.indexOf("found 0")] as Writer;
        while ((await winner.next()) !== "5");
        await winner.kill();
        const next = start("file", place.name);
        expect(await next.next()).toMatch(/^found \d+$/u);
        await next.kill();
      } finally {
        await Promise.all(racers.map((racer) => racer.kill()));
      }
    },
  );
});

/** One life of a writer: what it found, undefined if it did not come so far, and the last that it was told to be kept. */
async function playRound(
  adapter: string,
  place: string,
  { early, writes }: { readonly early: number | undefined; readonly writes: number },
): Promise<{ found: number | undefined; last: number }> {
  const writer = start(adapter, place);
  let found: number | undefined;
  let last = 0;
  try {
    const timer = early === undefined ? undefined : setTimeout(() => void writer.kill(), early);
    for (let count = 0; ; count++) {
      const line = await writer.next();
      if (line === undefined) break;
      if (count === 0 && isReleasedLate(adapter, line)) {
        clearTimeout(timer);
        await writer.kill();
        return await playRound(adapter, place, { early, writes });
      }
      if (count === 0) found = Number(/^found (\d+)$/u.exec(line)?.[1] ?? expect.unreachable(line));
      else last = Number(line);
      // What it says until it is gone counts too.
      if (early === undefined && count >= writes) void writer.kill();
    }
    clearTimeout(timer);
  } finally {
    await writer.kill();
  }
  expect(writer.errors()).toBe("");
  return { found, last };
}

/** A server finds out by itself that a client is gone. */
function isReleasedLate(adapter: string, line: string): boolean {
  return adapter === "postgres" && line === "refused store-locked";
}

interface Writer {
  readonly process: ChildProcess;
  /** What it says next; undefined once it is gone. */
  next(): Promise<string | undefined>;
  /** What it wrote to its standard error. */
  errors(): string;
  kill(): Promise<void>;
}

function start(...args: readonly string[]): Writer {
  const child = spawn(process.execPath, [program, ...args]);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  let errors = "";
  child.stderr.on("data", (chunk: Buffer) => (errors += chunk.toString()));
  const gone = new Promise<void>((resolve) => child.on("close", () => resolve()));
  return {
    process: child,
    async next() {
      const { done, value } = await lines.next();
      return done === true ? undefined : value;
    },
    errors: () => errors,
    async kill() {
      child.kill("SIGKILL");
      await gone;
    },
  };
}

function folderPlace(file: string): KilledPlace {
  const folder = mkdtempSync(path.join(tmpdir(), "lastwrite-kill-"));
  return {
    name: path.join(folder, file),
    [Symbol.asyncDispose]: async () => rmSync(folder, { recursive: true, force: true }),
  };
}

function absenceOf(module: string): string | undefined {
  try {
    createRequire(import.meta.url).resolve(module);
    return undefined;
  } catch {
    return `${module} is not installed`;
  }
}
