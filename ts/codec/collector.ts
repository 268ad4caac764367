/** Which store collects tombstones: a field of the state that the last write wins. */

import { compareIds, compareStamps, type Stamp } from "./entry.ts";

export interface Collector {
  /** When it was named, and by whom. */
  readonly stamp: Stamp;
  /** 32 hex digits. */
  readonly storeId: string;
}

/** The greater of two, or the one that there is. */
export function joinCollectors(
  a: Collector | undefined,
  b: Collector | undefined,
): Collector | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return compareCollectors(a, b) >= 0 ? a : b;
}

export function sameCollector(a: Collector | undefined, b: Collector | undefined): boolean {
  return a === b || (a !== undefined && b !== undefined && compareCollectors(a, b) === 0);
}

function compareCollectors(a: Collector, b: Collector): number {
  return compareStamps(a.stamp, b.stamp) || compareIds(a.storeId, b.storeId);
}
