/** The parts of one snapshot, put together again. */

import { LastwriteError } from "../../errors.ts";
import { compareKeys, type Entry } from "../../codec/entry.ts";
import { checkAscending, decodeFrame, type Frame, KIND } from "../../codec/frame.ts";

/** A whole snapshot: the header of its last part, the entries of all. */
export function joinSnapshot(parts: readonly Uint8Array[]): Frame {
  const frames = parts
    .map((part) => decodeFrame(part, [KIND.snapshot]))
    .toSorted((a, b) => (a.part?.number ?? 0) - (b.part?.number ?? 0));
  const last = frames.at(-1);
  if (last === undefined || !isWhole(frames)) {
    throw new LastwriteError(
      "invalid-argument",
      "these are not all parts of one snapshot, once each; get the missing ones",
    );
  }
  const entries: Entry[] = frames.flatMap((frame) => frame.entries);
  checkAscending(entries, compareKeys);
  return { ...last, entries, isTainted: frames.some((frame) => frame.isTainted) };
}

/** Refuses a snapshot that lacks entries, since its version claims them. */
export function checkUntainted(snapshot: Frame): void {
  if (snapshot.isTainted) {
    throw new LastwriteError(
      "clock-drift",
      "entries were withheld from the snapshot, as their clock is ahead; try again later",
    );
  }
}

function isWhole(frames: readonly Frame[]): boolean {
  if (frames.length === 1 && frames[0]?.part === undefined) return true;
  return frames.every(
    ({ part, end }, number) =>
      part?.deltaId === frames[0]?.part?.deltaId &&
      part?.number === number &&
      (end !== undefined) === (number === frames.length - 1),
  );
}
