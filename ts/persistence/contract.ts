/**
 * What a store needs of the place where it is kept. An adapter keeps frames, or turns them into rows and back; what they mean, it need
 * not know. `docs/persistence.md` shows one being written.
 */

import type { Engine } from "../engine/contract.ts";

/** `"write"` takes the place for this opener alone; `"read"` looks at it beside a writer, and never changes it. */
export type Access = "write" | "read";

/** What an adapter is opened with. */
export interface OpenContext {
  readonly access: Access;
  /** For adapters that keep rows: see `splitJournal`. */
  readonly engine: Engine;
}

/** How what is written has to be kept. */
export interface WriteContext {
  /** Whether it has to survive a loss of power before the call resolves; else it is enough that it survives the end of this process. */
  readonly sync: boolean;
}

/**
 * One place for one store. Used as: `open`, then `load` to its end, then any number of `append` and `replace`, then `close`; never by two calls
 * at once, but for `replacesAside`. A persistence that was closed can be opened again.
 *
 * Everything rejects with a `LastwriteError` of one of the codes `store-…` and `storage-unavailable`; a write that was rejected has left what was there
 * before as it was, and may be tried again (but after `store-poisoned`).
 */
export interface Persistence {
  /** Names the place in messages: a path, a table, a database. */
  readonly name: string;

  /** Readies the place, making it if need be. Rejects at once with `store-locked` when somebody else has it for writing and `access` is `"write"`. */
  open(context: OpenContext): Promise<void>;

  /** The frames kept, as they have to be replayed: those of the last `replace`, then what was appended since; nothing for a new place. A torn end is left out. */
  load(): AsyncIterable<Uint8Array>;

  /**
   * Whether what was loaded was written in another place: a file that was copied, a database restored elsewhere. Known from the end of `load` on. The next `append` or
   * `replace` makes the data this place's own, in one step with what it writes. Absent where nothing tells.
   */
  readonly isCopy?: boolean;

  /** Keeps a frame after those kept already: all of it or nothing. */
  append(frame: Uint8Array, context: WriteContext): Promise<void>;

  /** Keeps these frames instead of all that was kept: all of them, or nothing changes. What it resolved for always survives a loss of power. */
  replace(frames: Iterable<Uint8Array>): Promise<void>;

  /** Appended frames are turned into rows of entries and do not pile up: they need not be replaced to stay few. Default: false. */
  readonly keepsRows?: boolean;

  /** `append` may be called while `replace` is under way; what it appends comes after what is being replaced. Default: false, so the store waits. */
  readonly replacesAside?: boolean;

  /** Frees the place and what is held for it. Harmless when done twice. */
  close(): Promise<void>;

  /** Reads past damage, where the medium knows a way: frames that are whole, and what is not. After `open` for reading. */
  salvage?(): AsyncIterable<Uint8Array | LostBytes>;

  /** For media that several openers share, such as the tabs of a browser: called once, after `load`. */
  share?(replica: SharedReplica): Promise<void>;
}

/** What could not be read. */
export interface LostBytes {
  readonly offset: number;
  readonly byteCount: number;
  readonly reason: string;
}

/** The store as an adapter sees it that passes writes between openers. */
export interface SharedReplica {
  /** 32 hex digits. */
  readonly replicaId: string;
  /** Goes on under an id that no other opener uses now; only before the first write. */
  setReplicaId(replicaId: string): void;
  /** As of `Dictionary`. */
  version(): Uint8Array;
  /** As of `Dictionary`. */
  deltaSince(version: Uint8Array): Uint8Array;
  /** Merges what another opener wrote; subscribers are told. */
  merge(frame: Uint8Array): void;
  /** All of the state, in parts: for an opener whose `merge` throws `below-horizon`, since it has not seen what was collected here. */
  snapshot(): readonly Uint8Array[];
  /** Takes the state of such a snapshot for its own; what that has not seen is kept. */
  reread(parts: readonly Uint8Array[]): void;
  /** Resolves when all that was merged or written so far is kept, as `append` keeps it. */
  flush(context: WriteContext): Promise<void>;
  /** Merges what is kept now into the store, and then keeps the whole state by `replace`: for an opener that takes over from another. */
  takeOver(): Promise<void>;
  /** What the adapter did by itself, such as taking over, failed: tells those who listen for errors. */
  failed(error: unknown): void;
}
