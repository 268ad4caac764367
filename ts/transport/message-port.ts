/** Links between threads: over a MessagePort, to a Worker, or from inside of one; of browsers, and of worker_threads. */

import type { Link } from "./contract.ts";
import { linkFailed } from "./deliveries.ts";
import { type Posted, PostedLink, readPosted } from "./posted-link.ts";

/** The part of a port or a worker that we use. Those of Node are told by `on`, those of browsers by `addEventListener`. */
export interface PortLike {
  postMessage(message: unknown): void;
  on?(event: string, listener: (data: never) => void): unknown;
  off?(event: string, listener: (data: never) => void): unknown;
  addEventListener?(type: string, listener: (event: never) => void): void;
  removeEventListener?(type: string, listener: (event: never) => void): void;
  start?(): void;
}

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
  const listeners: (readonly [type: string, listener: (value: unknown) => void])[] = [];
  const listen = (type: string, listener: (value: unknown) => void): void => {
    listeners.push([type, listener]);
    if (port.on === undefined) port.addEventListener?.(type, listener);
    else port.on(type, listener);
  };
  const receive = (value: unknown): void => {
    const envelope = readEnvelope(port.on === undefined ? dataOf(value) : value);
    if (envelope !== undefined) link.take(envelope);
  };
  const link = new PostedLink({
    name,
    post: (posted) => {
      const envelope: Envelope = { lastwrite: PROTOCOL, posted };
      port.postMessage(envelope);
    },
    onStart: () => {
      if (port.start === undefined) return;
      listen("message", receive);
      port.start();
    },
    onEnd: () => {
      for (const [type, listener] of listeners) {
        if (port.on === undefined) port.removeEventListener?.(type, listener);
        else port.off?.(type, listener);
      }
    },
  });
  const fail = (): void => link.end({ error: linkFailed(`${name}: the other side is gone`) });
  for (const type of ["close", "exit", "messageerror"]) listen(type, fail);
  // A port keeps what comes until it is started; a worker would lose it.
  if (port.start === undefined) listen("message", receive);
  return link;
}

function dataOf(event: unknown): unknown {
  return (event as { readonly data?: unknown }).data;
}

function readEnvelope(data: unknown): Posted | undefined {
  if (typeof data !== "object" || data === null) return undefined;
  const { lastwrite, posted } = data as { readonly lastwrite?: unknown; readonly posted?: unknown };
  return lastwrite === PROTOCOL ? readPosted(posted) : undefined;
}
