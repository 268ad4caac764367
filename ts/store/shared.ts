/** A store as an adapter sees it whose place has several openers. */

import { createDictionary } from "../dictionary/dictionary.ts";
import type { Dictionary } from "../dictionary/contract.ts";
import { internalsOf } from "../dictionary/internals.ts";
import type { Engine } from "../engine/contract.ts";
import type { Attributes } from "../persistence/attributes.ts";
import type { Persistence, SharedReplica } from "../persistence/contract.ts";
import { asStoreError } from "../persistence/failure.ts";
import { replayAll } from "../persistence/replay.ts";
import type { Keeper, KeeperListener } from "./keeper.ts";
import { takeIn, takeInSnapshot } from "./take-in.ts";

export interface SharedParts {
  readonly engine: Engine;
  readonly dictionary: Dictionary;
  readonly attributes: Attributes;
  readonly persistence: Persistence;
  readonly keeper: Keeper;
  readonly listener: KeeperListener;
}

export function sharedReplicaOf(parts: SharedParts): SharedReplica {
  const { engine, dictionary, attributes, persistence, keeper, listener } = parts;
  const internals = internalsOf(dictionary);
  return {
    get replicaId() {
      return dictionary.replicaId;
    },
    setReplicaId: (replicaId) => internals.setReplicaId(replicaId),
    version: () => dictionary.version(),
    deltaSince: (version) => dictionary.deltaSince(version),
    merge(frame) {
      internals.merge(frame, { adopt: false, isOwn: true });
      keeper.touch();
    },
    snapshot: () => [...dictionary.snapshotParts()],
    reread(frames) {
      takeInSnapshot(engine, dictionary, frames);
      keeper.touch();
    },
    flush: ({ sync }) => keeper.flush(sync),
    async takeOver() {
      const kept = createDictionary({ engine });
      try {
        for await (const { journal } of replayAll(persistence, internalsOf(kept).entries)) {
          if (journal !== undefined) attributes.load(journal.attributes);
        }
        takeIn(engine, dictionary, kept);
      } finally {
        kept.close();
      }
      await keeper.replace();
    },
    failed: (error) => listener.failed(asStoreError(error, persistence.name), false),
  };
}
