/** Rooms: who shares one, and when they are opened and closed. */

import { once } from "node:events";
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { createServer as createHttpServer, get } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";

import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { WebSocket, WebSocketServer } from "ws";

import { open } from "../../ts/open.ts";
import { filePersistence } from "../../ts/persistence/file.ts";
import { memoryPersistence } from "../../ts/persistence/memory.ts";
import { isRoomName, targetOf } from "../../ts/server/paths.ts";
import { createServer } from "../../ts/server/index.ts";
import { createServerOn } from "../../ts/server/server.ts";
import { PACKED_CODE } from "../../ts/transport/envelope.ts";
import { webSocketConnector } from "../../ts/transport/websocket.ts";
import { manualTimers } from "../suites/timers.ts";
import {
  alike,
  exchange,
  holds,
  type JsonClient,
  keptInMemory,
  type Served,
  serve,
  tcp,
  upgradeRequest,
  whenStatus,
} from "./under-test.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), "rooms-"));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe("clients of a room", () => {
  test("see what the others write, those who come later too, and nobody in another room does", async () => {
    await using served = await serve();
    const [one, two, elsewhere] = await Promise.all([
      served.store("team"),
      served.store("team"),
      served.store("other"),
    ]);
    one.set("a", 1);
    two.set("b", { c: [1n, new Date(5), new Uint8Array([1, 2])] });
    await alike(one, two);
    two.delete("a");
    const three = await served.store("team");
    await alike(one, three);
    expect([...three.keys()]).toEqual(["b"]);
    expect(elsewhere.size).toBe(0);
  });

  test("are told who else is there", async () => {
    await using served = await serve();
    const [one, two] = await Promise.all([served.store("team"), served.store("team")]);
    const told = new Promise<unknown>((resolve) => {
      two.on("presence", ([present]) => resolve(present?.value));
    });
    one.setPresence({ name: "Ada" });
    expect(await told).toEqual({ name: "Ada" });
    const gone = new Promise<unknown>((resolve) => {
      two.on("presence", resolve);
    });
    await one.close();
    expect(await gone).toEqual([]);
  });

  test("share the room with the program that the server is in", async () => {
    await using served = await serve();
    const here = await served.server.room("team");
    const there = await served.store("team");
    here.set("from", "server");
    await holds(there, "from", "server");
    there.set("from", "client");
    await holds(here, "from", "client");
    expect(there.stampOf("from")).toEqual(here.stampOf("from"));
  });

  test.each([
    ["packed where they come through a proxy", { "x-forwarded-for": "192.0.2.1" }, true],
    ["as it is where they are on this machine", {}, false],
  ])("are sent what is large %s", async (_, headers, isPacked) => {
    await using served = await serve();
    const room = await served.server.room("team");
    const words = (at: number): number[] =>
      Array.from({ length: 60 }, (__, word) => (at * 31 + word * word) % 97);
    for (let at = 0; at < 1000; at++) room.set(`k${at}`, words(at).join(" "));
    const first: (number | undefined)[] = [];
    class Known extends WebSocket {
      constructor(address: string) {
        super(address, { headers });
        this.on("message", (data: Buffer) => first.push(data[0]));
      }
    }
    const connect = webSocketConnector(`${served.url}/team`, { WebSocket: Known });
    const store = await served.store("team", { connect });
    expect(store.size).toBe(1000);
    expect(first.includes(PACKED_CODE)).toBe(isPacked);
  });

  test("have their writes acknowledged only when these are kept", async () => {
    await using served = await serve({ data: folder });
    const store = await served.store("team");
    store.set("a", 1);
    await store.synced();
    expect(store.pendingCount).toBe(0);
    // As a crash would leave it.
    copyFileSync(path.join(folder, "team.lw"), path.join(folder, "copy.lw"));
    const copy = await open({ persistence: filePersistence(path.join(folder, "copy.lw")) });
    expect(copy.get("a")).toBe(1);
    await copy.close();
  });
});

describe("a room", () => {
  test.each(["team", "A-b_9", "a".repeat(64), "Json"])("may be called %s", async (name) => {
    expect(isRoomName(name)).toBe(true);
    expect(targetOf(`/${name}`)).toEqual({ room: name, speaks: "sync" });
    expect(targetOf(`/json/${name}`)).toEqual({ room: name, speaks: "json" });
  });

  test.each([
    "",
    "json",
    "api",
    "healthz",
    "readyz",
    "metrics",
    "assets",
    "a.b",
    "a/b",
    "ä",
    "..",
    "%61",
    "a".repeat(65),
  ])("may not be called %j", async (name) => {
    await using served = await serve();
    await expect(served.server.room(name)).rejects.toMatchObject({ code: "room-invalid" });
    const answer = await exchange(served.port, upgradeRequest(`/${encodeURI(name)}`));
    expect(answer).toMatch(/^HTTP\/1.1 404 /u);
  });

  test("is opened once for all who come at one moment, and closed when nobody was there for a while", async () => {
    let openedCount = 0;
    const kept = keptInMemory();
    const persistence = (room: string): ReturnType<typeof kept> => {
      openedCount++;
      return kept(room);
    };
    const timers = manualTimers();
    const events: string[] = [];
    let isClosed = (): void => {};
    const closed = new Promise<void>((resolve) => (isClosed = resolve));
    const server = await createServerOn(
      { timers },
      {
        port: 0,
        persistence,
        log: ({ event }) => {
          events.push(event);
          if (event === "room-closed") isClosed();
        },
      },
    );
    const connect = `${server.address.replace("http", "ws")}/team`;
    const clients = await Promise.all(
      Array.from({ length: 10 }, () => open({ persistence: memoryPersistence(), connect })),
    );
    await Promise.all(clients.map((client) => client.synced()));
    clients[0]?.set("a", 1);
    await clients[0]?.synced();
    expect(openedCount).toBe(1);
    await Promise.all(clients.map((client) => client.close()));
    // What runs: the wait of the empty room.
    while (!events.includes("room-closed")) {
      timers.run();
      await Promise.race([closed, new Promise((resolve) => void setImmediate(resolve))]);
    }
    const later = await open({ persistence: memoryPersistence(), connect });
    await later.synced();
    expect(openedCount).toBe(2);
    expect(later.get("a")).toBe(1);
    await later.close();
    await server.close();
  });

  test("whose store is closed by its program comes back, and its clients with it", async () => {
    await using served = await serve();
    const client = await served.store("team");
    client.set("a", 1);
    await client.synced();
    const here = await served.server.room("team");
    const isGone = whenStatus(client, "offline");
    await here.close();
    await isGone;
    await whenStatus(client, "live");
    const again = await served.server.room("team");
    expect(again.get("a")).toBe(1);
    again.set("b", 2);
    await holds(client, "b", 2);
  });

  test("is refused when there are as many as there may be, those of before included", async () => {
    {
      await using served = await serve({ data: folder });
      await served.server.room("first");
    }
    await using served = await serve({ data: folder, limits: { roomsMax: 2 } });
    await served.server.room("second");
    await expect(served.server.room("third")).rejects.toMatchObject({ code: "too-large" });
    await served.server.room("first");
    const store = await open({ persistence: memoryPersistence(), connect: `${served.url}/third` });
    await whenStatus(store, "offline");
    expect(store.statusReason?.code).toBe("too-large");
    await store.close();
  });

  test("is closed before its time for another one, the one that nobody has been in for longest first", async () => {
    await using served = await serve({ data: folder, limits: { roomsOpenMax: 3 } });
    const inside: JsonClient[] = [];
    for (const room of ["one", "two", "three"]) {
      const client = served.json(room);
      await client.hears({ action: "initial_data" });
      inside.push(client);
    }
    const refused = served.json("four");
    expect(await refused.hears({ action: "error" })).toMatchObject({ error: "too-large" });
    expect(await refused.closed).toBe(1013);

    for (const at of [1, 0]) {
      inside[at]?.socket.close();
      await inside[at]?.closed;
      await connections(served, 1 + at);
    }
    await served.json("four").hears({ action: "initial_data" });
    expect(await served.logged("room-closed")).toMatchObject({ room: "two" });
    // "one" goes for five at once, of which one gets in.
    const codes = await Promise.all(
      ["a", "b", "c", "d", "e"].map(async (room) => {
        const client = served.json(room);
        const { action } = await client.hears({});
        return action;
      }),
    );
    expect(codes.filter((action) => action === "initial_data")).toHaveLength(1);
    expect(served.server.metrics()).toContain("lastwrite_rooms_open 3\n");
    expect(served.log.filter(({ event }) => event === "room-closed")).toMatchObject([
      { room: "two" },
      { room: "one" },
    ]);
  });

  test("that cannot be opened says so without saying where it is kept", async () => {
    await using served = await serve({
      persistence: (room) => {
        const fail = (): Promise<never> => Promise.reject(new Error("secret"));
        return Object.assign(memoryPersistence(), { name: `secret/${room}`, open: fail });
      },
    });
    const store = await open({ persistence: memoryPersistence(), connect: `${served.url}/team` });
    await whenStatus(store, "offline");
    expect(String(store.statusReason?.message)).toContain("try again later");
    expect(String(store.statusReason?.message)).not.toContain("secret");
    expect(JSON.stringify(await served.logged("room-failed"))).toContain("secret");
    await store.close();
  });
});

describe("beside a server of somebody else", () => {
  test("only paths of rooms are taken, and all others are his", async () => {
    const http = createHttpServer((request, response) => {
      response.end(`his ${request.url}`);
    });
    const sockets = new WebSocketServer({ noServer: true });
    http.on("upgrade", (request, wire, head) => {
      if (request.url !== "/chat/his") return;
      sockets.handleUpgrade(request, wire, head, (socket) => socket.send("his"));
    });
    await new Promise<void>((resolve) => void http.listen(0, "127.0.0.1", resolve));
    const { port } = http.address() as AddressInfo;
    const server = await createServer({ server: http, path: "/sync", persistence: keptInMemory() });
    expect(server.address).toBe(`http://127.0.0.1:${port}/sync`);
    const store = await open({
      persistence: memoryPersistence(),
      connect: `ws://127.0.0.1:${port}/sync/team`,
    });
    await store.synced();

    expect(await body(`http://127.0.0.1:${port}/healthz`)).toBe("his /healthz");
    expect(await body(`http://127.0.0.1:${port}/sync/healthz`)).toBe("ok\n");
    expect(await body(`http://127.0.0.1:${port}/sync/team`)).toBe("his /sync/team");
    const his = new WebSocket(`ws://127.0.0.1:${port}/chat/his`);
    const said = await new Promise((resolve) => {
      his.on("message", (data: Buffer) => resolve(data.toString()));
    });
    expect(said).toBe("his");
    his.terminate();

    const begun = await tcp(port);
    const answered = once(begun, "data");
    begun.write("GET /slow HTTP/1.1\r\nhost: 127.0.0.1\r\n");
    await server.close();
    await store.close();
    // What others have begun goes on.
    begun.write("\r\n");
    expect(String((await answered)[0])).toContain("his /slow");
    begun.destroy();
    expect(await body(`http://127.0.0.1:${port}/sync/healthz`)).toBe("his /sync/healthz");
    await new Promise((resolve) => {
      http.close(resolve);
      http.closeAllConnections();
    });
  });
});

describe("closing", () => {
  test("keeps and acknowledges what came, sends everybody away to come back, and takes nobody in", async () => {
    await using served = await serve({ data: folder });
    const store = await served.store("team");
    const json = served.json("team");
    await json.hears({ action: "initial_data" });
    for (let at = 0; at < 100; at++) store.set(`k${at}`, at);
    await store.synced();
    await served.server.close();
    expect(await json.closed).toBe(1012);
    await whenStatus(store, "offline");
    await expect(served.server.room("team")).rejects.toMatchObject({ code: "server-closed" });
    await served.server.close();

    await using again = await serve({ data: folder, port: served.port, limits: {} });
    await whenStatus(store, "live");
    expect((await again.server.room("team")).size).toBe(100);
  });

  test("does not wait for those who do not say goodbye", async () => {
    const served = await serve();
    const client = served.json("team");
    await client.hears({ action: "initial_data" });
    client.socket.pause();
    expect(client.socket.readyState).toBe(WebSocket.OPEN);
    await served.server.close();
    expect(served.server.metrics()).toContain("lastwrite_connections 0");
    client.socket.terminate();
  });
});

/** Resolves when so many are connected. */
async function connections(served: Served, count: number): Promise<void> {
  while (!served.server.metrics().includes(`lastwrite_connections ${count}\n`)) {
    await new Promise((resolve) => void setImmediate(resolve));
  }
}

function body(url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    get(url, { agent: false }, (response) => {
      let text = "";
      response.on("data", (bytes: Buffer) => (text += bytes.toString()));
      response.on("end", () => resolve(text));
    }).on("error", reject);
  });
}
