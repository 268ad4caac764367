import { createServer, type Server as HttpServer } from "node:http";
import type { AddressInfo } from "node:net";

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocket, WebSocketServer } from "ws";

import { MESSAGE_BYTES_MAX } from "../../ts/sync/limits.ts";
import {
  linkOfWebSocket,
  webSocketConnector,
  type WebSocketClass,
  type WebSocketLike,
} from "../../ts/transport/websocket.ts";
import { manualTimers } from "../suites/timers.ts";
import { listen, testTransport, turns, type WayUnderTest } from "../suites/transport.ts";

const never = new AbortController().signal;
let server: WebSocketServer;
let url: string;
const accepted: ((socket: WebSocket) => void)[] = [];

beforeAll(async () => {
  server = new WebSocketServer({ port: 0, host: "127.0.0.1", perMessageDeflate: false });
  server.on("connection", (socket) => accepted.shift()?.(socket));
  await new Promise((resolve) => {
    server.on("listening", resolve);
  });
  url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}/room`;
});

afterAll(() => {
  for (const socket of server.clients) socket.terminate();
  server.close();
});

testTransport("WebSocket, from the client", () => way("left"), { carries: "both" });
testTransport("WebSocket, from the server", () => way("right"), { carries: "both" });

describe("WebSocket", () => {
  test.each([4400, 4401, 4503])(
    "close code %d is kept, with its reason in the error",
    async (code) => {
      const { left, right } = await way("left");
      const [client, own] = [listen(left), listen(right)];
      right.close(code, "no such room");
      const end = await client.closed;
      expect(end).toMatchObject({ code, error: { code: "link-failed" } });
      expect(String(end.error)).toContain("no such room");
      expect(await own.closed).toEqual({ code });
    },
  );

  test.each([1000, 1001])("close code %d is a regular end", async (code) => {
    const { left, right } = await way("left");
    const [client, own] = [listen(left), listen(right)];
    right.close(code);
    expect(await client.closed).toEqual({ code });
    await own.closed;
  });

  test("a reason that is too long is cut between two letters", async () => {
    const { left, right } = await way("left");
    const [client, own] = [listen(left), listen(right)];
    right.close(4000, "\u{1F600}".repeat(100));
    expect(String((await client.closed).error)).toContain(`4000 (${"\u{1F600}".repeat(30)}`);
    await own.closed;
  });

  test("a message that is too long ends the link with corrupt-bytes, and code 1009", async () => {
    const { client, served } = await connected();
    const right = listen(linkOfWebSocket(served));
    const told = new Promise<number>((resolve) => {
      client.on("close", resolve);
    });
    client.send(new Uint8Array(MESSAGE_BYTES_MAX + 1));
    expect(await right.closed).toMatchObject({ code: 1009, error: { code: "corrupt-bytes" } });
    expect(await told).toBe(1009);
  });

  test("a socket that was closed before it became a link ends it", async () => {
    const { client, served } = await connected();
    const gone = new Promise((resolve) => {
      served.on("close", resolve);
    });
    client.terminate();
    await gone;
    expect((await listen(linkOfWebSocket(served)).closed).error).toMatchObject({
      code: "link-failed",
    });
  });

  test("wrong hosts, ports and servers end in link-failed", async () => {
    const http: HttpServer = createServer((_request, response) => response.end("no"));
    const port = await listening(http);
    const unused = await freePort();
    for (const wrong of [
      "ws://host.invalid/room",
      `ws://127.0.0.1:${unused}/room`,
      `ws://127.0.0.1:${port}/room`,
    ]) {
      await expect(webSocketConnector(wrong).connect(never)).rejects.toMatchObject({
        code: "link-failed",
      });
    }
    http.close();
  });

  test.each([
    "http://host/room",
    "host/room",
    "",
    "ws://",
    "ws://name:password@host/room",
    "ws://host/room#part",
  ])("the address %j is refused", (wrong) => {
    expect(() => webSocketConnector(wrong)).toThrow(
      expect.objectContaining({ code: "invalid-argument" }),
    );
  });

  test("the name of a link keeps what stands behind the path to itself", () => {
    expect(webSocketConnector("wss://host:4040/room?key=secret").name).toBe("wss://host:4040/room");
  });

  test("a signal ends connecting, before and while", async () => {
    await expect(
      webSocketConnector(url).connect(AbortSignal.abort(new Error("no more"))),
    ).rejects.toThrow("no more");
    const controller = new AbortController();
    const connecting = webSocketConnector(url).connect(controller.signal);
    await turns(1);
    controller.abort(new Error("enough"));
    await expect(connecting).rejects.toThrow("enough");
  });

  test("an attempt without an answer ends", async () => {
    const timers = manualTimers();
    const sockets: BrowserSocket[] = [];
    const connecting = webSocketConnector("ws://host/room", {
      WebSocket: browserClass(sockets),
      timers,
    }).connect(never);
    await turns(1);
    timers.run();
    await expect(connecting).rejects.toMatchObject({ code: "link-failed" });
    expect(sockets[0]?.readyState).toBe(2);
  });
});

describe("a WebSocket of a browser", () => {
  test("gives bytes, and not promises of them", async () => {
    const { socket, listener } = openBrowserLink();
    expect(socket.binaryType).toBe("arraybuffer");
    socket.tell("message", { data: Uint8Array.of(1, 2).buffer });
    socket.tell("message", { data: "text" });
    await listener.received(2);
    expect(listener.messages).toEqual([Uint8Array.of(1, 2), "text"]);
  });

  test("is asked now and then whether all was sent", async () => {
    const { socket, link, listener, timers } = openBrowserLink();
    socket.bufferedAmount = 10;
    link.send("x");
    link.send("y");
    expect([timers.count, link.bufferedBytes]).toEqual([1, 10]);
    timers.run();
    await turns(1);
    expect([timers.count, listener.drainCount]).toEqual([1, 0]);
    socket.bufferedAmount = 0;
    timers.run();
    await listener.drained;
    expect([timers.count, listener.drainCount]).toEqual([0, 1]);
  });

  test("that refuses a code is closed without", async () => {
    const { socket, link, listener } = openBrowserLink();
    link.close(1012);
    expect(socket.closes).toEqual([[]]);
    socket.tell("close", { code: 1005, reason: "" });
    expect(await listener.closed).toEqual({ code: 1012 });
  });

  test("that does not end is left alone in the end", async () => {
    const { link, listener, timers, socket } = openBrowserLink();
    link.close();
    timers.run();
    expect(await listener.closed).toEqual({});
    socket.tell("close", { code: 1006, reason: "" });
    await turns(1);
    expect(listener.endCount).toBe(1);
  });

  test("may come from the class that is given", async () => {
    const sockets: BrowserSocket[] = [];
    const connecting = webSocketConnector("ws://host/room", {
      WebSocket: browserClass(sockets),
    }).connect(never);
    await turns(1);
    sockets[0]?.tell("open", {});
    expect((await connecting).name).toBe("ws://host/room");
  });
});

async function way(client: "left" | "right"): Promise<WayUnderTest> {
  const accepting = nextAccepted();
  const connecting = webSocketConnector(url).connect(never);
  // At once, as a server does.
  const serving = accepting.then((served) => ({ served, link: linkOfWebSocket(served) }));
  const link = await connecting;
  const { served, link: serverLink } = await serving;
  return {
    left: client === "left" ? link : serverLink,
    right: client === "left" ? serverLink : link,
    ...(client === "left" && { killRight: () => served.terminate() }),
    ...(client === "right" && { killRight: () => link.close() }),
    remove: () => {
      link.close();
      served.terminate();
    },
  };
}

/** A client of `ws` that is no link. */
async function connected() {
  const accepting = nextAccepted();
  const client = new WebSocket(url);
  await new Promise((resolve) => {
    client.on("open", resolve);
  });
  return { client, served: await accepting };
}

function nextAccepted(): Promise<WebSocket> {
  return new Promise((resolve) => {
    accepted.push(resolve);
  });
}

async function listening(http: HttpServer): Promise<number> {
  await new Promise<void>((resolve) => {
    http.listen(0, "127.0.0.1", resolve);
  });
  return (http.address() as AddressInfo).port;
}

async function freePort(): Promise<number> {
  const http = createServer();
  const port = await listening(http);
  await new Promise((resolve) => {
    http.close(resolve);
  });
  return port;
}

/** What a browser has: no pause, no word of what was sent, and few codes that may be given. */
class BrowserSocket implements WebSocketLike {
  readyState = 0;
  bufferedAmount = 0;
  binaryType = "blob";
  readonly closes: unknown[][] = [];
  readonly #listeners = new Map<string, ((event: object) => void)[]>();

  send(): void {}

  close(...told: [code?: number, reason?: string]): void {
    const [code = 1000] = told;
    if (code !== 1000 && code < 3000) throw new DOMException("a code of servers");
    this.closes.push(told);
    this.readyState = 2;
  }

  addEventListener(type: string, listener: (event: object) => void): void {
    this.#listeners.set(type, [...(this.#listeners.get(type) ?? []), listener]);
  }

  tell(type: string, event: object): void {
    if (type === "open") this.readyState = 1;
    if (type === "close") this.readyState = 3;
    for (const listener of this.#listeners.get(type) ?? []) listener(event);
  }
}

function browserClass(sockets: BrowserSocket[]): WebSocketClass {
  return class extends BrowserSocket {
    constructor() {
      super();
      sockets.push(this);
    }
  };
}

function openBrowserLink() {
  const timers = manualTimers();
  const socket = new BrowserSocket();
  socket.readyState = 1;
  const link = linkOfWebSocket(socket, { timers });
  return { socket, link, timers, listener: listen(link) };
}
