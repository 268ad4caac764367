/**
 * What the layers over a dictionary (persistence, sync) may reach and its users may not: the engine below it, for exports by cursor, ranges and
 * hashes, and merges into it that notify as `merge` does.
 */

import type { EngineDictionary } from "../engine/contract.ts";
import type { Dictionary, MergeResult } from "./contract.ts";

export interface DictionaryInternals {
  /** To read and to export. What is written or merged here, nobody is notified of. */
  readonly entries: EngineDictionary;
  /**
   * `merge`, which also takes differences, of whose whole the caller answers for having seen it; `adopt` and `repair` as ADOPT and REPAIR of the engine's contract. `isOwn`: it comes
   * from the own storage, and nothing of it is refused for its stamps. `onMerged` is called before listeners are, who may write.
   */
  merge(
    frame: Uint8Array,
    options: {
      readonly adopt: boolean;
      readonly repair?: boolean;
      readonly isOwn?: boolean;
      readonly onMerged?: () => void;
    },
  ): MergeResult;
  /** `reread`; `isOwn` as for `merge`. */
  reread(
    snapshot: Uint8Array | Iterable<Uint8Array>,
    options: { readonly isOwn: boolean },
  ): MergeResult;
  /** Goes on under another replica id, or with undefined learns that of the engine, which a replay has changed. */
  setReplicaId(replicaId: string | undefined): void;
}

const known = new WeakMap<Dictionary, DictionaryInternals>();

/** Called once by each dictionary. */
export function expose(dictionary: Dictionary, internals: DictionaryInternals): void {
  known.set(dictionary, internals);
}

/** The internals of a dictionary made by `createDictionary`. */
export function internalsOf(dictionary: Dictionary): DictionaryInternals {
  const internals = known.get(dictionary);
  if (internals === undefined) throw new TypeError("not a dictionary of createDictionary");
  return internals;
}
