/** What a link owes to its user, whatever it is made of: the order of things, quiet inside his own calls, and one end. */

import { LastwriteError } from "../errors.ts";
import type { LinkEnd, LinkHandler, Message } from "./contract.ts";

type Delivery =
  | { readonly what: "message"; readonly message: Message }
  | { readonly what: "call"; readonly run: () => void }
  | { readonly what: "drained" }
  | { readonly what: "closed"; readonly end: LinkEnd };

/** Tells a handler what happens, in microtasks of their own, from when it is there until the link has ended. */
export class Deliveries {
  #handler: LinkHandler | undefined;
  #waiting: Delivery[] = [];
  #isScheduled = false;
  #isMuted = false;
  #hasEnded = false;

  /** The end is told, or on its way: nothing that happens now is told any more. */
  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Throws `invalid-argument` when there is a handler already. */
  start(handler: LinkHandler): void {
    if (this.#handler !== undefined) {
      throw new LastwriteError("invalid-argument", "a link has one user: start() is called once");
    }
    this.#handler = handler;
    this.#schedule();
  }

  message(message: Message): void {
    if (!this.#isMuted) this.#push({ what: "message", message });
  }

  /** Runs `run` after all that was told before: to tell the other side how far this one is. */
  afterwards(run: () => void): void {
    this.#push({ what: "call", run });
  }

  drained(): void {
    if (!this.#isMuted) this.#push({ what: "drained" });
  }

  /** The user wants no more than the end. */
  mute(): void {
    this.#isMuted = true;
    this.#waiting = this.#waiting.filter(({ what }) => what === "closed");
  }

  /** Only the first end counts. */
  closed(end: LinkEnd): void {
    this.#push({ what: "closed", end });
    this.#hasEnded = true;
  }

  #push(delivery: Delivery): void {
    if (this.#hasEnded) return;
    this.#waiting.push(delivery);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isScheduled || this.#handler === undefined || this.#waiting.length === 0) return;
    this.#isScheduled = true;
    queueMicrotask(() => this.#run());
  }

  #run(): void {
    this.#isScheduled = false;
    const deliveries = this.#waiting;
    this.#waiting = [];
    let done = 0;
    try {
      for (const delivery of deliveries) {
        done += 1;
        // He may have closed the link in between.
        if (this.#isMuted && delivery.what !== "closed") continue;
        this.#deliver(delivery);
      }
    } finally {
      // Only when the user's own code threw: that is his, and the rest is his too.
      this.#waiting.unshift(...deliveries.slice(done));
      this.#schedule();
    }
  }

  #deliver(delivery: Delivery): void {
    switch (delivery.what) {
      case "message":
        this.#handler?.message(delivery.message);
        return;
      case "call":
        delivery.run();
        return;
      case "drained":
        this.#handler?.drained();
        return;
      case "closed":
        this.#handler?.closed(delivery.end);
    }
  }
}

/** Bytes that a message counts for: of text its units of UTF-16, which is all that can be had for nothing. */
export function sizeOf(message: Message): number {
  return message.length;
}

/** An error for a link that broke. */
export function linkFailed(what: string, cause?: unknown): LastwriteError {
  if (cause === undefined) return new LastwriteError("link-failed", what);
  const reason = cause instanceof Error ? cause.message || cause.name : JSON.stringify(cause);
  return new LastwriteError("link-failed", `${what}: ${reason}`, { cause });
}
