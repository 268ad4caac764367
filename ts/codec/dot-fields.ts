/** Vectors and runs as the fields of frames have them (docs/format.md, Frame). */

import type { Run, Runs, Vector } from "./dots.ts";
import { compareIds, DOT_COUNTER_END } from "./entry.ts";
import { type ByteReader, type ByteWriter, corrupt } from "./numbers.ts";

export function readVector(field: ByteReader, ids: readonly string[]): Map<string, number> {
  const vector = new Map<string, number>();
  readWriters(field, ids, (id) => {
    const counter = field.varint();
    if (counter < 1 || counter >= DOT_COUNTER_END)
      throw corrupt("a counter of a vector is out of range");
    vector.set(id, counter);
  });
  return vector;
}

export function writeVector(
  field: ByteWriter,
  vector: Vector,
  indexes: ReadonlyMap<string, number>,
): void {
  writeWriters(field, vector, indexes, (counter) => field.varint(counter));
}

export function readRuns(
  field: ByteReader,
  ids: readonly string[],
  vector: Vector,
): Map<string, Run[]> {
  const allRuns = new Map<string, Run[]>();
  readWriters(field, ids, (id) => {
    const runs: Run[] = [];
    let count = field.length();
    if (count === 0) throw corrupt("a replica has no runs");
    for (let next = 1; count > 0; count--) {
      const first = next + field.varint();
      const last = first + field.varint();
      if (last >= DOT_COUNTER_END) throw corrupt("a run is out of range");
      runs.push({ first, last });
      next = last + 2;
    }
    if ((runs[0] as Run).first <= (vector.get(id) ?? 0))
      throw corrupt("a run lies in the vector beside it");
    allRuns.set(id, runs);
  });
  return allRuns;
}

export function writeRuns(
  field: ByteWriter,
  allRuns: Runs,
  indexes: ReadonlyMap<string, number>,
): void {
  writeWriters(field, allRuns, indexes, (runs) => {
    field.varint(runs.length);
    let next = 1;
    for (const { first, last } of runs) {
      field.varint(first - next).varint(last - first);
      next = last + 2;
    }
  });
}

/** Refuses a vector or runs that should have been left out. */
export function notEmpty<T extends ReadonlyMap<string, unknown>>(writers: T): T {
  if (writers.size === 0) throw corrupt("a field is empty, and given all the same");
  return writers;
}

/** Reads the writers of a vector or of runs, by ascending index. */
function readWriters(
  field: ByteReader,
  ids: readonly string[],
  readOf: (id: string) => void,
): void {
  let count = field.length();
  for (let next = 0; count > 0; count--) {
    const index = next + field.varint();
    const id = ids[index];
    if (id === undefined) throw corrupt("a writer is not in the table of replicas");
    readOf(id);
    next = index + 1;
  }
}

function writeWriters<T>(
  field: ByteWriter,
  writers: ReadonlyMap<string, T>,
  indexes: ReadonlyMap<string, number>,
  writeOf: (content: T) => void,
): void {
  field.varint(writers.size);
  let next = 0;
  for (const id of [...writers.keys()].toSorted(compareIds)) {
    const index = indexes.get(id) as number;
    field.varint(index - next);
    writeOf(writers.get(id) as T);
    next = index + 1;
  }
}
