/**
 * One store in the database: finding it, making it, and having it for one opener alone.
 *
 * Two things keep others out. An advisory lock of the session, which the server frees when the session ends, says so at once. And the store's row names its opener, by a
 * token that each opening and each new session draws: every write looks for it in its own transaction, so one whose session and lock were lost changes nothing any more.
 */

import { idText } from "../codec/entry.ts";
import { LastwriteError } from "../errors.ts";
import { failureOf, sqlState } from "./postgres-failure.ts";
import type { Query, Session, Sessions } from "./postgres-session.ts";
import { FORMAT, quoteName, type Statements, statementsFor } from "./postgres-tables.ts";

/** Where a store stands. */
export interface Place {
  readonly statements: Statements;
  /** The oid of the table of stores: a restored one has another. */
  readonly tableId: string;
  readonly id: string;
  /** Else JSON of other characters than those of ASCII may be refused. */
  readonly isUtf8: boolean;
}

/** One process of the server, which serves one session. */
interface Backend {
  readonly pid: string;
  readonly startedAt: string;
}

/** Which schema, and which store in it. */
export interface Address {
  readonly name: string;
  /** Undefined: the first one of the search path. */
  readonly schema: string | undefined;
  readonly store: string;
}

/** Finds the store, or undefined. With `make` it is made if need be. */
export async function findPlace(
  session: Session,
  { name, schema: asked, store }: Address,
  make: boolean,
): Promise<Place | undefined> {
  const [row] = await session.query("select current_schema(), getdatabaseencoding()");
  const [current, encoding] = row as [string | null, string];
  const schema = asked ?? current;
  if (schema === null) {
    const message = `${name}: no schema of the search path exists; name one with the option schema`;
    throw new LastwriteError("storage-unavailable", message);
  }
  const statements = statementsFor(schema);
  const tableIdOf = async (): Promise<string | null> => {
    const table = `${quoteName(schema)}.lastwrite_stores`;
    return (await session.query("select to_regclass($1::text)::oid::text", [table]))[0]?.[0] as
      | string
      | null;
  };
  let tableId = await tableIdOf();
  if (tableId === null && make) {
    await setUp(session, statements);
    tableId = await tableIdOf();
  }
  if (tableId === null) return undefined;
  const find = (): Promise<readonly (readonly unknown[])[]> =>
    session.query(statements.find, [store]);
  let found = await find();
  if (found.length === 0 && make) {
    await session.query(statements.add, [store, String(FORMAT)]);
    found = await find();
  }
  if (found[0] === undefined) return undefined;
  const [id, format] = found[0] as [string, string];
  if (Number(format) > FORMAT) {
    const message = `${name} has format ${format}, and this version reads up to ${FORMAT}; update lastwrite`;
    throw new LastwriteError("store-newer", message);
  }
  return { statements, tableId, id, isUtf8: encoding === "UTF8" };
}

/** Two that make the same table at once would both fail, `if not exists` or not. */
async function setUp(session: Session, { setUp: statements }: Statements): Promise<void> {
  await inTransaction(session, async (query) => {
    await query("select pg_advisory_xact_lock(x'6c61737477726974'::bigint)");
    for (const statement of statements) await query(statement);
    return true;
  });
}

/** Runs `work` in a transaction, which is undone when it throws or answers undefined. */
export async function inTransaction<T>(
  session: Session,
  work: (query: Query) => Promise<T | undefined>,
): Promise<T | undefined> {
  const transaction = await session.begin("read write");
  try {
    const answer = await work(transaction.query);
    if (answer === undefined) await transaction.rollback();
    else await transaction.commit();
    return answer;
  } catch (error) {
    // What failed first is what is told; a session that cannot even roll back is found lost at its next use.
    await transaction.rollback().catch(() => {});
    throw error;
  }
}

/**
 * Tells this store in this database from copies of it: the cluster and its timeline (which changes when a standby is promoted, and after a recovery to a moment), the database, the table and the
 * store. What this role must not know, or this server does not, is left out.
 */
export async function identityOf(query: Query, { tableId, id }: Place): Promise<string> {
  const known = async (expression: string): Promise<string> => {
    try {
      const [row] = await query(`select ${expression}`);
      return (row?.[0] as string | null | undefined) ?? UNKNOWN;
    } catch (error) {
      if (sqlState(error) === undefined) throw error;
      return UNKNOWN;
    }
  };
  const parts = [
    await known("(select system_identifier::text from pg_control_system())"),
    await known(
      "case when not pg_is_in_recovery() then left(pg_walfile_name(pg_current_wal_lsn()), 8) end",
    ),
    await known("(select oid::text from pg_database where datname = current_database())"),
    tableId,
    id,
  ];
  return parts.join("/");
}

/** Whether these are of two places, as far as both know. */
export function isOtherIdentity(recorded: string, present: string): boolean {
  const parts = present.split("/");
  return recorded.split("/").some((part, at) => {
    const other = parts[at];
    return other !== undefined && part !== UNKNOWN && other !== UNKNOWN && part !== other;
  });
}

const UNKNOWN = "-";

/** How long the server gets to end a session of ours whose connection broke. */
const LOCK_TIMEOUT_MS = 5_000;

/** The store, held for writing. */
export class Hold {
  readonly #sessions: Sessions;
  readonly #name: string;
  readonly #place: Place;
  #session: Session | undefined;
  /** It was released, but the lock could not be given back. */
  #isOwing = false;
  #backend: Backend;
  /** The last one is in use. Before it those that may be in the row still, when the answer got lost. */
  #openers: string[] = [];
  /** How many writes the store had, with the last one that was acknowledged. */
  writes = 0;
  /** Else `writes` may be too few: see `recount`. */
  isCounted = true;
  /** Writes that were acknowledged are gone, those after them would stand on nothing: only a whole state makes it good. */
  isBehind = false;
  identity = "";

  private constructor(
    sessions: Sessions,
    { name }: Address,
    place: Place,
    session: Session,
    backend: Backend,
  ) {
    this.#sessions = sessions;
    this.#name = name;
    this.#place = place;
    this.#session = session;
    this.#backend = backend;
  }

  /** Takes the store in this session, which the hold then owns; `store-locked` at once if another one has it. */
  static async take(
    sessions: Sessions,
    address: Address,
    place: Place,
    session: Session,
  ): Promise<Hold> {
    const hold = new Hold(sessions, address, place, session, await backendOf(session.query));
    if ((await lock(session.queryAnywhere, place)) !== "locked") throw hold.locked();
    try {
      await hold.#enter(session, null);
    } catch (error) {
      await unlock(session, place).catch(() => {});
      throw error;
    }
    return hold;
  }

  /** The parameters `id`, `opener`, `pid` and `identity` of statements that write. */
  get parameters(): [string, string, string, string] {
    return [this.#place.id, this.#openers.at(-1) as string, this.#backend.pid, this.identity];
  }

  /** A session with the lock: the one there is, or, when that was lost, a new one if nobody had the store meanwhile. */
  async session(): Promise<Session> {
    if (this.#session?.isLost() === true) this.lose();
    return this.#session ?? (await this.#resume());
  }

  /** The session is of no use any more. */
  lose(): void {
    this.#session?.release(true);
    this.#session = undefined;
  }

  /** To be called after a write that failed, and before the next one: the database may have it nevertheless, when it was in a transaction of the user, who committed it. */
  async recount(session: Session): Promise<void> {
    const { id, statements } = this.#place;
    const [row] = await session.query(statements.count, [id, this.#openers.at(-1) as string]);
    if (row === undefined) throw this.locked();
    this.#count(Number(row[0]));
  }

  /** After a write that found no row: whether the client changed the session under us; else somebody else has the store. */
  async isOtherSession(session: Session): Promise<boolean> {
    return !isSame(await backendOf(session.query), this.#backend);
  }

  locked(): LastwriteError {
    const message = `${this.#name} is open elsewhere, or was since the connection broke; close it there, then open it again`;
    return new LastwriteError("store-locked", message);
  }

  /** Gives lock and session back. Rejects where the lock stays in a session that goes on without us, as in a transaction of the user that failed; then it is given back before the next statement of any store, or when this is called again. */
  async release(): Promise<void> {
    const session = this.#session;
    if (session === undefined) return;
    let isBroken = session.isLost();
    try {
      if (this.#isOwing) await session.settle();
      else if (!isBroken) await unlock(session, this.#place);
    } catch (error) {
      const failure = failureOf(error, this.#name);
      this.#isOwing = true;
      if (session.owner === "user" && !failure.isLost) throw failure.error;
      // The server frees the lock with the session.
      isBroken = true;
    }
    this.#session = undefined;
    session.release(isBroken);
  }

  async #resume(): Promise<Session> {
    let session: Session | undefined;
    let hasLock = false;
    try {
      session = await this.#sessions.reserve();
      const backend = await backendOf(session.query);
      hasLock =
        isSame(backend, this.#backend) || (await relock(session, this.#place, this.#backend));
      if (!hasLock) throw this.locked();
      this.#backend = backend;
      await this.#enter(session, this.#openers);
    } catch (error) {
      // Not a lock that another store of this session has.
      if (session !== undefined && hasLock) await unlock(session, this.#place).catch(() => {});
      session?.release(true);
      throw failureOf(error, this.#name).error;
    }
    this.#session = session;
    return session;
  }

  /** Draws a token, by which what this opener sent before in another session is shut out, too. */
  async #enter(session: Session, former: readonly string[] | null): Promise<void> {
    const opener = idText(globalThis.crypto.getRandomValues(new Uint8Array(16)));
    this.#openers = [...(former ?? []), opener];
    const { id, statements } = this.#place;
    const openers = former === null ? null : former.join(" ");
    const [row] = await session.query(statements.take, [id, openers, opener]);
    if (row === undefined) throw this.locked();
    this.#openers = [opener];
    if (former === null) this.writes = 0;
    this.#count(Number(row[0]));
    this.identity = await identityOf(session.query, this.#place);
  }

  #count(writes: number): void {
    this.isBehind ||= writes < this.writes;
    this.writes = writes;
    this.isCounted = true;
  }
}

async function backendOf(query: Query): Promise<Backend> {
  const [row] = await query(
    "select pg_backend_pid()::text, (select extract(epoch from backend_start)::text from pg_stat_activity where pid = pg_backend_pid())",
  );
  const [pid, startedAt] = row as [string, string];
  return { pid, startedAt };
}

function isSame(a: Backend, b: Backend): boolean {
  return a.pid === b.pid && a.startedAt === b.startedAt;
}

/** The two numbers of the lock, signed as its functions take them: exact, so no two stores share one. */
function lockNumbers({ tableId, id }: Place): string[] {
  return [tableId, id].map((number) => String(Number(number) | 0));
}

/** The rows of pg_locks for it, which has them unsigned. */
const HOLDERS = `pg_locks where locktype = 'advisory' and objsubid = 2 and granted
  and database = (select oid from pg_database where datname = current_database())
  and classid = $3::text::oid and objid = $4::text::oid`;

/** A session that has a lock gets it again, so it is asked first: a client may serve several stores. */
async function lock(query: Query, place: Place): Promise<"locked" | "own" | "other"> {
  const text = `select case when exists (select from ${HOLDERS} and pid = pg_backend_pid()) then 'own'
    when pg_try_advisory_lock($1::text::integer, $2::text::integer) then 'locked' else 'other' end`;
  const [row] = await query(text, [...lockNumbers(place), place.tableId, place.id]);
  return row?.[0] as "locked" | "own" | "other";
}

async function unlock(session: Session, place: Place): Promise<void> {
  await session.owe(
    "select pg_advisory_unlock($1::text::integer, $2::text::integer)",
    lockNumbers(place),
  );
}

/** As `lock`, and ends the session that the lock was lost with, if the server has not noticed yet. */
async function relock(session: Session, place: Place, former: Backend): Promise<boolean> {
  const found = await lock(session.queryAnywhere, place);
  if (found !== "other") return found === "locked";
  const ended = await session.query(
    `select pg_terminate_backend(pid) from pg_stat_activity where pid = $1::text::integer
      and extract(epoch from backend_start)::text = $2::text and pid in (select pid from ${HOLDERS})`,
    [former.pid, former.startedAt, place.tableId, place.id],
  );
  if (ended.length === 0) return false;
  try {
    await inTransaction(session, async (query) => {
      await query(`set local lock_timeout = ${LOCK_TIMEOUT_MS}`);
      await query(
        "select pg_advisory_lock($1::text::integer, $2::text::integer)",
        lockNumbers(place),
      );
      return true;
    });
    return true;
  } catch (error) {
    if (sqlState(error) === "55P03") return false;
    throw error;
  }
}
