/** Writes of the replica's own, and giving them other stamps: docs/engine.md, Local writes. */

import { LastwriteError } from "../../errors.ts";
import type { Vector } from "../../codec/dots.ts";
import {
  compareHlcs,
  compareStamps,
  type Dot,
  laterHlc,
  type Stamp,
  type Write,
} from "../../codec/entry.ts";
import { compareBeforeDot, compareByDot } from "../../codec/order.ts";
import type { PlainValue } from "../../codec/plain.ts";
import { CLOCK_AHEAD, WON } from "../contract.ts";
import { dropCoveredBy } from "./holdings.ts";
import type { State } from "./state.ts";

/** Writes a value, or with undefined a tombstone, under the next stamp of the clock. */
export function writeNext(
  state: State,
  key: string,
  value: PlainValue | undefined,
  now: number,
): number {
  putOwn(state, { key, isPrefix: false, value, stamp: nextStamp(state, now) });
  state.settleLog();
  return wonAt(state, now);
}

export function deleteNext(state: State, key: string, now: number): number {
  return hasValue(state, key) ? writeNext(state, key, undefined, now) : 0;
}

/** Writes under an explicit stamp, which may lose. */
export function writeStamped(
  state: State,
  key: string,
  value: PlainValue | undefined,
  stamp: Stamp,
  now: number,
): number {
  if (state.isBeyondDrift(stamp, now)) {
    throw new LastwriteError(
      "clock-drift",
      "the stamp lies further ahead than the drift limit; write under an earlier one",
    );
  }
  if (state.collected !== undefined && compareStamps(stamp, state.collected) <= 0) {
    throw new LastwriteError(
      "below-horizon",
      "the stamp is not later than collected tombstones; write under a later one",
    );
  }
  if (value === undefined && !hasValue(state, key)) return 0;
  const write = { key, isPrefix: false, value, stamp };
  const held = state.holdings.entries.get(key);
  if (held !== undefined && compareBeforeDot(held, write) >= 0) return 0;
  if (state.holdings.isCovered(write)) return 0;
  putOwn(state, write);
  state.raiseClock(stamp);
  state.settleLog();
  return wonAt(state, now);
}

/** Writes a prefix tombstone, and returns how many values it removed. */
export function deletePrefixNext(state: State, prefix: string, now: number): number {
  const before = state.holdings.valueCount;
  putOwn(state, { key: prefix, isPrefix: true, value: undefined, stamp: nextStamp(state, now) });
  const written = state.holdings.prefixes.get(prefix);
  if (written !== undefined) dropCoveredBy(state, written);
  state.settleLog();
  return before - state.holdings.valueCount;
}

/** Names the store that collects tombstones, by its id of 32 hex digits. */
export function nameCollector(state: State, storeId: string, now: number): void {
  state.collector = { stamp: nextStamp(state, now), storeId };
  // Every export hands it out.
  state.raiseFloor(state.clock);
}

/** Raises the horizon as far as `acknowledged` allows, and returns how many tombstones that dropped. */
export function collect(state: State, acknowledged: Vector, now: number): number {
  const target = new Map<string, number>();
  for (const [id, counter] of acknowledged) {
    target.set(id, Math.min(counter, state.version.vector.get(id) ?? 0));
  }
  for (const { stamp, dot } of state.holdings.all()) {
    const reached = target.get(dot.replicaId) ?? 0;
    if (stamp.millis > now && reached >= dot.counter) target.set(dot.replicaId, dot.counter - 1);
  }
  state.joinHorizon(target, undefined);
  const count = state.dropCollected();
  state.settleLog();
  return count;
}

/** Turns back a clock that is ahead, giving own entries that nobody has seen new stamps: those above the floor. Returns how many. */
export function restampOwn(state: State, now: number): number {
  if (!state.isClockAhead(now)) return 0;
  const wall = { millis: now, counter: 0 };
  const start = laterHlc(laterHlc(wall, state.floor), state.collected ?? wall);
  state.clock = start;
  const beyond = [...state.holdings.all()]
    .filter((held) => held.dot.replicaId === state.replicaId && compareHlcs(held.stamp, start) > 0)
    .toSorted((a, b) => compareStamps(a.stamp, b.stamp) || compareByDot(a, b));
  for (const held of beyond) putOwn(state, { ...held, stamp: nextStamp(state, now) }, held.origin);
  if (beyond.length > 0) state.breakJournal();
  state.settleLog();
  return beyond.length;
}

function putOwn(state: State, write: Write, origin?: Dot): void {
  const { key, isPrefix, value, stamp } = write;
  state.put({ key, isPrefix, value, stamp, dot: state.addOwnDot(), origin });
}

function nextStamp(state: State, now: number): Stamp {
  return { ...state.tick(now), replicaId: state.replicaId };
}

function hasValue(state: State, key: string): boolean {
  return state.holdings.entries.get(key)?.value !== undefined;
}

function wonAt(state: State, now: number): number {
  return state.isClockAhead(now) ? WON | CLOCK_AHEAD : WON;
}
