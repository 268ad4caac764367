/** A link over something that takes whole messages and never says whether they were taken: the two ends tell each other how far they are. */

import type { Link, LinkEnd, LinkHandler, Message } from "./contract.ts";
import { Deliveries, sizeOf } from "./deliveries.ts";

/** What the two ends of a link post. */
export type Posted =
  | { readonly type: "message"; readonly message: Message }
  /** So much has been sent up to here. */
  | { readonly type: "mark"; readonly byteCount: number }
  /** So much of it was given to the user. */
  | { readonly type: "passed"; readonly byteCount: number }
  | { readonly type: "close"; readonly code?: number };

export interface PostedLinkSettings {
  readonly name: string;
  readonly post: (posted: Posted) => void;
  /** The user has begun: what comes may be let in. */
  readonly onStart?: () => void;
  /** The link has ended, and posts nothing more. */
  readonly onEnd?: () => void;
}

/** Of what came over a channel that others may use too, what two ends post; undefined for everything else. */
export function readPosted(data: unknown): Posted | undefined {
  if (typeof data !== "object" || data === null) return undefined;
  const { type, message, byteCount, code } = data as Readonly<Record<string, unknown>>;
  switch (type) {
    case "message":
      if (typeof message === "string") return { type, message };
      return message instanceof Uint8Array ? { type, message } : undefined;
    case "mark":
    case "passed":
      return typeof byteCount === "number" ? { type, byteCount } : undefined;
    case "close":
      return { type, ...(typeof code === "number" && { code }) };
    default:
      return undefined;
  }
}

export class PostedLink implements Link {
  readonly name: string;
  readonly #settings: PostedLinkSettings;
  readonly #deliveries: Deliveries = new Deliveries();
  #sentBytes = 0;
  #passedBytes = 0;
  /** A mark is on its way, and one is enough. */
  #isMarking = false;
  #hasEnded = false;

  constructor(settings: PostedLinkSettings) {
    this.name = settings.name;
    this.#settings = settings;
  }

  get bufferedBytes(): number {
    return this.#hasEnded ? 0 : this.#sentBytes - this.#passedBytes;
  }

  start(handler: LinkHandler): void {
    this.#deliveries.start(handler);
    if (!this.#hasEnded) this.#settings.onStart?.();
  }

  send(message: Message): void {
    if (this.#hasEnded) return;
    this.#settings.post({ type: "message", message: compact(message) });
    // An empty message counts too, so that a mark follows it.
    this.#sentBytes += sizeOf(message);
    if (this.#isMarking) return;
    this.#isMarking = true;
    // One mark for all that is sent in one go.
    queueMicrotask(() => this.#mark());
  }

  close(code?: number): void {
    if (this.#hasEnded) return;
    const end: LinkEnd = code === undefined ? {} : { code };
    this.#deliveries.mute();
    this.#settings.post({ type: "close", ...end });
    this.end(end);
  }

  /** What the other end posted. */
  take(posted: Posted): void {
    if (this.#hasEnded) return;
    switch (posted.type) {
      case "message":
        this.#deliveries.message(posted.message);
        return;
      case "mark":
        // Once the user has seen what came before it.
        this.#deliveries.afterwards(() => {
          if (!this.#hasEnded) this.#settings.post({ ...posted, type: "passed" });
        });
        return;
      case "passed":
        this.#pass(posted.byteCount);
        return;
      case "close":
        this.end(posted.code === undefined ? {} : { code: posted.code });
    }
  }

  /** Ends it without a word to the other end. */
  end(end: LinkEnd): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#deliveries.closed(end);
    this.#settings.onEnd?.();
  }

  #mark(): void {
    if (!this.#hasEnded) this.#settings.post({ type: "mark", byteCount: this.#sentBytes });
  }

  #pass(byteCount: number): void {
    this.#isMarking = false;
    this.#passedBytes = byteCount;
    if (this.#sentBytes === byteCount) {
      this.#deliveries.drained();
    } else {
      this.#isMarking = true;
      this.#mark();
    }
  }
}

/** A view of a larger buffer would be posted with all of it. */
function compact(message: Message): Message {
  if (typeof message === "string" || message.byteLength === message.buffer.byteLength) {
    return message;
  }
  return new Uint8Array(message);
}
