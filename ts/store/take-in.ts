/** What a store does with another state of itself: the one that is kept, or that of another opener. */

import { encodedEntry } from "../codec/block.ts";
import { hasDot, NO_DOTS, SeenDots, type Version } from "../codec/dots.ts";
import { type Entry, sameWrite } from "../codec/entry.ts";
import { decodeFrame, encodeFrame, type Frame } from "../codec/frame.ts";
import { KIND } from "../codec/header.ts";
import type { Dictionary } from "../dictionary/contract.ts";
import { createDictionary } from "../dictionary/dictionary.ts";
import { internalsOf } from "../dictionary/internals.ts";
import type { Engine } from "../engine/contract.ts";
import { LastwriteError } from "../errors.ts";

/** Brings all of `other` into `dictionary`, whichever of them has collected tombstones that the other had not seen, and whatever its stamps. */
export function takeIn(engine: Engine, dictionary: Dictionary, other: Dictionary): void {
  try {
    internalsOf(dictionary).merge(other.deltaSince(dictionary.version()), {
      adopt: false,
      isOwn: true,
    });
  } catch (error) {
    if (!isBelowHorizon(error)) throw error;
    takeInSnapshot(engine, dictionary, [...other.snapshotParts()]);
  }
}

/** As `takeIn`, for the parts of a snapshot. */
export function takeInSnapshot(
  engine: Engine,
  dictionary: Dictionary,
  parts: readonly Uint8Array[],
): void {
  const internals = internalsOf(dictionary);
  try {
    internals.reread(parts, { isOwn: true });
  } catch (error) {
    if (!isBelowHorizon(error)) throw error;
    // Here was collected what the other has not seen; the other may have done so too.
    internals.reread(united(engine, parts, dictionary), { isOwn: true });
  }
}

/**
 * A snapshot of both states, with what both have collected. Each is rid of what the other has seen and holds no more; what is left keeps its dots,
 * so that a third replica knows it.
 */
function united(
  engine: Engine,
  parts: readonly Uint8Array[],
  dictionary: Dictionary,
): readonly Uint8Array[] {
  const one = createDictionary({ engine, snapshot: parts });
  const [theirs, ours] = [snapshotOf(one), snapshotOf(dictionary)];
  one.close();
  const start = encodeFrame(theirs, left(theirs, ours).map(encodedEntry));
  const both = createDictionary({ engine, snapshot: start });
  try {
    // It may well be merged: what would be missed is what they collected, and that is gone from it.
    const version = new SeenDots(versionOf(ours));
    version.adopt({ ...NO_DOTS, vector: theirs.vector }, "");
    const { vector, exceptions: end } = version;
    const rest = left(ours, theirs).map(encodedEntry);
    const { collector } = ours;
    const frame = encodeFrame({ kind: KIND.snapshot, vector, end, collector }, rest);
    internalsOf(both).merge(frame, { adopt: false, isOwn: true });
    return [...both.snapshotParts()];
  } finally {
    both.close();
  }
}

/** The entries that `other` holds too, or has not seen. */
function left({ entries }: Frame, other: Frame): Entry[] {
  const seen = versionOf(other);
  const held = new Map(other.entries.map((entry) => [nameOf(entry), entry]));
  return entries.filter((entry) => {
    const twin = held.get(nameOf(entry));
    if (twin !== undefined && sameWrite(entry, twin)) return true;
    const { dot, origin } = entry;
    return !hasDot(seen, dot) && (origin === undefined || !hasDot(seen, origin));
  });
}

function snapshotOf(dictionary: Dictionary): Frame {
  return decodeFrame(dictionary.snapshot(), [KIND.snapshot]);
}

function versionOf({ vector, end = NO_DOTS.exceptions }: Frame): Version {
  return { vector, exceptions: end };
}

/** Key and kind in one: no mark is a suffix of the other. */
function nameOf({ key, isPrefix }: Entry): string {
  return isPrefix ? `p${key}` : `e${key}`;
}

function isBelowHorizon(error: unknown): boolean {
  return error instanceof LastwriteError && error.code === "below-horizon";
}
