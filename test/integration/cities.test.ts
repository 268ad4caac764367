/** The example as users run it, on a few of the cities. */

import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { createDictionary, loadEngine, open } from "lastwrite";
import { filePersistence } from "lastwrite/persistence/file";
import { afterAll, expect, test } from "vitest";

import { countKept } from "../../examples/cities/kill.mjs";

const program = join(import.meta.dirname, "../../examples/cities.mjs");
const small = ["--cities", "600", "--edits", "0", "--no-table"];
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

test("kills the process that holds a store, and finds there what it had acknowledged", async () => {
  const { code, errors, text } = await run([...small, "--out", out]);
  expect({ code, errors }).toEqual({ code: 0, errors: "" });
  const [, acknowledged = ""] = /process \d+, (\d+) of 591 writes acknowledged/u.exec(text) ?? [];
  expect(Number(acknowledged)).toBeGreaterThanOrEqual(296);
  expect(text).toContain(`all ${acknowledged} are there, and `);
  expect(readdirSync(out)).toEqual(["cities.lastwrite"]);
});

test("leaves both stores when it is told to, closed and equal", async () => {
  const { code, text } = await run([...small, "--keep", "--out", out]);
  expect(code).toBe(0);
  const [, folder = ""] = /^The stores are in (.+)$/mu.exec(text) ?? [];
  expect(existsSync(folder)).toBe(true);
  const engine = await loadEngine({ backend: "script" });
  for (const name of ["native.lw", "wasm.lw"]) {
    const store = await open({ persistence: filePersistence(join(folder, name)), engine });
    expect(text).toContain(`digest ${store.digest()}`);
    expect(store.unflushedCount).toBe(0);
    await store.close();
  }
  rmSync(folder, { recursive: true });
});

test("names the first acknowledged write that is lost, and a write that is there without those before it", async () => {
  const engine = await loadEngine({ backend: "script" });
  const store = createDictionary({ engine });
  const writes = ["a", "b", "c"].map((key, millis) => ({ key, value: { key }, millis }));
  store.set("a", { key: "a" });
  expect(countKept(store, writes, 0)).toBe(1);
  expect(countKept(store, writes, 1)).toBe(1);
  expect(() => countKept(store, writes, 2)).toThrow("write 2, of b, is lost");
  store.set("c", { key: "c" });
  expect(() => countKept(store, writes, 1)).toThrow("c is there, and b is not");
  store.set("b", { key: "b" });
  expect(countKept(store, writes, 3)).toBe(3);
  store.close();
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
  [["--keep=yes"], "--keep"],
  [["--cities", "1e3"], '"1e3"'],
  [["--seed", "-1"], "--seed"],
  [["Oslo"], "Oslo"],
])("refuses %j with a message and code 2", async (args, message) => {
  const { code, errors, text } = await run(args);
  expect({ code, text }).toEqual({ code: 2, text: "" });
  expect(errors).toContain(message);
  expect(errors).toContain("Usage: npm run demo");
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
