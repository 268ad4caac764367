/** Keeps a store in tables of a SQLite database, one row for each entry: docs/persistence/sqlite.md. */

import { checkOptions } from "../dictionary/arguments.ts";
import { idText } from "../codec/entry.ts";
import { LastwriteError } from "../errors.ts";
import { fileIdentity, lockFile } from "#files";
import type { Access, LostBytes, OpenContext, Persistence, WriteContext } from "./contract.ts";
import {
  Connection,
  failureOf,
  openClient,
  type SqliteClient,
  type SqliteStatement,
  type SqliteValue,
  storeError,
} from "./sqlite-client.ts";
import { StoreTables } from "./sqlite-store.ts";
import { type Statements, statementsFor } from "./sqlite-tables.ts";

export type { SqliteClient, SqliteStatement, SqliteValue };

/** Which store of the database, and how it is used. */
export interface SqlitePersistenceOptions {
  /** Which store of the database: 1 to 48 letters, digits and `_`, with which the names of its tables begin. Case makes no difference, as in all names of SQLite. Default: "lastwrite". */
  readonly store?: string;
  /**
   * `"os"` takes the lock file `<database>-<store>.lock`, so that no other process writes the store. `"none"` is for systems without the addon, where nobody else opens
   * it. Default: "os".
   */
  readonly lock?: "os" | "none";
  /** `"wal"` turns the database to write-ahead logging, for good. `"keep"` leaves it as it is, and each write costs more. Default: "wal". */
  readonly journalMode?: "wal" | "keep";
  /** How long to try again while another connection writes, or while the connection is in a transaction of its user. Default: 5000. */
  readonly busyTimeoutMs?: number;
}

/**
 * Returns a place in a SQLite database: of a connection that is there, a `Database` of better-sqlite3 or libsql or a `DatabaseSync` of node:sqlite, or of the file at
 * a path, for which a connection is opened by better-sqlite3 if it is installed, else by node:sqlite, and closed again.
 *
 * Makes tables and a view whose names begin with that of the store, and touches no others. Throws `invalid-argument` for options of another shape.
 *
 * @example
 * ```ts
 * import Database from "better-sqlite3";
 * import { open } from "lastwrite";
 * import { sqlitePersistence } from "lastwrite/persistence/sqlite";
 *
 * const database = new Database(":memory:"); // or a file
 * const store = await open({ persistence: sqlitePersistence(database) });
 * store.set("tasks/42/title", "Ship it");
 * await store.flush();
 *
 * console.log(database.prepare("select key, value from lastwrite_values").all()); // [ { key: 'tasks/42/title', value: 'Ship it' } ]
 * await store.close();
 * database.close();
 * ```
 */
export function sqlitePersistence(
  database: SqliteClient | string,
  options: SqlitePersistenceOptions = {},
): Persistence {
  checkOptions(options, ["store", "lock", "journalMode", "busyTimeoutMs"], "sqlitePersistence");
  const { store = "lastwrite", lock = "os", journalMode = "wal", busyTimeoutMs = 5000 } = options;
  if (typeof database === "string" ? database === "" : !isClient(database)) {
    throw invalid(
      "sqlitePersistence takes a Database of better-sqlite3 or libsql, a DatabaseSync of node:sqlite, or a path",
    );
  }
  if (lock !== "os" && lock !== "none") {
    throw invalid(`\`lock\` is "os" or "none", not ${JSON.stringify(lock)}`);
  }
  if (journalMode !== "wal" && journalMode !== "keep") {
    throw invalid(`\`journalMode\` is "wal" or "keep", not ${JSON.stringify(journalMode)}`);
  }
  if (!(busyTimeoutMs >= 0)) {
    throw invalid(`\`busyTimeoutMs\` is a number of milliseconds from 0, not ${busyTimeoutMs}`);
  }
  const statements = statementsFor(store);
  // "Notes" and "notes" are the same tables, so they have to be the same lock.
  const chosen = { store: store.toLowerCase(), lock, journalMode, busyTimeoutMs };
  return new SqlitePersistence(database, chosen, statements);
}

/** A store of a database while it is open. */
interface OpenStore {
  readonly access: Access;
  readonly connection: Connection;
  /** None where somebody only reads, and nobody has written. */
  readonly tables: StoreTables | undefined;
  readonly journalMode: string;
  /** Which file or database it is in, and which one it was written in last. */
  readonly identity: string;
  recorded: string | undefined;
  /** Why nothing can be written any more. */
  poison: LastwriteError | undefined;
}

class SqlitePersistence implements Persistence {
  readonly keepsRows = true;
  readonly #database: SqliteClient | string;
  readonly #options: Required<SqlitePersistenceOptions>;
  readonly #statements: Statements;
  #place: string;
  #open: OpenStore | undefined;
  /** What to undo when it is closed, or could not be opened, last first. */
  #held: ((how: "closed" | "failed") => void)[] = [];

  constructor(
    database: SqliteClient | string,
    options: Required<SqlitePersistenceOptions>,
    statements: Statements,
  ) {
    this.#database = database;
    this.#options = options;
    this.#statements = statements;
    this.#place = typeof database === "string" ? database : "a SQLite database";
  }

  get name(): string {
    return `${this.#place} (${this.#options.store})`;
  }

  get isCopy(): boolean {
    const { identity, recorded } = this.#opened();
    return recorded !== undefined && recorded !== identity;
  }

  async open({ access, engine }: OpenContext): Promise<void> {
    if (this.#held.length > 0) throw this.#locked("this persistence is open already");
    try {
      const connection = await this.#connect(access);
      const file = await this.#retry(() => fileOf(connection));
      if (file !== "") this.#place = file;
      if (access === "write") this.#lock(connection, file);
      const journalMode = await this.#retry(() => this.#chooseJournalMode(connection, access));
      const options = { connection, statements: this.#statements, engine, name: this.name };
      const tables = new StoreTables(options);
      const isThere = await this.#retry(() => {
        if (tables.find()) return true;
        if (access === "write") tables.setUp();
        return access === "write";
      });
      const recorded = isThere ? await this.#retry(() => tables.identity()) : undefined;
      this.#open = {
        access,
        connection,
        tables: isThere ? tables : undefined,
        journalMode,
        identity: file === "" ? memoryIdentity(connection.client) : fileIdentity(file),
        recorded,
        poison: undefined,
      };
    } catch (error) {
      this.#release("failed");
      throw storeError(error, this.name);
    }
  }

  async *load(): AsyncGenerator<Uint8Array, void, undefined> {
    const { tables } = this.#opened();
    const frames = await this.#retry(() => tables?.load() ?? []);
    // Nothing is held any longer than it is needed.
    frames.reverse();
    for (let frame = frames.pop(); frame !== undefined; frame = frames.pop()) yield frame;
  }

  async append(frame: Uint8Array, { sync }: WriteContext): Promise<void> {
    await this.#write(sync, (tables, identity) => tables.append(frame, identity));
  }

  async replace(frames: Iterable<Uint8Array>): Promise<void> {
    const all = [...frames];
    await this.#write(true, (tables, identity) => tables.replace(all, identity));
  }

  async close(): Promise<void> {
    const [failure] = this.#release("closed");
    if (failure !== undefined) throw storeError(failure.error, this.name);
  }

  async *salvage(): AsyncGenerator<Uint8Array | LostBytes, void, undefined> {
    const { tables } = this.#opened();
    if (tables !== undefined) yield* tables.salvage();
  }

  /** Gives back all that is held, and says what went wrong with that. */
  #release(how: "closed" | "failed"): { readonly error: unknown }[] {
    this.#open = undefined;
    const failures: { readonly error: unknown }[] = [];
    for (let undo = this.#held.pop(); undo !== undefined; undo = this.#held.pop()) {
      try {
        undo(how);
      } catch (error) {
        failures.push({ error });
      }
    }
    return failures;
  }

  async #connect(access: Access): Promise<Connection> {
    if (typeof this.#database !== "string") {
      // One that only reads shares nothing that would have to be given back.
      this.#held.push(() => {});
      return new Connection(this.#database);
    }
    const client = await openClient(this.#database, access);
    this.#held.push(() => client.close());
    return new Connection(client);
  }

  /** Takes the store for this opener alone: of this connection, and of all processes where there is a file. */
  #lock({ client }: Connection, file: string): void {
    const { store, lock } = this.#options;
    const taken = openStores.get(client) ?? new Set();
    if (taken.has(store)) throw this.#locked("it is open on this connection already; close it");
    openStores.set(client, taken.add(store));
    this.#held.push(() => taken.delete(store));
    if (file === "" || lock === "none") return;
    const fileLock = lockFile(`${file}-${store}.lock`);
    this.#held.push((how) => (how === "failed" ? fileLock.discard() : fileLock.release()));
  }

  #chooseJournalMode(connection: Connection, access: Access): string {
    const mode = connection.setting("journal_mode");
    if (access === "read" || this.#options.journalMode === "keep") return mode;
    return mode === "wal" ? mode : connection.setting("journal_mode = wal");
  }

  async #write(
    sync: boolean,
    write: (tables: StoreTables, identity: string | undefined) => void,
  ): Promise<void> {
    try {
      await this.#retry(() => {
        const open = this.#opened();
        const { access, identity, tables } = open;
        if (open.poison !== undefined) throw open.poison;
        if (access === "read" || tables === undefined) {
          throw new LastwriteError("store-read-only", `${this.name} is open for reading only`);
        }
        const isNew = open.recorded !== identity;
        synced(open, sync, () => write(tables, isNew ? identity : undefined));
        open.recorded = identity;
      });
    } catch (error) {
      const failure = storeError(error, this.name);
      if (failure.code === "store-poisoned" && this.#open !== undefined) {
        this.#open.poison = failure;
      }
      throw failure;
    }
  }

  /** Calls `attempt` until nobody is in its way, or for as long as is allowed. */
  async #retry<T>(attempt: () => T): Promise<T> {
    const deadline = performance.now() + this.#options.busyTimeoutMs;
    for (let waitMs = 1; ; waitMs = Math.min(2 * waitMs, RETRY_MS_MAX)) {
      try {
        return attempt();
      } catch (error) {
        const failure = failureOf(error);
        const mayPass = failure === "busy" || failure === "inTransaction";
        if (!mayPass || performance.now() >= deadline) throw storeError(error, this.name);
      }
      await new Promise((resolve) => {
        setTimeout(resolve, waitMs);
      });
    }
  }

  #opened(): OpenStore {
    if (this.#open === undefined) {
      throw new LastwriteError("store-closed", `${this.name} is not open; call open() first`);
    }
    return this.#open;
  }

  #locked(why: string): LastwriteError {
    return new LastwriteError("store-locked", `${this.name}: ${why}`);
  }
}

/** Between two attempts. */
const RETRY_MS_MAX = 50;

/** Which stores are open for writing, for each connection: a lock file does not tell two openers on a database in memory apart. */
const openStores = new WeakMap<SqliteClient, Set<string>>();

/** What stands for the file of a database in memory. */
const memoryIdentities = new WeakMap<SqliteClient, string>();

function memoryIdentity(client: SqliteClient): string {
  const known = memoryIdentities.get(client);
  if (known !== undefined) return known;
  const identity = `memory ${idText(crypto.getRandomValues(new Uint8Array(16)))}`;
  memoryIdentities.set(client, identity);
  return identity;
}

/** The whole path of the main database; empty when it is in memory, or temporary. */
function fileOf(connection: Connection): string {
  const main = connection.rows("pragma database_list").find(([, name]) => name === "main");
  return typeof main?.[2] === "string" ? main[2] : "";
}

/** SQLite's own numbers. */
const SYNCHRONOUS = { normal: 1, full: 2, extra: 3 };

/** Runs `write` with commits as safe as they have to be, and no safer; what the user of the connection set comes back. */
function synced({ connection, journalMode }: OpenStore, sync: boolean, write: () => void): void {
  const before = Number(connection.setting("synchronous"));
  const wanted = wantedSynchronous(before, journalMode === "wal", sync);
  if (wanted === before) return write();
  connection.exec(`pragma main.synchronous = ${wanted}`);
  try {
    write();
  } finally {
    connection.exec(`pragma main.synchronous = ${before}`);
  }
}

function wantedSynchronous(before: number, isWal: boolean, sync: boolean): number {
  // Without a write-ahead log, the folder has to be synced as well, and less than what is set could damage what is not ours.
  if (!isWal) return sync ? SYNCHRONOUS.extra : before;
  return sync ? Math.max(before, SYNCHRONOUS.full) : Math.min(before, SYNCHRONOUS.normal);
}

function isClient(given: unknown): boolean {
  const { prepare, exec } = (given ?? {}) as Partial<SqliteClient>;
  return typeof prepare === "function" && typeof exec === "function";
}

function invalid(message: string): LastwriteError {
  return new LastwriteError("invalid-argument", message);
}
