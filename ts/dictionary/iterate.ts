/** Ordered reading in batches: small at first, for those who look at a few keys only. */

import type { PlainValue } from "../codec/plain.ts";
import { decodeValue } from "../codec/read-value.ts";
import type { Value } from "../codec/value.ts";
import { type Columns, readColumns } from "../engine/columns.ts";
import type { EngineDictionary, ScanRange } from "../engine/contract.ts";
import type { ReadRange } from "./contract.ts";

const FIRST_ROWS = 16;
const ROWS_MAX = 1024;
/** What a batch should not exceed by much: large values are read few at a time. */
const BATCH_BYTES = 256 * 1024;

export function* readKeys(dictionary: EngineDictionary, range: ReadRange): Generator<string> {
  for (const [columns, first] of readBatches(dictionary, range)) {
    for (let at = first; at < columns.count; at += 1) yield columns.key(at);
  }
}

export function* readValues(dictionary: EngineDictionary, range: ReadRange): Generator<Value> {
  for (const [columns, first] of readBatches(dictionary, range)) {
    for (let at = first; at < columns.count; at += 1) yield decodeValue(valueAt(columns, at));
  }
}

export function* readEntries(
  dictionary: EngineDictionary,
  range: ReadRange,
): Generator<[key: string, value: Value]> {
  for (const [columns, first] of readBatches(dictionary, range)) {
    for (let at = first; at < columns.count; at += 1) {
      yield [columns.key(at), decodeValue(valueAt(columns, at))];
    }
  }
}

/** Keys with their values as the engine carries them. */
export function* readPlain(
  dictionary: EngineDictionary,
  range: ReadRange,
): Generator<[key: string, value: PlainValue]> {
  for (const [columns, first] of readBatches(dictionary, range)) {
    for (let at = first; at < columns.count; at += 1) yield [columns.key(at), valueAt(columns, at)];
  }
}

/**
 * Batches of rows, each with the index of the first row that was not in the one before.
 *
 * Each batch is asked for by the last key of the one before, so that keys which come and go meanwhile move nothing.
 */
function* readBatches(
  dictionary: EngineDictionary,
  { limit = Infinity, reverse = false, ...bounds }: ReadRange,
): Generator<readonly [columns: Columns, first: number]> {
  let left = limit;
  let rows = FIRST_ROWS;
  let last: string | undefined;
  while (left > 0) {
    // The bound that goes on from the last key: `from` includes it, so it comes once more; `to` does not.
    const again = last !== undefined && !reverse ? 1 : 0;
    const asked = Math.min(rows, left) + again;
    const range: ScanRange = {
      ...given(bounds),
      ...(last !== undefined && (reverse ? { to: last } : { from: last })),
      reverse,
      limit: asked,
    };
    const bytes = dictionary.scan(range);
    const columns = readColumns(bytes);
    const { count } = columns;
    // Unless it was removed meanwhile.
    const first = again > 0 && count > 0 && columns.key(0) === last ? 1 : 0;
    // It being gone, there may be a row more than is wanted.
    const end = Math.min(count, first + left);
    if (end > first) yield [end < count ? { ...columns, count: end } : columns, first];
    if (count < asked) return;
    left -= end - first;
    last = columns.key(end - 1);
    rows = nextRows(rows, bytes.length / count);
  }
}

function nextRows(rows: number, bytesPerRow: number): number {
  return Math.max(1, Math.min(4 * rows, ROWS_MAX, Math.floor(BATCH_BYTES / bytesPerRow)));
}

/** The bounds without those that are undefined, which the engine's options leave out. */
function given({ prefix, from, to }: ReadRange): Omit<ScanRange, "limit"> {
  return {
    ...(prefix !== undefined && { prefix }),
    ...(from !== undefined && { from }),
    ...(to !== undefined && { to }),
  };
}

function valueAt(columns: Columns, at: number): PlainValue {
  // A scan gives keys that have a value, and no others.
  return columns.value(at) as PlainValue;
}
