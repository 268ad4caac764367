/** What browsers do to databases and files: no space, deletion, strange contents, no storage at all. */

import { describe, expect, test } from "vitest";

import { browserAbsence } from "./chromium.ts";
import {
  ask,
  askWorker,
  deleteDatabase,
  isReady,
  kill,
  setQuota,
  withPages,
} from "./tabs-under-test.ts";

const NAME = "notes";
const DATABASE = `lastwrite/${NAME}`;

describe.skipIf(browserAbsence !== "")("a database in Chromium", () => {
  const pages = withPages();

  test("strict writes are strict transactions, and relaxed ones relaxed", async () => {
    const page = await pages.open();
    await page.evaluate(() => {
      const seen: string[] = [];
      Object.assign(globalThis, { seen });
      const { prototype } = IDBDatabase;
      const transaction = Reflect.get(prototype, "transaction");
      prototype.transaction = function begin(...args) {
        const begun = transaction.apply(this, args);
        if (begun.mode === "readwrite" && [...begun.objectStoreNames].includes("frames")) {
          seen.push(begun.durability);
        }
        return begun;
      };
    });
    const taken = (): Promise<string[]> =>
      page.evaluate(() => (Reflect.get(globalThis, "seen") as string[]).splice(0));

    await ask(page, "open", { name: NAME, durability: "strict" });
    for (const key of ["a", "b"]) {
      await ask(page, "set", key, "1");
      await ask(page, "flush");
    }
    expect(await taken()).toEqual(["strict", "strict"]);
    await ask(page, "close");
    await taken();

    await ask(page, "open", { name: NAME, durability: "relaxed" });
    for (const key of ["c", "d", "e"]) {
      await ask(page, "set", key, "1");
      await ask(page, "flush");
    }
    // The first one says that the store is open.
    expect(await taken()).toEqual(["strict", "relaxed", "relaxed"]);
    await ask(page, "close");
    expect((await taken()).at(-1)).toBe("strict");
  });

  test.each(["indexeddb", "opfs"] as const)(
    "without space %s says so, shows what it has, and goes on when there is some",
    async (medium) => {
      const page = await pages.open();
      const asking = medium === "opfs" ? askWorker : ask;
      // Before anything is open: what a browser grants it may grant for a while.
      await setQuota(page, 8_000_000);
      await asking(page, "open", { name: NAME, medium, durability: "strict" });
      await asking(page, "set", "first", "kept");
      await asking(page, "flush");
      expect(await asking(page, "fill", 300)).toBe("store-full");
      expect(await asking(page, "flushCode")).toBe("store-full");
      expect(await asking(page, "get", "first")).toBe("kept");
      const { size, unflushedCount } = await asking(page, "state");
      expect(unflushedCount).toBeGreaterThan(0);
      await setQuota(page, 200_000_000);
      expect(await asking(page, "flushCode")).toBe("");
      expect(await asking(page, "fill", 3)).toBe("");
      await asking(page, "close");
      await asking(page, "open", { name: NAME, medium, durability: "strict" });
      expect((await asking(page, "state")).size).toBe(size + 3);
    },
  );

  test("a file that could not be made for want of space is made when there is some", async () => {
    const page = await pages.open();
    await setQuota(page, 1000);
    for (let attempt = 0; attempt < 2; attempt++) {
      const opening = askWorker(page, "open", { name: NAME, medium: "opfs" });
      await expect(opening).rejects.toThrow("store-full: ");
    }
    await setQuota(page, 200_000_000);
    await askWorker(page, "open", { name: NAME, medium: "opfs" });
    await askWorker(page, "set", "a", "1");
    expect(await askWorker(page, "flushCode")).toBe("");
  });

  test("a follower is told that the leader has no space, and goes on when there is some", async () => {
    const [first, second] = [await pages.open(), await pages.open()];
    await setQuota(first, 2_000_000);
    for (const page of [first, second]) {
      await ask(page, "open", { name: NAME, durability: "strict" });
    }
    expect(await ask(second, "fill", 100)).toBe("store-full");
    await setQuota(first, 200_000_000);
    await expect.poll(() => ask(second, "flushCode"), { timeout: 20_000 }).toBe("");
  });

  test("who deletes the database is not kept waiting, and the store says so", async () => {
    const page = await pages.open();
    await ask(page, "open", { name: NAME });
    await ask(page, "set", "a", "1");
    await ask(page, "flush");
    await deleteDatabase(page, DATABASE);
    await ask(page, "set", "b", "2");
    expect(await ask(page, "flushCode")).toBe("storage-unavailable");
    expect(await ask(page, "get", "a")).toBe("1");
  });

  test.each([
    ["a later version of the database", 2, "", "store-newer"],
    ["a later format", 1, "format", "store-newer"],
    ["a frame that is no bytes", 1, "text", "store-corrupt"],
    ["a frame of strange bytes", 1, "bytes", "store-corrupt"],
    ["none of our object stores", 1, "foreign", "store-corrupt"],
  ] as const)("%s is refused", async (_, version, what, code) => {
    const page = await pages.open();
    if (what !== "foreign") {
      await ask(page, "open", { name: NAME });
      await ask(page, "set", "a", "1");
      await ask(page, "close");
    }
    await page.evaluate(
      ([name, at, change]) =>
        new Promise<void>((resolve, reject) => {
          const request = indexedDB.open(name, at);
          request.addEventListener("error", () => reject(new Error("not opened")));
          request.addEventListener("success", () => {
            const database = request.result;
            const end = (): void => {
              database.close();
              resolve();
            };
            if (change === "" || change === "foreign") {
              end();
              return;
            }
            const transaction = database.transaction(["frames", "facts"], "readwrite");
            if (change === "format") transaction.objectStore("facts").put(2, "format");
            if (change === "text") transaction.objectStore("frames").add("text");
            if (change === "bytes") transaction.objectStore("frames").add(Uint8Array.of(1, 2));
            transaction.addEventListener("complete", end);
          });
        }),
      [DATABASE, version, what] as const,
    );
    await expect(ask(page, "open", { name: NAME })).rejects.toThrow(`${code}: `);
    if (what === "text" || what === "bytes") {
      expect(await ask(page, "salvage", NAME)).toEqual({ keyCount: 1, lostCount: 1 });
    }
  });

  test.each(["indexedDB", "locks", "BroadcastChannel"])(
    "without %s opening says so",
    async (missing) => {
      const page = await pages.open(async (opened) => {
        await opened.addInitScript((name) => {
          const owner = name === "locks" ? Navigator.prototype : globalThis;
          Object.defineProperty(owner, name, { value: undefined, configurable: true });
        }, missing);
      });
      const opening = ask(page, "open", { name: NAME });
      await expect(opening).rejects.toThrow("storage-unavailable: ");
    },
  );

  test("looking at a store that is not there makes none", async () => {
    const page = await pages.open();
    const opening = ask(page, "open", { name: NAME, readOnly: true });
    await expect(opening).rejects.toThrow("storage-unavailable: ");
    const names = await page.evaluate(async () =>
      (await indexedDB.databases()).map(({ name }) => name),
    );
    expect(names).toEqual([]);
  });

  test("nobody is asked for persistent storage, but by the option", async () => {
    const page = await pages.open();
    await page.evaluate(() => {
      const asked: string[] = [];
      Object.assign(globalThis, { asked });
      StorageManager.prototype.persist = () => {
        asked.push("persist");
        return Promise.reject(new TypeError("not here"));
      };
    });
    const countOf = (): Promise<number> =>
      page.evaluate(() => (Reflect.get(globalThis, "asked") as string[]).length);
    await ask(page, "open", { name: NAME });
    await ask(page, "close");
    expect(await countOf()).toBe(0);
    await ask(page, "open", { name: NAME, options: { persist: true } });
    expect(await countOf()).toBe(1);
  });

  test("a file of the origin is written in workers only, and read in pages beside them", async () => {
    const page = await pages.open();
    await expect(ask(page, "open", { name: NAME, medium: "opfs" })).rejects.toThrow(
      "storage-unavailable: ",
    );
    await askWorker(page, "open", { name: NAME, medium: "opfs" });
    await askWorker(page, "set", "a", "1");
    await askWorker(page, "flush");
    await ask(page, "open", { name: NAME, medium: "opfs", readOnly: true });
    expect(await ask(page, "get", "a")).toBe("1");
    const other = await pages.open();
    const opening = askWorker(other, "open", { name: NAME, medium: "opfs" });
    await expect(opening).rejects.toThrow("store-locked: ");
  });

  test("a worker that is killed while it writes a file loses nothing that was kept", async () => {
    const kept: string[] = [];
    for (let round = 0; round < 4; round++) {
      const page = await pages.open();
      // The browser lets go of the files of the dead one a moment later.
      await expect
        .poll(
          () =>
            askWorker(page, "open", { name: NAME, medium: "opfs", durability: "strict" }).then(
              () => "open",
              (error: unknown) => String(error),
            ),
          { timeout: 10_000 },
        )
        .toBe("open");
      expect(await askWorker(page, "missing", kept)).toEqual([]);
      const writing = askWorker(page, "write", `${round}/`, 0, 1_000_000).catch(() => {});
      const before = kept.length;
      await expect
        .poll(async () => kept.push(...(await askWorker(page, "takeKept"))), { interval: 5 })
        .toBeGreaterThan(before + 20);
      await kill(page);
      await writing;
      await page.close();
    }
    expect(kept.length).toBeGreaterThan(80);
  });

  test("a page that is loaded anew finds what was there", async () => {
    const page = await pages.open();
    await ask(page, "open", { name: NAME, backend: "wasm" });
    await ask(page, "write", "key/", 0, 10);
    const { replicaId, digest } = await ask(page, "state");
    await page.reload();
    await isReady(page);
    await ask(page, "open", { name: NAME });
    expect(await ask(page, "state")).toMatchObject({ replicaId, digest, size: 10 });
  });
});
