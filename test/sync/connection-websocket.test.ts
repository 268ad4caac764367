/** Stores that stay connected over real WebSockets to a server that is killed and comes back. */

import type { AddressInfo } from "node:net";

import { memoryPersistence } from "lastwrite/persistence/memory";
import { describe, expect, test } from "vitest";
import { WebSocketServer } from "ws";

import type { PersistentStore } from "../../ts/store/store.ts";
import { linkOfWebSocket } from "../../ts/transport/websocket.ts";
import { openStore, serves } from "./connection-world.ts";

const host = "127.0.0.1";

interface Server {
  readonly port: number;
  kill(): Promise<void>;
}

async function serve(store: PersistentStore, port = 0): Promise<Server> {
  const server = new WebSocketServer({ host, port, perMessageDeflate: false });
  server.on("connection", (socket) => serves(store)(linkOfWebSocket(socket)));
  await new Promise((resolve) => {
    server.once("listening", resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    kill: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of server.clients) socket.terminate();
      }),
  };
}

function whenStatus(store: PersistentStore, wanted: string): Promise<void> {
  return new Promise((resolve) => {
    if (store.status === wanted) {
      resolve();
      return;
    }
    const stop = store.on("status", ({ status }) => {
      if (status !== wanted) return;
      stop();
      resolve();
    });
  });
}

describe("over WebSockets", () => {
  test("a server that is killed and comes back gets what was written offline, and gives its own, each once", async () => {
    const far = await openStore();
    const first = await serve(far);
    const connect = `ws://${host}:${first.port}/room`;
    const persistence = memoryPersistence();
    const one = await openStore({ connect, persistence });
    // Waits as short as they get.
    const other = await openStore({ connect }, { random: () => 0.01 });
    const told: string[] = [];
    other.subscribe({}, (changes) => told.push(...changes.map(({ key }) => key)));
    one.set("one/before", 1);
    await one.synced();
    await other.synced();
    expect(other.get("one/before")).toBe(1);

    await first.kill();
    await Promise.all([whenStatus(one, "offline"), whenStatus(other, "offline")]);
    expect(one.statusReason).toMatchObject({ code: "link-failed" });
    one.set("one/offline", 2);
    // Its page is closed and opened again before the server is back.
    await one.close();
    const again = await openStore({ connect, persistence }, { random: () => 0.01 });
    other.set("other/offline", 3);
    far.set("far/offline", 4);
    expect([again.pendingCount, other.pendingCount]).toEqual([1, 1]);

    const second = await serve(far, first.port);
    await Promise.all([again.synced(), other.synced()]);
    // The last of the two may have been the first to come back.
    await Promise.all([again.synced(), other.synced()]);
    expect(again.digest()).toBe(far.digest());
    expect(other.digest()).toBe(far.digest());
    expect([again.pendingCount, other.pendingCount]).toEqual([0, 0]);
    expect(again.status).toBe("live");
    expect(told.toSorted()).toEqual(["far/offline", "one/before", "one/offline", "other/offline"]);
    await Promise.all([again.close(), other.close()]);
    await second.kill();
    await far.close();
  });

  test("a server that refuses for good is left alone", async () => {
    const server = new WebSocketServer({ host, port: 0 });
    let count = 0;
    server.on("connection", (socket) => {
      count++;
      socket.close(4403, "not you");
    });
    await new Promise((resolve) => {
      server.once("listening", resolve);
    });
    const { port } = server.address() as AddressInfo;
    const store = await openStore({ connect: `ws://${host}:${port}/room`, token: "mine" });
    await expect(store.synced()).rejects.toThrow("4403");
    expect([store.status, count]).toEqual(["closed", 1]);
    await store.close();
    server.close();
  });
});
