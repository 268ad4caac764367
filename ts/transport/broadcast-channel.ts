/** Links between all tabs, workers or threads that name the same channel: one for each pair. */

import { randomId } from "../codec/random.ts";
import type { Link } from "./contract.ts";
import { linkFailed } from "./deliveries.ts";
import { type Posted, PostedLink, readPosted } from "./posted-link.ts";

/** The part of the Web Locks API that we use, by which browsers tell that a tab is gone. */
export interface LocksLike {
  request(
    name: string,
    options: { readonly mode: "exclusive" | "shared"; readonly signal: AbortSignal },
    callback: () => Promise<void>,
  ): Promise<unknown>;
}

/** How it is told that another end is gone. */
export interface BroadcastChannelLinksOptions {
  /** Default: those of the browser, if any. */
  readonly locks?: LocksLike | undefined;
}

/** One end of a channel, with a link to each other end. */
export interface ChannelLinks {
  /** Names this end: 32 hex digits, new each time. */
  readonly id: string;
  /** Looks for ends without a link to this one: others whose link broke. It is done once at the beginning. */
  greet(): void;
  /** Closes all links, and the channel. Harmless when done twice. */
  close(): void;
}

/** On the channel. Messages of a link carry `to`; a greeting is for all. */
type Word =
  | { readonly type: "hello" }
  | { readonly type: "welcome"; readonly to: string }
  | { readonly type: "posted"; readonly to: string; readonly posted: Posted };

const PROTOCOL = 1;

/**
 * Opens the channel `name`, and calls `onLink` for each other end of it that is there or comes later; both ends of a pair get their side of one link. Where there are Web Locks, a link ends with `link-failed` when the other tab is gone; elsewhere only
 * a session notices, by its pings.
 */
export function broadcastChannelLinks(
  name: string,
  onLink: (link: Link) => void,
  { locks = platformLocks() }: BroadcastChannelLinksOptions = {},
): ChannelLinks {
  return new ChannelEnd(name, onLink, locks);
}

class ChannelEnd implements ChannelLinks {
  readonly id: string = randomId();
  readonly #name: string;
  readonly #channel: BroadcastChannel;
  readonly #onLink: (link: Link) => void;
  readonly #locks: LocksLike | undefined;
  readonly #links = new Map<string, PostedLink>();
  readonly #closing = new AbortController();

  constructor(name: string, onLink: (link: Link) => void, locks: LocksLike | undefined) {
    this.#name = `lastwrite-links:${name}`;
    this.#onLink = onLink;
    this.#locks = locks;
    this.#channel = new BroadcastChannel(this.#name);
    this.#channel.addEventListener("message", ({ data }) => this.#receive(data));
    if (locks === undefined) this.greet();
    else this.#hold(locks);
  }

  greet(): void {
    this.#say({ type: "hello" });
  }

  close(): void {
    if (this.#closing.signal.aborted) return;
    for (const link of this.#links.values()) link.close();
    this.#closing.abort();
    this.#channel.close();
  }

  /** Has a lock until this end is gone, of which others are told by getting it. Only then may they hear of this end. */
  #hold(locks: LocksLike): void {
    const { signal } = this.#closing;
    const held = locks.request(this.#lockOf(this.id), { mode: "exclusive", signal }, () => {
      this.greet();
      return new Promise((resolve) => {
        signal.addEventListener("abort", () => resolve());
      });
    });
    held.catch(() => this.greet());
  }

  #watch(peer: string, link: PostedLink, signal: AbortSignal): void {
    const watching = this.#locks?.request(this.#lockOf(peer), { mode: "shared", signal }, () => {
      link.end({ error: linkFailed(`${link.name}: the other side is gone`) });
      return Promise.resolve();
    });
    // Given up, when the link ended before; or locks are denied here.
    watching?.catch(() => undefined);
  }

  #lockOf(id: string): string {
    return `${this.#name}:${id}`;
  }

  #receive(data: unknown): void {
    const heard = readWord(data);
    if (heard === undefined || this.#closing.signal.aborted) return;
    const { from, word } = heard;
    if ("to" in word && word.to !== this.id) return;
    switch (word.type) {
      case "hello":
        if (this.#links.has(from)) return;
        // Before the user can send: what he sends must come after it.
        this.#say({ type: "welcome", to: from });
        this.#join(from);
        return;
      case "welcome":
        if (!this.#links.has(from)) this.#join(from);
        return;
      case "posted":
        this.#links.get(from)?.take(word.posted);
    }
  }

  #join(peer: string): void {
    const watching = new AbortController();
    const link = new PostedLink({
      name: `${this.#name}:${peer.slice(0, 8)}`,
      post: (posted) => this.#say({ type: "posted", to: peer, posted }),
      onEnd: () => {
        watching.abort();
        this.#links.delete(peer);
      },
    });
    this.#links.set(peer, link);
    this.#watch(peer, link, watching.signal);
    this.#onLink(link);
  }

  #say(word: Word): void {
    if (this.#closing.signal.aborted) return;
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a channel has the origin of its page
    this.#channel.postMessage({ lastwrite: PROTOCOL, from: this.id, ...word });
  }
}

function readWord(data: unknown): { readonly from: string; readonly word: Word } | undefined {
  if (typeof data !== "object" || data === null) return undefined;
  const { lastwrite, from, type, to, posted } = data as Readonly<Record<string, unknown>>;
  if (lastwrite !== PROTOCOL || typeof from !== "string") return undefined;
  if (type === "hello") return { from, word: { type } };
  if (typeof to !== "string") return undefined;
  if (type === "welcome") return { from, word: { type, to } };
  const read = type === "posted" ? readPosted(posted) : undefined;
  return read === undefined ? undefined : { from, word: { type: "posted", to, posted: read } };
}

function platformLocks(): LocksLike | undefined {
  const { navigator } = globalThis as { readonly navigator?: { readonly locks?: LocksLike } };
  return navigator?.locks;
}
