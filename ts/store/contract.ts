/** What `open` takes and gives: a dictionary that is kept. */

import type { Dictionary, Report } from "../dictionary/contract.ts";
import type { Engine } from "../engine/contract.ts";
import type { LastwriteError } from "../errors.ts";
import type { Persistence } from "../persistence/contract.ts";

/**
 * What a resolved `flush()` promises: `"strict"` that all is on the medium and survives a loss of power; `"relaxed"` that it survives the end of this
 * process, however that ends.
 */
export type Durability = "strict" | "relaxed";

/** Called as things happen to what is kept; for logs, measurements, backups. One that throws is treated as a listener that throws: see `Dictionary.subscribe`. */
export interface PersistenceHooks {
  /** What was kept has been read. */
  readonly onLoad?: (loaded: { readonly frameCount: number; readonly byteCount: number }) => void;
  /** A frame was appended. It tells what changed since the one before: see `splitJournal`. */
  readonly onAppend?: (frame: Uint8Array) => void;
  /** The log was folded into a new whole. */
  readonly onCompact?: (compacted: {
    readonly byteCountBefore: number;
    readonly byteCount: number;
  }) => void;
  /** Something could not be kept. `store-full` and `storage-unavailable` are tried again; after the others the store takes no more writes. */
  readonly onError?: (error: LastwriteError) => void;
}

/** Where a store is kept, and what need not be as by default. */
export interface OpenOptions {
  /** Where the store is kept. */
  readonly persistence: Persistence;
  /** Default: `await loadEngine()`. Stores written by one engine open on every other. */
  readonly engine?: Engine;
  /**
   * 32 hex digits for a store that has no id yet: a new one, or a copy. A store that has been written under this id before goes on under the one that it has now, which may be
   * another; `invalid-argument` for a store that was only written under others. Default: random, which is always right.
   */
  readonly replicaId?: string;
  /** Answers milliseconds since 1970, below 2^47. Default: `Date.now`. However it jumps, no stamp repeats or goes back. */
  readonly clock?: () => number;
  /** How far ahead of `clock()` a stamp from elsewhere may lie, in milliseconds; the same everywhere. Default: 300,000. */
  readonly driftMaxMs?: number;
  /** Default: `"relaxed"`. */
  readonly durability?: Durability;
  /** Within how many milliseconds a change is written that nobody flushes. Default: 50. */
  readonly flushIntervalMs?: number;
  /** Looks at the store beside the one who writes it, as it was at this moment: writes throw `store-read-only`. Default: false. */
  readonly readOnly?: boolean;
  /** Gives up opening; has no effect afterwards. */
  readonly signal?: AbortSignal;
  readonly hooks?: PersistenceHooks;
  /** As of `createDictionary`. */
  readonly onReport?: (report: Report) => void;
}

/** What can be listened to with `Store.on`. */
export interface StoreEvents {
  /** What the owner should know: see `Report`. */
  readonly report: Report;
  /** `unflushedCount` went down: so many changes were kept. */
  readonly flush: { readonly changeCount: number };
  /** Something could not be kept: see `PersistenceHooks.onError`. */
  readonly error: LastwriteError;
  /** The store is closed. */
  readonly close: undefined;
}

/**
 * A dictionary that is kept: it survives the end of the process, and goes on where it was. All that a `Dictionary` has, and what is below.
 *
 * Reads and writes are as quick as without, and as synchronous: a write is in memory when it returns, and on the medium when a `flush()` after it has
 * resolved. Call `flush()` before you send what `deltaSince`, `snapshot` and their like gave: others must not know of a write that a crash can take back. After `close()` everything throws `store-closed`; after `store-poisoned`, `store-corrupt` or `store-locked` from the medium, writes throw that.
 */
export interface Store extends Omit<Dictionary, "replicaId" | "close" | typeof Symbol.dispose> {
  /** 32 hex digits, or undefined until the first write here. Changes when the store turns out to be a copy (`replica-cloned`). */
  readonly replicaId: string | undefined;

  /** How many changes of entries are not on the medium yet; after `close()`, how many got lost with a place that failed. */
  readonly unflushedCount: number;

  /**
   * Resolves when everything written before it is kept, as `durability` promises. Calls of one moment share one write to the medium, so a thousand
   * at once cost little more than one.
   *
   * Rejects with `store-full` or `storage-unavailable` when it is not (the changes stay in memory, and are tried again by themselves and by the next `flush`), with `store-poisoned`,
   * `store-corrupt` or `store-locked` when it never will be: open the store anew.
   *
   * @example
   * ```ts
   * import { open } from "lastwrite";
   * import { memoryPersistence } from "lastwrite/persistence/memory";
   *
   * const store = await open({ persistence: memoryPersistence(), durability: "strict" });
   * store.set("tasks/42/title", "Ship it");
   * console.log(store.unflushedCount); // 1
   * await store.flush();
   * console.log(store.unflushedCount); // 0
   * await store.close();
   * ```
   */
  flush(): Promise<void>;

  /** Calls `listener` at each event of that name; returns a function that ends it. */
  on<Name extends keyof StoreEvents>(
    name: Name,
    listener: (event: StoreEvents[Name]) => void,
  ): () => void;

  /**
   * Flushes, syncs, and frees the place for the next opener; harmless when done twice. Rejects like `flush` when the last changes could not be kept: the store is closed
   * all the same, and they are lost, so `flush()` first where that matters. `transaction-open` inside a transaction.
   */
  close(): Promise<void>;

  /** `close()`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}
