/** A room that is open: its store, what may be done with it, and who is in it. */

import type { MergeResult } from "../dictionary/contract.ts";
import type { Engine } from "../engine/contract.ts";
import { LastwriteError } from "../errors.ts";
import type { PersistentStore } from "../store/store.ts";
import type { SyncHost } from "../sync/run.ts";
import { Guard, type MayWrite } from "./guard.ts";
import { JsonRoom } from "./json-room.ts";
import type { ServerLimits } from "./limits.ts";
import { Quota, type Write } from "./quota.ts";

/** Somebody in a room. */
export interface Member {
  /** He has to go; what was sent to him goes out before. */
  close(code: number, reason: string): void;
}

export interface RoomOptions {
  readonly name: string;
  readonly store: PersistentStore;
  readonly engine: Engine;
  readonly limits: ServerLimits;
  /** How many bytes were read from the medium. */
  readonly byteCount: number;
  /** Milliseconds that never go back. */
  readonly now: () => number;
  /** The medium failed. */
  readonly failed: (error: unknown) => void;
}

const NOTHING_MERGED: MergeResult = { applied: 0, ignored: 0, refused: [], complete: true };

export class Room {
  readonly name: string;
  readonly store: PersistentStore;
  /** The store for sessions of those who may do everything: one for all of them. */
  readonly host: SyncHost;
  /** Those who speak plain JSON. */
  readonly json: JsonRoom;
  readonly members: Set<Member> = new Set();
  readonly #options: RoomOptions;
  readonly #quota: Quota;

  constructor(options: RoomOptions) {
    const { name, store, engine, limits, byteCount, now } = options;
    this.#options = options;
    this.name = name;
    this.store = store;
    const { entries } = store.syncHost.replica;
    this.#quota = new Quota({ engine, entries, limits, byteCount, now });
    this.host = this.#hostWith(undefined);
    this.json = new JsonRoom(this);
  }

  /** The store for the session of somebody who may not write everything. */
  hostFor(mayWrite: MayWrite): SyncHost {
    return this.#hostWith(new Guard(this.#options.engine, this.store, mayWrite));
  }

  /** Throws `too-large` for what a full room does not take. */
  admitWrite(write: Write): void {
    this.#quota.admitWrite(write);
  }

  /** Resolves when all that was written so far survives a loss of power. */
  async keep(): Promise<void> {
    try {
      await this.store.syncHost.keep(true);
    } catch (error) {
      this.#options.failed(error);
      // Where it is kept is nobody's business.
      throw new LastwriteError(
        "storage-unavailable",
        "the server cannot keep that now; try again later",
      );
    }
  }

  sendAway(code: number, reason: string): void {
    for (const member of this.members) member.close(code, reason);
  }

  #hostWith(guard: Guard | undefined): SyncHost {
    const host = this.store.syncHost;
    const { presence, replica } = host;
    return {
      presence,
      onChange: (listener) => host.onChange(listener),
      keep: () => this.keep(),
      replica: {
        ...replica,
        snapshotBytesMax: this.#options.limits.roomBytesMax,
        merge: (frame, how) => {
          if (guard?.admitFrame(frame) === false) return NOTHING_MERGED;
          this.#quota.admitFrame(frame);
          return replica.merge(frame, how);
        },
        reread: (parts) => {
          guard?.admitSnapshot(parts);
          const result = replica.reread(parts);
          this.#quota.replaced();
          return result;
        },
      },
    };
  }
}
