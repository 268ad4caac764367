import { describe, expect, test } from "vitest";

import {
  broadcastChannelLinks,
  type ChannelLinks,
  type LocksLike,
} from "../../ts/transport/broadcast-channel.ts";
import type { Link } from "../../ts/transport/contract.ts";
import { listen, testTransport, turns, type WayUnderTest } from "../suites/transport.ts";

let channelCount = 0;

testTransport("BroadcastChannel", channelWay, {
  carries: "both",
  without: {
    "the death of the other side ends a link, once":
      "where there are no locks nothing tells that a thread is gone; a session notices by its pings",
  },
});

describe("channels", () => {
  test("link each end with each other one, once", async () => {
    const name = nextName();
    const ends = Array.from({ length: 4 }, () => openEnd(name));
    await eventually(() => ends.every(({ links }) => links.length === 3));
    await turns(20);
    expect(ends.map(({ links }) => links.length)).toEqual([3, 3, 3, 3]);
    const heard = ends.map(({ links }) => links.map((link) => listen(link)));
    for (const { links, end } of ends) for (const link of links) link.send(end.id);
    await Promise.all(heard.flat().map((listener) => listener.received(1)));
    for (const [at, listeners] of heard.entries()) {
      const others = ends.filter((_end, other) => other !== at).map(({ end }) => end.id);
      expect(new Set(listeners.map(({ messages }) => messages[0]))).toEqual(new Set(others));
    }
    for (const { end } of ends) end.close();
    for (const listener of heard.flat()) expect((await listener.closed).error).toBeUndefined();
  });

  test("of other names hear nothing", async () => {
    const [one, other] = [openEnd(nextName()), openEnd(nextName())];
    await turns(50);
    expect([one.links, other.links]).toEqual([[], []]);
    one.end.close();
    other.end.close();
  });

  test("link two ends again when one greets after their link was closed", async () => {
    const name = nextName();
    const [one, other] = [openEnd(name), openEnd(name)];
    await eventually(() => one.links.length === 1 && other.links.length === 1);
    const ends = [...one.links, ...other.links].map((link) => listen(link));
    one.links[0]?.close();
    await Promise.all(ends.map(({ closed }) => closed));
    other.end.greet();
    await eventually(() => one.links.length === 2 && other.links.length === 2);
    const again = listen(one.links[1] as Link);
    other.links[1]?.send("again");
    await again.received(1);
    expect(again.messages).toEqual(["again"]);
    one.end.close();
    other.end.close();
  });

  test("with locks end a link when the other end is gone without a word", async () => {
    const name = nextName();
    const { locks, kill } = fakeLocks();
    const one = openEnd(name, locks("one"));
    await turns(5);
    const other = openEnd(name, locks("other"));
    await eventually(() => one.links.length === 1 && other.links.length === 1);
    const [left] = [listen(one.links[0] as Link), listen(other.links[0] as Link)];
    kill("other");
    expect((await left.closed).error).toMatchObject({ code: "link-failed" });
    one.end.close();
    other.end.close();
  });

  test("with locks that are denied still link", async () => {
    const name = nextName();
    const denied: LocksLike = { request: () => Promise.reject(new Error("denied")) };
    const [one, other] = [openEnd(name, denied), openEnd(name, denied)];
    await eventually(() => one.links.length === 1 && other.links.length === 1);
    const right = listen(other.links[0] as Link);
    listen(one.links[0] as Link);
    one.links[0]?.send("there");
    await right.received(1);
    expect(right.messages).toEqual(["there"]);
    one.end.close();
    other.end.close();
  });
});

async function channelWay(): Promise<WayUnderTest> {
  const name = nextName();
  const [one, other] = [openEnd(name), openEnd(name)];
  await eventually(() => one.links.length === 1 && other.links.length === 1);
  return {
    left: one.links[0] as Link,
    right: other.links[0] as Link,
    remove: () => {
      one.end.close();
      other.end.close();
    },
  };
}

function openEnd(name: string, locks?: LocksLike): { end: ChannelLinks; links: Link[] } {
  const links: Link[] = [];
  const end = broadcastChannelLinks(name, (link) => links.push(link), { locks });
  return { end, links };
}

function nextName(): string {
  channelCount += 1;
  return `test ${process.pid}-${channelCount}`;
}

async function eventually(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await turns(1);
}

/** Locks of several tabs, one of which can be killed: what it has is freed, and it hears nothing of it. */
function fakeLocks() {
  const held = new Map<string, { readonly tab: string; readonly waiting: (() => void)[] }>();
  const free = (name: string): void => {
    const lock = held.get(name);
    held.delete(name);
    for (const grant of lock?.waiting ?? []) grant();
  };
  return {
    locks: (tab: string): LocksLike => ({
      request: async (name, { signal }, callback) => {
        const lock = held.get(name);
        if (lock !== undefined) {
          await new Promise<void>((resolve, reject) => {
            lock.waiting.push(resolve);
            signal.addEventListener("abort", () => reject(signal.reason as Error));
          });
          return callback();
        }
        held.set(name, { tab, waiting: [] });
        await callback();
        free(name);
      },
    }),
    kill: (tab: string): void => {
      for (const [name, lock] of held) if (lock.tab === tab) free(name);
    },
  };
}
