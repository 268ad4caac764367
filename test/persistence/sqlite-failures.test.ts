/** What goes wrong with a database, as codes, and what is left afterwards. */

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";

import BetterSqlite from "better-sqlite3";
import { loadEngine, open, salvage } from "lastwrite";
import { type SqliteClient, sqlitePersistence } from "lastwrite/persistence/sqlite";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { temporaryFolder } from "./sqlite-places.ts";

const engine = await loadEngine();
const strict = { engine, durability: "strict" } as const;

let folder: ReturnType<typeof temporaryFolder>;
let file: string;
let database: BetterSqlite.Database;

beforeEach(() => {
  folder = temporaryFolder();
  file = path.join(folder.path, "app.db");
  database = new BetterSqlite(file, { timeout: 0 });
});

afterEach(() => {
  database.close();
  folder[Symbol.dispose]();
});

describe("a write", () => {
  test("into a full database is refused, and works again when there is room", async () => {
    const store = await open({ ...strict, persistence: sqlitePersistence(database) });
    store.set("small", 1);
    await store.flush();
    const pageCount = database.pragma("page_count", { simple: true }) as number;
    database.pragma(`max_page_count = ${pageCount}`);
    store.set("large", "x".repeat(100_000));
    await expect(store.flush()).rejects.toMatchObject({ code: "store-full" });
    expect(store.get("small")).toBe(1);
    database.pragma("max_page_count = 1000000");
    await store.flush();
    await store.close();
    const again = await open({ ...strict, persistence: sqlitePersistence(database) });
    expect(again.get("large")).toHaveLength(100_000);
    await again.close();
  });

  test("whose commit the disk refuses is the last one", async () => {
    let fails = false;
    const client: SqliteClient = {
      prepare: (sql) => database.prepare(sql),
      exec(sql) {
        if (!fails || sql !== "COMMIT") return database.exec(sql);
        // What SQLite does by itself then.
        database.exec("ROLLBACK");
        throw new BetterSqlite.SqliteError("disk I/O error", "SQLITE_IOERR_FSYNC");
      },
      close: () => database.close(),
    };
    const store = await open({ ...strict, persistence: sqlitePersistence(client) });
    store.set("a", 1);
    await store.flush();
    fails = true;
    store.set("a", 2);
    await expect(store.flush()).rejects.toMatchObject({ code: "store-poisoned" });
    fails = false;
    await expect(store.flush()).rejects.toMatchObject({ code: "store-poisoned" });
    await store.close().catch(() => {});
    const again = await open({ ...strict, persistence: sqlitePersistence(client) });
    expect(again.get("a")).toBe(1);
    await again.close();
  });

  test("while another connection writes is refused when the time is over", async () => {
    const persistence = sqlitePersistence(database, { busyTimeoutMs: 0 });
    const store = await open({ ...strict, persistence });
    const other = new BetterSqlite(file);
    other.exec("begin immediate");
    store.set("a", 1);
    await expect(store.flush()).rejects.toMatchObject({ code: "storage-unavailable" });
    other.exec("rollback");
    other.close();
    await store.flush();
    await store.close();
  });

  test("beside another writer that took no lock is refused", async () => {
    const first = await open({
      ...strict,
      persistence: sqlitePersistence(database, { lock: "none" }),
    });
    first.set("a", 1);
    await first.flush();
    const other = new BetterSqlite(file);
    const second = await open({
      ...strict,
      persistence: sqlitePersistence(other, { lock: "none" }),
    });
    second.set("b", 2);
    await second.flush();
    first.set("a", 3);
    await expect(first.flush()).rejects.toMatchObject({ code: "store-locked" });
    await first.close().catch(() => {});
    expect([...second.entries()]).toEqual([
      ["a", 1],
      ["b", 2],
    ]);
    await second.close();
    other.close();
  });

  test("to one store under two spellings of its name is left to the first, whoever opens", async () => {
    const named = (client: SqliteClient, store: string): ReturnType<typeof open> =>
      open({ ...strict, persistence: sqlitePersistence(client, { store }) });
    const first = await named(database, "Notes");
    first.set("a", 1);
    await first.flush();
    const other = new BetterSqlite(file, { timeout: 0 });
    for (const client of [database, other]) {
      await expect(named(client, "notes")).rejects.toMatchObject({ code: "store-locked" });
    }
    await first.close();
    const again = await named(other, "NOTES");
    expect(again.get("a")).toBe(1);
    await again.close();
    other.close();
  });

  test("on a connection that was closed says that it cannot be used", async () => {
    const store = await open({ ...strict, persistence: sqlitePersistence(database) });
    database.close();
    store.set("a", 1);
    await expect(store.flush()).rejects.toMatchObject({ code: "storage-unavailable" });
    await store.close().catch(() => {});
  });
});

describe("opening", () => {
  test("what is no database says where, and leaves it as it is", async () => {
    const garbage = path.join(folder.path, "garbage.db");
    writeFileSync(garbage, "x".repeat(10_000));
    await expect(
      open({ ...strict, persistence: sqlitePersistence(garbage) }),
    ).rejects.toMatchObject({
      code: "store-corrupt",
      damage: { file: expect.stringContaining("garbage.db"), offset: 0 },
    });
    expect(readFileSync(garbage, "utf8")).toBe("x".repeat(10_000));
  });

  test("to read what is not there is refused, and makes nothing", async () => {
    const absent = path.join(folder.path, "absent.db");
    const options = { ...strict, persistence: sqlitePersistence(absent), readOnly: true };
    await expect(open(options)).rejects.toMatchObject({ code: "storage-unavailable" });
    expect(existsSync(absent)).toBe(false);
  });

  test("to read a database without a store finds nothing, and makes nothing", async () => {
    const reader = await open({
      ...strict,
      persistence: sqlitePersistence(database),
      readOnly: true,
    });
    expect(reader.size).toBe(0);
    await reader.close();
    expect(database.prepare("select count(*) from sqlite_schema").pluck().get()).toBe(0);
  });

  test("what a later release wrote is refused", async () => {
    await written({ a: 1 });
    database.exec("update lastwrite_meta set value = '2' where name = 'format'");
    await expect(
      open({ ...strict, persistence: sqlitePersistence(database) }),
    ).rejects.toMatchObject({ code: "store-newer" });
  });

  test("in the middle of a transaction of the user is refused when the time is over", async () => {
    database.exec("begin");
    const persistence = sqlitePersistence(database, { busyTimeoutMs: 0 });
    await expect(open({ ...strict, persistence })).rejects.toMatchObject({
      code: "storage-unavailable",
    });
    database.exec("commit");
    const store = await open({ ...strict, persistence });
    await store.close();
  });

  test.each([
    ["a number", 5],
    ["nothing", undefined],
    ["an empty path", ""],
  ])("takes no %s for a database", (_, given) => {
    expect(() => sqlitePersistence(given as string)).toThrow(
      expect.objectContaining({ code: "invalid-argument" }),
    );
  });

  test.each([{ lock: "flock" }, { journalMode: "delete" }, { busyTimeoutMs: -1 }])(
    "takes no options of another shape: %o",
    (options) => {
      expect(() => sqlitePersistence(database, options as object)).toThrow(
        expect.objectContaining({ code: "invalid-argument" }),
      );
    },
  );
});

describe("closing", () => {
  test("gives back what it can, and tells what it could not as a store's error", async () => {
    const persistence = sqlitePersistence(file);
    await persistence.open({ access: "write", engine });
    const close = vi.spyOn(BetterSqlite.prototype, "close").mockImplementationOnce(() => {
      throw new BetterSqlite.SqliteError("unable to close", "SQLITE_BUSY");
    });
    await expect(persistence.close()).rejects.toMatchObject({ code: "storage-unavailable" });
    (close.mock.contexts[0] as BetterSqlite.Database).close();
    const store = await open({ ...strict, persistence });
    store.set("a", 1);
    await store.close();
  });
});

describe("damage", () => {
  test("in a row names its key, and salvage gives the others", async () => {
    await written(Object.fromEntries(Array.from({ length: 5000 }, (_, at) => [`k/${at}`, at])));
    database.exec("update lastwrite_entries set tag = 13 where key = cast('k/7' as blob)");
    const persistence = sqlitePersistence(database);
    await expect(open({ ...strict, persistence })).rejects.toMatchObject({
      code: "store-corrupt",
      damage: { offset: 0, reason: expect.stringContaining("k/7") },
    });
    const { keyCount, lost } = await salvage(persistence, { engine });
    expect(keyCount).toBe(4999);
    expect(lost).toEqual([{ offset: 0, byteCount: 0, reason: expect.stringContaining("k/7") }]);
  });

  test("in keys is told of each row that has it", async () => {
    await written({ a: 1, b: 2, c: 3, d: 4 });
    database.exec("update lastwrite_entries set key = cast(key as text) where key < x'64'");
    const { keyCount, lost } = await salvage(sqlitePersistence(database), { engine });
    expect(keyCount).toBe(1);
    expect(lost.map(({ reason }) => reason.slice(0, 14))).toEqual([
      "the entry of a",
      "the entry of b",
      "the entry of c",
    ]);
  });

  test("in the middle of the file leaves what is before and behind it", async () => {
    const entries = Array.from({ length: 20_000 }, (_, at) => [`k/${at}`, `value ${at}`] as const);
    await written(Object.fromEntries(entries));
    const { pageno } = database
      .prepare(
        "select pageno from dbstat where name = 'lastwrite_entries' and pagetype = 'leaf' limit 1 offset 100",
      )
      .get() as { pageno: number };
    database.close();
    const bytes = readFileSync(file);
    bytes.fill(0xff, (pageno - 1) * 4096, pageno * 4096);
    writeFileSync(file, bytes);
    database = new BetterSqlite(file);

    const persistence = sqlitePersistence(database);
    await expect(open({ ...strict, persistence })).rejects.toMatchObject({ code: "store-corrupt" });
    const { frame, keyCount, lost } = await salvage(persistence, { engine });
    expect(keyCount).toBeGreaterThan(19_000);
    expect(keyCount).toBeLessThan(20_000);
    expect(lost.length).toBeGreaterThan(0);
    const rescued = await open({ ...strict, persistence: sqlitePersistence(":memory:") });
    rescued.merge(frame);
    for (const [key, value] of rescued.entries()) expect(value).toBe(`value ${key.slice(2)}`);
    await rescued.close();
  });
});

async function written(values: Readonly<Record<string, number | string>>): Promise<void> {
  const store = await open({ ...strict, persistence: sqlitePersistence(database) });
  store.transaction(() => {
    for (const [key, value] of Object.entries(values)) store.set(key, value);
  });
  await store.close();
  database.pragma("wal_checkpoint(truncate)");
}
