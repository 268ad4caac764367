/** Telling the own storage what changed, and putting back what it was told: docs/engine.md, The own storage. */

import { LastwriteError } from "../../errors.ts";
import { encodedEntry } from "../../codec/block.ts";
import { NO_DOTS } from "../../codec/dots.ts";
import { compareHlcs, HLC_ZERO } from "../../codec/entry.ts";
import { encodeFrame, type Frame } from "../../codec/frame.ts";
import { type JournalFields, KIND } from "../../codec/header.ts";
import type { JournalOptions } from "../contract.ts";
import { exportLimits, splitParts } from "./export.ts";
import { dropCoveredBy } from "./holdings.ts";
import type { JournalMark, State } from "./state.ts";
import { isNothing, knownOf, NOTHING_KNOWN, stateOf, stateSince, type Told } from "./told.ts";

/** What changed since the last journal, in no frame or one; or all there is, in one frame or more. */
export function takeJournal(
  state: State,
  attributes: Uint8Array,
  { whole = false, partBytesMax = Infinity }: JournalOptions = {},
): Uint8Array[] {
  const limits = exportLimits({ partBytesMax });
  const frames = whole
    ? wholeState(state, attributes, limits.partBytesMax)
    : difference(state, attributes);
  state.mark = markOf(state);
  state.isJournalBroken = false;
  return frames;
}

/** Puts back what a frame of kind 5 or 6 tells. */
export function replayFrame(state: State, frame: Frame): void {
  const { entries, journal } = frame;
  if (journal !== undefined) moveHead(state, journal.place);
  // Nothing that follows breaks the journal: it is what storage has.
  state.mark = undefined;
  for (const entry of entries) {
    state.put(entry);
    if (entry.isPrefix) dropCoveredBy(state, entry);
  }
  if (journal !== undefined) restore(state, frame, journal);
  state.hasBareEntries = journal === undefined;
  state.pending.clear();
  state.settleLog();
  state.mark = markOf(state);
}

/** Goes on under an id that may be another one. */
export function changeReplicaId(state: State, id: string): void {
  for (const { stamp, dot } of state.holdings.all()) {
    if (dot.replicaId === state.replicaId) state.raiseFloor(stamp);
  }
  state.replicaId = id;
  state.version.settle(id);
  state.pending.clear();
}

/** What the own storage knows before the first journal. */
const NOTHING: JournalMark = {
  place: 0,
  known: NOTHING_KNOWN,
  clock: HLC_ZERO,
  floor: HLC_ZERO,
  replicaId: "",
};

function wholeState(state: State, attributes: Uint8Array, partBytesMax: number): Uint8Array[] {
  const entries = [...state.log.since(0)].map(encodedEntry);
  let place = state.log.head - entries.length;
  return splitParts(entries, partBytesMax).map((part, number) => {
    const isFirst = number === 0;
    const header = {
      kind: KIND.journal,
      ...(isFirst ? stateOf(state) : {}),
      journal: {
        ...clocksOf(state),
        isWhole: true,
        place,
        attributes: isFirst ? attributes : new Uint8Array(0),
      },
    };
    place += part.length;
    return encodeFrame(header, part);
  });
}

function difference(state: State, attributes: Uint8Array): Uint8Array[] {
  if (state.isJournalBroken) {
    throw new LastwriteError(
      "invalid-argument",
      "what changed cannot be told as a difference; take a whole journal",
    );
  }
  const mark = state.mark ?? NOTHING;
  const entries = [...state.log.since(mark.place)];
  const told = journalTold(state, mark);
  const isSame = isNothing(told) && hasSameClocks(state, mark);
  if (entries.length === 0 && attributes.length === 0 && isSame) return [];
  const place = state.log.head - entries.length;
  const journal = { ...clocksOf(state), isWhole: false, place, attributes };
  return [encodeFrame({ kind: KIND.journal, ...told, journal }, entries.map(encodedEntry))];
}

/** What is not as in `mark`; of H and HS all or nothing. */
function journalTold(state: State, mark: JournalMark): Told {
  const told = stateSince(state, mark.known);
  if (told.horizon.size === 0 && told.collected === undefined) return told;
  return { ...told, horizon: state.horizon, collected: state.collected };
}

function clocksOf({
  clock,
  floor,
  replicaId,
}: State): Pick<JournalFields, "clock" | "floor" | "ownId"> {
  return { clock, floor, ownId: replicaId };
}

function hasSameClocks({ clock, floor, replicaId }: State, mark: JournalMark): boolean {
  return (
    replicaId === mark.replicaId &&
    compareHlcs(clock, mark.clock) === 0 &&
    compareHlcs(floor, mark.floor) === 0
  );
}

function markOf(state: State): JournalMark {
  const { clock, floor, replicaId } = state;
  return { place: state.log.head, known: knownOf(state), clock, floor, replicaId };
}

/** Lets the entries of a frame stand where its journal had them, as counted from the head. */
function moveHead(state: State, place: number): void {
  const { log, holdings, hasBareEntries } = state;
  if (place < log.head) {
    throw new LastwriteError(
      "invalid-argument",
      `a journal of place ${place} cannot follow place ${log.head}; replay journals in order, once each`,
    );
  }
  log.moveHead(place, holdings.count, hasBareEntries);
}

/** Takes over what a journal tells beside its entries. */
function restore(
  state: State,
  { vector, end, horizon, collected, collector }: Frame,
  journal: JournalFields,
): void {
  state.replicaId = journal.ownId;
  state.adoptVersion({ vector, exceptions: end ?? NO_DOTS.exceptions });
  if (state.joinHorizon(horizon, collected)) state.dropCollected();
  state.joinCollector(collector);
  state.clock = journal.clock;
  state.floor = journal.floor;
}
