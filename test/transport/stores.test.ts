/** Two stores over each kind of link: what a session sends gets through all of them, in the form that each has. */

import { createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { MessageChannel } from "node:worker_threads";

import { loadEngine, open } from "lastwrite";
import { memoryPersistence } from "lastwrite/persistence/memory";
import { describe, expect, test } from "vitest";
import { WebSocketServer } from "ws";

import { broadcastChannelLinks, type ChannelLinks } from "../../ts/transport/broadcast-channel.ts";
import type { Link } from "../../ts/transport/contract.ts";
import { memoryLink } from "../../ts/transport/memory.ts";
import { messagePortLink } from "../../ts/transport/message-port.ts";
import { streamLink } from "../../ts/transport/stream.ts";
import { linkOfSocket, tcpConnector } from "../../ts/transport/tcp.ts";
import { linkOfWebSocket, webSocketConnector } from "../../ts/transport/websocket.ts";

const host = "127.0.0.1";
const never = new AbortController().signal;

interface Way {
  readonly left: Link;
  readonly right: Link;
  readonly remove?: () => void;
}

const ways: Readonly<Record<string, () => Promise<Way>>> = {
  memory: async () => memoryLink(),
  "memory that buffers 4 KiB": async () => memoryLink({ bufferBytesMax: 4096 }),
  "TCP, binary": () => tcpWay(false),
  "TCP, lines of text": () => tcpWay(true),
  WebSocket: webSocketWay,
  "web streams": async () => {
    const [there, back] = [byteStream(), byteStream()];
    return {
      left: streamLink({ readable: back.readable, writable: there.writable }),
      right: streamLink({ readable: there.readable, writable: back.writable }),
    };
  },
  MessagePort: async () => {
    const { port1, port2 } = new MessageChannel();
    const remove = (): void => port1.close();
    return { left: messagePortLink(port1), right: messagePortLink(port2), remove };
  },
  BroadcastChannel: channelWay,
};

describe("two stores end equal over", () => {
  test.each(Object.keys(ways))("%s", async (name) => {
    const way = await (ways[name] as () => Promise<Way>)();
    const [one, other] = [await openStore(), await openStore({ backend: "script" })];
    for (let at = 0; at < 2000; at += 1) {
      one.set(`one/${at}`, `value ${at}`);
      other.set(`other/${at}`, at);
    }
    one.set("large", "x".repeat(2 ** 19));
    await Promise.all([one.sync(way.left), other.sync(way.right)]);
    expect(one.size).toBe(4001);
    expect(other.digest()).toBe(one.digest());
    await Promise.all([one.close(), other.close()]);
    way.remove?.();
  });
});

test("what is no link is refused, and a link in use is left to its user; stores close all the same", async () => {
  const [one, other, third] = [await openStore(), await openStore(), await openStore()];
  const invalid = expect.objectContaining({ code: "invalid-argument" });
  await expect(one.sync({} as Link)).rejects.toThrow(invalid);
  await expect(one.sync(undefined as unknown as Link)).rejects.toThrow(invalid);
  const { left, right } = memoryLink();
  one.set("a", 1);
  const first = one.sync(left);
  await expect(third.sync(left)).rejects.toThrow(invalid);
  await Promise.all([first, other.sync(right)]);
  expect(other.get("a")).toBe(1);
  await Promise.all([one.close(), other.close(), third.close()]);
});

async function openStore(engine: Parameters<typeof loadEngine>[0] = {}) {
  return open({ persistence: memoryPersistence(), engine: await loadEngine(engine) });
}

function byteStream(): TransformStream<Uint8Array, Uint8Array> {
  return new TransformStream();
}

async function tcpWay(text: boolean): Promise<Way> {
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.listen(0, host, resolve);
  });
  const accepting = new Promise<Socket>((resolve) => {
    server.once("connection", resolve);
  });
  const { port } = server.address() as AddressInfo;
  const left = await tcpConnector({ host, port, text }).connect(never);
  return { left, right: linkOfSocket(await accepting), remove: () => void server.close() };
}

async function webSocketWay(): Promise<Way> {
  const server = new WebSocketServer({ host, port: 0 });
  await new Promise((resolve) => {
    server.once("listening", resolve);
  });
  const accepting = new Promise<Link>((resolve) => {
    server.once("connection", (socket) => resolve(linkOfWebSocket(socket)));
  });
  const { port } = server.address() as AddressInfo;
  const left = await webSocketConnector(`ws://${host}:${port}`).connect(never);
  return { left, right: await accepting, remove: () => server.close() };
}

async function channelWay(): Promise<Way> {
  const ends: ChannelLinks[] = [];
  const name = `stores ${process.pid}`;
  const right = new Promise<Link>((resolve) => {
    ends.push(broadcastChannelLinks(name, resolve));
  });
  const left = new Promise<Link>((resolve) => {
    ends.push(broadcastChannelLinks(name, resolve));
  });
  const remove = (): void => {
    for (const end of ends) end.close();
  };
  return { left: await left, right: await right, remove };
}
