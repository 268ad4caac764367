/** What two sessions say to each other. docs/protocol.md tells the bytes, ./codec.ts reads and writes them. */

/** The least version of the protocol that this release speaks. */
export const PROTOCOL_MIN = 1;
/** The greatest one. */
export const PROTOCOL_MAX = 1;

/** A place in the order of arrival of one store. */
export interface Cursor {
  /** 16 hex digits: places of one epoch can be compared. */
  readonly epoch: string;
  /** All that arrived before this place. */
  readonly place: number;
}

/** The first message of each side. */
export interface Hello {
  readonly type: "hello";
  readonly protocolMin: number;
  readonly protocolMax: number;
  /** 32 hex digits: names the store, whatever it writes under. */
  readonly storeId: string;
  /** The sender's clock, milliseconds since 1970. */
  readonly millis: number;
  /** How far ahead of that a stamp may lie for the sender to take it. */
  readonly driftMaxMs: number;
  /** Bytes of parts that the sender takes before it gives more credit. */
  readonly windowBytes: number;
  /** Its clock is the one to go by: it is a server. */
  readonly isServer: boolean;
  /** The room that is meant, where one address has several; else empty. */
  readonly room: string;
  /** Who the sender is, for a server that asks; else empty. */
  readonly token: string;
}

/** The sender's clock once more: it goes by that of a server now. */
export interface Clock {
  readonly type: "clock";
  /** Milliseconds since 1970. */
  readonly millis: number;
}

/** What a side holds, in a few bytes. */
export interface Have {
  readonly type: "have";
  /** The head of its order of arrival. */
  readonly log: Cursor;
  /** 16 hex digits each: the first half of the hash of bytes of `version()`, of `horizon()`, and of the digest. */
  readonly versionHash: string;
  readonly horizonHash: string;
  readonly digest: string;
  /** How many entries it holds, tombstones included. */
  readonly entryCount: number;
  /** What it has of the receiver's order of arrival, durably and without a gap; undefined when it never met it. */
  readonly cursor: Cursor | undefined;
}

/**
 * Asks for the version of the other side, for its whole state to re-read, or for all of its entries: after a replica id was found in use twice, versions do not tell what is missing;
 * or again for what arrived there since the last acknowledgement, because some of it could not be taken.
 */
export interface Need {
  readonly type: "need";
  readonly what: "version" | "snapshot" | "entries" | "again";
  /** Parts of a snapshot that came in a session before this one, and need not be sent once more if it is still the same. */
  readonly held: Held | undefined;
}

/** The first parts of a snapshot. */
export interface Held {
  /** 16 hex digits: of each part of that snapshot (docs/format.md, Parts). */
  readonly id: string;
  readonly count: number;
}

/** What comes from here on is what arrived since `place`, up to where the other side had acknowledged everything. */
export interface Restart {
  readonly type: "restart";
  readonly place: number;
}

/** A piece of the version and the horizon of a side. */
export interface VectorPiece {
  readonly type: "vector";
  /** How many bytes of both come after this piece. */
  readonly remaining: number;
  /** Varint length of the version frame, it, and the horizon frame: a piece of that. */
  readonly bytes: Uint8Array;
}

/** Entries that the receiver lacks. */
export interface Delta {
  readonly type: "delta";
  /** The place in the sender's order of arrival up to which the receiver has everything after this one; undefined where there is none. */
  readonly place: number | undefined;
  /** More of what arrived follows at once: `place` is not where the sender is. */
  readonly isPartial: boolean;
  /** It goes on where the one before ended: the receiver may adopt the version of a frame of kind 4. */
  readonly continues: boolean;
  /** How many bytes of parts come after this one, for progress. */
  readonly remaining: number;
  /** A frame of kind 1 or 4. */
  readonly frame: Uint8Array;
}

/** A part of a snapshot, for a receiver that has to re-read. */
export interface SnapshotPart {
  readonly type: "snapshot";
  /** As in `Delta`, with the last part. */
  readonly place: number | undefined;
  readonly remaining: number;
  /** A frame of kind 2. */
  readonly frame: Uint8Array;
}

/** Everything up to `place` of the receiver's order of arrival is here, and durable. */
export interface Ack {
  readonly type: "ack";
  readonly place: number;
  /** The place in the sender's own order of arrival up to which it has sent everything, or had it from the receiver; undefined while parts are under way. */
  readonly reached: number | undefined;
}

/** So many more bytes of parts may be sent. */
export interface Credit {
  readonly type: "credit";
  readonly byteCount: number;
}

/** Ranges of key hashes, all of one depth, by fingerprints of the sixteen children of each; with depth 0 it begins a comparison. */
export interface Ranges {
  readonly type: "ranges";
  /** 16 bytes that both sides hash keys with; it names the comparison. */
  readonly seed: Uint8Array;
  /** How many hex digits of the key hash a range has in common, 0 to 15. */
  readonly depth: number;
  /** Those digits, the high one first, in ⌈depth / 2⌉ bytes a range; the last digit of an odd depth is followed by 0. */
  readonly prefixes: Uint8Array;
  /** What the sender has there, of each child: varint count, and unless that is 0 the sum of identities, 8 bytes. */
  readonly fingerprints: Uint8Array;
}

/** Small ranges by hash: what the sender has there, so that the receiver sends what is missing, and asks for what it lacks. */
export interface Hashes {
  readonly type: "hashes";
  readonly seed: Uint8Array;
  /** 0 to 16. */
  readonly depth: number;
  readonly prefixes: Uint8Array;
  /** As `hashes` of an engine answers. */
  readonly hashes: Uint8Array;
}

/** Asks for entries by key hash, 8 bytes each; answered by deltas. */
export interface Wanted {
  readonly type: "wanted";
  readonly seed: Uint8Array;
  readonly hashes: Uint8Array;
}

/** The end of a turn in a comparison: all that came before the end of the other side's turn is answered. */
export interface Compared {
  readonly type: "compared";
  readonly seed: Uint8Array;
}

/** A small value of one replica that is not kept; undefined takes it back. */
export interface Presence {
  readonly type: "presence";
  /** Who it is of: 16 hex digits, drawn anew each time that a store is opened. */
  readonly from: string;
  /** JSON, at most 4 KiB. */
  readonly state: string | undefined;
}

/** Where others can be reached. Who was not asked to take part in that takes no notice. */
export interface Peers {
  readonly type: "peers";
  /** Under which the sender is reached; empty when it is not. At most 256 bytes, as each. */
  readonly address: string;
  /** Those that the sender reached, and those of who is connected to it: at most 64. */
  readonly others: readonly string[];
}

/** Asks whether the other side is there. */
export interface Ping {
  readonly type: "ping";
}

/** It is, and has said all that it had when it was asked. */
export interface Pong {
  readonly type: "pong";
}

/** Something is wrong; after one that is `final` nothing comes any more. */
export interface Failure {
  readonly type: "error";
  readonly code: string;
  readonly message: string;
  readonly final: boolean;
}

/** Anything that one side says. */
export type SyncMessage =
  | Hello
  | Clock
  | Have
  | Need
  | Restart
  | VectorPiece
  | Delta
  | SnapshotPart
  | Ack
  | Credit
  | Ranges
  | Hashes
  | Wanted
  | Compared
  | Presence
  | Peers
  | Ping
  | Pong
  | Failure;
