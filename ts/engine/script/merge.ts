/** Merging a frame: docs/engine.md, Merge, step by step. */

import { LastwriteError } from "../../errors.ts";
import type { Collector } from "../../codec/collector.ts";
import {
  hasVersion,
  lastCounter,
  NO_DOTS,
  type Vector,
  vectorCovers,
  type Version,
} from "../../codec/dots.ts";
import type { Dot, Entry, Stamp } from "../../codec/entry.ts";
import { compareByDot, sameWrite } from "../../codec/order.ts";
import type { Frame } from "../../codec/frame.ts";
import { type FrameHeader, KIND } from "../../codec/header.ts";
import type { Change } from "../columns.ts";
import { mergeEntries } from "./holdings.ts";
import type { State } from "./state.ts";

/** What the caller of a merge answers for, as the contract has it. */
export interface MergePlan {
  readonly canAdopt: boolean;
  readonly isRepair: boolean;
}

export interface MergeOutcome {
  readonly appliedCount: number;
  readonly ignoredCount: number;
  readonly refused: readonly Entry[];
  readonly isComplete: boolean;
  readonly isCloned: boolean;
}

/** Refuses what can only be read by who has the rest of it. */
export function checkNoDifference({ isDifference }: FrameHeader): void {
  if (!isDifference) return;
  throw new LastwriteError(
    "unsupported-format",
    "the frame is a difference, which only the session that it was made for can merge; ask for a delta",
  );
}

/** Merges a decoded frame of kind 1, 2 or 4. `onChange` hears of every change of a value, in order. */
export function mergeFrame(
  state: State,
  frame: Frame,
  now: number,
  { canAdopt, isRepair }: MergePlan,
  onChange: (change: Change) => void,
): MergeOutcome {
  try {
    checkReceiver(state, frame.horizon);
    // Of a difference the caller has seen the whole.
    if (!frame.isDifference) checkSender(state, frame.vector);
    checkCollected(state, frame.collected, now);
  } catch (error) {
    if (frame.part !== undefined) state.pending.forget(frame.part.deltaId);
    throw error;
  }

  const isCloned = isRepair
    ? namesOwnIdBeyond(state, [frame], frame.entries)
    : tellsOfClone(state, [frame], frame.entries);
  if (isCloned) takeSpareId(state);
  joinHorizon(state, frame.horizon, frame.collected);
  const isCollectorAhead = isAhead(state, frame.collector, now);
  if (!isCollectorAhead) state.joinCollector(frame.collector);

  const refused = frame.entries
    .filter((entry) => state.isBeyondDrift(entry.stamp, now))
    .toSorted((a, b) => Number(b.isPrefix) - Number(a.isPrefix));
  const accepted = frame.entries.filter(
    (entry) =>
      !state.isBeyondDrift(entry.stamp, now) &&
      (!state.isCollected(entry.dot) || (isRepair && entry.value !== undefined)),
  );
  seeEntries(state, accepted);
  state.onChange = (key, value, previous) => onChange({ key, value, previous });
  const winners = mergeEntries(state, accepted);
  state.onChange = undefined;

  const isTainted = frame.isTainted || refused.length > 0 || isCollectorAhead || isCloned;
  const isComplete = adoptSender(state, frame, isTainted, canAdopt);
  state.settleLog();
  return {
    appliedCount: winners.size,
    ignoredCount: frame.entries.length - refused.length - winners.size,
    refused,
    isComplete: isComplete && !isCollectorAhead,
    isCloned,
  };
}

/** Refuses a sender that has collected what was not seen here. */
function checkReceiver(state: State, senderHorizon: Vector): void {
  if (!vectorCovers(state.version.vector, senderHorizon)) {
    throw new LastwriteError(
      "below-horizon",
      "the sender has dropped tombstones not seen here; re-read from its snapshot",
      {
        side: "receiver",
      },
    );
  }
}

/** Refuses a sender that has not seen what was collected here. */
export function checkSender(state: State, senderVector: Vector): void {
  if (!vectorCovers(senderVector, state.horizon)) {
    throw new LastwriteError(
      "below-horizon",
      "the sender has not seen tombstones dropped here; it has to re-read",
      {
        side: "sender",
      },
    );
  }
}

export function checkCollected(state: State, collected: Stamp | undefined, now: number): void {
  if (collected !== undefined && state.isBeyondDrift(collected, now)) {
    throw new LastwriteError(
      "clock-drift",
      "the sender collected a stamp beyond the drift limit; set one of the clocks",
    );
  }
}

/** Whether the field about who collects is one that cannot be taken yet. */
export function isAhead(state: State, collector: Collector | undefined, now: number): boolean {
  return collector !== undefined && state.isBeyondDrift(collector.stamp, now);
}

/** Whether frames know of own dots that were never given, or of other writes under given ones. */
export function tellsOfClone(
  state: State,
  headers: readonly FrameHeader[],
  entries: readonly Entry[],
): boolean {
  return namesOwnIdBeyond(state, headers, entries) || hasOtherWriteOfOwnDot(state, entries);
}

function namesOwnIdBeyond(
  state: State,
  headers: readonly FrameHeader[],
  entries: readonly Entry[],
): boolean {
  const { replicaId } = state;
  const own = lastCounter(state.version, replicaId);
  const isBeyond = (dot: Dot | undefined): boolean =>
    dot?.replicaId === replicaId && dot.counter > own;
  const namesBeyond = (header: FrameHeader): boolean =>
    lastCounter(header.base ?? NO_DOTS, replicaId) > own ||
    lastCounter(senderVersion(header), replicaId) > own ||
    (header.horizon.get(replicaId) ?? 0) > own;
  return (
    headers.some(namesBeyond) ||
    entries.some((entry) => isBeyond(entry.dot) || isBeyond(entry.origin))
  );
}

/** What a header tells of the sender's version: the vector, and with `end` all of it. */
export function senderVersion({ vector, end = NO_DOTS.exceptions }: FrameHeader): Version {
  return { vector, exceptions: end };
}

/** Goes on under the spare id, giving own entries new dots there. */
export function takeSpareId(state: State): void {
  const clonedId = state.replicaId;
  state.replicaId = state.spareId;
  const own = [...state.holdings.all()].filter((held) => held.dot.replicaId === clonedId);
  for (const held of own.toSorted(compareByDot)) {
    state.put({ ...held, dot: state.addOwnDot() });
    state.raiseFloor(held.stamp);
  }
  state.pending.clear();
}

export function joinHorizon(state: State, horizon: Vector, collected: Stamp | undefined): void {
  if (state.joinHorizon(horizon, collected)) state.dropCollected();
}

/** Lets clock, floor and version know of entries, whether they win or not. */
export function seeEntries(state: State, entries: readonly Entry[]): void {
  const dots: Dot[] = [];
  for (const { stamp, dot, origin } of entries) {
    state.raiseClock(stamp);
    state.raiseFloor(stamp);
    dots.push(dot);
    if (origin !== undefined) dots.push(origin);
  }
  state.addDots(dots);
}

/** Whether an entry carries a dot of the own id that was given to another write. */
function hasOtherWriteOfOwnDot(state: State, entries: readonly Entry[]): boolean {
  const own = entries.filter((entry) => entry.dot.replicaId === state.replicaId);
  if (own.length === 0) return false;
  const heldByCounter = new Map<number, Entry[]>();
  for (const held of state.holdings.all()) {
    if (held.dot.replicaId !== state.replicaId) continue;
    const others = heldByCounter.get(held.dot.counter) ?? [];
    heldByCounter.set(held.dot.counter, [...others, held]);
  }
  return own.some((entry) =>
    heldByCounter.get(entry.dot.counter)?.some((held) => !sameWrite(entry, held)),
  );
}

/** Adopts the sender's version where the frame allows; whether all that the sender had is in the own version then. */
function adoptSender(state: State, frame: Frame, isTainted: boolean, canAdopt: boolean): boolean {
  const sender = frame.end && senderVersion(frame);
  const complete =
    frame.part === undefined
      ? sender && { isTainted, version: sender }
      : state.pending.add(frame.part, { isTainted, version: sender });
  const isAllowed =
    frame.kind === KIND.changes ? canAdopt : hasVersion(state.version, frame.base ?? NO_DOTS);
  const isAdopted = complete !== undefined && !complete.isTainted && isAllowed;
  if (isAdopted) state.adoptVersion(complete.version);
  // A difference does not tell the sender's version to who does not adopt it.
  if (frame.isDifference) return isAdopted;
  const known = complete?.version ?? sender;
  return known !== undefined && hasVersion(state.version, known);
}
