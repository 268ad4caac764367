/** Whether somebody may come in. Asked in this order: who he is, whether he may read that room; only then the room is opened. */

import { LastwriteError } from "../errors.ts";
import type { Action, Credentials, LogEntry } from "./contract.ts";
import type { MayWrite } from "./guard.ts";
import type { Room } from "./room.ts";
import type { Rooms } from "./rooms.ts";

export interface DoorOptions {
  readonly rooms: Rooms;
  readonly authenticate: ((credentials: Credentials) => unknown) | undefined;
  readonly authorize:
    | ((principal: unknown, action: Action, room: string, key: string | undefined) => boolean)
    | undefined;
  readonly log: (entry: LogEntry) => void;
}

/** What somebody may do who was let in. */
export interface Admitted {
  readonly room: Room;
  /** Undefined: under every key. */
  readonly mayWrite: MayWrite | undefined;
}

/** About the two of them; what else goes wrong is for the log. */
const TOLD: ReadonlySet<string> = new Set([
  "unauthorized",
  "room-invalid",
  "too-large",
  "server-closed",
]);

export class Door {
  readonly #options: DoorOptions;

  constructor(options: DoorOptions) {
    this.#options = options;
  }

  /** Somebody is asked who he is. */
  get asks(): boolean {
    return this.#options.authenticate !== undefined;
  }

  /** Rejects with `unauthorized`, `room-invalid`, `too-large`, `server-closed`, or `storage-unavailable` when the room cannot be opened, whyever. */
  async admit(credentials: Credentials, roomName: string): Promise<Admitted> {
    const principal = await this.#principalOf(credentials);
    const { authorize, rooms } = this.#options;
    if (authorize !== undefined && !this.#may(principal, "read", roomName, undefined)) {
      throw new LastwriteError("unauthorized", "you may not read that room");
    }
    const mayWrite: MayWrite | undefined =
      authorize && ((key) => this.#may(principal, "write", roomName, key));
    try {
      return { room: await rooms.enter(roomName), mayWrite };
    } catch (error) {
      if (error instanceof LastwriteError && TOLD.has(error.code)) throw error;
      // Where rooms are kept is nobody's business.
      throw new LastwriteError(
        "storage-unavailable",
        "the room cannot be opened now; try again later",
      );
    }
  }

  leave({ room }: Admitted): void {
    this.#options.rooms.leave(room);
  }

  async #principalOf(credentials: Credentials): Promise<unknown> {
    const { authenticate, log } = this.#options;
    try {
      return await authenticate?.(credentials);
    } catch {
      // What the hook says of it may have the token in it.
      log({
        level: "info",
        event: "unauthorized",
        address: credentials.request.socket.remoteAddress,
      });
      throw new LastwriteError("unauthorized", "the server does not let you in");
    }
  }

  /** A hook that throws allows nothing. */
  #may(principal: unknown, action: Action, room: string, key: string | undefined): boolean {
    const { authorize, log } = this.#options;
    try {
      return authorize?.(principal, action, room, key) === true;
    } catch {
      // What it says of it may have the key in it.
      log({ level: "error", event: "authorize-failed", room, action });
      return false;
    }
  }
}
