/** All who are connected: how many, from where, and which of them do not read what they are sent. */

import type { Timers } from "../transport/timers.ts";
import type { ClientLink } from "./client-link.ts";
import type { ServerLimits } from "./limits.ts";
import type { Metrics } from "./metrics.ts";

/** How often those are looked at that may have to go. */
const LOOK_MS = 1000;
/** How often those are asked for a sign whom no session asks. */
const ASK_MS = 30_000;
/** Try again later: what does not read may come back and read what has changed. */
const CLOSE_SLOW = 1013;

export class Clients {
  readonly limits: ServerLimits;
  readonly timers: Timers;
  readonly #metrics: Metrics;
  readonly #all = new Set<ClientLink>();
  readonly #countByAddress = new Map<string, number>();
  readonly #full = new Set<ClientLink>();
  readonly #asked = new Set<ClientLink>();
  #whenEmpty = (): void => {};
  #cancelLook: (() => void) | undefined;
  #cancelAsk: (() => void) | undefined;

  constructor(limits: ServerLimits, timers: Timers, metrics: Metrics) {
    this.limits = limits;
    this.timers = timers;
    this.#metrics = metrics;
  }

  get count(): number {
    return this.#all.size;
  }

  get all(): Iterable<ClientLink> {
    return this.#all;
  }

  /** Milliseconds that never go back. */
  now(): number {
    return performance.now();
  }

  /** Why nobody can be taken in from there; undefined when somebody can. */
  refusal(address: string): string | undefined {
    const { connectionsMax, connectionsPerAddressMax } = this.limits;
    if (this.#all.size >= connectionsMax)
      return "the server has as many connections as it may have";
    if ((this.#countByAddress.get(address) ?? 0) >= connectionsPerAddressMax) {
      return "there are as many connections from that address as there may be";
    }
    return undefined;
  }

  add(client: ClientLink): void {
    const { address } = client;
    this.#all.add(client);
    this.#countByAddress.set(address, (this.#countByAddress.get(address) ?? 0) + 1);
    this.#metrics.connectionsTotal++;
  }

  remove(client: ClientLink): void {
    if (!this.#all.delete(client)) return;
    this.#full.delete(client);
    this.#asked.delete(client);
    const count = (this.#countByAddress.get(client.address) ?? 1) - 1;
    if (count === 0) this.#countByAddress.delete(client.address);
    else this.#countByAddress.set(client.address, count);
    if (this.#all.size === 0) this.#whenEmpty();
  }

  /** Calls when nobody is connected any more. */
  whenEmpty(run: () => void): void {
    this.#whenEmpty = run;
    if (this.#all.size === 0) run();
  }

  /** More waits for it than may: it goes when that stays so. */
  watch(client: ClientLink): void {
    if (this.#full.has(client)) return;
    client.fullSince = this.now();
    client.fullBytes = client.bufferedBytes;
    this.#full.add(client);
    this.#cancelLook ??= this.timers.after(LOOK_MS, () => this.#look());
  }

  /** All that waited for it has left. */
  unwatch(client: ClientLink): void {
    this.#full.delete(client);
  }

  /** Asks it for a sign from time to time. */
  askFrom(client: ClientLink): void {
    this.#asked.add(client);
    this.#cancelAsk ??= this.timers.after(ASK_MS, () => this.#ask());
  }

  countReceived(byteCount: number): void {
    this.#metrics.framesReceived++;
    this.#metrics.bytesReceived += byteCount;
  }

  countSent(byteCount: number): void {
    this.#metrics.framesSent++;
    this.#metrics.bytesSent += byteCount;
  }

  countPause(): void {
    this.#metrics.pausesTotal++;
  }

  close(): void {
    this.#cancelLook?.();
    this.#cancelAsk?.();
  }

  #look(): void {
    this.#cancelLook = undefined;
    const now = this.now();
    for (const client of this.#full) {
      client.reconsider();
      if (!client.isFull) {
        this.#full.delete(client);
      } else if (client.bufferedBytes < client.fullBytes) {
        // It reads, and has much to read.
        client.fullSince = now;
        client.fullBytes = client.bufferedBytes;
      } else if (client.fullSince <= now - this.limits.queueFullMsMax) {
        this.#full.delete(client);
        this.#metrics.slowClosedTotal++;
        client.close(CLOSE_SLOW, "what waits for you stayed too long");
      }
    }
    if (this.#full.size > 0) this.#cancelLook = this.timers.after(LOOK_MS, () => this.#look());
  }

  #ask(): void {
    this.#cancelAsk = undefined;
    for (const client of this.#asked) client.askOrDrop();
    if (this.#asked.size > 0) this.#cancelAsk = this.timers.after(ASK_MS, () => this.#ask());
  }
}
