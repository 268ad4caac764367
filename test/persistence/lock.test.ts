/** Locks of files: one opener of all in this process and in others, whatever becomes of him. */

import { fork } from "node:child_process";
import { once } from "node:events";
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";

import { afterAll, describe, expect, test } from "vitest";

import { fileIdentity, lockFile } from "../../ts/persistence/files.ts";
import * as absent from "../../ts/persistence/files-absent.ts";
import { codeOf } from "../suites/replicas.ts";

const folder = mkdtempSync(join(tmpdir(), "lastwrite-lock-"));
afterAll(() => rmSync(folder, { recursive: true }));

const bindings = join(import.meta.dirname, "../../bindings/node");
const addon = readdirSync(bindings).find((name) => name.endsWith(".node"));
const holder = new URL("./lock-holder.mjs", import.meta.url);
const racer = new URL("./lock-racer.mjs", import.meta.url);

let files = 0;

function newFile(): string {
  files += 1;
  return join(folder, `${files}.lock`);
}

describe.skipIf(addon === undefined)("locks, which need the native addon", () => {
  const addonFile = join(bindings, addon ?? "");

  test("a second opener in the same process is refused until the first one releases", () => {
    const file = newFile();
    const first = lockFile(file);
    expect(() => lockFile(file)).toThrow(file);
    expect(codeOf(() => lockFile(file))).toBe("store-locked");
    lockFile(newFile()).release();
    first.release();
    const second = lockFile(file);
    first.release();
    expect(codeOf(() => lockFile(file))).toBe("store-locked");
    second.release();
  });

  test("the file is made if need be, and what it holds stays", () => {
    const file = newFile();
    lockFile(file).release();
    expect(readFileSync(file, "utf8")).toBe("");
    writeFileSync(file, "what it holds");
    lockFile(file).release();
    expect(readFileSync(file, "utf8")).toBe("what it holds");
  });

  test("who discards a lock removes the file if it was made for it, and only as long as it is held", () => {
    const [file, old] = [newFile(), newFile()];
    writeFileSync(old, "");
    lockFile(old).discard();
    expect(existsSync(old)).toBe(true);
    const made = lockFile(file);
    made.discard();
    expect(existsSync(file)).toBe(process.platform === "win32");
    const next = lockFile(file);
    made.discard();
    made.release();
    expect(existsSync(file)).toBe(true);
    expect(codeOf(() => lockFile(file))).toBe("store-locked");
    next.release();
    next.discard();
    expect(existsSync(file)).toBe(true);
  });

  test(
    "while openers come and go, and remove the file, never two have it",
    { skip: process.platform === "win32" },
    async () => {
      const file = newFile();
      const racers = Array.from(
        { length: 3 },
        () => new Worker(racer, { workerData: [addonFile, file, 600], execArgv: [] }),
      );
      const said = await Promise.all(racers.map(async (worker) => once(worker, "message")));
      const [first] = said.map(([answer]) => answer as { taken: number; doubled: number });
      expect(said.map(([{ doubled }]) => doubled as number)).toEqual([0, 0, 0]);
      expect(first?.taken).toBe(600);
      await Promise.all(racers.map((worker) => worker.terminate()));
    },
  );

  test("who may not open the file is told so by the code of the system", () => {
    expect(systemCodeOf(() => lockFile(join(folder, "no folder", "x")))).toBe("ENOENT");
    expect(systemCodeOf(() => lockFile(folder))).toBe(
      process.platform === "win32" ? "EACCES" : "EISDIR",
    );
    expect(systemCodeOf(() => lockFile(join(folder, "a\0b")))).toBe("EINVAL");
  });

  test("a thread has its lock until it ends", async () => {
    const file = newFile();
    const worker = new Worker(holder, { workerData: [addonFile, file], execArgv: [] });
    expect((await once(worker, "message"))[0]).toBeGreaterThanOrEqual(0);
    expect(codeOf(() => lockFile(file))).toBe("store-locked");
    await worker.terminate();
    lockFile(file).release();
  });

  test("a thread that asks for what this one has is refused", async () => {
    const file = newFile();
    const lock = lockFile(file);
    const worker = new Worker(holder, { workerData: [addonFile, file], execArgv: [] });
    expect((await once(worker, "message"))[0]).toBe(-1);
    await worker.terminate();
    expect(codeOf(() => lockFile(file))).toBe("store-locked");
    lock.release();
  });

  test("another process has its lock until it is killed, by SIGKILL too", async () => {
    const file = newFile();
    const child = fork(holder, [addonFile, file], { execArgv: [] });
    expect((await once(child, "message"))[0]).toBeGreaterThanOrEqual(0);
    expect(codeOf(() => lockFile(file))).toBe("store-locked");
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
    const lock = lockFile(file);
    const second = fork(holder, [addonFile, file], { execArgv: [] });
    expect((await once(second, "message"))[0]).toBe(-1);
    const secondEnded = once(second, "exit");
    second.kill("SIGKILL");
    await secondEnded;
    lock.release();
  });
});

test("a copy of a file has another identity, a file that was moved the same", () => {
  const [file, moved, copy] = [newFile(), newFile(), newFile()];
  writeFileSync(file, "");
  const identity = fileIdentity(file);
  expect(fileIdentity(file)).toBe(identity);
  copyFileSync(file, copy);
  renameSync(file, moved);
  expect(fileIdentity(moved)).toBe(identity);
  expect(fileIdentity(copy)).not.toBe(identity);
  expect(systemCodeOf(() => fileIdentity(file))).toBe("ENOENT");
});

test("where there are no files, both say that the storage is unavailable", () => {
  expect(codeOf(() => absent.lockFile("x"))).toBe("storage-unavailable");
  expect(codeOf(() => absent.fileIdentity("x"))).toBe("storage-unavailable");
});

function systemCodeOf(call: () => unknown): unknown {
  try {
    call();
  } catch (error) {
    return (error as NodeJS.ErrnoException).code;
  }
  return undefined;
}
