/** What a store does with another state of itself: the one that is kept, or that of another opener. */

import { hasDot, NO_DOTS, SeenDots, type Version } from "../codec/dots.ts";
import { compareStamps, HLC_ZERO } from "../codec/entry.ts";
import { decodeHeader, encodeBare, type Header, KIND } from "../codec/header.ts";
import type { Dictionary } from "../dictionary/contract.ts";
import { createDictionary } from "../dictionary/dictionary.ts";
import { internalsOf } from "../dictionary/internals.ts";
import { decodeEntries, encodeEntries, type EntryRow } from "../dictionary/rows.ts";
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
  const [theirs, ours] = [stateOf(engine, one), stateOf(engine, dictionary)];
  one.close();
  const both = filled(engine, theirs.header, left(theirs, ours));
  // It may well be merged: what would be missed is what they collected, and that is gone from it.
  const version = new SeenDots(versionOf(ours));
  version.adopt({ ...NO_DOTS, vector: versionOf(theirs).vector }, "");
  const { vector, exceptions: end } = version;
  const { collector } = ours.header;
  const rest = filled(engine, { vector, end, collector }, left(ours, theirs));
  try {
    internalsOf(both).merge(rest.snapshot(), { adopt: false, isOwn: true });
    return [...both.snapshotParts()];
  } finally {
    rest.close();
    both.close();
  }
}

interface State {
  readonly header: Told;
  readonly rows: readonly EntryRow[];
}

/** What a state is beside its entries. */
type Told = Omit<Header, "kind">;

function stateOf(engine: Engine, dictionary: Dictionary): State {
  const snapshot = dictionary.snapshot();
  const header = decodeHeader(snapshot, [KIND.snapshot]);
  return { header, rows: decodeEntries(engine, snapshot) };
}

/** A dictionary with these entries, as its own storage would give them back. */
function filled(engine: Engine, header: Told, rows: readonly EntryRow[]): Dictionary {
  const dictionary = createDictionary({ engine });
  const { entries } = internalsOf(dictionary);
  entries.replay(encodeEntries(engine, rows));
  const journal = {
    isWhole: false,
    clock: HLC_ZERO,
    floor: HLC_ZERO,
    ownId: dictionary.replicaId,
    place: entries.head(),
    attributes: new Uint8Array(0),
  };
  entries.replay(encodeBare({ ...header, kind: KIND.journal, journal }));
  return dictionary;
}

/** The entries that `other` holds too, or has not seen. */
function left({ rows }: State, other: State): EntryRow[] {
  const seen = versionOf(other);
  const held = new Map(other.rows.map((row) => [nameOf(row), row]));
  return rows.filter((row) => {
    const twin = held.get(nameOf(row));
    if (twin !== undefined && sameWrite(row, twin)) return true;
    const { dot, origin } = row;
    return !hasDot(seen, dot) && (origin === null || !hasDot(seen, origin));
  });
}

/** Of two entries of one name. */
function sameWrite(one: EntryRow, other: EntryRow): boolean {
  return (
    compareStamps(one.stamp, other.stamp) === 0 &&
    one.bytes.length === other.bytes.length &&
    one.bytes.every((byte, at) => byte === other.bytes[at])
  );
}

function versionOf({ header: { vector, end } }: State): Version {
  return { vector: vector ?? NO_DOTS.vector, exceptions: end ?? NO_DOTS.exceptions };
}

/** Key and kind in one: no mark is a suffix of the other. */
function nameOf({ key, kind }: EntryRow): string {
  return kind === "prefix" ? `p${key}` : `e${key}`;
}

function isBelowHorizon(error: unknown): boolean {
  return error instanceof LastwriteError && error.code === "below-horizon";
}
