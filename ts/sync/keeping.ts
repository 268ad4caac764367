/** When something counts as kept, and when those are told who want to send it. */

/** Of a store. */
export interface KeptStore {
  /** Resolves when all is kept that is there; with `sync` so that it survives a loss of power. */
  keep(sync: boolean): Promise<void>;
  onChange(listener: () => void): () => void;
}

/** What has to survive a loss of power before anybody is told of it, though the store promises less: a raised horizon, what was stamped anew. */
export interface Keeping {
  readonly keep: (sync: boolean) => Promise<void>;
  /** From here on nothing counts as kept before it was synced. */
  readonly requireSync: () => void;
}

export function keepingOf(store: KeptStore): Keeping {
  let requiredCount = 0;
  let syncedCount = 0;
  return {
    keep: async (sync) => {
      const count = requiredCount;
      await store.keep(sync || count > syncedCount);
      syncedCount = Math.max(syncedCount, count);
    },
    requireSync: () => {
      requiredCount++;
    },
  };
}

/**
 * Tells all who listen, once for all that changes at one moment, and not again before what they were told of is kept: what many write one by one is then sent together.
 */
export function listenersOf(
  store: KeptStore,
  keep: Keeping["keep"],
): { add(listener: () => void): () => void } {
  const listeners = new Set<() => void>();
  let isTelling = false;
  let isDue = false;
  let stop = (): void => {};
  const tell = (): void => {
    isDue = false;
    for (const listener of listeners) listener();
    const told = (): void => {
      isTelling = false;
      if (isDue) note();
    };
    keep(false).then(told, told);
  };
  const note = (): void => {
    isDue = true;
    if (isTelling) return;
    isTelling = true;
    queueMicrotask(tell);
  };
  return {
    add(listener) {
      if (listeners.size === 0) stop = store.onChange(note);
      listeners.add(listener);
      return () => {
        listeners.delete(listener);
        if (listeners.size === 0) stop();
      };
    },
  };
}
