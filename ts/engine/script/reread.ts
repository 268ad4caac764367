/** Starting from a snapshot, and installing one while keeping what it has not seen. */

import { LastwriteError } from "../../errors.ts";
import { hasDot } from "../../codec/dots.ts";
import type { Entry } from "../../codec/entry.ts";
import { compareByDot, sameWrite } from "../../codec/order.ts";
import { dropCovered, mergeEntries, scratchTarget, wins } from "./holdings.ts";
import {
  checkCollected,
  checkSender,
  isAhead,
  joinHorizon,
  type MergeOutcome,
  senderVersion,
  takeSpareId,
  tellsOfClone,
} from "./merge.ts";
import { checkUntainted, type Snapshot } from "./snapshot-parts.ts";
import type { HeldEntry, State } from "./state.ts";

/** Fills a state that is empty. */
export function loadSnapshot(state: State, snapshot: Snapshot): void {
  checkUntainted(snapshot);
  install(state, snapshot);
  state.joinHorizon(snapshot.header.horizon, snapshot.header.collected);
}

/** Replaces the entries by those of a snapshot, and keeps what it has not seen. */
export function rereadSnapshot(state: State, snapshot: Snapshot, now: number): MergeOutcome {
  const { headers, header, entries } = snapshot;
  checkSender(state, header.vector);
  checkClocks(state, snapshot, now);

  const isCloned = tellsOfClone(state, headers, entries);
  if (isCloned) takeSpareId(state);
  state.breakJournal();
  const rescued = unseenBy(snapshot, state);
  for (const held of state.holdings.all()) state.drop(held);
  state.log.restart();
  install(state, snapshot);
  joinHorizon(state, header.horizon, header.collected);
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

function checkClocks(state: State, snapshot: Snapshot, now: number): void {
  checkUntainted(snapshot);
  checkCollected(state, snapshot.header.collected, now);
  const isEntryAhead = snapshot.entries.some((entry) => state.isBeyondDrift(entry.stamp, now));
  if (isEntryAhead || isAhead(state, snapshot.header.collector, now)) {
    throw new LastwriteError(
      "clock-drift",
      "the snapshot has an entry beyond the drift limit; try again later",
    );
  }
}

/** Puts in the entries and the version of a snapshot. */
function install(state: State, { header, entries }: Snapshot): void {
  for (const entry of entries) {
    state.put(entry);
    state.raiseClock(entry.stamp);
    state.raiseFloor(entry.stamp);
  }
  state.adoptVersion(senderVersion(header));
  state.joinCollector(header.collector);
}

/** What is held that a snapshot neither has nor has seen, in order of dot, prefix tombstones first. */
function unseenBy({ header, entries }: Snapshot, state: State): HeldEntry[] {
  const seen = senderVersion(header);
  const inSnapshot = new Map(entries.map((entry) => [nameOf(entry), entry]));
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
