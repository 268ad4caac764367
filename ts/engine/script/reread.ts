/** Starting from a snapshot, and installing one while keeping what it has not seen. */

import { LastwriteError } from "../../errors.ts";
import { hasDot, NO_DOTS, type Version } from "../../codec/dots.ts";
import { compareByDot, type Entry, sameWrite } from "../../codec/entry.ts";
import type { Frame } from "../../codec/frame.ts";
import { dropCovered, mergeEntries, scratchTarget, wins } from "./holdings.ts";
import {
  checkCollected,
  checkSender,
  joinHorizon,
  type MergeOutcome,
  namesOwnIdBeyond,
  takeSpareId,
} from "./merge.ts";
import { checkUntainted } from "./snapshot-parts.ts";
import type { HeldEntry, State } from "./state.ts";

/** Fills a state that is empty. */
export function loadSnapshot(state: State, snapshot: Frame): void {
  checkUntainted(snapshot);
  install(state, snapshot);
  state.joinHorizon(snapshot.horizon, snapshot.collected);
  if (state.collected !== undefined) {
    state.raiseClock(state.collected);
    state.raiseFloor(state.collected);
  }
}

/** Replaces the entries by those of a snapshot, and keeps what it has not seen. */
export function rereadSnapshot(state: State, snapshot: Frame, now: number): MergeOutcome {
  checkSender(state, snapshot.vector);
  checkClocks(state, snapshot, now);

  const isCloned = namesOwnIdBeyond(state, snapshot);
  if (isCloned) takeSpareId(state);
  const rescued = unseenBy(snapshot, state);
  for (const held of state.holdings.all()) state.drop(held);
  install(state, snapshot);
  joinHorizon(state, snapshot.horizon, snapshot.collected);
  state.dropCollected();
  const winnerCount = bringBack(state, rescued);
  state.pending.clear();
  state.settleLog();
  return {
    appliedCount: winnerCount,
    ignoredCount: rescued.length - winnerCount,
    refused: [],
    isComplete: true,
    isCloned,
  };
}

function checkClocks(state: State, snapshot: Frame, now: number): void {
  checkUntainted(snapshot);
  checkCollected(state, snapshot.collected, now);
  if (snapshot.entries.some((entry) => state.isBeyondDrift(entry.stamp, now))) {
    throw new LastwriteError(
      "clock-drift",
      "the snapshot has an entry beyond the drift limit; try again later",
    );
  }
}

/** Puts in the entries and the version of a snapshot. */
function install(state: State, snapshot: Frame): void {
  for (const entry of snapshot.entries) {
    state.put(entry);
    state.raiseClock(entry.stamp);
    state.raiseFloor(entry.stamp);
  }
  state.adoptVersion(snapshot.vector, snapshot.end ?? NO_DOTS.exceptions);
}

/** What is held that a snapshot neither has nor has seen, in order of dot, prefix tombstones first. */
function unseenBy(snapshot: Frame, state: State): HeldEntry[] {
  const seen: Version = { vector: snapshot.vector, exceptions: snapshot.end ?? NO_DOTS.exceptions };
  const inSnapshot = new Map(snapshot.entries.map((entry) => [nameOf(entry), entry]));
  const isUnseen = (held: HeldEntry): boolean => {
    if (hasDot(seen, held.dot) || (held.origin !== undefined && hasDot(seen, held.origin)))
      return false;
    const other = inSnapshot.get(nameOf(held));
    return other === undefined || !sameWrite(held, other);
  };
  return [...state.holdings.all()]
    .filter(isUnseen)
    .toSorted((a, b) => Number(b.isPrefix) - Number(a.isPrefix) || compareByDot(a, b));
}

/** Merges rescued entries, gives the winners new dots, and returns how many these are. */
function bringBack(state: State, rescued: readonly HeldEntry[]): number {
  const winners = [...winningPrefixes(state, rescued)];
  for (const prefix of winners) putRescued(state, prefix);
  if (winners.length > 0) dropCovered(state);
  const entries = rescued.filter((entry) => !entry.isPrefix && wins(state.holdings, entry));
  for (const entry of entries) putRescued(state, entry);
  return winners.length + entries.length;
}

/** The rescued prefix tombstones that stay when all of them are put in, tried out on a copy. */
function winningPrefixes(state: State, rescued: readonly HeldEntry[]): Entry[] {
  const trial = scratchTarget();
  for (const prefix of state.holdings.prefixes.values()) trial.put(prefix);
  const winners = mergeEntries(
    trial,
    rescued.filter((entry) => entry.isPrefix),
  );
  return [...winners].filter((winner) => trial.holdings.prefixes.get(winner.key) === winner);
}

function putRescued(state: State, entry: Entry): void {
  state.put({ ...entry, origin: entry.origin ?? entry.dot, dot: state.addOwnDot() });
  state.raiseFloor(entry.stamp);
}

/** Key and kind in one; `/` ends every prefix but the empty one, and no mark is a suffix of the other. */
function nameOf({ key, isPrefix }: Entry): string {
  return isPrefix ? `p${key}` : `e${key}`;
}
