/** What is done with the tables of one store, each call in one transaction. */

import { idBytes, idText } from "../codec/entry.ts";
import type { Engine } from "../engine/contract.ts";
import { LastwriteError } from "../errors.ts";
import type { LostBytes } from "./contract.ts";
import { joinStates, splitState } from "./journal.ts";
import { afterPrefix, EntryReader } from "./row-columns.ts";
import type { Connection, SqliteValue, Statement } from "./sqlite-client.ts";
import {
  columnsOfStored,
  commonWriter,
  fillCommon,
  keyName,
  readIds,
  storedBytes,
  type StoredRow,
  valuesOf,
} from "./sqlite-rows.ts";
import { salvageTables } from "./sqlite-salvage.ts";
import {
  COMMON_WIDTH,
  FORMAT,
  PART_COUNT,
  STATEMENT_ROWS,
  type Statements,
} from "./sqlite-tables.ts";

/** How many entries a frame that is loaded has at most. */
const FRAME_ROWS = 4096;
/** States are joined when there are more of them, */
const STATE_COUNT_MAX = 64;
/** or when those that came after the first one have more bytes than this and than the first one: so they mostly fit one page. */
const STATE_TAIL_BYTES = 2000;
/** How many replicas have a statement `putMany` of their own at a time. */
const PUT_MANYS_MAX = 16;

/** What is known of the tables since they were read or written last. */
interface Held {
  /** Of the last state; 0 without any. */
  readonly generation: number;
  readonly stateCount: number;
  readonly firstBytes: number;
  readonly tailBytes: number;
  /** Undefined when nobody asked yet. */
  readonly nextPlace: number | undefined;
}

const NOTHING: Held = {
  generation: 0,
  stateCount: 0,
  firstBytes: 0,
  tailBytes: 0,
  nextPlace: undefined,
};

export interface StoreTablesOptions {
  readonly connection: Connection;
  readonly statements: Statements;
  readonly engine: Engine;
  /** Names the place in messages and damages. */
  readonly name: string;
}

export class StoreTables {
  readonly #connection: Connection;
  readonly #statements: Statements;
  readonly #engine: Engine;
  readonly #name: string;
  #held: Held = NOTHING;
  /** The numbers that stand for replica ids; undefined when they have to be read. */
  #numbers: Map<string, number> | undefined;
  /** Statements that have the number of a replica in them. */
  readonly #putManys = new Map<number, Statement>();

  constructor({ connection, statements, engine, name }: StoreTablesOptions) {
    this.#connection = connection;
    this.#statements = statements;
    this.#engine = engine;
    this.#name = name;
  }

  /** Whether there are tables of this store. Throws `store-newer` for those of a later version, `storage-unavailable` where something else has a name of theirs. */
  find(): boolean {
    const names = this.#connection.rows(this.#statements.find);
    if (names.length === 0) return false;
    const format = names.length === PART_COUNT ? this.#meta("format") : undefined;
    if (format === undefined) {
      throw new LastwriteError(
        "storage-unavailable",
        `${this.#name}: ${names.join(", ")} in the database is no part of a store; choose another name by { store }`,
      );
    }
    if (Number(format) > FORMAT) throw this.#newer();
    return true;
  }

  /** Makes the tables, unless they are there. */
  setUp(): void {
    this.#connection.write(() => {
      if (this.find()) return;
      for (const sql of this.#statements.setUp) this.#connection.exec(sql);
    });
  }

  /** In which file the data was written; undefined for a new store. */
  identity(): string | undefined {
    return this.#meta("identity");
  }

  /** All that is kept, as frames to be replayed, of one moment. */
  load(): Uint8Array[] {
    return this.#connection.read(() => {
      const frames: Uint8Array[] = [];
      const ids = readIds(this.#connection, this.#statements);
      let batch: StoredRow[] = [];
      const flush = (): void => {
        if (batch.length > 0) frames.push(this.#frameOf(batch, ids));
        batch = [];
      };
      for (const row of this.#connection.statement(this.#statements.load).iterate()) {
        batch.push(row);
        if (batch.length === FRAME_ROWS) flush();
      }
      flush();
      const states = this.#connection.rows(this.#statements.states);
      const bytes = states.map(([, state]) => storedBytes(state));
      if (bytes.length > 0) frames.push(this.#decoded("the states", () => joinStates(bytes)));
      this.#held = heldOf(states.at(-1)?.[0], bytes);
      return frames;
    });
  }

  /** Keeps a frame; `identity` is recorded with it. */
  append(frame: Uint8Array, identity: string | undefined): void {
    this.#write(identity, () => {
      const { state, nextPlace } = this.#put(frame, this.#held.nextPlace);
      return { ...this.#addState(this.#held, state), nextPlace };
    });
  }

  /** Keeps these frames instead of all that was kept. */
  replace(frames: readonly Uint8Array[], identity: string | undefined): void {
    this.#write(identity, () => {
      for (const sql of this.#statements.empty) this.#connection.run(sql);
      this.#numbers = new Map();
      const states: Uint8Array[] = [];
      let nextPlace = 0;
      for (const frame of frames) {
        const put = this.#put(frame, nextPlace);
        ({ nextPlace } = put);
        if (put.state !== undefined) states.push(put.state);
      }
      const state = states.length > 0 ? joinStates(states) : undefined;
      const emptied = { ...NOTHING, generation: this.#held.generation };
      return { ...this.#addState(emptied, state), nextPlace };
    });
  }

  /** Reads past damage. */
  salvage(): Generator<Uint8Array | LostBytes, void, undefined> {
    return salvageTables(this.#connection, this.#statements, this.#engine);
  }

  /** Runs `body` in a transaction, unless somebody else has written since. */
  #write(identity: string | undefined, body: () => Held): void {
    try {
      this.#held = this.#connection.write(() => {
        const [generation] = this.#connection.first(this.#statements.generation) ?? [];
        if (Number(generation ?? 0) !== this.#held.generation) {
          throw new LastwriteError(
            "store-locked",
            `${this.#name} was written by somebody else meanwhile; see that all openers take its lock, and open it again`,
          );
        }
        if (identity !== undefined) {
          this.#connection.run(this.#statements.setMeta, "identity", identity);
        }
        return body();
      });
    } catch (error) {
      // Those that it put are gone again.
      this.#numbers = undefined;
      throw error;
    }
  }

  #put(
    frame: Uint8Array,
    nextPlace: number | undefined,
  ): { readonly state: Uint8Array | undefined; readonly nextPlace: number } {
    const entries = new EntryReader(this.#engine.decodeEntries(frame));
    const { firstPlace, collected, state } = splitState(frame, entries.count);
    const first = firstPlace ?? nextPlace ?? this.#lastPlace() + 1;
    this.#putEntries(entries, first);
    for (let at = 0; at < entries.count; at++) if (entries.isPrefix(at)) this.#sweep(entries, at);
    for (const { replicaId, counter } of collected) {
      const number = this.#numberOf(idBytes(replicaId));
      this.#connection.run(this.#statements.collect, number, counter);
    }
    return { state, nextPlace: first + entries.count };
  }

  #putEntries(entries: EntryReader, firstPlace: number): void {
    const numbers = entries.ids.map((id) => this.#numberOf(id));
    const numberOf = (id: number): number => numbers[id] as number;
    const putOne = (at: number): void => {
      const values = valuesOf(entries, at, firstPlace + at, numberOf);
      this.#connection.statement(this.#statements.put).run(values);
    };
    // Rows that one replica wrote, one after the other, go into one statement.
    const values = Array.from<SqliteValue>({ length: STATEMENT_ROWS * COMMON_WIDTH }).fill(null);
    for (let start = 0; start < entries.count;) {
      const writer = commonWriter(entries, start);
      const end = Math.min(start + STATEMENT_ROWS, entries.count);
      let at = start;
      if (writer >= 0) {
        while (at < end && commonWriter(entries, at) === writer) {
          fillCommon(values, COMMON_WIDTH * (at - start), entries, at, firstPlace + at);
          at++;
        }
      }
      if (at - start === STATEMENT_ROWS) {
        this.#putMany(numberOf(writer)).run(values);
        start = at;
      } else {
        do putOne(start++);
        while (start < at);
      }
    }
  }

  #putMany(replica: number): Statement {
    const known = this.#putManys.get(replica);
    if (known !== undefined) return known;
    // It is about who writes now: of many writers the last ones are kept.
    if (this.#putManys.size >= PUT_MANYS_MAX) this.#putManys.clear();
    const statement = this.#connection.prepare(this.#statements.putMany(replica));
    this.#putManys.set(replica, statement);
    return statement;
  }

  /** Deletes what a prefix tombstone covers. */
  #sweep(entries: EntryReader, at: number): void {
    const prefix = entries.key(at);
    const millis = entries.millis(at);
    const counter = entries.counter(at);
    const replica = entries.ids[entries.replica(at)] as Uint8Array;
    const values = [prefix, afterPrefix(prefix), prefix, millis, millis, counter, counter, replica];
    this.#connection.run(this.#statements.sweep, ...values);
  }

  #addState(held: Held, state: Uint8Array | undefined): Held {
    const generation = held.generation + 1;
    const { addState, dropStates, moveState, states } = this.#statements;
    if (state === undefined) {
      if (held.stateCount === 0) return { ...held, generation: 0 };
      this.#connection.run(moveState, generation, held.generation);
      return { ...held, generation };
    }
    const stateCount = held.stateCount + 1;
    const tailBytes = held.stateCount === 0 ? 0 : held.tailBytes + state.length;
    const firstBytes = held.stateCount === 0 ? state.length : held.firstBytes;
    if (stateCount <= STATE_COUNT_MAX && tailBytes <= Math.max(STATE_TAIL_BYTES, firstBytes)) {
      this.#connection.run(addState, generation, state);
      return { ...held, generation, stateCount, firstBytes, tailBytes };
    }
    const kept = this.#connection.rows(states).map(([, bytes]) => storedBytes(bytes));
    const joined = joinStates([...kept, state]);
    this.#connection.run(dropStates, held.generation);
    this.#connection.run(addState, generation, joined);
    return { ...held, generation, stateCount: 1, firstBytes: joined.length, tailBytes: 0 };
  }

  #numberOf(id: Uint8Array): number {
    this.#numbers ??= new Map(
      Array.from(
        readIds(this.#connection, this.#statements),
        ([number, stored]) => [idText(stored), number] as const,
      ),
    );
    const name = idText(id);
    const known = this.#numbers.get(name);
    if (known !== undefined) return known;
    // None is ever removed but all.
    const number = this.#numbers.size + 1;
    this.#connection.run(this.#statements.addReplica, number, id);
    this.#numbers.set(name, number);
    return number;
  }

  #lastPlace(): number {
    return Number(this.#connection.first(this.#statements.lastPlace)?.[0] ?? -1);
  }

  #meta(name: string): string | undefined {
    const value = this.#connection.first(this.#statements.meta, name)?.[0];
    return typeof value === "string" ? value : undefined;
  }

  #newer(cause?: LastwriteError): LastwriteError {
    const message = `${this.#name} was written by a later release; update lastwrite`;
    return new LastwriteError("store-newer", message, { cause });
  }

  #frameOf(rows: readonly StoredRow[], ids: ReadonlyMap<number, Uint8Array>): Uint8Array {
    const encode = (some: readonly StoredRow[]): Uint8Array =>
      this.#engine.encodeEntries(columnsOfStored(some, ids));
    try {
      return encode(rows);
    } catch {
      // One of them is to blame: which one?
      for (const row of rows) this.#decoded(`the entry of ${keyName(row)}`, () => encode([row]));
      return this.#decoded("some entries", () => encode(rows));
    }
  }

  /** What bytes in the tables give; what is wrong with them is damage. */
  #decoded<T>(what: string, decode: () => T): T {
    try {
      return decode();
    } catch (error) {
      if (!(error instanceof LastwriteError)) throw error;
      if (error.code === "unsupported-format") throw this.#newer(error);
      if (error.code !== "corrupt-bytes") throw error;
      const reason = `${what}: ${error.message}`;
      throw new LastwriteError(
        "store-corrupt",
        `${this.#name} is damaged: ${reason}; salvage() gives the rest`,
        { cause: error, damage: { file: this.#name, offset: 0, reason } },
      );
    }
  }
}

function heldOf(lastGeneration: unknown, states: readonly Uint8Array[]): Held {
  if (states.length === 0) return NOTHING;
  const [first, ...tail] = states as [Uint8Array, ...Uint8Array[]];
  return {
    generation: Number(lastGeneration),
    stateCount: states.length,
    firstBytes: first.length,
    tailBytes: tail.reduce((sum, { length }) => sum + length, 0),
    nextPlace: undefined,
  };
}
