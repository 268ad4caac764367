/** The example as users run it, on a few of the cities. */

import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, expect, test } from "vitest";

const program = join(import.meta.dirname, "../../examples/cities.mjs");
const out = mkdtempSync(join(tmpdir(), "lastwrite-cities-"));

afterAll(() => rmSync(out, { recursive: true, force: true }));

test("ends with everything equal, and the same bytes each time", async () => {
  const args = ["--cities", "600", "--edits", "1500", "--no-table", "--out", out];
  const snapshot = () => readFileSync(join(out, "cities.lastwrite"));
  const [first, firstSnapshot] = [await run(args), snapshot()];
  expect(first).toMatchObject({ code: 0, errors: "" });
  expect(first.text).toContain("✓ everything was equal");
  expect(await run(args)).toMatchObject({ code: 0 });
  expect(snapshot()).toEqual(firstSnapshot);
  expect(await run([...args, "--seed", "2"])).toMatchObject({ code: 0 });
  expect(snapshot()).not.toEqual(firstSnapshot);
});

test("compares the engines with the map written by hand", async () => {
  const { code, errors, text } = await run(["--cities", "200", "--edits", "0", "--out", out]);
  expect({ code, errors }).toEqual({ code: 0, errors: "" });
  expect(text).toMatch(/ native +WASM +script +pure JS /u);
});

test("says what it can be told", async () => {
  expect(await run(["--help"])).toMatchObject({
    code: 0,
    text: expect.stringContaining("--cities"),
  });
});

test.each([
  [["--cities", "99"], '--cities must be a whole number from 100 to 135233, not "99"'],
  [["--edits", "many"], '--edits must be a whole number from 0 to 1000000, not "many"'],
  [["--seed"], "--seed"],
  [["--towns", "5"], "--towns"],
  [["Oslo"], "Oslo"],
])("refuses %j with a message and code 2", async (args, message) => {
  const { code, errors, text } = await run(args);
  expect({ code, text }).toEqual({ code: 2, text: "" });
  expect(errors).toContain(message);
  expect(errors).toContain("Usage: npm start");
});

function run(
  args: readonly string[],
): Promise<{ readonly code: unknown; readonly text: string; readonly errors: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [program, ...args], (error, text, errors) => {
      resolve({ code: error?.code ?? 0, text, errors });
    });
  });
}
