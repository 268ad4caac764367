/**
 * What an engine does for the layers above it: bytes and numbers in, bytes and numbers out. The native addon,
 * the WASM build and the script engine each implement this, and answer the same calls with the same bytes.
 */

/** Where an engine runs. */
export type Backend = "native" | "wasm" | "script";

/**
 * A value as it crosses the boundary: what JavaScript and the engine both have a plain form for, or the canonical
 * bytes (docs/format.md, Values) of anything else. `get` gives a primitive whenever there is one: bytes are of tag
 * 7 to 13 only. `set` takes strings only when well-formed, and bytes that are canonical.
 */
export type EngineValue = null | boolean | number | string | Uint8Array;

/** Bits of the answer to a local write. */
export const WON = 1;
/** The replica's own clock is ahead of `now` by more than the drift limit. */
export const CLOCK_AHEAD = 2;

/** Bits of `how` to merge: what the caller answers for. */
/** What changes (kind 4) start from is in the own version. */
export const ADOPT = 1;
/**
 * The sender has the same version and horizon, and entries that differ: values at or below the horizon are merged like others, and no entry tells of a
 * clone.
 */
export const REPAIR = 2;
/** The frame may be a difference to a frontier that was adopted here; without this one is refused as `unsupported-format`. */
export const DIFFERENCE = 4;

/** One engine; any number live side by side. */
export interface Engine {
  readonly backend: Backend;

  /** Makes an empty dictionary, or one from the parts of a snapshot, whose entries are never refused for their stamps. */
  create(options: EngineDictionaryOptions): EngineDictionary;

  /** The entries of a frame of kind 1, 2, 4, 5 or 6 as columns (see ./columns.ts), in the order of the frame. */
  decodeEntries(frame: Uint8Array): Uint8Array;

  /** Columns, with everything but `previous`, as a frame of kind 5. */
  encodeEntries(columns: Uint8Array): Uint8Array;

  /**
   * Merges `frame` (kind 1, 2, 4 or 5) into the entries of `held` (kind 5), without versions, horizons or clock; entries
   * beyond `now` + `driftMaxMs` are skipped. Nothing is kept.
   */
  scratchMerge(held: Uint8Array, frame: Uint8Array, now: number, driftMaxMs: number): ScratchMerge;
}

export interface EngineDictionaryOptions {
  /** 16 bytes each: the id to write under, and the one to take if that turns out to be cloned. */
  readonly replicaId: Uint8Array;
  readonly spareId: Uint8Array;
  readonly driftMaxMs: number;
  /** All parts of one snapshot, in any order. */
  readonly snapshot?: readonly Uint8Array[];
}

export interface ScratchMerge {
  /** The entries of the frame that won, in its order, as columns with everything but `previous`. */
  readonly winners: Uint8Array;
  /** 16 bytes: digest after − digest before, lane by lane. */
  readonly digestDifference: Uint8Array;
  /** Entries skipped because their stamps lie beyond the limit. */
  readonly refusedCount: number;
}

export interface MergeReport {
  /** Entries that won, those that only brought a greater dot included. */
  readonly applied: number;
  /** Entries that lost, were covered, were held already, or lie below the horizon. */
  readonly ignored: number;
  /** Entries skipped because their stamps lie beyond the drift limit; read them with `refusals()`. */
  readonly refusedCount: number;
  /** The version now covers all that the sender had. */
  readonly complete: boolean;
  /** The own replica id was found cloned: the spare id is in use, and wants a new one by `setSpareId`. */
  readonly cloned: boolean;
  /** Something that is watched changed: read it with `patch()`. */
  readonly patched: boolean;
}

export interface ExportOptions {
  /** Parts of at most this many bytes; `Infinity` for one part. Default: Infinity. */
  readonly partBytesMax?: number;
  /** Entries with stamps of more milliseconds than this are withheld, and the export is tainted. Default: none is. */
  readonly stampLimitMs?: number;
}

export interface ChangesOptions extends ExportOptions {
  /**
   * A frontier of this dictionary, all of which the receiver has adopted: the header then leaves out what is as there, and the frame can only be merged
   * by who answers for that. Default: none, and the header has all of the state.
   */
  readonly since?: Uint8Array;
}

export interface JournalOptions {
  /** All of the state instead of what changed. Default: false. */
  readonly whole?: boolean;
  /** Parts of a whole one of at most this many bytes; `Infinity` for one part. Default: Infinity. */
  readonly partBytesMax?: number;
}

export interface ScanRange {
  /** Keys from this one on, by UTF-8 bytes. Default: the first. */
  readonly from?: string;
  /** Keys before this one. Default: no end. */
  readonly to?: string;
  /** Only keys with this prefix. Default: the empty one. */
  readonly prefix?: string;
  /** Last key first. Default: false. */
  readonly reverse?: boolean;
  /** Most entries to answer. */
  readonly limit: number;
}

/** One dictionary inside an engine. Every call but `close` throws `closed` after `close()`. */
export interface EngineDictionary {
  get(key: string): EngineValue | undefined;
  has(key: string): boolean;
  /** Writes with the next stamp of the clock; always wins. Answers WON and CLOCK_AHEAD. */
  set(key: string, value: EngineValue, now: number): number;
  /** As `set`, with a tombstone; 0 and no write where the key has no value. */
  delete(key: string, now: number): number;
  /** Writes a value (or with undefined a tombstone, where there is a value) under an explicit stamp; without WON nothing changed. */
  writeAt(
    key: string,
    value: EngineValue | undefined,
    millis: number,
    counter: number,
    replicaId: Uint8Array,
    now: number,
  ): number;
  /** Writes a prefix tombstone, and answers how many values it removed. */
  deletePrefix(prefix: string, now: number): number;
  /** Number of keys with a value. */
  size(): number;
  /** 24 bytes: u64 HLC, replica id, of the entry (value or tombstone) of `key`, else of the greatest prefix tombstone over it; undefined where neither is. */
  stampOf(key: string): Uint8Array | undefined;
  /** Keys and values in order, as columns with `values`. */
  scan(range: ScanRange): Uint8Array;

  /** Starts a transaction: what is written until `commit` is undone by `rollback`, clock, version and arrival log included. Merges and exports throw `transaction-open` meanwhile. */
  begin(): void;
  commit(): void;
  rollback(): void;

  /** Merges a frame of kind 1, 2 or 4. `how`: ADOPT, REPAIR and DIFFERENCE, or 0. */
  merge(frame: Uint8Array, now: number, how: number): MergeReport;
  /** The entries that the last merge refused, as columns with everything but `previous`. */
  refusals(): Uint8Array;
  /** What the last merge, re-read or restamp changed of what is watched: columns with `values` and `previous`; a row is (before, after), tag 0 is «no value»; a key may stand twice. */
  patch(): Uint8Array;
  /** Which prefixes patches are for: none at first. The empty prefix is all. */
  watch(prefixes: readonly string[]): void;

  /** A version frame. */
  version(): Uint8Array;
  /** H as a version frame. */
  horizon(): Uint8Array;
  /** 16 bytes: the store that is named to collect tombstones, if one is. */
  collector(): Uint8Array | undefined;
  /** Names it (16 bytes), for all replicas, under the next stamp of the clock, which counts as handed out. `transaction-open` in a transaction. */
  setCollector(storeId: Uint8Array, now: number): void;
  /** All of the state but the entries, as a frame of kind 7: equal for equal states. Costs one pass over the writers. */
  frontier(): Uint8Array;
  /** 16 bytes. */
  digest(): Uint8Array;
  /** 16 bytes. */
  replicaId(): Uint8Array;
  setSpareId(id: Uint8Array): void;

  /** The parts of a delta since `base` (a version frame; undefined: everything). */
  delta(base: Uint8Array | undefined, options?: ExportOptions): Uint8Array[];
  /** The parts of a snapshot. */
  snapshot(options?: ExportOptions): Uint8Array[];
  /** The entries that arrived at `seq` or later, in order of arrival, as a frame of kind 4. */
  changesSince(seq: number, options?: ChangesOptions): Changes;
  /** The head of the arrival log: the number that the next arrival gets. */
  head(): number;

  /**
   * For the own storage: what changed since the last journal as a frame of kind 6, none when nothing did; or with `whole` all of the state.
   * `attributes` are the bytes of field 10, of which engines know nothing.
   */
  journal(attributes: Uint8Array, options?: JournalOptions): Uint8Array[];
  /** What changed can no longer be told as a difference: the next journal must be whole. */
  isJournalBroken(): boolean;
  /** From the own storage: puts back what a journal told, the own replica id and the clock included; a frame of kind 5 puts back entries alone. */
  replay(frame: Uint8Array): void;
  /** Goes on under another id (16 bytes); entries of the former one are not own any more. */
  setReplicaId(id: Uint8Array): void;

  /** Raises the horizon to the vector of `horizon` (a version frame), and answers how many tombstones that dropped. */
  collectTombstones(horizon: Uint8Array, now: number): number;
  /** Answers how many entries got a new stamp. */
  restamp(now: number): number;
  /** Installs all parts of one snapshot, in any order, keeping what it has not seen. `applied`: entries kept. */
  reread(parts: readonly Uint8Array[], now: number): MergeReport;

  /** Ranges: 9 bytes each, depth (0–15) and u64 whose top 4 × depth bits count. Answers 16 × (u64 sum of identities, u32 count) a range. */
  fingerprints(seed: Uint8Array, ranges: Uint8Array): Uint8Array;
  /** Ranges as above, depth to 16. Answers for each: u32 count, then (u64 key hash, u64 identity) by ascending key hash, then identity. */
  hashes(seed: Uint8Array, ranges: Uint8Array): Uint8Array;
  /** The entries with these key hashes (u64 each), by ascending key hash, then key, prefix tombstone first; a frame of kind 4 without `end`. */
  entriesByHash(seed: Uint8Array, hashes: Uint8Array, options?: ExportOptions): Uint8Array;

  /** Frees the memory. Harmless when done twice. */
  close(): void;
}

export interface Changes {
  readonly frame: Uint8Array;
  /** Where to go on. */
  readonly next: number;
  /** Nothing came later: the frame carries `end`. */
  readonly atHead: boolean;
}
