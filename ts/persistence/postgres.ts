/** Keeps stores in PostgreSQL, in tables of the user's database, with a client of his: see docs/persistence/postgres.md. */

import { checkOptions } from "../dictionary/arguments.ts";
import type { Engine } from "../engine/contract.ts";
import { LastwriteError } from "../errors.ts";
import type { Access, LostBytes, OpenContext, Persistence, WriteContext } from "./contract.ts";
import { joinStates } from "./journal.ts";
import { failureOf } from "./postgres-failure.ts";
import { findPlace, Hold, identityOf, inTransaction, type Place } from "./postgres-place.ts";
import { Cut, type Found } from "./postgres-read.ts";
import {
  type PostgresClient,
  type Query,
  type Session,
  type Sessions,
  sessionsOf,
} from "./postgres-session.ts";
import { checkText, quoteName } from "./postgres-tables.ts";
import { put, putStates, shortParameters, splitFrame, writesOf } from "./postgres-write.ts";

export type {
  PgClient,
  PGliteClient,
  PGliteTransaction,
  PgPool,
  PgPoolClient,
  Parameter as PostgresParameter,
  PgQuery,
  PostgresClient,
  PostgresJs,
  PostgresJsSession,
} from "./postgres-session.ts";

/** Which store of the database. */
export interface PostgresPersistenceOptions {
  /** Names the store among those in one schema: any text but the empty one, without NUL. Default: "lastwrite". */
  readonly store?: string;
  /** Where the tables are, made if it is not there. Default: the first schema of the search path that exists. */
  readonly schema?: string;
}

/**
 * Returns a place for one store in a PostgreSQL database, reached by a connected `pg` Client, a `pg` Pool, the `sql` of `postgres`, or a PGlite.
 *
 * One row for each entry, so a write changes the rows of what was written; `lastwrite_values` is a view with keys and values that other programs can read. A store that is open for writing keeps one
 * session of a pool to itself until it is closed; a Client must not be in a transaction of anybody else meanwhile. A connection that broke is replaced by a new one of the pool, if nobody else opened the
 * store in between; without a pool it is `storage-unavailable` from then on.
 *
 * Throws `invalid-argument` for names that PostgreSQL does not take, for anything that is none of these clients, and for a Client with `pipeline`, which cannot tell in whose transaction it wrote. No connection is opened before `open`.
 */
export function postgresPersistence(
  client: PostgresClient,
  options: PostgresPersistenceOptions = {},
): Persistence {
  checkOptions(options, ["store", "schema"], "postgresPersistence");
  const { store = "lastwrite", schema } = options;
  checkText(store, "the name of a store");
  if (schema !== undefined) quoteName(schema);
  return new PostgresPersistence(sessionsOf(client), store, schema);
}

/** States are joined into one when they are more. */
const STATES_MAX = 64;

interface Opened extends Found {
  readonly access: Access;
  readonly engine: Engine;
  /** Undefined for a reader where no store is. */
  readonly place: Place | undefined;
  /** Undefined for a reader. */
  readonly hold: Hold | undefined;
  /** A `load` that was not read to its end. */
  cut: Cut | undefined;
}

interface Writable {
  readonly opened: Opened;
  readonly place: Place;
  readonly hold: Hold;
}

class PostgresPersistence implements Persistence {
  readonly name: string;
  readonly keepsRows = true;
  readonly #sessions: Sessions;
  readonly #store: string;
  readonly #schema: string | undefined;
  #opened: Opened | undefined;
  /** Of a store that was closed, but whose lock could not be given back. */
  #left: Hold | undefined;

  constructor(sessions: Sessions, store: string, schema: string | undefined) {
    this.name = `postgres:${schema === undefined ? "" : `${schema}/`}${store}`;
    this.#sessions = sessions;
    this.#store = store;
    this.#schema = schema;
  }

  get isCopy(): boolean {
    return this.#opened?.isCopy === true;
  }

  async open({ access, engine }: OpenContext): Promise<void> {
    if (this.#opened !== undefined)
      throw new LastwriteError("store-locked", `${this.name} is open already; close it first`);
    const address = { name: this.name, schema: this.#schema, store: this.#store };
    const opened = { access, engine, states: [], nextPlace: 0, isCopy: false, cut: undefined };
    await this.#free();
    let session: Session | undefined;
    try {
      session = await this.#sessions.reserve();
      const place = await findPlace(session, address, access === "write");
      const hold =
        access === "write" && place !== undefined
          ? await Hold.take(this.#sessions, address, place, session)
          : undefined;
      this.#opened = { ...opened, place, hold };
      // A reader takes one again to load, and needs none until then.
      if (hold === undefined) session.release(false);
    } catch (error) {
      const failure = failureOf(error, this.name);
      session?.release(failure.isLost);
      this.#sessions.close();
      throw failure.error;
    }
  }

  async *load(): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const found of this.#read(false)) if (found instanceof Uint8Array) yield found;
  }

  async *salvage(): AsyncGenerator<Uint8Array | LostBytes, void, undefined> {
    yield* this.#read(true);
  }

  async append(frame: Uint8Array, { sync }: WriteContext): Promise<void> {
    const writable = this.#writable(false);
    const { opened, hold, place } = writable;
    const split = splitFrame(opened.engine, frame);
    const { state } = split;
    const firstPlace = split.firstPlace ?? opened.nextPlace;
    const number = opened.states.length;
    const all = state === undefined ? opened.states : [...opened.states, state];
    const states = all.length > STATES_MAX ? [joinStates(all)] : all;
    const durability = sync ? "sync" : "none";
    const short =
      states === all && split.isShort
        ? shortParameters(split, firstPlace, number, place)
        : undefined;
    await this.#write(writable, true, (session) => {
      if (short !== undefined) {
        const values = [...hold.parameters, durability, ...short];
        return writesOf(session.query(place.statements.write, values));
      }
      return inTransaction(session, async (query) => {
        const writes = await held(query, writable, durability);
        if (writes === undefined) return undefined;
        await put(query, place, split, firstPlace);
        if (state !== undefined) await putStates(query, place, states);
        return writes;
      });
    });
    opened.states = states;
    opened.nextPlace = Math.max(opened.nextPlace, firstPlace + split.all.end);
  }

  async replace(frames: Iterable<Uint8Array>): Promise<void> {
    const writable = this.#writable(true);
    const { opened, hold, place } = writable;
    let states: Uint8Array[] = [];
    let nextPlace = 0;
    const work = async (query: Query): Promise<number | undefined> => {
      const writes = await held(query, writable, "sync");
      if (writes === undefined) return undefined;
      for (const text of place.statements.emptied) await query(text, [place.id]);
      for (const frame of frames) {
        const split = splitFrame(opened.engine, frame);
        const firstPlace = split.firstPlace ?? nextPlace;
        await put(query, place, split, firstPlace);
        nextPlace = Math.max(nextPlace, firstPlace + split.all.end);
        if (split.state !== undefined) states.push(split.state);
        if (states.length > STATES_MAX) states = [joinStates(states)];
      }
      if (states.length > 0) states = [joinStates(states)];
      await putStates(query, place, states);
      return writes;
    };
    // Frames may be there for one pass only.
    await this.#write(writable, false, (session) => inTransaction(session, work));
    hold.isBehind = false;
    opened.states = states;
    opened.nextPlace = nextPlace;
  }

  async close(): Promise<void> {
    const opened = this.#opened;
    this.#opened = undefined;
    await opened?.cut?.end();
    this.#left ??= opened?.hold;
    await this.#free();
  }

  async #free(): Promise<void> {
    await this.#left?.release();
    this.#left = undefined;
    this.#sessions.close();
  }

  #open(): Opened {
    if (this.#opened === undefined)
      throw new LastwriteError("store-closed", `${this.name} is not open; call open() first`);
    return this.#opened;
  }

  #writable(isWhole: boolean): Writable {
    const opened = this.#open();
    const { hold, place } = opened;
    if (hold === undefined || place === undefined)
      throw new LastwriteError("store-read-only", `${this.name} was opened for reading`);
    if (hold.isBehind && !isWhole) throw this.#behind();
    return { opened, hold, place };
  }

  #behind(): LastwriteError {
    const message = `${this.name}: the database went back behind writes that it had; replace all, or open the store again`;
    return new LastwriteError("store-poisoned", message);
  }

  /**
   * Runs what writes in one transaction; it answers how many writes the store has had then, or undefined when its row names another opener or session. When the connection breaks, it runs
   * again in a new one if `isRepeatable`, unless it turns out that only the answer was lost.
   */
  async #write(
    { hold }: Writable,
    isRepeatable: boolean,
    work: (session: Session) => Promise<number | undefined>,
  ): Promise<void> {
    for (let isFirst = true; ; isFirst = false) {
      const session = await hold.session();
      if (!hold.isCounted) await this.#recount(hold, session);
      if (hold.isBehind && isRepeatable) throw this.#behind();
      const writesBefore = hold.writes;
      try {
        const writes = await work(session);
        if (writes !== undefined) {
          hold.writes = writes;
          return;
        }
        if (!isFirst || !(await hold.isOtherSession(session))) throw hold.locked();
        hold.lose();
      } catch (error) {
        const { error: failure, isLost, isPassing } = failureOf(error, this.name);
        hold.isCounted = false;
        if (isLost) {
          hold.lose();
          await hold.session();
          if (hold.writes === writesBefore + 1) return;
        }
        if (!isFirst || !isRepeatable || !(isLost || isPassing)) throw failure;
      }
    }
  }

  async #recount(hold: Hold, session: Session): Promise<void> {
    try {
      await hold.recount(session);
    } catch (error) {
      const failure = failureOf(error, this.name);
      if (failure.isLost) hold.lose();
      throw failure.error;
    }
  }

  async *#read(isSalvage: boolean): AsyncGenerator<Uint8Array | LostBytes, void, undefined> {
    const opened = this.#open();
    const { place, hold, engine } = opened;
    if (place === undefined) return;
    const session = await (hold?.session() ?? this.#reserve());
    const release = (isBroken: boolean): void => {
      opened.cut = undefined;
      if (hold === undefined) session.release(isBroken);
    };
    let identity: string;
    try {
      identity = hold?.identity ?? (await identityOf(session.query, place));
    } catch (error) {
      release(true);
      throw failureOf(error, this.name).error;
    }
    const cut = await Cut.begin(this.name, place, session, release);
    opened.cut = cut;
    try {
      yield* cut.frames(engine, identity, opened, isSalvage);
    } finally {
      await cut.end();
    }
  }

  async #reserve(): Promise<Session> {
    try {
      return await this.#sessions.reserve();
    } catch (error) {
      throw failureOf(error, this.name).error;
    }
  }
}

/** The number of writes with this one; undefined when the row of the store names another opener or session. */
function held(
  query: Query,
  { hold, place }: Writable,
  durability: string,
): Promise<number | undefined> {
  return writesOf(query(place.statements.hold, [...hold.parameters, durability]));
}
