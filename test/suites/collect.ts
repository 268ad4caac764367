/** Collected tombstones in a store that does not collect: another replica does, and tells. */

import { createDictionary, type Engine, type Store } from "lastwrite";

/** Has all tombstones of `store` collected elsewhere, and answers how many that were. */
export function collectElsewhere(store: Store, engine: Engine): number {
  const snapshot = store.snapshot();
  const collector = createDictionary({ engine, snapshot, clock: () => 2 ** 46 });
  const count = collector.collectTombstones(collector.version());
  store.merge(collector.deltaSince(store.version()));
  collector.close();
  return count;
}
