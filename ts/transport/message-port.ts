/** Links between threads: over a MessagePort, to a Worker, or from inside of one; of browsers, and of worker_threads. */

import type { Link } from "./contract.ts";
import { linkFailed } from "./deliveries.ts";
import { type Posted, PostedLink, readPosted } from "./posted-link.ts";

/** The part of a port or a worker that we use. Those of Node tell by `on`, those of browsers by `addEventListener`. */
export interface PortLike {
  postMessage(message: unknown): void;
  on?(event: never, listener: never): unknown;
  off?(event: never, listener: never): unknown;
  addEventListener?(type: never, listener: never): void;
  removeEventListener?(type: never, listener: never): void;
  start?(): void;
}

/** What the link is called. */
export interface MessagePortLinkOptions {
  /** Names the other side in messages. Default: "message port". */
  readonly name?: string;
}

/** Marks our messages among those that the user may post over the same port. */
const PROTOCOL = 1;

interface Envelope {
  readonly lastwrite: typeof PROTOCOL;
  readonly posted: Posted;
}

/**
 * Returns a link over a port whose other end has one too. Other messages on it are left alone, and so is the port when the link is closed: whoever made it ends it.
 *
 * Node tells when the other thread is gone, and the link ends with `link-failed`; browsers tell nothing, so that only a session notices, by its pings.
 */
export function messagePortLink(
  port: PortLike,
  { name = "message port" }: MessagePortLinkOptions = {},
): Link {
  const listeners = new Listeners(port);
  const receive = (data: unknown): void => {
    const posted = readEnvelope(data);
    if (posted !== undefined) link.take(posted);
  };
  const link = new PostedLink({
    name,
    post: (posted) => {
      const envelope: Envelope = { lastwrite: PROTOCOL, posted };
      port.postMessage(envelope);
    },
    onStart: () => {
      if (port.start === undefined) return;
      listeners.add("message", receive);
      port.start();
    },
    onEnd: () => listeners.remove(),
  });
  const fail = (): void => link.end({ error: linkFailed(`${name}: the other side is gone`) });
  for (const type of ["close", "exit", "messageerror"]) listeners.add(type, fail);
  // A port keeps what comes until it is started; a worker would lose it.
  if (port.start === undefined) listeners.add("message", receive);
  return link;
}

type Listener = (data: unknown) => void;

/** What either form of port calls. */
interface Emitter {
  on?(event: string, listener: Listener): unknown;
  off?(event: string, listener: Listener): unknown;
  addEventListener?(type: string, listener: Listener): void;
  removeEventListener?(type: string, listener: Listener): void;
}

/** Our listeners, as long as the link lasts. */
class Listeners {
  readonly #emitter: Emitter;
  readonly #added: (readonly [type: string, listener: Listener])[] = [];

  constructor(port: PortLike) {
    this.#emitter = port;
  }

  add(type: string, listener: Listener): void {
    if (this.#emitter.on !== undefined) {
      this.#added.push([type, listener]);
      this.#emitter.on(type, listener);
      return;
    }
    const ofEvent: Listener = (event) => listener((event as { readonly data?: unknown }).data);
    this.#added.push([type, ofEvent]);
    this.#emitter.addEventListener?.(type, ofEvent);
  }

  remove(): void {
    for (const [type, listener] of this.#added) {
      if (this.#emitter.off !== undefined) this.#emitter.off(type, listener);
      else this.#emitter.removeEventListener?.(type, listener);
    }
  }
}

function readEnvelope(data: unknown): Posted | undefined {
  if (typeof data !== "object" || data === null) return undefined;
  const { lastwrite, posted } = data as { readonly lastwrite?: unknown; readonly posted?: unknown };
  return lastwrite === PROTOCOL ? readPosted(posted) : undefined;
}
