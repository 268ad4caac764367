/**
 * The clients that people have, as sessions of one kind: `pg` Client and Pool, `postgres`, PGlite. Each is told by its shape; a session that broke says so, and
 * is never used again.
 */

import { LastwriteError } from "../errors.ts";
import { failureOf } from "./postgres-failure.ts";
import { beginBy, type Owner, pgSession } from "./postgres-pg.ts";

/** Parameters are text for all clients, and cast in the statement: so no serialiser of any of them has a say. */
export type Parameter = string | null;

/** What a `pg` client is asked. */
export interface PgQuery {
  /** Statements with parameters are prepared under one. */
  readonly name?: string;
  readonly text: string;
  readonly values: Parameter[];
  readonly rowMode: "array";
}

/** A `pg` Client, connected by the user, or one that a pool gave out. */
export interface PgClient {
  /** Runs one statement. */
  query(query: PgQuery): Promise<{ readonly rows: unknown[][] }>;
  /** Hears that the connection broke. */
  on(event: "error", listener: (error: Error) => void): unknown;
  /** Hears it no longer. */
  removeListener(event: "error", listener: (error: Error) => void): unknown;
  /** "I" outside of a transaction. Older ones do not tell. */
  getTransactionStatus?(): string | null;
  /** It sends statements before it has the answers to those before: only in a pool, see `postgresPersistence`. */
  readonly pipeline?: boolean;
}

/** A client that goes back to its pool, or is closed. */
export interface PgPoolClient extends PgClient {
  /** Gives it back, or away if it is broken. */
  release(isBroken?: boolean): void;
}

/** A `pg` Pool. */
export interface PgPool {
  /** A client of it, until it is released. */
  connect(): Promise<PgPoolClient>;
  readonly totalCount: number;
}

/** The `sql` of `postgres`. */
export interface PostgresJs {
  /** A connection of it, until it is released. */
  reserve(): Promise<PostgresJsSession>;
}

/** What its `reserve` gives. */
export interface PostgresJsSession {
  /** Runs one statement. */
  unsafe(
    text: string,
    values?: Parameter[],
    options?: { readonly prepare?: boolean },
  ): {
    /** Its rows as arrays. */
    values(): PromiseLike<Iterable<unknown>>;
  };
  /** Gives it back. */
  release(): void;
}

/** A PGlite. */
export interface PGliteClient {
  /** Runs one statement. */
  query(
    text: string,
    values: Parameter[],
    options: { rowMode: "array" },
  ): Promise<{ readonly rows: unknown[] }>;
  /** Runs statements of which nobody else's come between. */
  transaction<T>(work: (transaction: PGliteTransaction) => Promise<T>): Promise<T>;
  /** Runs statements without values. */
  exec(text: string): Promise<unknown>;
}

/** What PGlite gives its transactions. */
export interface PGliteTransaction {
  /** Runs one statement. */
  query(
    text: string,
    values: Parameter[],
    options: { rowMode: "array" },
  ): Promise<{ readonly rows: unknown[] }>;
}

/** Any client that `postgresPersistence` takes. */
export type PostgresClient = PgClient | PgPool | PostgresJs | PGliteClient;

export type Rows = readonly (readonly unknown[])[];

/** Runs one statement, and answers its rows as arrays. */
export type Query = (text: string, values?: readonly Parameter[]) => Promise<Rows>;

/** What a transaction begins with. */
export type Mode = "read write" | "isolation level repeatable read, read only";

/** A transaction; what ends it is harmless when it has ended. */
export interface Transaction {
  readonly query: Query;
  commit(): Promise<void>;
  rollback(): Promise<void>;
}

/** One session of the database, for one user of it at a time. */
export interface Session {
  /** With `"user"` it is never closed here, and goes on when it is released. */
  readonly owner: Owner;
  /** Rejects in a transaction of anybody else, also when that shows only afterwards: then it may have been run, and what becomes of it is for others to say. */
  readonly query: Query;
  /** Whatever transaction it is in: for what none undoes. */
  readonly queryAnywhere: Query;
  /** As `queryAnywhere`, but where that fails and the session goes on, it is run before the next statement of any store, or by `settle`. */
  owe(text: string, values: readonly string[]): Promise<void>;
  /** Runs what is owed still, if anything is. */
  settle(): Promise<void>;
  begin(mode: Mode): Promise<Transaction>;
  /** The connection broke, as far as is known here. */
  isLost(): boolean;
  /** Gives the session back to where it came from, or has it closed. */
  release(isBroken: boolean): void;
}

/** Where sessions come from. */
export interface Sessions {
  /** A session for this caller alone; where the client is a session itself, that one. */
  reserve(): Promise<Session>;
  /** None is used any more, unless one is reserved again. */
  close(): void;
}

/** Knows the client by its shape; `invalid-argument` if it is none of those. */
export function sessionsOf(client: PostgresClient): Sessions {
  const shape = client as Partial<PgClient & PgPool & PostgresJs & PGliteClient> | null;
  if (shape !== null && (typeof shape === "object" || typeof shape === "function")) {
    if (typeof shape.reserve === "function") return ofPostgresJs(client as PostgresJs);
    if (typeof shape.transaction === "function" && typeof shape.exec === "function")
      return ofPGlite(client as PGliteClient);
    if (typeof shape.totalCount === "number" && typeof shape.connect === "function")
      return ofPgPool(client as PgPool);
    if (typeof shape.query === "function" && typeof shape.on === "function")
      return ofPgClient(client as PgClient);
  }
  throw new LastwriteError(
    "invalid-argument",
    "a client is a pg Client or Pool, the sql of postgres, or a PGlite",
  );
}

function ofPgPool(pool: PgPool): Sessions {
  return {
    async reserve() {
      const client = await pool.connect();
      return pgSession(client, "store", (isBroken) => {
        client.release(isBroken);
      });
    },
    close() {},
  };
}

/** The session is the user's, who need not listen himself: a connection that breaks may tell so more than once, also after its session was given up. */
function ofPgClient(client: PgClient): Sessions {
  if (client.pipeline === true) {
    // Its status may be that after a later statement of the user, when it answers ours.
    const message =
      "a Client that pipelines cannot tell in whose transaction it wrote; give the store a Pool";
    throw new LastwriteError("invalid-argument", message);
  }
  const ignore = (): void => {};
  let isListening = false;
  return {
    async reserve() {
      // Its statements would wait for a connection that nobody makes.
      if (
        Reflect.get(client, "_connected") === false &&
        Reflect.get(client, "_connecting") === false
      ) {
        throw new LastwriteError(
          "storage-unavailable",
          "the Client is not connected; await client.connect() first",
        );
      }
      if (!isListening) client.on("error", ignore);
      isListening = true;
      return pgSession(client, "user", () => {});
    },
    close() {
      client.removeListener("error", ignore);
      isListening = false;
    },
  };
}

function ofPostgresJs(sql: PostgresJs): Sessions {
  return {
    async reserve() {
      const reserved = await sql.reserve();
      let isLost = false;
      let isHeld = true;
      const query: Query = async (text, values = []) => {
        if (isLost) throw new Error("the connection was closed");
        return [...(await reserved.unsafe(text, [...values], PREPARED).values())] as Rows;
      };
      try {
        await watchConnection(reserved, () => {
          isLost = true;
        });
      } catch (error) {
        if (!isLost) reserved.release();
        throw error;
      }
      // One that was closed is the pool's already, which would else give it out as an open one.
      const giveBack = (): void => {
        if (!isLost) reserved.release();
      };
      return {
        owner: "store",
        query,
        queryAnywhere: query,
        async owe(text, values) {
          await query(text, values);
        },
        async settle() {},
        begin: (mode) => beginBy(query, mode),
        isLost: () => isLost,
        release(isBroken) {
          if (!isHeld) return;
          isHeld = false;
          if (isBroken && !isLost) void clear(reserved, giveBack);
          else giveBack();
        },
      };
    },
    close() {},
  };
}

const PREPARED = { prepare: true };

/** A connection of `postgres`, which it hands to what it calls before a query: its own transactions learn by `onclose` that it broke. */
interface PostgresJsConnection {
  onclose?: ((reason: unknown) => void) | null;
}

/** A reserved session of `postgres` does not tell when its connection is closed; a query would then throw where nobody can catch it, or run in the session of somebody else. */
async function watchConnection(reserved: PostgresJsSession, onclose: () => void): Promise<void> {
  const options = {
    prepare: false,
    onexecute(connection: PostgresJsConnection | undefined): boolean {
      // eslint-disable-next-line unicorn/prefer-add-event-listener -- It is no target of events.
      if (connection !== undefined) connection.onclose = onclose;
      return true;
    },
  };
  await reserved.unsafe("select 1", [], options).values();
}

/**
 * Whoever gets the session next gets nothing of what is left in it: no transaction, no lock. `postgres` has no way to close one connection; and when the server does it during a query,
 * `postgres` tells the next query, too, in the next session, that it failed. So the session is ended only if it cannot be cleared.
 */
async function clear(reserved: PostgresJsSession, giveBack: () => void): Promise<void> {
  for (const statement of ["advisory_unlock_all()", "terminate_backend(pg_backend_pid())"]) {
    try {
      await reserved.unsafe(`rollback; select pg_${statement}`).values();
      break;
    } catch (error) {
      // Closed, or about to be: then the pool knows, or soon will.
      if (failureOf(error, "").isLost) return;
    }
  }
  giveBack();
}

function ofPGlite(client: PGliteClient): Sessions {
  const query: Query = async (text, values = []) => {
    const { rows } = await client.query(text, [...values], AS_ARRAYS);
    return rows as Rows;
  };
  const session: Session = {
    owner: "user",
    query,
    queryAnywhere: query,
    async owe(text, values) {
      await query(text, values);
    },
    async settle() {},
    begin: (mode) => beginInPGlite(client, mode),
    isLost: () => false,
    release: () => {},
  };
  return { reserve: async () => session, close() {} };
}

const AS_ARRAYS: { rowMode: "array" } = { rowMode: "array" };

/** PGlite keeps the statements of others out of a transaction only if it begins and ends it itself. */
async function beginInPGlite(client: PGliteClient, mode: Mode): Promise<Transaction> {
  return new Promise((resolve, reject) => {
    const ended = client.transaction(async (inner) => {
      const query: Query = async (text, values = []) => {
        const { rows } = await inner.query(text, [...values], AS_ARRAYS);
        return rows as Rows;
      };
      await query(`set transaction ${mode}`);
      await new Promise<void>((commit, rollback) => {
        resolve({
          query,
          async commit() {
            commit();
            await ended;
          },
          async rollback() {
            rollback(ROLLED_BACK);
            await ended.catch((error: unknown) => {
              if (error !== ROLLED_BACK) throw error;
            });
          },
        });
      });
    });
    // Before it began this is how that is known; later `commit` and `rollback` tell.
    ended.catch(reject);
  });
}

const ROLLED_BACK = new Error("rolled back");
