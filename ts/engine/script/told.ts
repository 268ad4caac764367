/** What a header tells of the state beside its entries: all of it, or what is not as somebody knows it. */

import { NO_DOTS, type Run, type Runs, type Vector } from "../../codec/dots.ts";
import { compareStamps, type Stamp } from "../../codec/entry.ts";
import type { State } from "./state.ts";

/** Fields of a header, with those names. */
export interface Told {
  readonly vector: Vector;
  readonly horizon: Vector;
  readonly collected: Stamp | undefined;
  /** For headers that make the version known. */
  readonly end: Runs;
}

/** What somebody knows of the state beside the entries; a header that was read is one. */
export interface Known {
  readonly vector: Vector;
  readonly horizon: Vector;
  readonly collected: Stamp | undefined;
  readonly end: Runs | undefined;
}

export const NOTHING_KNOWN: Known = {
  vector: NO_DOTS.vector,
  horizon: NO_DOTS.vector,
  collected: undefined,
  end: undefined,
};

/** All of it. */
export function stateOf({ version, horizon, collected }: State): Told {
  return { vector: version.vector, horizon, collected, end: version.exceptions };
}

/** What is not as in `known`: of each writer all that is there of it, if anything. */
export function stateSince(state: State, known: Known): Told {
  const { version, horizon, collected } = state;
  return {
    vector: vectorSince(version.vector, known.vector),
    horizon: vectorSince(horizon, known.horizon),
    collected: sameStamp(collected, known.collected) ? undefined : collected,
    end: runsSince(version.exceptions, known.end ?? NO_DOTS.exceptions),
  };
}

export function isNothing({ vector, horizon, collected, end }: Told): boolean {
  return vector.size === 0 && horizon.size === 0 && collected === undefined && end.size === 0;
}

/** Keeps what is there as it is: maps and runs are copied. */
export function knownOf({ version, horizon, collected }: State): Known {
  return {
    vector: new Map(version.vector),
    horizon: new Map(horizon),
    collected,
    end: new Map(version.exceptions),
  };
}

function vectorSince(vector: Vector, known: Vector): Vector {
  const told = new Map<string, number>();
  for (const [id, counter] of vector) if (known.get(id) !== counter) told.set(id, counter);
  return told;
}

function runsSince(exceptions: Runs, known: Runs): Runs {
  const told = new Map<string, readonly Run[]>();
  for (const [id, runs] of exceptions) if (!sameRuns(runs, known.get(id))) told.set(id, runs);
  return told;
}

function sameRuns(a: readonly Run[], b: readonly Run[] = []): boolean {
  return (
    a.length === b.length &&
    a.every(({ first, last }, at) => first === b[at]?.first && last === b[at].last)
  );
}

function sameStamp(a: Stamp | undefined, b: Stamp | undefined): boolean {
  return a === b || (a !== undefined && b !== undefined && compareStamps(a, b) === 0);
}
