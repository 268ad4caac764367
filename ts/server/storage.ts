/** Where rooms are kept: a file each in a folder, or tables of one database. */

import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { access, mkdir, readdir } from "node:fs/promises";
import path from "node:path";

import { LastwriteError } from "../errors.ts";
import type { Persistence } from "../persistence/contract.ts";

/** Where rooms are kept. */
export interface RoomStorage {
  /** Names of rooms that are kept there already, where that is told. */
  readonly known: readonly string[];
  persistenceOf(room: string): Persistence;
  /** After all rooms were closed. */
  close(): Promise<void>;
}

export interface StorageOptions {
  readonly data: string;
  readonly database: string | undefined;
  readonly persistence: ((room: string) => Persistence) | undefined;
}

/** Rooms of PostgreSQL that can be open at a time: each has a connection to itself. */
const POSTGRES_CONNECTIONS_MAX = 64;
const POSTGRES_WAIT_MS = 5000;

/** Rejects with `storage-unavailable` for what cannot be used or is not installed, `invalid-argument` for a database of no known kind. */
export async function storageOf({
  data,
  database,
  persistence,
}: StorageOptions): Promise<RoomStorage> {
  if (persistence !== undefined) {
    return { known: [], persistenceOf: persistence, close: async () => {} };
  }
  if (database === undefined) return folderStorage(data);
  if (database.startsWith("sqlite:")) return sqliteStorage(database.slice("sqlite:".length));
  if (/^postgres(?:ql)?:/u.test(database)) return postgresStorage(database);
  throw new LastwriteError(
    "invalid-argument",
    'a database is "sqlite:<path>" or "postgres://user:password@host/name"',
  );
}

async function folderStorage(folder: string): Promise<RoomStorage> {
  const { filePersistence } = await import("../persistence/file.ts");
  let names: string[];
  try {
    await mkdir(folder, { recursive: true });
    await access(folder, constants.R_OK | constants.W_OK | constants.X_OK);
    names = await readdir(folder);
  } catch (error) {
    throw unavailable(`the folder ${path.resolve(folder)} cannot be written`, error);
  }
  return {
    known: names.flatMap((name) => roomOfFile(name) ?? []),
    persistenceOf: (room) => filePersistence(path.join(folder, fileOfRoom(room))),
    close: async () => {},
  };
}

const EXTENSION = ".lw";
/** Files of these names some systems take for devices. */
const DEVICE = /^(?:con|prn|aux|nul|com\d|lpt\d)$/iu;

/** Another name for each room also where file names of other case are the same: a capital is its small letter behind "=". */
export function fileOfRoom(room: string): string {
  const name = room.replaceAll(/[A-Z]/gu, (letter) => `=${letter.toLowerCase()}`);
  return (DEVICE.test(name) ? `${name}=` : name) + EXTENSION;
}

function roomOfFile(file: string): string | undefined {
  if (!file.endsWith(EXTENSION)) return undefined;
  return file
    .slice(0, -EXTENSION.length)
    .replace(/=$/u, "")
    .replaceAll(/=([a-z])/gu, (_, letter: string) => letter.toUpperCase());
}

async function sqliteStorage(file: string): Promise<RoomStorage> {
  const { sqlitePersistence } = await import("../persistence/sqlite.ts");
  const { openClient } = await import("../persistence/sqlite-client.ts");
  if (file === "")
    throw new LastwriteError("invalid-argument", 'a path is missing: "sqlite:app.db"');
  // One connection for all rooms: they write one after the other anyway.
  let client;
  try {
    client = await openClient(file, "write");
  } catch (error) {
    if (error instanceof LastwriteError) throw error;
    throw unavailable(`the database ${path.resolve(file)} cannot be opened`, error);
  }
  return {
    known: [],
    persistenceOf: (room) => sqlitePersistence(client, { store: tablesOfRoom(room) }),
    close: async () => void client.close(),
  };
}

/** What the tables of a room begin with: its name where SQLite can tell such names apart, else the hash of it. */
export function tablesOfRoom(room: string): string {
  if (/^[a-z0-9_]{1,40}$/u.test(room)) return `room_${room}`;
  return `hash_${createHash("sha256").update(room).digest("hex").slice(0, 40)}`;
}

/** The part of `pg` that is used here. */
interface Pg {
  readonly default: {
    readonly Pool: new (options: object) => import("../persistence/postgres.ts").PgPool & {
      on(event: "error", listener: () => void): unknown;
      end(): Promise<void>;
    };
  };
}

/** Not named in the import, as bundlers would look for what may not be installed. */
const PG = "pg";

async function postgresStorage(url: string): Promise<RoomStorage> {
  const { postgresPersistence } = await import("../persistence/postgres.ts");
  let pg: Pg;
  try {
    pg = (await import(/* @vite-ignore */ /* webpackIgnore: true */ PG)) as Pg;
  } catch (error) {
    throw unavailable("PostgreSQL needs the package pg: npm install pg", error);
  }
  const pool = new pg.default.Pool({
    connectionString: url,
    max: POSTGRES_CONNECTIONS_MAX,
    connectionTimeoutMillis: POSTGRES_WAIT_MS,
  });
  // A connection that breaks while nobody uses it; who uses one hears it himself.
  pool.on("error", () => {});
  try {
    (await pool.connect()).release();
  } catch (error) {
    await pool.end();
    throw unavailable("the PostgreSQL database cannot be reached", error);
  }
  return {
    known: [],
    persistenceOf: (room) => postgresPersistence(pool, { store: room }),
    close: () => pool.end(),
  };
}

function unavailable(what: string, cause: unknown): LastwriteError {
  const why = cause instanceof Error ? ` (${cause.message})` : "";
  return new LastwriteError("storage-unavailable", what + why, { cause });
}
