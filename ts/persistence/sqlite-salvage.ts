/** What can still be read of damaged tables. */

import { idText } from "../codec/entry.ts";
import type { Engine } from "../engine/contract.ts";
import type { LostBytes } from "./contract.ts";
import type { Connection } from "./sqlite-client.ts";
import { columnsOfStored, keyName, readIds, storedBytes, type StoredRow } from "./sqlite-rows.ts";
import type { Statements } from "./sqlite-tables.ts";

/** How many entries a frame has at most. */
const FRAME_ROWS = 4096;

/** Reads past damage: from the first key on, and, where that ends early, from the last one back. */
export function* salvageTables(
  connection: Connection,
  statements: Statements,
  engine: Engine,
): Generator<Uint8Array | LostBytes, void, undefined> {
  let ids: ReadonlyMap<number, Uint8Array> = new Map();
  try {
    ids = readIds(connection, statements);
  } catch (error) {
    yield lost("the replica ids", error);
  }
  const seen = new Set<string>();
  for (const sql of [statements.loadByKey, statements.loadFromLast]) {
    let failure: LostBytes | undefined;
    const rows: StoredRow[] = [];
    try {
      for (const row of connection.statement(sql).iterate()) {
        const name = rowName(row);
        if (seen.has(name)) continue;
        seen.add(name);
        rows.push(row);
      }
    } catch (error) {
      failure = lost("some entries", error);
    }
    for (let at = 0; at < rows.length; at += FRAME_ROWS) {
      yield* salvageRows(rows.slice(at, at + FRAME_ROWS), ids, engine);
    }
    if (failure === undefined) break;
    yield failure;
  }
  try {
    for (const [, state] of connection.rows(statements.states)) yield storedBytes(state);
  } catch (error) {
    yield lost("the states", error);
  }
}

function* salvageRows(
  rows: readonly StoredRow[],
  ids: ReadonlyMap<number, Uint8Array>,
  engine: Engine,
): Generator<Uint8Array | LostBytes, void, undefined> {
  try {
    yield engine.encodeEntries(columnsOfStored(rows, ids));
  } catch (error) {
    const [only] = rows;
    if (rows.length === 1 && only !== undefined) {
      yield lost(`the entry of ${keyName(only)}`, error);
      return;
    }
    const middle = Math.ceil(rows.length / 2);
    yield* salvageRows(rows.slice(0, middle), ids, engine);
    yield* salvageRows(rows.slice(middle), ids, engine);
  }
}

/** Where it is in the file nobody knows. */
function lost(what: string, error: unknown): LostBytes {
  const why = error instanceof Error ? error.message : String(error);
  return { offset: 0, byteCount: 0, reason: `${what}: ${why}` };
}

/** Tells rows apart, also those whose key is not what it should be. */
function rowName([key, isPrefix]: StoredRow): string {
  const name = key instanceof Uint8Array ? idText(key) : `${typeof key} ${String(key)}`;
  return `${String(isPrefix)} ${name}`;
}
