/** Sets of dots: a closed vector and the exceptions beyond it. */

import type { Dot } from "./entry.ts";

/** For each replica id the counter up to which everything was seen. */
export type Vector = ReadonlyMap<string, number>;

/** Counters from `first` to `last`, both included. */
export interface Run {
  readonly first: number;
  readonly last: number;
}

/** For each replica id its runs: ascending, never touching, none empty. */
export type Runs = ReadonlyMap<string, readonly Run[]>;

export interface Version {
  readonly vector: Vector;
  readonly exceptions: Runs;
}

export const NO_DOTS: Version = { vector: new Map(), exceptions: new Map() };

/** Whether `vector` reaches every counter of `other`. */
export function vectorCovers(vector: Vector, other: Vector): boolean {
  for (const [id, counter] of other) {
    if ((vector.get(id) ?? 0) < counter) return false;
  }
  return true;
}

export function hasDot(version: Version, { replicaId, counter }: Dot): boolean {
  return hasRun(version, replicaId, { first: counter, last: counter });
}

/** Whether all dots of `other` are in `version`. */
export function hasVersion(version: Version, other: Version): boolean {
  for (const [id, counter] of other.vector) {
    if (!hasRun(version, id, { first: 1, last: counter })) return false;
  }
  for (const [id, runs] of other.exceptions) {
    if (!runs.every((run) => hasRun(version, id, run))) return false;
  }
  return true;
}

/** The greatest counter of a replica, 0 without one. */
export function lastCounter(version: Version, id: string): number {
  return version.exceptions.get(id)?.at(-1)?.last ?? version.vector.get(id) ?? 0;
}

/** All counters of two lists of runs. */
export function unionRuns(a: readonly Run[], b: readonly Run[]): Run[] {
  const union: Run[] = [];
  let [atA, atB] = [0, 0];
  for (;;) {
    const [nextA, nextB] = [a[atA], b[atB]];
    const takesA = nextA !== undefined && (nextB === undefined || nextA.first <= nextB.first);
    const next = takesA ? nextA : nextB;
    if (next === undefined) return union;
    if (takesA) atA++;
    else atB++;
    const last = union.at(-1);
    if (last === undefined || next.first > last.last + 1) union.push(next);
    else if (next.last > last.last)
      union[union.length - 1] = { first: last.first, last: next.last };
  }
}

/** A version that grows. `ownId` is the replica that it belongs to: exceptions of that one alone join the vector. */
export class SeenDots implements Version {
  readonly vector: Map<string, number>;
  readonly exceptions: Map<string, readonly Run[]>;

  constructor({ vector, exceptions }: Version = NO_DOTS) {
    this.vector = new Map(vector);
    this.exceptions = new Map(exceptions);
  }

  /** Adds dots to the exceptions, as far as the vector does not have them. */
  add(dots: readonly Dot[], ownId: string): void {
    const counters = new Map<string, number[]>();
    for (const { replicaId, counter } of dots) {
      const seen = counters.get(replicaId);
      if (seen === undefined) counters.set(replicaId, [counter]);
      else seen.push(counter);
    }
    for (const [id, seen] of counters) {
      this.#except(id, runsOf(seen.toSorted((a, b) => a - b)));
    }
    this.settle(ownId);
  }

  /** Adds the next dot of the replica's own, and returns it. */
  addOwn(ownId: string): Dot {
    const dot = { replicaId: ownId, counter: lastCounter(this, ownId) + 1 };
    if (this.exceptions.size === 0) this.vector.set(ownId, dot.counter);
    else this.add([dot], ownId);
    return dot;
  }

  /** Takes over all that another version has, its vector as closed. */
  adopt({ vector, exceptions }: Version, ownId: string): void {
    for (const [id, counter] of vector) this.#raise(id, counter);
    for (const [id, runs] of exceptions) this.#except(id, runs);
    this.settle(ownId);
  }

  /** Lets exceptions of `ownId` join the vector when there are no others. */
  settle(ownId: string): void {
    if (this.exceptions.size === 1 && this.exceptions.has(ownId))
      this.#raise(ownId, lastCounter(this, ownId));
  }

  #except(id: string, runs: readonly Run[]): void {
    const beyond = runsBeyond(runs, this.vector.get(id) ?? 0);
    if (beyond.length > 0)
      this.exceptions.set(id, unionRuns(this.exceptions.get(id) ?? [], beyond));
  }

  #raise(id: string, counter: number): void {
    if (counter <= (this.vector.get(id) ?? 0)) return;
    this.vector.set(id, counter);
    const beyond = runsBeyond(this.exceptions.get(id) ?? [], counter);
    if (beyond.length > 0) this.exceptions.set(id, beyond);
    else this.exceptions.delete(id);
  }
}

/** Ascending counters, of which some may stand twice, as runs. */
function runsOf(counters: readonly number[]): Run[] {
  const runs: Run[] = [];
  let first = 0;
  let last = -1;
  for (const counter of counters) {
    if (counter > last + 1) {
      if (first > 0) runs.push({ first, last });
      first = counter;
    }
    last = counter;
  }
  if (first > 0) runs.push({ first, last });
  return runs;
}

function runsBeyond(runs: readonly Run[], closed: number): readonly Run[] {
  return runs
    .filter((run) => run.last > closed)
    .map((run) => (run.first > closed ? run : { first: closed + 1, last: run.last }));
}

function hasRun({ vector, exceptions }: Version, id: string, { first, last }: Run): boolean {
  const closed = vector.get(id) ?? 0;
  if (last <= closed) return true;
  const beyond = Math.max(first, closed + 1);
  const runs = exceptions.get(id) ?? [];
  const run = runs[firstIndex(runs, (candidate) => candidate.last >= beyond)];
  return run !== undefined && run.first <= beyond && run.last >= last;
}

/** Where the first run stands for which `holds`, which stays true from there on. */
function firstIndex(runs: readonly Run[], holds: (run: Run) => boolean): number {
  let low = 0;
  let high = runs.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (holds(runs[middle] as Run)) high = middle;
    else low = middle + 1;
  }
  return low;
}
