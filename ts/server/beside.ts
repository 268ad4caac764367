/** Beside a server that is there: what is ours is answered here, and everything else by who listened before. */

import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";

export interface Listeners {
  readonly isOwn: (request: IncomingMessage, isUpgrade: boolean) => boolean;
  readonly request: (request: IncomingMessage, response: ServerResponse) => void;
  readonly upgrade: (request: IncomingMessage, wire: Duplex, head: Buffer) => void;
}

type Listener<Rest extends unknown[]> = (request: IncomingMessage, ...rest: Rest) => void;

/** Listens in the place of those that are there; returns a function that ends it. Some of them, such as those of `ws`, answer whatever is not theirs with an error. */
export function beside(server: Server, { isOwn, request, upgrade }: Listeners): () => void {
  const requests = takeOver<[ServerResponse]>(server, "request", {
    isOwn: (asked) => isOwn(asked, false),
    own: request,
    // Who gives us a server and no listener answers nothing else.
    nobody: () => {},
  });
  const upgrades = takeOver<[Duplex, Buffer]>(server, "upgrade", {
    isOwn: (asked) => isOwn(asked, true),
    own: upgrade,
    // Nobody else would end it.
    nobody: (_, wire) => void wire.destroy(),
  });
  return () => {
    requests();
    upgrades();
  };
}

interface Taken<Rest extends unknown[]> {
  readonly isOwn: (request: IncomingMessage) => boolean;
  readonly own: Listener<Rest>;
  /** There is no listener but ours. */
  readonly nobody: Listener<Rest>;
}

function takeOver<Rest extends unknown[]>(
  server: Server,
  event: "request" | "upgrade",
  { isOwn, own, nobody }: Taken<Rest>,
): () => void {
  const others = server.listeners(event) as Listener<Rest>[];
  server.removeAllListeners(event);
  let isEnded = false;
  const listener: Listener<Rest> = (asked, ...rest) => {
    if (!isEnded && isOwn(asked)) own(asked, ...rest);
    else if (others.length > 0) for (const other of others) other.call(server, asked, ...rest);
    // One that came after us hears it by itself.
    else if (server.listenerCount(event) <= 1) nobody(asked, ...rest);
  };
  server.on(event, listener);
  return () => {
    isEnded = true;
    // Somebody has taken us over, who knows the way to the others by us alone.
    if (!server.listeners(event).includes(listener)) return;
    server.off(event, listener);
    for (const other of others) server.on(event, other);
  };
}
