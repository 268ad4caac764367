/** SQLite through the client that is there: better-sqlite3, libsql and node:sqlite, told apart by their shape. */

import { type ErrorCode, LastwriteError } from "../errors.ts";

/** What a column holds. Booleans are no values of SQLite. */
export type SqliteValue = null | number | bigint | string | Uint8Array;

/** The part of a statement that is called. */
export interface SqliteStatement {
  /** Runs it to its end. */
  run(...values: SqliteValue[]): unknown;
  /** The first row, if there is one. */
  get(...values: SqliteValue[]): unknown;
  /** All rows. */
  all(...values: SqliteValue[]): unknown[];
  /** The rows, one after the other. */
  iterate(...values: SqliteValue[]): Iterable<unknown>;
}

/** The part of a `Database` of better-sqlite3 or libsql, or of a `DatabaseSync` of node:sqlite, that is called. */
export interface SqliteClient {
  /** A statement, to be run any number of times. */
  prepare(sql: string): SqliteStatement;
  /** Runs statements without values. */
  exec(sql: string): unknown;
  /** Called only of a connection that the persistence opened itself. */
  close(): unknown;
}

/** A connection, whoever made it. Statements are prepared once. */
export class Connection {
  readonly client: SqliteClient;
  readonly #statements = new Map<string, Statement>();
  /** better-sqlite3 and libsql take the values of a statement as an array too, and libsql a single blob in no other way. */
  readonly #takesArrays: boolean;

  constructor(client: SqliteClient) {
    this.client = client;
    this.#takesArrays = "pragma" in client;
  }

  exec(sql: string): void {
    this.client.exec(sql);
  }

  run(sql: string, ...values: readonly SqliteValue[]): void {
    this.statement(sql).run(values);
  }

  /** The first row, its columns in order; undefined where there is none. */
  first(sql: string, ...values: readonly SqliteValue[]): readonly unknown[] | undefined {
    return this.rows(sql, ...values)[0];
  }

  rows(sql: string, ...values: readonly SqliteValue[]): (readonly unknown[])[] {
    return [...this.statement(sql).iterate(values)];
  }

  /** A pragma of the main database, read or set; prepared anew, as some are answered when they are prepared. */
  setting(pragma: string): string {
    const row = [
      ...new Statement(this.client.prepare(`pragma main.${pragma}`), this.#takesArrays).iterate(),
    ][0];
    return String(row?.[0]);
  }

  statement(sql: string): Statement {
    const known = this.#statements.get(sql);
    if (known !== undefined) return known;
    const statement = this.prepare(sql);
    this.#statements.set(sql, statement);
    return statement;
  }

  /** A statement of the caller's own. */
  prepare(sql: string): Statement {
    return new Statement(this.client.prepare(sql), this.#takesArrays);
  }

  /** Runs `body` in a transaction that nobody else writes beside, committed if it returns; what it throws undoes all. */
  write<T>(body: () => T): T {
    return this.#transaction("BEGIN IMMEDIATE", body);
  }

  /** Runs `body` over one state of the database: that of the transaction which the user of the connection is in, if any. */
  read<T>(body: () => T): T {
    try {
      return this.#transaction("BEGIN", body);
    } catch (error) {
      if (failureOf(error) !== "inTransaction") throw error;
      return body();
    }
  }

  #transaction<T>(begin: string, body: () => T): T {
    this.exec(begin);
    try {
      const result = body();
      this.#commit();
      return result;
    } catch (error) {
      try {
        this.exec("ROLLBACK");
      } catch {
        // SQLite has rolled back by itself: there is no transaction any more.
      }
      throw error;
    }
  }

  #commit(): void {
    try {
      this.exec("COMMIT");
    } catch (error) {
      // Nothing says any more what the disk holds.
      if (failureOf(error) === "io") throw new CommitFailure(error);
      throw error;
    }
  }
}

/** A prepared statement, for values and rows as arrays. */
export class Statement {
  readonly #statement: SqliteStatement;
  readonly #takesArrays: boolean;
  #givesArrays: boolean | undefined;

  constructor(statement: SqliteStatement, takesArrays: boolean) {
    this.#statement = statement;
    this.#takesArrays = takesArrays;
  }

  run(values: readonly SqliteValue[]): void {
    this.#statement.run(...this.#bound(values));
  }

  *iterate(values: readonly SqliteValue[] = []): Generator<readonly unknown[], void, undefined> {
    this.#givesArrays ??= asksForArrays(this.#statement);
    for (const row of this.#statement.iterate(...this.#bound(values))) {
      yield this.#givesArrays ? (row as unknown[]) : Object.values(row as object);
    }
  }

  #bound(values: readonly SqliteValue[]): SqliteValue[] {
    return (this.#takesArrays ? [values] : values) as SqliteValue[];
  }
}

/** What went wrong, as far as it makes a difference. */
export type Failure =
  | "busy"
  | "closed"
  | "corrupt"
  | "full"
  | "inTransaction"
  | "io"
  | "readOnly"
  | "unknown";

/** The disk refused a commit. */
class CommitFailure extends Error {
  constructor(cause: unknown) {
    super(messageOf(cause), { cause });
  }
}

export function failureOf(error: unknown): Failure {
  const code = primaryCodeOf(error);
  const known = code === undefined ? undefined : FAILURES[code];
  if (known !== undefined) return known;
  const message = messageOf(error);
  if (/(?:within|inside) a transaction/u.test(message)) return "inTransaction";
  // Somebody is in the middle of reading rows from the connection.
  if (message.includes("busy executing a query")) return "busy";
  if (/connection is not open|database is not open/iu.test(message)) return "closed";
  return "unknown";
}

/** An error of a client as one of a store. `name` is that of the place, in messages and in the damage. */
export function storeError(error: unknown, name: string): LastwriteError {
  if (error instanceof LastwriteError) return error;
  const message = messageOf(error);
  const made = (code: ErrorCode, text: string): LastwriteError =>
    new LastwriteError(code, `${name} ${text} (${message})`, { cause: error });
  if (error instanceof CommitFailure) {
    return made("store-poisoned", "could not be written to the disk; open the store again");
  }
  switch (failureOf(error)) {
    case "full":
      return made("store-full", "has no room left; make some, and write again");
    case "corrupt":
      return new LastwriteError("store-corrupt", `${name} is damaged: ${message}; see salvage()`, {
        cause: error,
        damage: { file: name, offset: 0, reason: message },
      });
    case "busy":
      return made("storage-unavailable", "is being written by another connection; try again");
    case "inTransaction":
      return made(
        "storage-unavailable",
        "is in a transaction of its user, who could still roll back what is written; end it, and try again",
      );
    case "readOnly":
      return made("storage-unavailable", "cannot be written");
    default:
      return made("storage-unavailable", "cannot be used");
  }
}

/** Opens a database that nobody else has a connection object for. */
export async function openClient(path: string, access: "read" | "write"): Promise<SqliteClient> {
  const isReadOnly = access === "read";
  // Not named in the imports, as bundlers would look for what may not be installed.
  const betterSqlite = await optionalImport<{ readonly default: BetterSqlite }>(BETTER_SQLITE);
  if (betterSqlite !== undefined) {
    return new betterSqlite.default(path, {
      readonly: isReadOnly,
      fileMustExist: isReadOnly,
      timeout: 0,
    });
  }
  const nodeSqlite = await optionalImport<{ readonly DatabaseSync: NodeSqlite }>(NODE_SQLITE);
  if (nodeSqlite !== undefined) {
    return new nodeSqlite.DatabaseSync(path, { readOnly: isReadOnly });
  }
  throw new LastwriteError(
    "storage-unavailable",
    "there is no SQLite to open a path with: install better-sqlite3, or run Node 22.13 or later, which has node:sqlite",
  );
}

type BetterSqlite = new (
  path: string,
  options: { readonly: boolean; fileMustExist: boolean; timeout: number },
) => SqliteClient;

type NodeSqlite = new (path: string, options: { readOnly: boolean }) => SqliteClient;

const BETTER_SQLITE = "better-sqlite3";
const NODE_SQLITE = "node:sqlite";

/** Of a module that is not there; another one may have failed for what its maker knows. */
const NOT_FOUND: ReadonlySet<unknown> = new Set([
  "ERR_MODULE_NOT_FOUND",
  "ERR_UNKNOWN_BUILTIN_MODULE",
]);

async function optionalImport<T>(name: string): Promise<T | undefined> {
  try {
    return (await import(/* @vite-ignore */ /* webpackIgnore: true */ name)) as T;
  } catch (error) {
    if (NOT_FOUND.has((error as { readonly code?: unknown } | null)?.code)) return undefined;
    throw error;
  }
}

function asksForArrays(statement: SqliteStatement): boolean {
  const { raw } = statement as { readonly raw?: (isRaw: boolean) => unknown };
  if (typeof raw !== "function") return false;
  raw.call(statement, true);
  return true;
}

/** SQLite's primary result codes. */
const FAILURES: Readonly<Record<number, Failure>> = {
  5: "busy",
  6: "busy",
  8: "readOnly",
  10: "io",
  11: "corrupt",
  13: "full",
  14: "unknown",
  26: "corrupt",
};

const CODES: Readonly<Record<string, number>> = {
  BUSY: 5,
  LOCKED: 6,
  READONLY: 8,
  IOERR: 10,
  CORRUPT: 11,
  FULL: 13,
  CANTOPEN: 14,
  NOTADB: 26,
};

function primaryCodeOf(error: unknown): number | undefined {
  if (error instanceof CommitFailure) return 10;
  const { code, errcode } = (error ?? {}) as {
    readonly code?: unknown;
    readonly errcode?: unknown;
  };
  // node:sqlite gives the number, with what is extended in the bits above.
  if (typeof errcode === "number") return errcode & 0xff;
  const name = typeof code === "string" ? /^SQLITE_([A-Z]+)/u.exec(code)?.[1] : undefined;
  return name === undefined ? undefined : CODES[name];
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
