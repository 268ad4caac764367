/** What a header tells of the state beside its entries: all of it, or what is not as somebody knows it. */

import { NO_DOTS, type Run, type Runs, type Vector } from "../../codec/dots.ts";
import { type Collector, sameCollector } from "../../codec/collector.ts";
import { compareStamps, type Stamp } from "../../codec/entry.ts";
import type { State } from "./state.ts";

/** Fields of a header, with those names. */
export interface Told {
  readonly vector: Vector;
  readonly horizon: Vector;
  readonly collected: Stamp | undefined;
  readonly collector: Collector | undefined;
  /** For headers that make the version known. */
  readonly end: Runs;
}

/** What somebody knows of the state beside the entries; a header that was read is one. */
export interface Known {
  readonly vector: Vector;
  readonly horizon: Vector;
  readonly collected: Stamp | undefined;
  readonly collector: Collector | undefined;
  readonly end: Runs | undefined;
}

export const NOTHING_KNOWN: Known = {
  vector: NO_DOTS.vector,
  horizon: NO_DOTS.vector,
  collected: undefined,
  collector: undefined,
  end: undefined,
};

/** All of it. */
export function stateOf({ version, horizon, collected, collector }: State): Told {
  return { vector: version.vector, horizon, collected, collector, end: version.exceptions };
}

/** What is not as in `known`: of each writer all that is there of it, if anything. */
export function stateSince(state: State, known: Known): Told {
  const { version, horizon, collected, collector } = state;
  return {
    vector: vectorSince(version.vector, known.vector),
    horizon: vectorSince(horizon, known.horizon),
    collected: sameStamp(collected, known.collected) ? undefined : collected,
    collector: sameCollector(collector, known.collector) ? undefined : collector,
    end: runsSince(version.exceptions, known.end ?? NO_DOTS.exceptions),
  };
}

export function isNothing({ vector, horizon, collected, collector, end }: Told): boolean {
  const hasWriters = vector.size > 0 || horizon.size > 0 || end.size > 0;
  return !hasWriters && collected === undefined && collector === undefined;
}

/** Keeps what is there as it is: maps and runs are copied. */
export function knownOf({ version, horizon, collected, collector }: State): Known {
  return {
    vector: new Map(version.vector),
    horizon: new Map(horizon),
    collected,
    collector,
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
