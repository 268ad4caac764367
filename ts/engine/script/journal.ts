/** Telling the own storage what changed, and putting back what it was told: docs/engine.md, The own storage. */

import { LastwriteError } from "../../errors.ts";
import { encodedEntry } from "../../codec/block.ts";
import { NO_DOTS, type Run, type Vector } from "../../codec/dots.ts";
import { compareHlcs, compareStamps, HLC_ZERO, type Stamp } from "../../codec/entry.ts";
import {
  encodeFrame,
  type Frame,
  type Header,
  type JournalFields,
  KIND,
} from "../../codec/frame.ts";
import type { JournalOptions } from "../contract.ts";
import { exportLimits, splitParts } from "./export.ts";
import { dropCoveredBy } from "./holdings.ts";
import type { JournalMark, State } from "./state.ts";

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
  version: NO_DOTS,
  horizon: NO_DOTS.vector,
  collected: undefined,
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
      ...(isFirst ? changesSince(state, NOTHING) : { kind: KIND.journal }),
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
  if (entries.length === 0 && attributes.length === 0 && isAsMarked(state, mark)) return [];
  const place = state.log.head - entries.length;
  const journal = { ...clocksOf(state), isWhole: false, place, attributes };
  return [encodeFrame({ ...changesSince(state, mark), journal }, entries.map(encodedEntry))];
}

/** Of version and horizon what is not as in `mark`. */
function changesSince({ version, horizon, collected }: State, mark: JournalMark): Header {
  const vector = [...version.vector].filter(
    ([id, counter]) => counter !== mark.version.vector.get(id),
  );
  const end = [...version.exceptions].filter(
    ([id, runs]) => !sameRuns(runs, mark.version.exceptions.get(id)),
  );
  const isHorizonSame = sameVector(horizon, mark.horizon) && sameStamp(collected, mark.collected);
  return {
    kind: KIND.journal,
    vector: new Map(vector),
    end: new Map(end),
    ...(isHorizonSame ? {} : { horizon, collected }),
  };
}

function clocksOf({
  clock,
  floor,
  replicaId,
}: State): Pick<JournalFields, "clock" | "floor" | "ownId"> {
  return { clock, floor, ownId: replicaId };
}

function isAsMarked(state: State, mark: JournalMark): boolean {
  const { version, horizon, collected, clock, floor, replicaId } = state;
  const [runs, markedRuns] = [version.exceptions, mark.version.exceptions];
  return (
    replicaId === mark.replicaId &&
    compareHlcs(clock, mark.clock) === 0 &&
    compareHlcs(floor, mark.floor) === 0 &&
    sameVector(version.vector, mark.version.vector) &&
    runs.size === markedRuns.size &&
    [...runs].every(([id, ofId]) => sameRuns(ofId, markedRuns.get(id))) &&
    sameVector(horizon, mark.horizon) &&
    sameStamp(collected, mark.collected)
  );
}

function markOf(state: State): JournalMark {
  const { version, horizon, collected, clock, floor, replicaId } = state;
  return {
    place: state.log.head,
    version: { vector: new Map(version.vector), exceptions: new Map(version.exceptions) },
    horizon: new Map(horizon),
    collected,
    clock,
    floor,
    replicaId,
  };
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
  { vector, end, horizon, collected }: Frame,
  journal: JournalFields,
): void {
  state.replicaId = journal.ownId;
  state.adoptVersion({ vector, exceptions: end ?? NO_DOTS.exceptions });
  if (state.joinHorizon(horizon, collected)) state.dropCollected();
  state.clock = journal.clock;
  state.floor = journal.floor;
}

function sameVector(a: Vector, b: Vector): boolean {
  return a.size === b.size && [...a].every(([id, counter]) => b.get(id) === counter);
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
