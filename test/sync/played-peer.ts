/** One side of a session as a test plays it, word by word. */

import { decodeMessage, encodeMessage } from "../../ts/sync/codec.ts";
import type { Hello, SyncMessage } from "../../ts/sync/messages.ts";
import type { Link, LinkEnd, Message } from "../../ts/transport/contract.ts";

/** Of a client that asks for nothing in particular. */
export const HELLO: Hello = {
  type: "hello",
  protocolMin: 1,
  protocolMax: 1,
  storeId: "ab".repeat(16),
  millis: 1_800_000_000_000,
  driftMaxMs: 300_000,
  windowBytes: 2 ** 20,
  isServer: false,
  room: "",
  token: "",
};

/** What the other side said, and how to answer. */
export interface Peer {
  readonly heard: SyncMessage[];
  readonly types: readonly string[];
  readonly end: LinkEnd | undefined;
  say(message: SyncMessage): void;
  sayBytes(message: Message): void;
}

export function playedBy(link: Link): Peer {
  const heard: SyncMessage[] = [];
  let end: LinkEnd | undefined;
  let count = 0;
  link.start({
    message: (message) => void heard.push(decodeMessage(message).message),
    drained: () => {},
    closed: (how) => {
      end = how;
    },
  });
  return {
    heard,
    get types() {
      return heard.map(({ type }) => type);
    },
    get end() {
      return end;
    },
    say: (message) => link.send(encodeMessage(message, count++)),
    sayBytes: (message) => link.send(message),
  };
}

/** How a promise ended, or undefined while it did not. */
export function watched(promise: Promise<void>): { outcome: unknown } {
  const seen: { outcome: unknown } = { outcome: undefined };
  const watch = async (): Promise<void> => {
    try {
      await promise;
      seen.outcome = "done";
    } catch (error) {
      seen.outcome = error;
    }
  };
  void watch();
  return seen;
}
