/** Keys with a value, in order. */

import type { Entry } from "../../codec/entry.ts";
import { compareText } from "../../codec/text.ts";
import type { ScanRange } from "../contract.ts";
import type { State } from "./state.ts";

export function scanEntries(
  state: State,
  { from = "", to, prefix = "", reverse = false, limit }: ScanRange,
): Entry[] {
  const keys = state.keys.all();
  const isFromOn = (key: string): boolean =>
    compareText(key, from) >= 0 && compareText(key, prefix) >= 0;
  const isAfter = (key: string): boolean =>
    (to !== undefined && compareText(key, to) >= 0) ||
    (compareText(key, prefix) >= 0 && !key.startsWith(prefix));
  const start = firstIndex(keys, isFromOn);
  const end = Math.max(start, firstIndex(keys, isAfter));

  const found: Entry[] = [];
  for (let step = 0; step < end - start && found.length < limit; step++) {
    const key = keys[reverse ? end - 1 - step : start + step] as string;
    const entry = state.holdings.entries.get(key);
    if (entry?.value !== undefined) found.push(entry);
  }
  return found;
}

/** Where the first key stands for which `holds`, which stays true from there on. */
function firstIndex(keys: readonly string[], holds: (key: string) => boolean): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (holds(keys[middle] as string)) high = middle;
    else low = middle + 1;
  }
  return low;
}
