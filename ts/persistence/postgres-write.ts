/** Frames into rows of the tables, in statements of a bearable size. */

import type { EntryRow } from "../dictionary/rows.ts";
import type { SplitJournal } from "./journal.ts";
import type { Place } from "./postgres-place.ts";
import type { Parameter, Query, Rows } from "./postgres-session.ts";
import {
  bytesText,
  collectedParameters,
  prefixParameters,
  rowParameters,
} from "./postgres-tables.ts";

/** A statement takes so many rows, */
const STATEMENT_ROWS = 4_096;
/** and no more when their values have so many bytes, which stand in it as hex and as JSON. */
const STATEMENT_BYTES = 4 * 1024 * 1024;

/** What one statement writes: some rows, nothing to delete, and no states to join. */
export interface ShortWrite {
  readonly rows: readonly EntryRow[];
  readonly firstPlace: number;
  readonly state: Uint8Array | undefined;
  /** The number that the state gets. */
  readonly number: number;
}

/** Whether these rows fit into one statement, and nothing has to be deleted for them. */
export function isShort({ rows, collected }: SplitJournal): boolean {
  if (collected.length > 0 || rows.length > STATEMENT_ROWS) return false;
  return !rows.some(({ kind }) => kind === "prefix") && chunksOf(rows).length <= 1;
}

/** The parameters of the statement `write` from the sixth on. */
export function shortParameters(
  { rows, firstPlace, state, number }: ShortWrite,
  { isUtf8 }: Place,
): Parameter[] {
  return [
    ...rowParameters(rows, firstPlace, isUtf8),
    String(number),
    state === undefined ? null : bytesText(state),
  ];
}

/** Puts the rows of a frame, and deletes what its prefix tombstones cover and what it tells as collected. */
export async function put(
  query: Query,
  { statements, id, isUtf8 }: Place,
  { rows, collected }: SplitJournal,
  firstPlace: number,
): Promise<void> {
  let place = firstPlace;
  for (const chunk of chunksOf(rows)) {
    await query(statements.put, [id, ...rowParameters(chunk, place, isUtf8)]);
    place += chunk.length;
  }
  const prefixes = rows.filter(({ kind }) => kind === "prefix");
  if (prefixes.length > 0) await query(statements.sweep, [id, ...prefixParameters(prefixes)]);
  if (collected.length > 0)
    await query(statements.collect, [id, ...collectedParameters(collected)]);
}

/** Puts the last one of the states under its place among them, and deletes those behind. */
export async function putStates(
  query: Query,
  { statements, id }: Place,
  states: readonly Uint8Array[],
): Promise<void> {
  const last = states.at(-1);
  if (last === undefined) return;
  await query(statements.states, [id, String(states.length - 1), bytesText(last)]);
}

/** The number of writes that a statement answers with; undefined when it found no row. */
export async function writesOf(answer: Promise<Rows>): Promise<number | undefined> {
  const [row] = await answer;
  return row === undefined ? undefined : Number(row[0]);
}

function chunksOf(rows: readonly EntryRow[]): readonly (readonly EntryRow[])[] {
  const chunks: EntryRow[][] = [];
  let chunk: EntryRow[] = [];
  let byteCount = 0;
  for (const row of rows) {
    const isFull = chunk.length === STATEMENT_ROWS || byteCount >= STATEMENT_BYTES;
    if (chunk.length === 0 || isFull) {
      chunk = [];
      chunks.push(chunk);
      byteCount = 0;
    }
    chunk.push(row);
    byteCount += row.bytes.length;
  }
  return chunks;
}
