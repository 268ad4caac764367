/** The parts of one snapshot, put together again. */

import { LastwriteError } from "../../errors.ts";
import type { Entry } from "../../codec/entry.ts";
import { compareKeys } from "../../codec/order.ts";
import { checkAscending, openFrame } from "../../codec/frame.ts";
import { type FrameHeader, KIND } from "../../codec/header.ts";

/** A whole snapshot. */
export interface Snapshot {
  /** Of each part; what the last one says holds for all. */
  readonly headers: readonly FrameHeader[];
  readonly header: FrameHeader;
  readonly entries: readonly Entry[];
}

/** Reads parts given in any order; `invalid-argument` unless they are those of one snapshot, once each. */
export function joinSnapshot(parts: readonly Uint8Array[]): Snapshot {
  const frames = parts
    .map((part) => openFrame(part, [KIND.snapshot]))
    .toSorted((a, b) => (a.header.part?.number ?? 0) - (b.header.part?.number ?? 0));
  const headers = frames.map(({ header }) => header);
  const header = headers.at(-1);
  if (header === undefined || !isWhole(headers)) {
    throw new LastwriteError(
      "invalid-argument",
      "these are not all parts of one snapshot, once each; get the missing ones",
    );
  }
  const entries = frames.flatMap((frame) => frame.readEntries());
  checkAscending(entries, compareKeys);
  return { headers, header, entries };
}

/** Refuses a snapshot that lacks entries, since its version claims them. */
export function checkUntainted({ headers }: Snapshot): void {
  if (headers.some(({ isTainted }) => isTainted)) {
    throw new LastwriteError(
      "clock-drift",
      "entries were withheld from the snapshot, as their clock is ahead; try again later",
    );
  }
}

function isWhole(headers: readonly FrameHeader[]): boolean {
  if (headers.length === 1 && headers[0]?.part === undefined) return true;
  return headers.every(
    ({ part, end }, number) =>
      part?.deltaId === headers[0]?.part?.deltaId &&
      part?.number === number &&
      (end !== undefined) === (number === headers.length - 1),
  );
}
