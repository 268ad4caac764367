/** Rows of the tables back into frames, all of one moment. */

import type { Engine } from "../engine/contract.ts";
import { LastwriteError } from "../errors.ts";
import type { LostBytes } from "./contract.ts";
import { joinStates } from "./journal.ts";
import { failureOf } from "./postgres-failure.ts";
import { isOtherIdentity, type Place } from "./postgres-place.ts";
import { columnsOfRows } from "./postgres-rows.ts";
import type { Rows, Session, Transaction } from "./postgres-session.ts";

/** How many rows are asked for first, as nobody knows how large they are; then about as many as have BATCH_BYTES. */
const FIRST_ROWS = 64;
const BATCH_ROWS_MAX = 4_096;
const BATCH_BYTES = 4 * 1024 * 1024;

/** What was found, beside the frames. */
export interface Found {
  states: readonly Uint8Array[];
  /** The one after that of the last row. */
  nextPlace: number;
  isCopy: boolean;
}

/** Reading at one moment, whatever is written meanwhile. */
export class Cut {
  readonly #name: string;
  readonly #place: Place;
  readonly #transaction: Transaction;
  readonly #ended: (isBroken: boolean) => void;
  #isOpen = true;

  private constructor(
    name: string,
    place: Place,
    transaction: Transaction,
    ended: (isBroken: boolean) => void,
  ) {
    this.#name = name;
    this.#place = place;
    this.#transaction = transaction;
    this.#ended = ended;
  }

  /** Begins; `ended` is called once, when the session is not needed any more. */
  static async begin(
    name: string,
    place: Place,
    session: Session,
    ended: (isBroken: boolean) => void,
  ): Promise<Cut> {
    try {
      const transaction = await session.begin("isolation level repeatable read, read only");
      return new Cut(name, place, transaction, ended);
    } catch (error) {
      const failure = failureOf(error, name);
      ended(failure.isLost);
      throw failure.error;
    }
  }

  /** Nothing is read any more. */
  async end(): Promise<void> {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    try {
      await this.#transaction.rollback();
      this.#ended(false);
    } catch {
      // The transaction ends with the session then.
      this.#ended(true);
    }
  }

  /**
   * The frames that `load` yields, and with `isSalvage` what cannot be read instead of an error. `identity` is that of the database now;
   * `found` is filled before the last frame is handed out.
   */
  async *frames(
    engine: Engine,
    identity: string,
    found: Found,
    isSalvage: boolean,
  ): AsyncGenerator<Uint8Array | LostBytes, void, undefined> {
    const { statements, id } = this.#place;
    // Whatever the user chose, clients read this one.
    await this.#ask("set local bytea_output = 'hex'");
    const recorded = (await this.#ask(statements.recorded, [id]))[0]?.[0];
    found.isCopy = typeof recorded === "string" && isOtherIdentity(recorded, identity);
    // What stands in it costs little; and the entries may break off.
    const states = (await this.#ask(statements.load, [id])).map(([, state]) => state);
    found.states = states as Uint8Array[];
    await this.#ask(statements.cursor, [id]);
    let rowCount = FIRST_ROWS;
    for (;;) {
      let rows: Rows;
      try {
        rows = await this.#ask(statements.fetch(rowCount));
      } catch (error) {
        const isDamage = error instanceof LastwriteError && error.code === "store-corrupt";
        if (!isSalvage || !isDamage) throw error;
        yield { offset: found.nextPlace, byteCount: 0, reason: error.message };
        break;
      }
      if (rows.length === 0) break;
      found.nextPlace = Number(rows.at(-1)?.[0]) + 1;
      rowCount = rowCountAfter(rows);
      if (isSalvage) yield* readable(engine, rows);
      else yield this.#sound(() => engine.encodeEntries(columnsOfRows(rows)));
    }
    if (isSalvage) yield* readableStates(found.states);
    else if (found.states.length > 0) yield this.#sound(() => joinStates(found.states));
  }

  async #ask(text: string, values: readonly string[] = []): Promise<Rows> {
    if (!this.#isOpen)
      throw new LastwriteError("store-closed", `${this.#name} was closed while it was read`);
    try {
      return await this.#transaction.query(text, values);
    } catch (error) {
      throw failureOf(error, this.#name).error;
    }
  }

  /** What was kept does not decode. */
  #sound<T>(decode: () => T): T {
    try {
      return decode();
    } catch (error) {
      const reason = reasonOf(error);
      throw new LastwriteError("store-corrupt", `${this.#name}: ${reason}`, {
        cause: error,
        damage: { file: this.#name, offset: 0, reason },
      });
    }
  }
}

/** All rows as one frame, or when one of them does not decode, each alone. */
function* readable(engine: Engine, rows: Rows): Generator<Uint8Array | LostBytes> {
  try {
    yield engine.encodeEntries(columnsOfRows(rows));
    return;
  } catch {
    // Which one it is shows below.
  }
  for (const row of rows) {
    try {
      yield engine.encodeEntries(columnsOfRows([row]));
    } catch (error) {
      yield { offset: Number(row[0]), byteCount: bytesIn(row), reason: reasonOf(error) };
    }
  }
}

function* readableStates(states: readonly Uint8Array[]): Generator<Uint8Array | LostBytes> {
  const sound: Uint8Array[] = [];
  for (const [offset, state] of states.entries()) {
    try {
      sound.push(joinStates([state]));
    } catch (error) {
      yield { offset, byteCount: state.length, reason: reasonOf(error) };
    }
  }
  if (sound.length > 0) yield joinStates(sound);
}

/** As many as fit, in powers of two, so that there are few different statements. */
function rowCountAfter(rows: Rows): number {
  const average = rows.reduce((sum, row) => sum + bytesIn(row), 0) / rows.length;
  const count = 2 ** Math.floor(Math.log2(BATCH_BYTES / average));
  return Math.max(1, Math.min(BATCH_ROWS_MAX, count));
}

function bytesIn(row: readonly unknown[]): number {
  return row.reduce<number>(
    (sum, column) => sum + (column instanceof Uint8Array ? column.length : 0),
    0,
  );
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
