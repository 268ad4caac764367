/** Frames into rows of the tables, in statements of a bearable size. */

import { TAG } from "../codec/tags.ts";
import type { Engine } from "../engine/contract.ts";
import { type SplitJournal, splitState } from "./journal.ts";
import type { Place } from "./postgres-place.ts";
import {
  bytesText,
  type Chunk,
  collectedParameters,
  Entries,
  prefixParameters,
  rowParameters,
} from "./postgres-rows.ts";
import type { Parameter, Query, Rows } from "./postgres-session.ts";

/** A statement takes so many rows, */
const STATEMENT_ROWS = 4_096;
/** and no more when their values have so many bytes, which stand in it as hex and as JSON. */
const STATEMENT_BYTES = 4 * 1024 * 1024;

/** A frame, taken apart; its entries in chunks of which each fits into a statement. */
export interface Split extends Omit<SplitJournal, "rows"> {
  readonly all: Chunk;
  readonly chunks: readonly Chunk[];
  /** There is nothing to be deleted for it, and one chunk at most. */
  readonly isShort: boolean;
}

/** As `splitJournal`, but without a row for each entry. */
export function splitFrame(engine: Engine, frame: Uint8Array): Split {
  const entries = new Entries(engine.decodeEntries(frame));
  const all = { entries, start: 0, end: entries.count };
  const chunks = chunksOf(all);
  const split = splitState(frame, entries.count);
  const isShort = chunks.length <= 1 && split.collected.length === 0 && !hasPrefix(all);
  return { ...split, all, chunks, isShort };
}

/** The parameters of the statement `write` from the sixth on; the state gets this number. */
export function shortParameters(
  { all, state }: Split,
  firstPlace: number,
  number: number,
  { isUtf8 }: Place,
): Parameter[] {
  return [
    ...rowParameters(all, firstPlace, isUtf8),
    String(number),
    state === undefined ? null : bytesText(state),
  ];
}

/** Puts the entries of a frame, and deletes what its prefix tombstones cover and what it tells as collected. */
export async function put(
  query: Query,
  { statements, id, isUtf8 }: Place,
  { all, chunks, collected }: Split,
  firstPlace: number,
): Promise<void> {
  for (const chunk of chunks) {
    const parameters = rowParameters(chunk, firstPlace + chunk.start, isUtf8);
    await query(statements.put, [id, ...parameters]);
  }
  const prefixes = prefixParameters(all);
  if (prefixes !== undefined) await query(statements.sweep, [id, ...prefixes]);
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

function hasPrefix({ entries, start, end }: Chunk): boolean {
  for (let at = start; at < end; at++) if (entries.tag(at) === TAG.prefix) return true;
  return false;
}

function chunksOf({ entries, end }: Chunk): Chunk[] {
  const chunks: Chunk[] = [];
  let start = 0;
  let byteCount = 0;
  for (let at = 0; at < end; at++) {
    if (at - start === STATEMENT_ROWS || byteCount >= STATEMENT_BYTES) {
      chunks.push({ entries, start, end: at });
      start = at;
      byteCount = 0;
    }
    byteCount += entries.payload(at).length;
  }
  return end === 0 ? chunks : [...chunks, { entries, start, end }];
}
