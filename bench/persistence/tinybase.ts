/**
 * One changed cell of 100,000 on its way to the medium: a store of ours, and TinyBase with its own persisters, as its documentation advises.
 *
 * TinyBase's file persister, and its SQLite persister in JSON mode, keep all of the store in one text. Its tabular mode keeps rows, without what a replica needs to merge.
 */
import assert from "node:assert/strict";
import { closeSync, fsyncSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type Database from "better-sqlite3";
import type { Store } from "lastwrite";
import { importPeer } from "../peer-package.ts";
import { dataset, freshKey, freshValue, integer, seeded } from "../workloads.ts";
import type { Value } from "../workloads.ts";
import { inTurn, openStore } from "./measure.ts";
import type { Kept, Measured, Measurement } from "./measure.ts";
import { inFolder } from "./place.ts";
import { newDatabase, openStore as openSqliteStore } from "./sqlite.ts";

export const TINYBASE_TASKS: Readonly<Record<string, Measurement>> = {
  "tinybase-file": (kept, size, { iterations }) => oneCell(kept, size, iterations, fileKeepers),
  "tinybase-sqlite": (kept, size, { iterations }) => oneCell(kept, size, iterations, jsonKeepers),
  "tinybase-tables": (kept, size, { iterations }) => oneCell(kept, size, iterations, tableKeepers),
};

/** A store of ours and one of TinyBase that are being kept, each holding nothing. */
interface Keepers {
  readonly ours: Store;
  readonly theirs: TinyStore;
  /** Resolves when TinyBase has kept what was changed. */
  readonly keep: () => Promise<unknown>;
  /** Throws unless the medium holds the value, as TinyBase has written it. */
  readonly assertKept: (row: string, cell: string, value: Value) => void;
  readonly close: () => Promise<void>;
}

const TABLE = "users";

async function oneCell(
  kept: Kept,
  size: number,
  runs: number,
  keepersIn: (kept: Kept, folder: string) => Promise<Keepers>,
): Promise<Measured> {
  return inFolder(async (folder) => {
    const { ours, theirs, keep, assertKept, close } = await keepersIn(kept, folder);
    const random = seeded(7);
    const cells = dataset(0, size).values.map((value = freshValue(random)) => value);
    for (const [entry, value] of cells.entries()) ours.set(freshKey(entry), value);
    theirs.transaction(() => {
      for (const [entry, value] of cells.entries()) theirs.setCell(TABLE, ...place(entry), value);
    });
    await ours.flush();
    await keep();

    let changed = { entry: 0, key: "", value: 0 as Value };
    const before = (): void => {
      const entry = integer(random, size);
      changed = { entry, key: freshKey(entry), value: freshValue(random) };
    };
    const [value = 0, beside = 0] = await inTurn(
      runs,
      {
        before,
        run: () => {
          ours.set(changed.key, changed.value);
          return ours.flush();
        },
        check: () => {
          assert.equal(ours.get(changed.key), changed.value);
          assert.equal(ours.unflushedCount, 0);
        },
      },
      {
        before,
        run: () => {
          theirs.setCell(TABLE, ...place(changed.entry), changed.value);
          return keep();
        },
        check: () => assertKept(...place(changed.entry), changed.value),
      },
    );
    await close();
    return { value, beside, runs };
  });
}

async function fileKeepers(kept: Kept, folder: string): Promise<Keepers> {
  const { createMergeableStore } = await tinybase();
  const { createFilePersister } = await importPeer<FilePersisters>(
    "tinybase/persisters/persister-file",
  );
  const file = join(folder, "tinybase.json");
  const ours = await openStore(kept, folder);
  const theirs = createMergeableStore("a");
  const persister = createFilePersister(theirs, file);
  return {
    ours,
    theirs,
    keep: () => persister.save(),
    assertKept: (row, cell, value) => {
      const tables = JSON.parse(readFileSync(file, "utf8"))[0][0];
      assert.equal(tables[TABLE][0][row][0][cell][0], value);
      // Else our next write would wait for the disk to be done with this one, which TinyBase itself does not.
      const descriptor = openSync(file, "r+");
      fsyncSync(descriptor);
      closeSync(descriptor);
    },
    close: () => closeAll(ours, persister),
  };
}

async function jsonKeepers(kept: Kept, folder: string): Promise<Keepers> {
  const { createMergeableStore } = await tinybase();
  const { createBetterSqlite3Persister } = await importPeer<SqlitePersisters>(SQLITE_PERSISTER);
  const [ourDatabase, database] = databasesIn(folder);
  const ours = await openSqliteStore(kept, ourDatabase);
  const theirs = createMergeableStore("a");
  const persister = createBetterSqlite3Persister(theirs, database, { mode: "json" });
  return {
    ours,
    theirs,
    keep: () => persister.save(),
    assertKept: (row, cell, value) => {
      const text = database.prepare("select store from tinybase").pluck().get() as string;
      assert.equal(JSON.parse(text)[0][0][TABLE][0][row][0][cell][0], value);
    },
    close: () => closeAll(ours, persister, ourDatabase, database),
  };
}

async function tableKeepers(kept: Kept, folder: string): Promise<Keepers> {
  const { createStore } = await tinybase();
  const { createBetterSqlite3Persister } = await importPeer<SqlitePersisters>(SQLITE_PERSISTER);
  const [ourDatabase, database] = databasesIn(folder);
  const ours = await openSqliteStore(kept, ourDatabase);
  const theirs = createStore();
  const tables = { load: { [TABLE]: TABLE }, save: { [TABLE]: TABLE } };
  const persister = createBetterSqlite3Persister(theirs, database, { mode: "tabular", tables });
  await persister.startAutoSave();
  return {
    ours,
    theirs,
    // It saves by itself what changed; what is scheduled behind that ends after it.
    keep: () => new Promise<void>((resolve) => void persister.schedule(async () => resolve())),
    assertKept: (row, cell, value) => {
      const found = database.prepare(`select ${cell} from ${TABLE} where _id = ?`).pluck().get(row);
      assert.equal(typeof value === "boolean" ? Boolean(found) : found, value);
    },
    close: () => closeAll(ours, persister, ourDatabase, database),
  };
}

/** A user is a row, and a field is a cell. */
function place(entry: number): readonly [row: string, cell: string] {
  const [, user = "", field = ""] = freshKey(entry).split(":");
  return [user, field];
}

function databasesIn(folder: string): readonly [Database.Database, Database.Database] {
  return [newDatabase(join(folder, "ours.db")), newDatabase(join(folder, "tinybase.db"))];
}

async function closeAll(
  ours: Store,
  persister: Persister,
  ...databases: readonly Database.Database[]
): Promise<void> {
  await persister.destroy();
  await ours.close();
  for (const database of databases) database.close();
}

const SQLITE_PERSISTER = "tinybase/persisters/persister-better-sqlite3";

function tinybase(): Promise<TinyBase> {
  return importPeer<TinyBase>("tinybase");
}

/** The part of TinyBase that is called: our own check of types does without its packages. */
interface TinyStore {
  setCell(table: string, row: string, cell: string, value: Value): unknown;
  transaction(write: () => void): void;
}

interface TinyBase {
  readonly createStore: () => TinyStore;
  readonly createMergeableStore: (id: string) => TinyStore;
}

interface Persister {
  save(): Promise<unknown>;
  startAutoSave(): Promise<unknown>;
  schedule(action: () => Promise<void>): Promise<unknown>;
  destroy(): Promise<unknown>;
}

interface FilePersisters {
  readonly createFilePersister: (store: TinyStore, file: string) => Persister;
}

interface SqlitePersisters {
  readonly createBetterSqlite3Persister: (
    store: TinyStore,
    database: Database.Database,
    config: object,
  ) => Persister;
}
