/** What a session needs, and what it answers. */

import type { MergeResult } from "../dictionary/contract.ts";
import type { Cursor, SyncMessage } from "./messages.ts";
import type { OutboundReplica } from "./outbound.ts";

/** What a session needs of the replica that it is for. */
export interface SessionReplica extends OutboundReplica {
  /** 32 hex digits. */
  readonly storeId: string;
  /** 16 hex digits: names the order of arrival. */
  readonly epoch: string;
  readonly driftMaxMs: number;
  /** `adopt` and `repair` as the engine's ADOPT and REPAIR; `onMerged` is called before listeners are, who may write. */
  merge(
    frame: Uint8Array,
    how: { readonly adopt: boolean; readonly repair: boolean; readonly onMerged: () => void },
  ): MergeResult;
  /** The most bytes that a snapshot may have which is to be re-read. Default: 1 GiB. */
  readonly snapshotBytesMax?: number;
  reread(parts: readonly Uint8Array[]): MergeResult;
  /** Holds parts of a snapshot of that store, of which the rest did not come. */
  stage(storeId: string, parts: readonly Uint8Array[]): void;
  hasStaged(storeId: string): boolean;
  /** What was held of that store last, once. */
  takeStaged(storeId: string): Uint8Array[];
  /** Goes by the clock of a server, which says so much, and gives what was never sent stamps of that time. Answers whether time is another one now. */
  followClock(millis: number): boolean;
  /** Up to where the order of arrival of another store has been merged, durably and without a gap. */
  cursorOf(storeId: string): Cursor | undefined;
  /** Keeps that with the next flush. */
  rememberCursor(storeId: string, cursor: Cursor): void;
  /** That store had seen the same and collected the same, and held something else. */
  mismatched(storeId: string): void;
  /** That store has all of the state whose frontier that is, durably. */
  acknowledged(storeId: string, frontier: Uint8Array): void;
}

export interface SessionOptions {
  readonly replica: SessionReplica;
  /** 16 bytes that nobody can guess: keys are hashed with them, should this side begin a comparison by ranges. */
  readonly seed: Uint8Array;
  /** Replicas of at most so many entries send all of them instead of comparing by ranges. Default: 256. */
  readonly sendAllMax?: number;
  /** Default: false. */
  readonly isServer?: boolean;
  /** The other side is one that the owner of this store chose: if it is a server, its clock is gone by. Default: false. */
  readonly isChosen?: boolean;
  /** Default: empty. */
  readonly room?: string;
  /** Default: empty. */
  readonly token?: string;
}

/** What is to be done after a step. */
export interface Step {
  /** In this order. */
  readonly messages: readonly SyncMessage[];
  /** What was merged has to be kept; `kept` is to be called with this number when it is. */
  readonly flush: number | undefined;
  /** That can wait: the other side does not need to know at once. */
  readonly isFlushLate: boolean;
}

/** How far a session is. */
export interface SessionProgress {
  /** All that the other side had when it came has been merged. */
  readonly isReceived: boolean;
  /** The place up to which the other side has everything, durably. */
  readonly ackedPlace: number;
  /** Bytes of parts that are still to come, as far as the other side told. */
  readonly remainingBytes: number;
  /** How many entries the other side holds. */
  readonly peerEntryCount: number;
  /** Something came, or was withheld, whose stamp lies too far ahead: this side does not have all that the other one has. */
  readonly isDrifted: boolean;
}
