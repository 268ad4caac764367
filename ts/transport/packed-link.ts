/** A link around a link, on which large messages take fewer bytes: docs/protocol.md, Compression. */

import * as platform from "#deflate";

import { LastwriteError } from "../errors.ts";
import type { Link, LinkEnd, LinkHandler, Message } from "./contract.ts";
import { Deliveries, linkFailed, sizeOf } from "./deliveries.ts";
import { type Deflate, isPackable, isPacked, pack, unpack } from "./envelope.ts";

/** How a packed link is made. */
export interface PackedLinkOptions {
  /** Default: that of the platform. */
  readonly deflate?: Deflate;
}

/** The other side sends what cannot be unpacked: final, as for what a session cannot read. */
const CLOSE_MALFORMED = 4400;
const CLOSE_TOO_LARGE = 1009;
/** What may wait before a link is full that does not tell. */
const FULL_BYTES: number = 2 ** 20;
/** What may wait for what is being unpacked. A session never has as much on the way: see `credit`. */
const INBOX_BYTES_MAX: number = 2 ** 24;

/**
 * Returns `link` with packing: what comes packed is unpacked, and what is large is packed while `link.prefersPacked` says so. Messages stay in order, so what is sent behind a
 * large one waits for it, some milliseconds, and counts as buffered meanwhile. Closing waits for nothing: what is not packed by then goes as it is.
 *
 * What comes and cannot be unpacked ends the link with `corrupt-bytes` and close code 4400.
 */
export function packedLink(link: Link, { deflate = platform }: PackedLinkOptions = {}): Link {
  return new PackedLink(link, deflate);
}

class PackedLink implements Link {
  readonly name: string;
  readonly #link: Link;
  readonly #deflate: Deflate;
  readonly #deliveries: Deliveries = new Deliveries();
  /** What is to be sent, from the message on that is being packed. */
  #outbox: Message[] = [];
  #outboxBytes = 0;
  /** What came behind the message that is being unpacked. */
  #inbox: Message[] = [];
  #inboxBytes = 0;
  #isUnpacking = false;
  /** This side has closed. */
  #isClosed = false;
  /** Why, where that was not its user. */
  #failure: LinkEnd | undefined;
  /** How the link below ended. */
  #end: LinkEnd | undefined;

  constructor(link: Link, deflate: Deflate) {
    this.name = link.name;
    this.#link = link;
    this.#deflate = deflate;
  }

  /** As the link below says, where it does. */
  get isFull(): boolean {
    return this.#link.isFull ?? this.bufferedBytes > FULL_BYTES;
  }

  get prefersPacked(): boolean {
    return this.#link.prefersPacked ?? false;
  }

  get bufferedBytes(): number {
    return this.#outboxBytes + this.#link.bufferedBytes;
  }

  start(handler: LinkHandler): void {
    this.#link.start({
      message: (message) => this.#take(message),
      drained: () => {
        if (this.#outbox.length === 0) this.#deliveries.drained();
      },
      closed: (end) => this.#closed(end),
    });
    this.#deliveries.start(handler);
  }

  send(message: Message): void {
    if (this.#isClosed || this.#end !== undefined) return;
    if (this.#outbox.length === 0 && !this.#isWorthPacking(message)) {
      this.#link.send(message);
      return;
    }
    this.#outbox.push(message);
    this.#outboxBytes += sizeOf(message);
    if (this.#outbox.length === 1) void this.#sendOn();
  }

  close(code?: number, reason?: string): void {
    if (this.#isClosed) return;
    this.#deliveries.mute();
    this.#leave(code, reason);
  }

  #isWorthPacking(message: Message): message is Uint8Array {
    return this.prefersPacked && isPackable(message);
  }

  async #sendOn(): Promise<void> {
    for (let [next] = this.#outbox; next !== undefined; [next] = this.#outbox) {
      const message = this.#isWorthPacking(next) ? await pack(next, this.#deflate) : next;
      // Then it was sent as it is, or nothing can be.
      if (this.#isClosed || this.#end !== undefined) return;
      this.#outbox.shift();
      this.#outboxBytes -= sizeOf(next);
      this.#link.send(message);
    }
    // Else the link below tells it.
    if (this.#link.bufferedBytes === 0) this.#deliveries.drained();
  }

  #take(message: Message): void {
    if (this.#isClosed) return;
    if (!this.#isUnpacking && !isPacked(message)) {
      this.#deliveries.message(message);
      return;
    }
    this.#inbox.push(message);
    this.#inboxBytes += sizeOf(message);
    if (!this.#isUnpacking) this.#unpackOn();
    else if (this.#inboxBytes > INBOX_BYTES_MAX) {
      this.#fail(linkFailed(`${this.name} sends faster than can be unpacked here`));
    }
  }

  /** Delivers what came, in order, until one has to be waited for. */
  #unpackOn(): void {
    for (let next = this.#inbox.shift(); next !== undefined; next = this.#inbox.shift()) {
      this.#inboxBytes -= sizeOf(next);
      let plain: Message | Promise<Uint8Array>;
      try {
        plain = isPacked(next) ? unpack(next, this.#deflate) : next;
      } catch (error) {
        this.#fail(error);
        return;
      }
      if (plain instanceof Promise) {
        this.#isUnpacking = true;
        plain.then(
          (message) => this.#unpacked(message),
          (error: unknown) => this.#fail(error),
        );
        return;
      }
      this.#deliveries.message(plain);
    }
    if (this.#end !== undefined) this.#tellEnd(this.#end);
  }

  #unpacked(message: Message): void {
    this.#isUnpacking = false;
    if (this.#isClosed) return;
    this.#deliveries.message(message);
    this.#unpackOn();
  }

  #fail(cause: unknown): void {
    if (this.#isClosed) return;
    const error = cause instanceof LastwriteError ? cause : linkFailed(this.name, cause);
    const code = error.code === "corrupt-bytes" ? CLOSE_MALFORMED : CLOSE_TOO_LARGE;
    this.#failure = { error, code };
    this.#leave(code, "");
  }

  /** Sends what waits, and ends the link below; nothing more is told than what was before, and the end. */
  #leave(code: number | undefined, reason: string | undefined): void {
    this.#isClosed = true;
    this.#forgetInbox();
    if (this.#end !== undefined) {
      this.#tellEnd(this.#end);
      return;
    }
    const outbox = this.#takeOutbox();
    for (const message of outbox) this.#link.send(message);
    this.#link.close(code, reason);
  }

  #closed(end: LinkEnd): void {
    this.#end = end;
    this.#takeOutbox();
    if (!this.#isUnpacking || this.#isClosed) this.#tellEnd(end);
  }

  #tellEnd(end: LinkEnd): void {
    this.#deliveries.closed(this.#failure ?? end);
  }

  #takeOutbox(): readonly Message[] {
    const outbox = this.#outbox;
    this.#outbox = [];
    this.#outboxBytes = 0;
    return outbox;
  }

  #forgetInbox(): void {
    this.#inbox = [];
    this.#inboxBytes = 0;
  }
}
