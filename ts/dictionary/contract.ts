/** What `createDictionary` gives: one replica of a last-write-wins dictionary. */

import type { Value } from "../codec/value.ts";
import type { Engine } from "../engine/contract.ts";

/** Names a write in time: of two writes of a key the one with the greater stamp stays. */
export interface Stamp {
  /** Milliseconds since 1970, below 2^48. */
  readonly millis: number;
  /** Orders writes of one millisecond: 0 to 65,535. */
  readonly counter: number;
  /** 32 hex digits; orders writes of equal time. */
  readonly replicaId: string;
}

/** Names a write for causality: the replica that made it, and which of its writes it was, from 1. */
export interface Dot {
  /** 32 hex digits. */
  readonly replicaId: string;
  readonly counter: number;
}

/** A stamp as one gives it: what is left out is 0 and the own replica id. */
export interface ExplicitStamp {
  /** Milliseconds since 1970, an integer below 2^47 (the year 6429). */
  readonly millis: number;
  /** 0 to 65,535. Default: 0. */
  readonly counter?: number;
  /** 32 hex digits. Default: the own replica id. */
  readonly replicaId?: string;
}

/** How a single write is made. */
export interface WriteOptions {
  /**
   * Writes as of this time instead of now, for imports and for rows that know when they were changed. Such a write may
   * lose. Default: the next stamp of the clock, which never loses here.
   */
  readonly stamp?: ExplicitStamp;
}

/** Which keys to look at; all bounds given must hold. Order is that of the keys' UTF-8 bytes. */
export interface KeyRange {
  /** Only keys that begin with this. Default: any. */
  readonly prefix?: string;
  /** From this key on, itself included. Default: the first. */
  readonly from?: string;
  /** Up to this key, itself excluded. Default: the last, included. */
  readonly to?: string;
}

export interface ReadRange extends KeyRange {
  /** Last key first; `from` and `to` keep their meaning. Default: false. */
  readonly reverse?: boolean;
  /** At most so many. Default: no limit. */
  readonly limit?: number;
}

/** One key that reads differently than before; undefined is absent. Values are shared between listeners: do not change them. */
export interface Change {
  readonly key: string;
  readonly value: Value | undefined;
  readonly previous: Value | undefined;
}

/** Where changes came from: a write here, or what another replica sent. */
export type Origin = "local" | "remote";

/** Is told what changed, after the call that changed it: see `Dictionary.subscribe`. */
export type Listener = (changes: readonly Change[], origin: Origin) => void;

/** An entry that a merge did not take. */
export interface Refusal {
  /** The key, or the prefix of a prefix tombstone. */
  readonly key: string;
  readonly kind: EntryKind;
  readonly stamp: Stamp;
  /** Its stamp lies further ahead of the clock than the drift limit. */
  readonly reason: "clock-drift";
}

/** What an entry is: a value, the tombstone of a deleted key, or that of a deleted prefix. */
export type EntryKind = "value" | "tombstone" | "prefix";

/** What `merge` and `reread` did with the entries that they were given. */
export interface MergeResult {
  /** How many entries won. */
  readonly applied: number;
  /** How many lost, were known already or are covered by a prefix delete. */
  readonly ignored: number;
  /** Those whose stamps lie too far ahead. Their sender keeps them: they come again with the next delta. */
  readonly refused: readonly Refusal[];
  /** The version now covers all that the sender had. */
  readonly complete: boolean;
}

/** Something that the owner of a dictionary should know, and that no call could answer. */
export type Report =
  | {
      /** Another replica wrote under this replica's id; a new id was taken, and nothing was lost. */
      readonly code: "replica-cloned";
      readonly previousReplicaId: string;
      readonly replicaId: string;
    }
  | {
      /** The dictionary's clock ran ahead of `clock()` by more than the limit: see `restamp`. Once, until it no longer is. */
      readonly code: "clock-ahead";
      readonly aheadMs: number;
    }
  | {
      /** A merge refused entries of a sender whose clock is ahead. */
      readonly code: "clock-drift";
      readonly refused: readonly Refusal[];
    }
  | {
      /** Only of stores: a server's time lies far from that of `clock()`, and is gone by from now on; what was never sent has stamps of that time. */
      readonly code: "clock-corrected";
      /** What is added to `clock()`, in milliseconds. */
      readonly offsetMs: number;
    }
  | {
      /** Only of stores: another store had seen the same and collected the same, and held something else. The entries that differ are exchanged. */
      readonly code: "digest-mismatch";
      /** 32 hex digits: the other store. */
      readonly storeId: string;
    };

/** How bytes are divided that may be many. */
export interface PartsOptions {
  /** Parts of at most this many bytes, but at least one entry each. Default: 262,144 (256 KiB). */
  readonly partBytesMax?: number;
}

/** Which time `restamp` writes as. */
export interface RestampOptions {
  /** Milliseconds since 1970 to start from. Default: what `clock()` says. */
  readonly now?: number;
}

/** What a dictionary is made of: the engine it runs on, and what need not be as by default. */
export interface DictionaryOptions {
  /** Where the data lives: see `loadEngine`. */
  readonly engine: Engine;
  /**
   * 32 hex digits that no other copy ever writes under. Default: random. Give one only if it is stored with the data: two
   * copies with one id are found out, and one of them takes a new id (`replica-cloned`).
   */
  readonly replicaId?: string;
  /** Answers milliseconds since 1970, below 2^47; called once for each write and merge, and nothing else reads time. Default: `Date.now`. */
  readonly clock?: () => number;
  /** What to start from: a snapshot, or all its parts in any order. Default: empty. */
  readonly snapshot?: Uint8Array | Iterable<Uint8Array>;
  /** How far ahead of `clock()` a stamp from elsewhere may lie, in milliseconds. Must be the same everywhere. Default: 300,000. */
  readonly driftMaxMs?: number;
  /**
   * Called after the call that found it, before that returns. Default: nobody is told. One that throws is treated as a
   * listener that throws: see `subscribe`.
   */
  readonly onReport?: (report: Report) => void;
}

/**
 * One copy of the data. Write it at any time; exchange deltas with other copies, in any order, and all end equal.
 *
 * Keys are strings of 1 to 1,024 bytes of UTF-8, well-formed (else `invalid-key`), by convention paths with `/` between
 * segments. Every call but `close` throws `closed` after `close()`.
 */
export interface Dictionary {
  /** 32 hex digits; changes only when a clone was found (`replica-cloned`). */
  readonly replicaId: string;

  /** How many keys have a value. */
  readonly size: number;

  /**
   * Whether the dictionary's own clock was, at the last write by it (without an explicit stamp) or after the last `restamp`,
   * further ahead of `clock()` than the drift limit. Writes are taken nevertheless, but other replicas refuse them until
   * time has caught up.
   */
  readonly clockAhead: boolean;

  /** The value of `key`, or undefined when it has none. Objects, arrays, dates and bytes are made anew at each call. */
  get(key: string): Value | undefined;

  /** Whether `key` has a value. Cheaper than `get` where the value is large. */
  has(key: string): boolean;

  /**
   * Writes `value`, and answers whether it won: always, but with an explicit stamp. An equal value gets the new stamp, but
   * is no change for subscribers.
   *
   * Throws `invalid-value` with the path of what cannot be carried (undefined, functions, symbols, cycles, sparse arrays,
   * class instances, Map), before anything changes; with an explicit stamp also `clock-drift` (it lies beyond the limit) and
   * `below-horizon` (nobody can know any more whether the key was removed since).
   *
   * @example
   * ```ts
   * import { createDictionary, loadEngine } from "lastwrite";
   *
   * const dictionary = createDictionary({ engine: await loadEngine() });
   * dictionary.set("tasks/42/title", "Ship it"); // now
   * const won = dictionary.set("tasks/42/title", "Plan it", { stamp: { millis: 1_700_000_000_000 } });
   * console.log(won, dictionary.get("tasks/42/title")); // false Ship it
   * dictionary.close();
   * ```
   */
  set(key: string, value: Value, options?: WriteOptions): boolean;

  /** Removes `key`, and answers whether it did: an absent key writes nothing, and an explicit stamp may lose. Errors as of `set`. */
  delete(key: string, options?: WriteOptions): boolean;

  /**
   * Removes all keys that begin with `prefix`, also those of other replicas that were written before and arrive later; answers
   * how many values that removed here. One entry on the wire, however much it covers. Costs one pass over what it covers.
   *
   * `prefix` is empty or ends in `/`, else `invalid-prefix`.
   */
  deletePrefix(prefix: string): number;

  /** `deletePrefix("")`: removes everything. */
  clear(): number;

  /**
   * The keys of a range, in order of their UTF-8 bytes. Lazy: reads on in batches, so that leaving early costs little. Never
   * repeats a key nor skips one that was there all along; changes made meanwhile may show. The first ordered read after many new
   * keys sorts them.
   */
  keys(range?: ReadRange): IterableIterator<string>;

  /** The values of a range, in order of their keys; lazy as `keys`. */
  values(range?: ReadRange): IterableIterator<Value>;

  /**
   * The keys and values of a range, in order; lazy as `keys`.
   *
   * @example
   * ```ts
   * import { createDictionary, loadEngine } from "lastwrite";
   *
   * const dictionary = createDictionary({ engine: await loadEngine() });
   * dictionary.set("tasks/1", "write");
   * dictionary.set("tasks/2", "test");
   * dictionary.set("users/1", "Ada");
   *
   * for (const [key, value] of dictionary.entries({ prefix: "tasks/", reverse: true, limit: 1 })) {
   *   console.log(key, value); // tasks/2 test
   * }
   * dictionary.close();
   * ```
   */
  entries(range?: ReadRange): IterableIterator<[key: string, value: Value]>;

  /**
   * Runs `fn`, and returns what it returns. Its reads see its writes; subscribers get one notification with the net change of
   * each key, afterwards. When `fn` throws, nothing was written: clock and version are as before too.
   *
   * A transaction inside a transaction joins it: the whole is one. So when the inner one throws, the outer one can no longer
   * succeed, even if it catches that error: at its end all is undone, and the inner error is thrown.
   *
   * An async function is refused (`invalid-argument`): what it writes after an `await` would lie outside. Merges, exports, `restamp`,
   * `collectTombstones`, `reread` and `close` throw `transaction-open` inside.
   *
   * @example
   * ```ts
   * import { createDictionary, loadEngine } from "lastwrite";
   *
   * const accounts = createDictionary({ engine: await loadEngine() });
   * accounts.set("ada", 10);
   * try {
   *   accounts.transaction(() => {
   *     accounts.set("ada", 0);
   *     throw new Error("the other account is closed");
   *   });
   * } catch {}
   * console.log(accounts.get("ada")); // 10
   * accounts.close();
   * ```
   */
  transaction<T>(fn: () => T): T;

  /**
   * Calls `listener` with the effective changes of a range, before the call that made them returns; returns a function that ends
   * it. Nobody is called for a write of an equal value, nor for one that lost.
   *
   * A listener may write: those changes are delivered after the current ones, in order. A listener that throws harms nobody: the write
   * stands, the other listeners are called, and the error is thrown where nothing can catch it but the program's own handler of uncaught
   * errors: by `reportError` where there is one, else from a microtask. On Node that is an uncaught exception, which ends the process unless
   * there is a handler (`process.on("uncaughtException", …)`).
   *
   * Watching costs a read before each write of a watched key, and a scan before `deletePrefix`.
   *
   * @example
   * ```ts
   * import { createDictionary, loadEngine } from "lastwrite";
   *
   * const dictionary = createDictionary({ engine: await loadEngine() });
   * const off = dictionary.subscribe({ prefix: "tasks/" }, (changes, origin) => {
   *   for (const { key, value, previous } of changes) console.log(origin, key, previous, value); // local tasks/1 undefined write
   * });
   * dictionary.set("tasks/1", "write");
   * dictionary.set("users/1", "Ada");
   * off();
   * dictionary.close();
   * ```
   */
  subscribe(range: KeyRange, listener: Listener): () => void;

  /**
   * Merges a delta, a snapshot or a part of one from another replica. In any order, any number of times: all end equal.
   *
   * Entries whose stamps lie more than the drift limit ahead are refused one by one; the rest is merged. Throws, with nothing
   * changed: `corrupt-bytes`, `unsupported-format`, `too-large`, `clock-drift` (the sender's horizon lies ahead) and `below-horizon`, whose `side` says
   * who has missed collected tombstones and must `reread` a snapshot of the other: this one (`"receiver"`) or the `"sender"`.
   *
   * @example
   * ```ts
   * import { createDictionary, loadEngine } from "lastwrite";
   *
   * const engine = await loadEngine();
   * const a = createDictionary({ engine });
   * const b = createDictionary({ engine });
   * a.set("title", "Ship it");
   *
   * const { applied, complete } = b.merge(a.deltaSince(b.version()));
   * console.log(applied, complete, b.get("title"), a.digest() === b.digest()); // 1 true Ship it true
   * a.close();
   * b.close();
   * ```
   */
  merge(frame: Uint8Array): MergeResult;

  /**
   * What a replica at `version` has not seen, in one piece; without a version, everything. Never empty bytes: a delta without entries still
   * brings versions together. Costs as much as it holds. Throws `corrupt-bytes` for what is no version.
   */
  deltaSince(version?: Uint8Array): Uint8Array;

  /** As `deltaSince`, from one moment, in parts that `merge` takes in any order. */
  deltaParts(version?: Uint8Array, options?: PartsOptions): Iterable<Uint8Array>;

  /**
   * The whole state: what `createDictionary` starts from, and what `merge` takes too. Equal states give equal bytes, on every engine. Carries no
   * replica id: who starts from it gets a new one.
   */
  snapshot(): Uint8Array;

  /** As `snapshot`, from one moment, in parts. */
  snapshotParts(options?: PartsOptions): Iterable<Uint8Array>;

  /** What has been seen, as opaque bytes for `deltaSince` and `compareVersions`. */
  version(): Uint8Array;

  /** Up to where tombstones were collected, as opaque bytes of the same form as `version()`. */
  horizon(): Uint8Array;

  /** A hash of all keys, values and stamps: 32 hex digits, equal where the data is. Costs nothing: it is kept up to date. */
  digest(): string;

  /** The stamp of the last write of `key`, its removal included (by a prefix delete, too); undefined when none is known. */
  stampOf(key: string): Stamp | undefined;

  /**
   * Gives own entries that were never sent, and whose stamps lie ahead, fresh ones; answers how many. For a clock that
   * was wrong: does nothing unless the dictionary's clock is ahead of `now` by more than the drift limit.
   */
  restamp(options?: RestampOptions): number;

  /**
   * Drops the tombstones that every replica has seen, and answers how many.
   *
   * `horizon` is a version that all of them have reached; the caller knows. A replica that was further behind is told
   * `below-horizon` from now on, and has to `reread`. Costs a pass over all entries.
   */
  collectTombstones(horizon: Uint8Array): number;

  /**
   * Takes over a snapshot (or all its parts, in any order) of a replica that collected tombstones which this one has not seen: removed
   * keys stay removed, and every write held here that the snapshot has not seen is kept. `applied` counts those.
   *
   * Throws, with nothing changed: `below-horizon` (the snapshot is behind), `clock-drift`, `invalid-argument` (parts are missing, or doubled), and as `merge` for bytes.
   */
  reread(snapshot: Uint8Array | Iterable<Uint8Array>): MergeResult;

  /** Frees the memory, and ends all subscriptions. Harmless when done twice. */
  close(): void;

  /** `close()`, for `using`. */
  [Symbol.dispose](): void;
}
