/** What many sessions of one store ask for at one moment, made once. */

import type { Changes, ChangesOptions, EngineDictionary } from "../engine/contract.ts";
import type { OutboundReplica } from "./outbound.ts";

/** Changes as they were made for a session. */
interface Shared {
  readonly place: number;
  readonly options: ChangesOptions;
  readonly changes: Changes;
}

const SHARED_MAX = 16;
const SHARED_BYTES_MAX = 64 * 1024;

/** As long as nothing changes, all who stand at one place are given the same. `onChange` is called once, with what to call at each change. */
export function sharedExportsOf(
  entries: EngineDictionary,
  onChange: (listener: () => void) => void,
): Pick<OutboundReplica, "changesSince" | "frontier" | "head"> {
  let frontier: Uint8Array | undefined;
  let head: number | undefined;
  let shared: Shared[] = [];
  onChange(() => {
    frontier = undefined;
    head = undefined;
    shared = [];
  });
  return {
    frontier: () => (frontier ??= entries.frontier()),
    head: () => (head ??= entries.head()),
    changesSince(place, options) {
      const found = shared.find((made) => made.place === place && isSame(made.options, options));
      if (found !== undefined) return found.changes;
      const changes = entries.changesSince(place, options);
      // Of first loads, which are large, each is at a place of its own.
      if (changes.frame.length <= SHARED_BYTES_MAX && shared.length < SHARED_MAX) {
        shared.push({ place, options, changes });
      }
      return changes;
    },
  };
}

function isSame(one: ChangesOptions, other: ChangesOptions): boolean {
  return (
    one.stampLimitMs === other.stampLimitMs &&
    one.since === other.since &&
    one.partBytesMax === other.partBytesMax
  );
}
