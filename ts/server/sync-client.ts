/** A client of the library: heard who it is, let into its room, and in a session there until it leaves. */

import type { IncomingMessage } from "node:http";

import { LastwriteError } from "../errors.ts";
import type { Hello } from "../sync/messages.ts";
import { startSession, type SyncHost } from "../sync/run.ts";
import type { ClientLink } from "./client-link.ts";
import type { Clients } from "./clients.ts";
import type { Admitted, Door } from "./door.ts";

export interface ClientOptions {
  readonly link: ClientLink;
  readonly request: IncomingMessage;
  readonly room: string;
  readonly door: Door;
  readonly clients: Clients;
}

/** It did not say in time who it is; it may come again. */
export const CLOSE_SILENT = 1008;

/** Resolves when it has left; rejects with why it did, unless that was in the regular way. */
export function serveSync(options: ClientOptions): Promise<void> {
  return new SyncClient(options).run(options);
}

class SyncClient {
  readonly #link: ClientLink;
  readonly #door: Door;
  readonly #room: string;
  /** Kept no longer than it is needed, as there may be ten thousand. */
  #request: IncomingMessage | undefined;
  #cancelHandshake = (): void => {};
  #admitted: Admitted | undefined;
  #hasLeft = false;

  constructor({ link, request, room, door }: ClientOptions) {
    this.#link = link;
    this.#request = request;
    this.#room = room;
    this.#door = door;
  }

  async run({ clients }: Pick<ClientOptions, "clients">): Promise<void> {
    const { timers, limits } = clients;
    this.#cancelHandshake = timers.after(limits.handshakeMsMax, () => {
      this.#link.close(CLOSE_SILENT, "you were not let in in time");
    });
    try {
      await startSession({
        host: (hello) => this.#admit(hello),
        link: this.#link,
        once: false,
        isServer: true,
        timers,
      }).ended;
    } finally {
      this.#leave();
    }
  }

  async #admit({ room, token }: Hello): Promise<SyncHost> {
    const request = this.#request as IncomingMessage;
    this.#request = undefined;
    if (room !== "" && room !== this.#room) {
      throw new LastwriteError("room-invalid", `this is not the room ${room}`);
    }
    this.#link.hold();
    const admitted = await this.#door.admit({ request, token }, this.#room);
    this.#cancelHandshake();
    if (this.#hasLeft) {
      this.#door.leave(admitted);
      throw new LastwriteError("link-failed", "the client has left");
    }
    this.#admitted = admitted;
    admitted.room.members.add(this.#link);
    this.#link.release();
    const { mayWrite } = admitted;
    return mayWrite === undefined ? admitted.room.host : admitted.room.hostFor(mayWrite);
  }

  #leave(): void {
    this.#hasLeft = true;
    this.#cancelHandshake();
    this.#request = undefined;
    if (this.#admitted === undefined) return;
    this.#admitted.room.members.delete(this.#link);
    this.#door.leave(this.#admitted);
  }
}
