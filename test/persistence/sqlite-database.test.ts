/** What a store is to the database it is in, and to those who use that beside it. */

import { copyFileSync, renameSync, statSync } from "node:fs";
import path from "node:path";

import BetterSqlite from "better-sqlite3";
import { loadEngine, open, type Report, type Store, tagged, type Value } from "lastwrite";
import { sqlitePersistence } from "lastwrite/persistence/sqlite";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { temporaryFolder } from "./sqlite-places.ts";
import { collectElsewhere } from "../suites/collect.ts";

const engine = await loadEngine();

let folder: ReturnType<typeof temporaryFolder>;
let database: BetterSqlite.Database;

beforeEach(() => {
  folder = temporaryFolder();
  database = new BetterSqlite(path.join(folder.path, "app.db"), { timeout: 0 });
});

afterEach(() => {
  database.close();
  folder[Symbol.dispose]();
});

describe("other programs", () => {
  test("read keys and values as columns of a view", async () => {
    const values: Readonly<Record<string, Value>> = {
      null: null,
      true: true,
      false: false,
      integer: 2 ** 53,
      float: 0.5,
      nan: Number.NaN,
      zero: -0,
      text: "é \u{1F600}",
      empty: "",
      nul: "a\0b",
      surrogate: "\uD800",
      bytes: new Uint8Array([0, 255]),
      "no bytes": new Uint8Array(0),
      small: 2n ** 62n,
      large: 2n ** 64n,
      date: new Date(0),
      array: [1, "a"],
      object: { a: { b: null } },
      tagged: tagged("decimal", "0.10"),
    };
    const store = await open({ persistence: sqlitePersistence(database), engine });
    for (const [key, value] of Object.entries(values)) store.set(key, value);
    store.set("gone", 1);
    store.delete("gone");
    store.deletePrefix("none/");
    await store.close();

    const rows = database
      .prepare("select key, value, type, typeof(value) as stored from lastwrite_values")
      .safeIntegers()
      .all() as { key: string; value: unknown; type: string; stored: string }[];
    const read = Object.fromEntries(rows.map(({ key, ...rest }) => [key, Object.values(rest)]));
    expect(read).toEqual({
      null: [null, "null", "null"],
      true: [1n, "boolean", "integer"],
      false: [0n, "boolean", "integer"],
      integer: [2n ** 53n, "number", "integer"],
      float: [0.5, "number", "real"],
      nan: ["NaN", "number", "text"],
      zero: [0, "number", "real"],
      text: ["é \u{1F600}", "text", "text"],
      empty: ["", "text", "text"],
      nul: ["a\uFFFDb", "text", "text"],
      surrogate: ["\uFFFD", "text", "text"],
      bytes: [Buffer.from([0, 255]), "bytes", "blob"],
      "no bytes": [Buffer.alloc(0), "bytes", "blob"],
      small: [2n ** 62n, "bigint", "integer"],
      large: ["18446744073709551616", "bigint", "text"],
      date: ["1970-01-01T00:00:00.000Z", "date", "text"],
      array: ['[1,"a"]', "json", "text"],
      object: ['{"a":{"b":null}}', "json", "text"],
      tagged: ['{"type":"decimal","text":"0.10"}', "json", "text"],
    });
  });

  test("cannot write to that view", async () => {
    const store = await open({ persistence: sqlitePersistence(database), engine });
    store.set("a", 1);
    await store.close();
    expect(() => database.exec("update lastwrite_values set value = 2")).toThrow(/view/u);
  });

  test("find no row of what was removed by prefix, or whose tombstone was collected", async () => {
    const store = await open({ persistence: sqlitePersistence(database), engine });
    for (let at = 0; at < 30; at++) store.set(`tasks/${at}`, at);
    store.set("tasks", "not below");
    await store.flush();
    store.deletePrefix("tasks/");
    await store.flush();
    expect(countOf("lastwrite_entries")).toBe(2);
    store.delete("tasks");
    await store.flush();
    collectElsewhere(store, engine);
    await store.flush();
    expect(countOf("lastwrite_entries")).toBe(0);
    store.set("last", 1);
    store.clear();
    await store.flush();
    expect(countOf("lastwrite_entries")).toBe(1);
    await store.close();
  });

  test("keep their tables as they were", async () => {
    database.exec("create table users (name); insert into users values ('Ada')");
    database.exec("create temp table lastwrite_entries (mine)");
    const store = await open({ persistence: sqlitePersistence(database), engine });
    store.set("a", 1);
    store.clear();
    await store.close();
    expect(database.prepare("select * from users").all()).toEqual([{ name: "Ada" }]);
    expect(countOf("temp.lastwrite_entries")).toBe(0);
    const names = database
      .prepare("select name from main.sqlite_schema where name not like 'sqlite_%' order by name")
      .pluck();
    expect(names.all()).toEqual([
      "lastwrite_entries",
      "lastwrite_meta",
      "lastwrite_replicas",
      "lastwrite_states",
      "lastwrite_values",
      "users",
    ]);
  });

  test("that have a table of such a name keep it, and the store is refused", async () => {
    database.exec("create table Lastwrite_Meta (name, value)");
    await expect(open({ persistence: sqlitePersistence(database), engine })).rejects.toMatchObject({
      code: "storage-unavailable",
      message: expect.stringContaining("Lastwrite_Meta"),
    });
  });
});

describe("stores of one database", () => {
  test("know nothing of each other", async () => {
    const [first, second] = (await Promise.all(
      ["select", "_2"].map((store) =>
        open({ persistence: sqlitePersistence(database, { store }), engine }),
      ),
    )) as [Store, Store];
    first.set("a", 1);
    second.set("b", 2);
    await Promise.all([first.close(), second.close()]);
    const again = await open({ persistence: sqlitePersistence(database, { store: "_2" }), engine });
    expect([...again.entries()]).toEqual([["b", 2]]);
    await again.close();
  });

  test.each(['a"; drop table users; --', "a b", "1a", "", "é", "x".repeat(49)])(
    "are not named %j",
    (store) => {
      expect(() => sqlitePersistence(database, { store })).toThrow(
        expect.objectContaining({ code: "invalid-argument" }),
      );
    },
  );
});

describe("a transaction of the user", () => {
  test("holds writes back until it ends, so that no rollback takes them", async () => {
    database.exec("create table users (name)");
    const persistence = sqlitePersistence(database, { busyTimeoutMs: 0 });
    const store = await open({ persistence, engine, durability: "strict" });
    store.set("a", 1);
    await store.flush();
    database.exec("begin; insert into users values ('Ada')");
    store.set("a", 2);
    await expect(store.flush()).rejects.toMatchObject({ code: "storage-unavailable" });
    expect(database.inTransaction).toBe(true);
    database.exec("rollback");
    await store.flush();
    expect(valueOf("a")).toBe(2);
    expect(countOf("users")).toBe(0);
    await store.close();
  });

  test.each([
    ["is waited for", () => database],
    ["on another connection is waited for too", () => connect("app.db")],
  ])("%s", async (_, connectionOf) => {
    const store = await open({ persistence: sqlitePersistence(database), engine });
    const connection = connectionOf();
    connection.exec("begin immediate");
    store.set("a", 1);
    const flushed = store.flush();
    await new Promise((resolve) => {
      setTimeout(resolve, 20);
    });
    connection.exec("commit");
    await flushed;
    expect(valueOf("a")).toBe(1);
    await store.close();
    if (connection !== database) connection.close();
  });

  test("reads what a reader of the same connection reads", async () => {
    const store = await open({ persistence: sqlitePersistence(database), engine });
    store.set("a", 1);
    await store.close();
    database.exec("begin");
    const reader = await open({ persistence: sqlitePersistence(database), engine, readOnly: true });
    expect(reader.get("a")).toBe(1);
    await reader.close();
    expect(database.inTransaction).toBe(true);
    database.exec("commit");
  });
});

const KEY_COUNT = 1_000_000;

describe("what a write costs", () => {
  test("one key of a million adds less than 10 kB to the log of the database", async () => {
    const store = await open({ persistence: sqlitePersistence(database), engine });
    for (let at = 0; at < KEY_COUNT; at++) store.set(`users/${at}/name`, `name ${at}`);
    await store.flush();
    database.pragma("wal_autocheckpoint = 0");
    database.pragma("wal_checkpoint(truncate)");
    let before = 0;
    const grown: number[] = [];
    for (let at = 0; at < 200; at++) {
      store.set(`users/${(at * 7919) % KEY_COUNT}/name`, `other ${at}`);
      await store.flush();
      const { size } = statSync(path.join(folder.path, "app.db-wal"));
      grown.push(size - before);
      before = size;
    }
    // The first one also has the header of the log.
    expect(Math.max(...grown.slice(1))).toBeLessThan(10_000);
    await store.close();
  });

  test("states do not pile up", async () => {
    const store = await open({ persistence: sqlitePersistence(database), engine });
    for (let at = 0; at < 200; at++) {
      store.set("a", at);
      await store.flush();
    }
    expect(countOf("lastwrite_states")).toBeLessThanOrEqual(64);
    await store.close();
  });

  test("commits are synced when they have to be, and what the user set comes back", async () => {
    const said: string[] = [];
    const client = {
      prepare: (sql: string) => database.prepare(sql),
      exec(sql: string) {
        said.push(sql);
        return database.exec(sql);
      },
      close: () => database.close(),
    };
    database.pragma("journal_mode = wal");
    for (const [mode, durability, synchronous] of [
      [1, "strict", 2],
      [3, "strict", 3],
      [2, "relaxed", 1],
      [0, "relaxed", 0],
    ] as const) {
      const store = await open({ persistence: sqlitePersistence(client), engine, durability });
      store.set("first", mode);
      await store.flush();
      database.pragma(`synchronous = ${mode}`);
      said.length = 0;
      store.set("a", mode);
      await store.flush();
      const settings = said
        .filter((sql) => sql.includes("synchronous"))
        .map((sql) => sql.slice(-1));
      expect(settings).toEqual(synchronous === mode ? [] : [`${synchronous}`, `${mode}`]);
      expect(database.pragma("synchronous", { simple: true })).toBe(mode);
      await store.close();
    }
  });

  test("the database keeps its journal where that is asked for", async () => {
    const kept = sqlitePersistence(database, { journalMode: "keep" });
    const store = await open({ persistence: kept, engine, durability: "strict" });
    store.set("a", 1);
    await store.close();
    expect(database.pragma("journal_mode", { simple: true })).toBe("delete");
    const logged = await open({ persistence: sqlitePersistence(database), engine });
    expect(logged.get("a")).toBe(1);
    await logged.close();
    expect(database.pragma("journal_mode", { simple: true })).toBe("wal");
  });
});

describe("a database that was copied", () => {
  const copies: Readonly<Record<string, (to: string) => void>> = {
    "as a file": (to) => {
      database.pragma("wal_checkpoint(truncate)");
      copyFileSync(database.name, to);
    },
    "by VACUUM INTO": (to) => void database.prepare("vacuum into ?").run(to),
  };

  test.each(Object.entries(copies))("%s goes on under a new id, once", async (_, copy) => {
    const store = await open({ persistence: sqlitePersistence(database), engine });
    store.set("a", 1);
    const { replicaId } = store;
    await store.close();
    copy(path.join(folder.path, "copy.db"));

    const original = await reopened(database);
    expect(original.reports).toEqual([]);
    expect(original.store.replicaId).toBe(replicaId);
    await original.store.close();

    using copied = connect("copy.db");
    const first = await reopened(copied);
    expect(first.reports.map(({ code }) => code)).toEqual(["replica-cloned"]);
    first.store.set("b", 2);
    expect(first.store.replicaId).not.toBe(replicaId);
    await first.store.close();
    const second = await reopened(copied);
    expect(second.reports).toEqual([]);
    expect([...second.store.entries()]).toEqual([
      ["a", 1],
      ["b", 2],
    ]);
    await second.store.close();
  });

  test("into memory goes on under a new id too", async () => {
    const store = await open({ persistence: sqlitePersistence(database), engine });
    store.set("a", 1);
    await store.close();
    database.pragma("journal_mode = delete");
    const copied = new BetterSqlite(database.serialize());
    const { store: copy, reports } = await reopened(copied);
    expect(reports.map(({ code }) => code)).toEqual(["replica-cloned"]);
    expect(copy.get("a")).toBe(1);
    await copy.close();
    copied.close();
  });

  test("and one that was moved keeps its id", async () => {
    const store = await open({ persistence: sqlitePersistence(database), engine });
    store.set("a", 1);
    const { replicaId } = store;
    await store.close();
    database.close();
    renameSync(path.join(folder.path, "app.db"), path.join(folder.path, "moved.db"));
    using moved = connect("moved.db");
    const { store: again, reports } = await reopened(moved);
    expect(reports).toEqual([]);
    expect(again.replicaId).toBe(replicaId);
    await again.close();
  });

  async function reopened(
    client: BetterSqlite.Database,
  ): Promise<{ readonly store: Store; readonly reports: Report[] }> {
    const reports: Report[] = [];
    const store = await open({
      persistence: sqlitePersistence(client),
      engine,
      onReport: (report) => reports.push(report),
    });
    return { store, reports };
  }
});

function connect(name: string): BetterSqlite.Database & Disposable {
  const client = new BetterSqlite(path.join(folder.path, name), { timeout: 0 });
  return Object.assign(client, { [Symbol.dispose]: () => void client.close() });
}

function countOf(table: string): number {
  return database.prepare(`select count(*) from ${table}`).pluck().get() as number;
}

function valueOf(key: string): unknown {
  return database.prepare("select value from lastwrite_values where key = ?").pluck().get(key);
}
