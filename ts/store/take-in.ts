/** What a store does with another state of itself: the one that is kept, when it takes over from another opener. */

import type { Dictionary } from "../dictionary/contract.ts";
import { internalsOf } from "../dictionary/internals.ts";
import { LastwriteError } from "../errors.ts";
import { randomReplicaId } from "./identity.ts";

/** Brings all of `other` into `dictionary`, also where one of them has collected tombstones that the other had not seen. `other` may change. */
export function takeIn(dictionary: Dictionary, other: Dictionary): void {
  try {
    internalsOf(dictionary).merge(other.deltaSince(dictionary.version()), {
      adopt: false,
      isOwn: true,
    });
  } catch (error) {
    if (!isBelowHorizon(error)) throw error;
    takeInWhole(dictionary, other);
  }
}

function takeInWhole(dictionary: Dictionary, other: Dictionary): void {
  try {
    dictionary.reread(other.snapshotParts());
  } catch (error) {
    if (!isBelowHorizon(error)) throw error;
    // What is kept of it gets new dots, and not under the id of who wrote it.
    internalsOf(other).setReplicaId(randomReplicaId());
    other.reread(dictionary.snapshotParts());
    dictionary.merge(other.deltaSince(dictionary.version()));
  }
}

function isBelowHorizon(error: unknown): boolean {
  return error instanceof LastwriteError && error.code === "below-horizon";
}
