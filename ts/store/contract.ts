/** What `open` takes and gives: a dictionary that is kept. */

import type { Dictionary, Report } from "../dictionary/contract.ts";
import type { Engine } from "../engine/contract.ts";
import type { LastwriteError } from "../errors.ts";
import type { Persistence } from "../persistence/contract.ts";
import type { ConnectionStatus } from "../sync/connection.ts";
import type { PendingEvent, ProgressEvent, StatusEvent } from "../sync/connections.ts";
import type { PeerOptions } from "../sync/peer-exchange.ts";
import type { PresenceValue, Present } from "../sync/presence.ts";
import type { Connector, Link } from "../transport/contract.ts";

export type {
  ConnectionStatus,
  PeerOptions,
  PendingEvent,
  PresenceValue,
  Present,
  ProgressEvent,
  StatusEvent,
};

/**
 * What a resolved `flush()` promises: `"strict"` that all is on the medium and survives a loss of power; `"relaxed"` that it survives the end of this
 * process, however that ends.
 */
export type Durability = "strict" | "relaxed";

/** Called as things happen to what is kept; for logs, measurements, backups. One that throws is treated as a listener that throws: see `Dictionary.subscribe`. */
export interface PersistenceHooks {
  /** What was kept has been read. */
  readonly onLoad?: (loaded: { readonly frameCount: number; readonly byteCount: number }) => void;
  /**
   * A frame was kept, which tells what changed since the one before: see `splitJournal`. Where that cannot be told (after a re-read, say), all of the state is kept instead, in one frame or
   * several, and the first of them `startsAnew`: forget those before.
   */
  readonly onAppend?: (frame: Uint8Array, context: { readonly startsAnew: boolean }) => void;
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
  /**
   * What to stay connected to: the address of a room of a server, `"ws://host/room"` or `"wss://host/room"`; a connector of `lastwrite/transport/…`; or several of these.
   * Connections are made after `open` has resolved, and again whenever they break: at once when the platform says that it is online, else after waits that grow to 30 s. One that was ended
   * for good, by a close code 44xx or because the two do not understand each other, is left alone. Default: none.
   */
  readonly connect?: string | Connector | readonly (string | Connector)[];
  /**
   * Finds other stores beside those of `connect`: each tells those it is connected to where it is, and whom else it has reached, and connects to some of them by itself. Only between stores that all were opened so; who accepts links does so by `sync(link, { live: true })`. Default: none.
   */
  readonly peers?: PeerOptions;
  /** Who this is, for those of `connect` that ask: sent in the first message, never in an address. Default: none. */
  readonly token?: string;
  /**
   * Collects tombstones for all who synchronise with this store: those that all of them have seen are dropped, here and then everywhere. One store does so, which the data name; the first one that was opened
   * so, and none beside it. A server's rooms do. Default: false; then tombstones stay until another store collects them.
   */
  readonly collector?: boolean;
  /**
   * Of whom a collector has heard nothing for so many milliseconds, it does not wait for any more; should he come back, he reads everything anew, and keeps what nobody else has. Default: 2,592,000,000 (30 days).
   */
  readonly replicaRetentionMs?: number;
  /** Gives up opening; has no effect afterwards. */
  readonly signal?: AbortSignal;
  readonly hooks?: PersistenceHooks;
  /** As of `createDictionary`. */
  readonly onReport?: (report: Report) => void;
}

/** How two stores are synchronised. */
export interface SyncOptions {
  /** Gives up; what has been merged by then stays. */
  readonly signal?: AbortSignal;
  /** Stays connected as long as the link lasts, instead of ending when everything is exchanged: for who accepts links. Default: false. */
  readonly live?: boolean;
  /** Told as parts come: how many bytes are still to come, and how many entries the other side holds. */
  readonly onProgress?: (progress: {
    readonly remainingBytes: number;
    readonly entryCount: number;
  }) => void;
  /** The room that is meant, where the other side has several. Default: none. */
  readonly room?: string;
  /** Who this is, where the other side asks. Default: none. */
  readonly token?: string;
  /** `"text"` sends JSON instead of bytes, for watching. Default: "binary". */
  readonly form?: "binary" | "text";
}

/** What can be listened to with `Store.on`. */
export interface StoreEvents {
  /** What the owner should know: see `Report`. */
  readonly report: Report;
  /** `unflushedCount` went down: so many changes were kept. */
  readonly flush: { readonly changeCount: number };
  /** Something could not be kept: see `PersistenceHooks.onError`. */
  readonly error: LastwriteError;
  /** `status` or `statusReason` is another one. */
  readonly status: StatusEvent;
  /** `pendingCount` is another number; told once for all that was written at one moment. */
  readonly pending: PendingEvent;
  /** Something came over a connection: how much there is, and how much is still to come. */
  readonly progress: ProgressEvent;
  /** Somebody came, went, or told something else of himself: all others that are there now. */
  readonly presence: readonly Present[];
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
   * How far the connections of `connect` are: `"connecting"` while a link is made; `"syncing"` until both sides have, durably, what the other had when the link was made; `"live"` from then on;
   * `"offline"` until the next attempt, and without `connect`; `"closed"` when there will be none, since the store is closed or every connection was ended for good. Of several
   * connections the best one counts, in the order live, syncing, connecting, offline, closed.
   */
  readonly status: ConnectionStatus;

  /** Why `status` is not better than it is: what ended the link before. Undefined when it is live, and when nothing went wrong. */
  readonly statusReason: LastwriteError | undefined;

  /**
   * How many writes made here are not acknowledged durably over any of the connections. Each write counts, also one that a later one has replaced; what was merged from elsewhere does not.
   * Survives restarts; 0 without `connect`. Costs reading the version after a write, else nothing.
   */
  readonly pendingCount: number;

  /**
   * The others that are connected, as far as they tell something of themselves: those at the other end of each connection and, through a server, in the same room. The same array until
   * something changes (event `presence`); at most 1,024.
   */
  readonly presence: readonly Present[];

  /**
   * Tells all others that are connected something of this store, such as who works with it and where, as long as it is connected; undefined takes it back. It is kept nowhere, and gone for the others when
   * the connection is: at once when it is closed, after 30 s when it just breaks off.
   *
   * Throws `invalid-argument` unless `value` is what JSON can say, in at most 4 KiB.
   *
   * @example
   * ```ts
   * import { open } from "lastwrite";
   * import { memoryPersistence } from "lastwrite/persistence/memory";
   *
   * const ada = await open({ persistence: memoryPersistence() });
   * ada.setPresence({ name: "Ada", key: "tasks/42/title" });
   * console.log(ada.presence); // []
   * await ada.close();
   * ```
   */
  setPresence(value: PresenceValue | undefined): void;

  /**
   * Resolves when, over one of the connections, everything that was here when it was called is acknowledged durably, and everything that the other side had then is merged.
   * Waits as long as there is no connection: `status` says why; and as long as the other side refuses something for its stamp (`clock-drift`).
   *
   * Rejects with `statusReason` when every connection was ended for good, `store-closed` when the store is closed, the signal's reason, and `invalid-argument` without `connect`.
   *
   * @example
   * ```ts
   * import { open } from "lastwrite";
   * import { memoryPersistence } from "lastwrite/persistence/memory";
   *
   * const store = await open({ persistence: memoryPersistence(), connect: "ws://127.0.0.1:9/team" });
   * store.set("tasks/42/title", "Ship it"); // is sent when somebody is there
   * console.log(store.status, store.pendingCount); // connecting 1
   * await store.synced({ signal: AbortSignal.timeout(10) }).catch(() => "later");
   * await store.close();
   * console.log(store.status); // closed
   * ```
   */
  synced(options?: { readonly signal?: AbortSignal }): Promise<void>;

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

  /**
   * Exchanges everything with the store at the other end of a link, once: resolves when each side has, durably, what the other had, and closes the link. The other side
   * does the same, or is a server.
   *
   * Any number of exchanges may run at once, with writes going on. Rejects with `link-failed` when the link breaks, `link-timeout` when nothing is heard of the other side for
   * 30 s, `unsupported-protocol`, `clock-drift` when the clocks of the two lie too far apart for some of it, the signal's reason, or as `flush`. What was merged by then stays, and the next exchange goes on from there.
   *
   * With `live` it goes on: what is written on either side arrives on the other, until the link ends. It resolves then, or when the other side closes; and rejects as above.
   */
  sync(link: Link, options?: SyncOptions): Promise<void>;

  /**
   * As of a dictionary, for the store that collects for all who synchronise: see `collector`. It does so by itself, a minute after the others have acknowledged what they were sent, so there is seldom a reason to call this.
   * Every other store throws `not-collector`.
   */
  collectTombstones(horizon: Uint8Array): number;

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
