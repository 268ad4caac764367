/** The workloads on a store in SQLite, beside statements that somebody would write who needs no replication. */
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { join } from "node:path";
import Database from "better-sqlite3";
import type { Store } from "lastwrite";
import { sqlitePersistence } from "lastwrite/persistence/sqlite";
import {
  assertHolds,
  dataset,
  eachWrite,
  freshKey,
  freshValue,
  integer,
  seeded,
} from "../workloads.ts";
import type { Dataset, Value } from "../workloads.ts";
import { inTurn, median } from "./measure.ts";
import type { Kept, Measured, Measurement, Side } from "./measure.ts";
import { inFolder } from "./place.ts";

export const SQLITE_TASKS: Readonly<Record<string, Measurement>> = {
  "sqlite-first": (kept, size, { iterations }) => firstWrite(kept, size, iterations, plainTable),
  "sqlite-first-rows": (kept, size, { iterations }) =>
    firstWrite(kept, size, iterations, sameTable),
  "sqlite-one": oneKey,
};

type Cell = number | string | bigint | null | Uint8Array;

/** A table to put rows into, by one prepared statement a row. */
interface Table {
  readonly create: string;
  readonly insert: string;
  readonly rows: readonly (readonly Cell[])[];
}

const ENTRIES = "lastwrite_entries";
const SAMPLE_COUNT = 1_000;
const ONE_KEY_COUNT = 500;

/** The flush after all entries were set, beside as many rows in one transaction. */
function firstWrite(
  kept: Kept,
  size: number,
  runs: number,
  tableOf: (data: Dataset, written: Database.Database) => Table,
): Promise<Measured> {
  return inFolder(async (folder) => {
    const data = dataset(0, size);
    const written = newDatabase(join(folder, "written.db"));
    const first = await openStore(kept, written);
    setAll(first, data);
    await first.close();
    const table = tableOf(data, written);
    written.close();

    let store: Store;
    let database: Database.Database;
    const [value = 0, beside = 0] = await inTurn(
      runs,
      {
        before: async () => {
          database = newDatabase(join(folder, "store.db"));
          store = await openStore(kept, database);
          setAll(store, data);
        },
        run: () => store.flush(),
        check: async () => {
          await store.close();
          const again = await openStore(kept, database);
          assertHolds(again, data, SAMPLE_COUNT);
          await again.close();
          assert.equal(countOf(database, ENTRIES), size);
          database.close();
        },
      },
      insertsInto(join(folder, "plain.db"), table),
    );
    return { value, beside, runs };
  });
}

function insertsInto(file: string, { create, insert, rows }: Table): Side {
  let database: Database.Database;
  return {
    before: () => {
      database = newDatabase(file);
      database.exec(create);
    },
    run: () => {
      const statement = database.prepare(insert);
      database.transaction(() => {
        for (const row of rows) statement.run(...row);
      })();
    },
    check: () => {
      assert.equal(countOf(database, ENTRIES), rows.length);
      database.close();
    },
  };
}

/** Key and value, and nothing of what a replica needs. */
function plainTable({ first, values }: Dataset): Table {
  return {
    create: `create table ${ENTRIES} (key text primary key, value) without rowid`,
    insert: `insert into ${ENTRIES} values (?, ?)`,
    rows: values.map((value, index) => [freshKey(first + index), cellOf(value)]),
  };
}

/** The very rows of the store, in the order in which it writes them. */
function sameTable(_: Dataset, written: Database.Database): Table {
  const create = written
    .prepare("select sql from sqlite_schema where name = ?")
    .pluck()
    .get(ENTRIES) as string;
  const rows = written
    .prepare(`select * from ${ENTRIES} order by place`)
    .raw()
    .all() as (readonly Cell[])[];
  const marks = rows[0]?.map(() => "?").join(", ") ?? "";
  return { create, insert: `insert into ${ENTRIES} values (${marks})`, rows };
}

/** A key changed in a store of so many, beside the same in a table of keys and values. */
function oneKey(kept: Kept, size: number): Promise<Measured> {
  return inFolder(async (folder) => {
    const data = dataset(0, size);
    const database = newDatabase(join(folder, "store.db"));
    const store = await openStore(kept, database);
    setAll(store, data);
    await store.flush();
    const plain = insertsInto(join(folder, "plain.db"), plainTable(data));
    await plain.before?.();
    await plain.run();
    await plain.check?.();
    const table = reopened(join(folder, "plain.db"));
    const replace = table.prepare(`insert or replace into ${ENTRIES} values (?, ?)`);

    const values = [...data.values];
    const random = seeded(6);
    const taken: { readonly store: number[]; readonly plain: number[] } = { store: [], plain: [] };
    for (let turn = 0; turn < ONE_KEY_COUNT; turn += 1) {
      const entry = integer(random, size);
      const [key, value] = [freshKey(entry), freshValue(random)];
      values[entry] = value;
      const startMs = performance.now();
      store.set(key, value);
      await store.flush();
      const betweenMs = performance.now();
      replace.run(key, cellOf(value));
      taken.store.push(betweenMs - startMs);
      taken.plain.push(performance.now() - betweenMs);
    }
    table.close();
    await store.close();
    const again = await openStore(kept, database);
    assertHolds(again, { ...data, values });
    await again.close();
    database.close();
    return { value: median(taken.store), beside: median(taken.plain), runs: ONE_KEY_COUNT };
  });
}

export function openStore({ open, engine }: Kept, database: Database.Database): Promise<Store> {
  return open({ persistence: sqlitePersistence(database), engine });
}

/** With the settings that a store has: all sides write in the same way. */
export function newDatabase(file: string): Database.Database {
  for (const end of ["", "-wal", "-shm"]) rmSync(`${file}${end}`, { force: true });
  return reopened(file);
}

function reopened(file: string): Database.Database {
  const database = new Database(file);
  database.pragma("journal_mode = wal");
  database.pragma("synchronous = normal");
  return database;
}

function setAll(store: Store, { first, size }: Dataset): void {
  eachWrite(first, size, (entry, value) => {
    if (value === undefined) store.delete(freshKey(entry));
    else store.set(freshKey(entry), value);
  });
}

function cellOf(value: Value | undefined): Cell {
  return typeof value === "boolean" ? Number(value) : (value ?? null);
}

function countOf(database: Database.Database, table: string): unknown {
  return database.prepare(`select count(*) from ${table}`).pluck().get();
}
