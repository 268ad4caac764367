/** The rooms of a server: opened when somebody comes, and closed when nobody has been there for a while. */

import type { Engine } from "../engine/contract.ts";
import { LastwriteError } from "../errors.ts";
import { openOn } from "../open.ts";
import { isTriedAgain } from "../persistence/failure.ts";
import type { Timers } from "../transport/timers.ts";
import type { LogEntry } from "./contract.ts";
import type { ServerLimits } from "./limits.ts";
import type { Metrics } from "./metrics.ts";
import { isRoomName } from "./paths.ts";
import { Room } from "./room.ts";
import type { RoomStorage } from "./storage.ts";

export interface RoomsOptions {
  readonly storage: RoomStorage;
  readonly engine: Engine;
  readonly clock: () => number;
  readonly limits: ServerLimits;
  readonly idleMs: number;
  readonly timers: Timers;
  readonly metrics: Metrics;
  readonly log: (entry: LogEntry) => void;
}

/** A room on its way, open, or on its way out. */
interface Slot {
  readonly opening: Promise<Room>;
  /** Those who are in it, or wait for it. */
  count: number;
  /** Somebody of this program has its store. */
  isHeld: boolean;
  cancelIdle: () => void;
  /** Nobody is in it, since the turn of that number; undefined while somebody is, or comes. */
  idleTurn: number | undefined;
  /** Resolves when it is closed. */
  closing: Promise<void> | undefined;
}

/** Restarting: come back. */
const CLOSE_RESTART = 1012;
/** Try again later. */
const CLOSE_LATER = 1013;

export class Rooms {
  readonly #options: RoomsOptions;
  readonly #slots = new Map<string, Slot>();
  readonly #slotByRoom = new WeakMap<Room, Slot>();
  readonly #known: Set<string>;
  #isClosed = false;
  #turn = 0;

  constructor(options: RoomsOptions) {
    this.#options = options;
    this.#known = new Set(options.storage.known);
  }

  /** How many are open. */
  get count(): number {
    return this.#slots.size;
  }

  /** The room of that name; it stays open until `leave`. Rejects with `room-invalid`, `too-large`, `server-closed`, and as `open`. */
  async enter(name: string): Promise<Room> {
    const slot = await this.#slotOf(name);
    slot.count++;
    slot.idleTurn = undefined;
    slot.cancelIdle();
    try {
      const room = await slot.opening;
      this.#slotByRoom.set(room, slot);
      if (slot.closing !== undefined) throw serverClosed();
      return room;
    } catch (error) {
      slot.count--;
      throw error;
    }
  }

  /** Once for each `enter`. */
  leave(room: Room): void {
    const slot = this.#slotByRoom.get(room);
    if (slot === undefined) return;
    slot.count--;
    if (slot.count > 0 || slot.isHeld || slot.closing !== undefined) return;
    const { timers, idleMs } = this.#options;
    this.#turn++;
    slot.idleTurn = this.#turn;
    slot.cancelIdle = timers.after(idleMs, () => {
      this.#closeSlot(room.name, slot).catch(() => {});
    });
  }

  /** As `enter`, for good. */
  async hold(name: string): Promise<Room> {
    const room = await this.enter(name);
    const slot = this.#slotByRoom.get(room);
    if (slot !== undefined) slot.isHeld = true;
    this.leave(room);
    return room;
  }

  /** All that are open by now. */
  async open(): Promise<readonly Room[]> {
    const opened = await Promise.allSettled(
      [...this.#slots.values()].map(({ opening }) => opening),
    );
    return opened.flatMap((each) => (each.status === "fulfilled" ? [each.value] : []));
  }

  /** Nobody can enter any more. */
  refuse(): void {
    this.#isClosed = true;
  }

  /** Closes all. Rejects with what could not be kept. */
  async close(): Promise<void> {
    this.refuse();
    const closings = [...this.#slots].map(([name, slot]) => this.#closeSlot(name, slot));
    const failed = (await Promise.allSettled(closings)).find(({ status }) => status === "rejected");
    await this.#options.storage.close();
    if (failed?.status === "rejected") throw failed.reason;
  }

  async #slotOf(name: string): Promise<Slot> {
    if (!isRoomName(name)) throw noRoom();
    for (;;) {
      if (this.#isClosed) throw serverClosed();
      const slot = this.#slots.get(name);
      if (slot?.closing !== undefined) {
        await slot.closing.catch(() => {});
      } else if (slot !== undefined) {
        slot.idleTurn = undefined;
        return slot;
      } else if (!this.#known.has(name) && this.#known.size >= this.#options.limits.roomsMax) {
        throw new LastwriteError("too-large", "the server has as many rooms as it may have");
      } else if (this.#slots.size < this.#options.limits.roomsOpenMax) {
        return this.#open(name);
      } else {
        await this.#closeIdle();
      }
    }
  }

  /** Closes the room that nobody has been in for longest, or waits for one that is being closed. Rejects with `too-large` when somebody is in each. */
  async #closeIdle(): Promise<void> {
    let idlest: readonly [name: string, slot: Slot] | undefined;
    for (const [name, slot] of this.#slots) {
      if (slot.closing !== undefined || slot.idleTurn === undefined) continue;
      if (slot.idleTurn < (idlest?.[1].idleTurn ?? Infinity)) idlest = [name, slot];
    }
    const closing =
      idlest === undefined
        ? [...this.#slots.values()].find((slot) => slot.closing !== undefined)?.closing
        : this.#closeSlot(...idlest);
    if (closing === undefined) {
      throw new LastwriteError(
        "too-large",
        "the server has as many rooms open as it may have, and somebody is in each; try again later",
      );
    }
    await closing.catch(() => {});
  }

  #open(name: string): Slot {
    this.#known.add(name);
    const slot: Slot = {
      opening: this.#opened(name),
      count: 0,
      isHeld: false,
      cancelIdle: () => {},
      idleTurn: undefined,
      closing: undefined,
    };
    this.#slots.set(name, slot);
    slot.opening.catch(() => this.#forget(name, slot));
    return slot;
  }

  async #opened(name: string): Promise<Room> {
    const { storage, engine, clock, limits, metrics, log } = this.#options;
    let byteCount = 0;
    try {
      const store = await openOn(
        {},
        {
          persistence: storage.persistenceOf(name),
          engine,
          clock,
          durability: "strict",
          collector: true,
          hooks: { onLoad: (loaded) => void (byteCount = loaded.byteCount) },
        },
      );
      const failed = (error: unknown): void => this.#failed(name, error);
      const now = (): number => performance.now();
      const room = new Room({ name, store, engine, limits, byteCount, now, failed });
      store.on("close", () => this.#wasClosed(room));
      metrics.roomsOpenedTotal++;
      log({ level: "info", event: "room-opened", room: name, keyCount: store.size });
      return room;
    } catch (error) {
      log({ level: "error", event: "room-failed", room: name, ...told(error) });
      throw error;
    }
  }

  /** What can be tried again the store tries by itself; else what is really kept has to be read anew. */
  #failed(name: string, error: unknown): void {
    const slot = this.#slots.get(name);
    if (slot === undefined || slot.closing !== undefined) return;
    this.#options.log({ level: "error", event: "room-failed", room: name, ...told(error) });
    if (!isTriedAgain(error)) this.#closeSlot(name, slot, CLOSE_LATER).catch(() => {});
  }

  /** By somebody of this program who had its store. */
  #wasClosed({ name }: Room): void {
    const slot = this.#slots.get(name);
    if (slot?.closing === undefined && slot !== undefined) {
      this.#closeSlot(name, slot).catch(() => {});
    }
  }

  #closeSlot(name: string, slot: Slot, code = CLOSE_RESTART): Promise<void> {
    slot.cancelIdle();
    slot.closing ??= this.#closed(name, slot, code);
    return slot.closing;
  }

  async #closed(name: string, slot: Slot, code: number): Promise<void> {
    const room = await slot.opening.catch(() => undefined);
    if (room === undefined) return;
    const { log } = this.#options;
    try {
      room.sendAway(code, "the room is closed");
      await room.store.close();
      log({ level: "info", event: "room-closed", room: name });
    } catch (error) {
      log({ level: "error", event: "room-failed", room: name, ...told(error) });
      throw error;
    } finally {
      this.#forget(name, slot);
    }
  }

  #forget(name: string, slot: Slot): void {
    if (this.#slots.get(name) === slot) this.#slots.delete(name);
  }
}

function serverClosed(): LastwriteError {
  return new LastwriteError("server-closed", "the server is closing; come back later");
}

export function noRoom(): LastwriteError {
  return new LastwriteError(
    "room-invalid",
    "a room is called by 1 to 64 letters, digits, - and _, and not json, api, healthz, readyz, metrics or assets",
  );
}

/** An error in the log. */
export function told(error: unknown): { readonly code: string; readonly message: string } {
  const code = error instanceof LastwriteError ? error.code : "unknown";
  return { code, message: error instanceof Error ? error.message : String(error) };
}
