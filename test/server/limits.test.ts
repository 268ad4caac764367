/** Limits: who goes beyond one is slowed down, refused or sent away, and nobody else notices. */

import { once } from "node:events";
import { readFileSync } from "node:fs";

import { describe, expect, test } from "vitest";
import { WebSocket } from "ws";

import { LIMIT_NAMES, LIMITS } from "../../ts/server/limits.ts";
import { Pace } from "../../ts/server/pace.ts";
import { encodeMessage } from "../../ts/sync/codec.ts";
import { webSocketConnector } from "../../ts/transport/websocket.ts";
import { exchange, holds, type Served, serve, tcp, upgradeRequest } from "./under-test.ts";
import { HELLO } from "../sync/played-peer.ts";

/** A WebSocket that is open, and its close code. */
async function socketTo(
  served: Served,
  room: string,
): Promise<{ socket: WebSocket; closed: Promise<number> }> {
  const socket = new WebSocket(`${served.url}/${room}`, { perMessageDeflate: false });
  socket.on("error", () => {});
  const closed = new Promise<number>((resolve) => {
    socket.on("close", resolve);
  });
  await once(socket, "open");
  return { socket, closed };
}

/** A connection that became a WebSocket, without anybody who speaks for it. */
async function rawSocketTo(served: Served, room: string): Promise<Awaited<ReturnType<typeof tcp>>> {
  const wire = await tcp(served.port);
  wire.write(upgradeRequest(`/${room}`));
  await once(wire, "data");
  return wire;
}

/** The close code in the last frame that a server sent. */
async function closeCodeOf(wire: Awaited<ReturnType<typeof tcp>>): Promise<number> {
  const parts: Buffer[] = [];
  wire.on("data", (part: Buffer) => parts.push(part));
  await once(wire, "close");
  const bytes = Buffer.concat(parts);
  const at = bytes.lastIndexOf(0x88);
  return bytes.readUInt16BE(at + 2);
}

async function metric(served: Served, name: string, least: number): Promise<void> {
  const row = new RegExp(`^lastwrite_${name} (\\d+)$`, "mu");
  while (Number(row.exec(served.server.metrics())?.[1]) < least) {
    await new Promise((resolve) => void setTimeout(resolve, 10));
  }
}

describe("the table of limits", () => {
  test("in the documentation is that of the program", () => {
    const page = readFileSync(new URL("../../docs/server.md", import.meta.url), "utf8");
    for (const name of LIMIT_NAMES) {
      const flag = `--${name.replaceAll(/[A-Z]/gu, (letter) => `-${letter.toLowerCase()}`)}`;
      const row = page.split("\n").find((line) => line.startsWith(`| \`${name}\` `));
      expect(row).toContain(flag);
      expect(row).toContain(LIMITS[name].toLocaleString("en"));
    }
  });
});

describe("a message", () => {
  test("that is too long ends its connection with 1009", async () => {
    await using served = await serve({ limits: { frameBytesMax: 1000 } });
    const { socket, closed } = await socketTo(served, "team");
    socket.send(new Uint8Array(1001));
    expect(await closed).toBe(1009);
  });

  test("that says it is too long is not waited for", async () => {
    await using served = await serve();
    const wires = await Promise.all(Array.from({ length: 100 }, () => rawSocketTo(served, "team")));
    const before = process.memoryUsage().rss;
    const codes = wires.map(closeCodeOf);
    // The head of a frame of 100 MiB, and nothing behind it.
    for (const wire of wires) {
      wire.write(Buffer.from([0x82, 0xff, 0, 0, 0, 0, 0x06, 0x40, 0, 0, 1, 2, 3, 4]));
    }
    expect(new Set(await Promise.all(codes))).toEqual(new Set([1009]));
    expect(process.memoryUsage().rss - before).toBeLessThan(10 * 2 ** 20);
  });

  test("in very many pieces ends its connection", async () => {
    await using served = await serve();
    const wire = await rawSocketTo(served, "team");
    const code = closeCodeOf(wire);
    const piece = (opcode: number): number[] => [opcode, 0x81, 0, 0, 0, 0, 0x61];
    const pieces = Array.from({ length: 131_000 }, () => piece(0));
    wire.write(Buffer.from([piece(2), ...pieces].flat()));
    expect(await code).toBe(1008);
  });

  test("that cannot be read is told so, and the third one ends the connection with 4400", async () => {
    await using served = await serve();
    const other = await served.store("team");
    const { socket, closed } = await socketTo(served, "team");
    const heard: Buffer[] = [];
    socket.on("message", (data: Buffer) => heard.push(data));
    socket.send(encodeMessage({ ...HELLO, millis: Date.now() }, 0));
    while (heard.length < 2) await once(socket, "message");
    for (let at = 0; at < 2; at++) {
      const before = heard.length;
      socket.send(new Uint8Array([1, at]));
      while (heard.length === before) await once(socket, "message");
      expect(heard.at(-1)?.[0]).toBe(16);
      expect(socket.readyState).toBe(WebSocket.OPEN);
    }
    socket.send(new Uint8Array([1, 2]));
    expect(await closed).toBe(4400);
    other.set("a", 1);
    await other.synced();
    expect(other.status).toBe("live");
  });
});

describe("connections", () => {
  test("are as many as there may be, and one more when one has left", async () => {
    await using served = await serve({ limits: { connectionsMax: 2 } });
    const first = await socketTo(served, "team");
    await socketTo(served, "other");
    expect(await exchange(served.port, upgradeRequest("/team"))).toMatch(/^HTTP\/1.1 503 /u);
    first.socket.terminate();
    await first.closed;
    while (!served.server.metrics().includes("lastwrite_connections 1\n")) {
      await new Promise((resolve) => void setImmediate(resolve));
    }
    await socketTo(served, "team");
  });

  test("of one address are as many as there may be", async () => {
    await using served = await serve({ limits: { connectionsPerAddressMax: 1 } });
    await socketTo(served, "team");
    expect(await exchange(served.port, upgradeRequest("/team"))).toMatch(/^HTTP\/1.1 503 /u);
    expect(await served.logged("refused")).toMatchObject({ address: "127.0.0.1", status: 503 });
  });

  test("that say nothing are ended", async () => {
    await using served = await serve({ limits: { handshakeMsMax: 50 } });
    const { closed } = await socketTo(served, "team");
    expect(await closed).toBe(1008);
  });

  test("that are half open, or do not end their headers, are ended", async () => {
    await using served = await serve({ limits: { headerMsMax: 200, requestMsMax: 200 } });
    const begun = [
      "",
      "GET /team HTTP/1.1\r\n",
      upgradeRequest("/team").slice(0, -2),
      `GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\nx: ${"y".repeat(100)}`,
    ];
    const store = await served.store("team");
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, at) => exchange(served.port, begun[at % 4] as string)),
    );
    for (const answer of answers) expect(answer).toMatch(/^(?:HTTP\/1.1 408 |$)/u);
    store.set("a", 1);
    await store.synced();
  });

  test("with giant headers are refused", async () => {
    await using served = await serve();
    const request = upgradeRequest("/team", { "x-giant": "y".repeat(100_000) });
    expect(await exchange(served.port, request)).toMatch(/^HTTP\/1.1 431 /u);
    expect(await exchange(served.port, "\0\0\0\0\r\n\r\n")).toMatch(/^HTTP\/1.1 400 /u);
  });
});

describe("a connection that is too quick", () => {
  test("is read more slowly, and loses nothing", async () => {
    await using served = await serve({ limits: { framesPerSecondMax: 500 } });
    const client = served.json("team");
    await client.hears({ action: "initial_data" });
    const startedAt = performance.now();
    for (let at = 0; at < 1000; at++) client.says({ action: "set", key: "k", value: at });
    await client.hears({ value: 999 });
    // What is read at one moment is taken, and waited for afterwards.
    client.says({ action: "lookup", key: "k" });
    await client.hears({ action: "lookup", value: 999 });
    expect(performance.now() - startedAt).toBeGreaterThan(900);
    expect(client.heard).toHaveLength(1002);
    await metric(served, "pauses_total", 1);
  });

  test("by bytes, too", async () => {
    await using served = await serve({ limits: { bytesPerSecondMax: 100_000 } });
    const client = served.json("team");
    await client.hears({ action: "initial_data" });
    const startedAt = performance.now();
    for (let at = 0; at < 20; at++)
      client.says({ action: "set", key: `k${at}`, value: "x".repeat(9_960) });
    await client.hears({ key: "k19" });
    client.says({ action: "lookup", key: "k" });
    await client.hears({ action: "lookup" });
    expect(performance.now() - startedAt).toBeGreaterThan(900);
  });

  test("has a second's worth, and then what comes in by the second", () => {
    const pace = new Pace(100, 0);
    expect(pace.take(100, 0)).toBe(0);
    expect(pace.take(1, 0)).toBe(10);
    expect(pace.take(1, 20)).toBe(0);
    expect(pace.take(50, 20)).toBe(500);
    expect(pace.take(100, 10_000)).toBe(0);
    expect(pace.take(1, 10_000)).toBe(10);
  });
});

describe("a client that does not read", () => {
  test(
    "is sent away when that lasts, and what waited for it is let go",
    { timeout: 30_000 },
    async () => {
      await using served = await serve({ limits: { queuedBytesMax: 2 ** 16, queueFullMsMax: 1 } });
      const client = served.json("team");
      await client.hears({ action: "initial_data" });
      const writer = await served.server.room("team");
      client.socket.pause();
      for (let round = 0; round < 100; round++) {
        writer.set(`k${round}`, "x".repeat(200_000));
        await writer.flush();
      }
      await metric(served, "slow_closed_total", 1);
      await metric(served, "connections", 0);
      client.socket.resume();
      expect([1006, 1013]).toContain(await client.closed);
    },
  );
});

describe("a session whose client does not read", () => {
  test(
    "takes nothing more to be sent, and goes on with how things stand when it does",
    { timeout: 30_000 },
    async () => {
      await using served = await serve();
      const sockets: WebSocket[] = [];
      class Known extends WebSocket {
        constructor(address: string) {
          super(address);
          sockets.push(this);
        }
      }
      const connect = webSocketConnector(`${served.url}/team`, { WebSocket: Known });
      const client = await served.store("team", { connect });
      const writer = await served.server.room("team");
      sockets[0]?.pause();
      const text = "x".repeat(200_000);
      for (let round = 0; round < 300; round++) {
        writer.set(`k${round % 5}`, `${round} ${text}`);
        await writer.flush();
      }
      const sent = /^lastwrite_sent_bytes_total (?<count>\d+)$/mu.exec(served.server.metrics());
      // What the network takes, and the queue; of 60,000,000.
      expect(Number(sent?.groups?.["count"])).toBeLessThan(12_000_000);
      sockets[0]?.resume();
      for (let at = 0; at < 5; at++) await holds(client, `k${at}`, `${295 + at} ${text}`);
      expect(client.status).toBe("live");
    },
  );
});

describe("a room that is full", () => {
  test("by keys refuses new ones, and goes on with others", async () => {
    await using served = await serve({ limits: { roomKeysMax: 3 } });
    const json = served.json("team");
    for (const key of ["a", "b", "c", "d"]) json.says({ action: "set", key, value: 1 });
    expect(await json.hears({ action: "error" })).toMatchObject({ error: "too-large" });
    json.says({ action: "set", key: "a", value: 2 });
    await json.hears({ key: "a", value: 2 });
    json.says({ action: "remove", key: "b" });
    json.says({ action: "set", key: "d", value: 3 });
    await json.hears({ key: "d", value: 3 });
    expect([...(await served.server.room("team")).keys()]).toEqual(["a", "c", "d"]);
  });

  test("refuses them from clients of the library, who are told, and see what others do", async () => {
    await using served = await serve({ limits: { roomKeysMax: 2 } });
    const one = await served.store("team");
    one.set("a", 1);
    one.set("b", 1);
    await one.synced();
    const two = await served.store("team");
    two.set("c", 1);
    const refused = new Promise<unknown>((resolve) => {
      two.on("status", ({ reason }) => {
        if (reason !== undefined) resolve(reason.code);
      });
    });
    one.set("a", 2);
    await holds(two, "a", 2);
    expect((await served.server.room("team")).has("c")).toBe(false);
    two.set("d", 1);
    two.set("e", 1);
    await Promise.race([refused, new Promise((resolve) => void setTimeout(resolve, 1000))]);
    one.delete("b");
    await holds(two, "b", undefined);
    expect([...(await served.server.room("team")).keys()]).toEqual(["a"]);
  });

  test(
    "by bytes refuses new keys and longer values, and takes new ones when there is room again",
    { timeout: 20_000 },
    async () => {
      await using served = await serve({ limits: { roomBytesMax: 100_000 } });
      const json = served.json("team");
      await json.hears({ action: "initial_data" });
      // So much that it does not pack.
      const long = (length: number): string =>
        Array.from({ length }, () =>
          String.fromCodePoint(32 + Math.floor(Math.random() * 90)),
        ).join("");
      for (let at = 0; at < 11; at++)
        json.says({ action: "set", key: `k${at}`, value: long(10_000) });
      expect(await json.hears({ action: "error" })).toMatchObject({ error: "too-large" });
      const from = json.heard.length;
      json.says({ action: "set", key: "new", value: 1 });
      expect(await json.hears({ action: "error" }, from)).toMatchObject({ error: "too-large" });
      json.says({ action: "set", key: "k0", value: long(9_000) });
      await json.hears({ key: "k0" }, from);
      const later = json.heard.length;
      json.says({ action: "set", key: "k0", value: long(9_900) });
      expect(await json.hears({ action: "error" }, later)).toMatchObject({ error: "too-large" });
      for (let at = 0; at < 5; at++) json.says({ action: "remove", key: `k${at}` });
      await json.hears({ action: "remove", key: "k4" });
      // It is measured again after a while.
      for (let isIn = false; !isIn;) {
        const before = json.heard.length;
        json.says({ action: "set", key: "new", value: 1 });
        const { action } = await Promise.race([
          json.hears({ action: "set", key: "new" }, before),
          json.hears({ action: "error" }, before),
        ]);
        isIn = action === "set";
        if (!isIn) await new Promise((resolve) => void setTimeout(resolve, 100));
      }
      expect((await served.server.room("team")).get("new")).toBe(1);
    },
  );
});

describe("a client that asks again and again", () => {
  test("is read more slowly, or ended where it does not wait for an answer", async () => {
    await using served = await serve({ limits: { framesPerSecondMax: 50 } });
    const waiting = await socketTo(served, "json/team");
    for (let at = 0; at < 60; at++) {
      waiting.socket.ping();
      await once(waiting.socket, "pong");
    }
    await metric(served, "pauses_total", 1);
    expect(waiting.socket.readyState).toBe(WebSocket.OPEN);
    const { socket, closed } = await socketTo(served, "json/team");
    for (let at = 0; at < 3000; at++) socket.ping();
    expect(await closed).toBe(1006);
  });
});
