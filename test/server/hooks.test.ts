/** Who it is, and what he may do: `authenticate` and `authorize`. */

import { describe, expect, test } from "vitest";
import { WebSocket } from "ws";

import { open } from "../../ts/open.ts";
import { memoryPersistence } from "../../ts/persistence/memory.ts";
import type { Action, Credentials, ServerOptions } from "../../ts/server/contract.ts";
import { decodeMessage, encodeMessage } from "../../ts/sync/codec.ts";
import type { Hello, SyncMessage } from "../../ts/sync/messages.ts";
import type { Store } from "../../ts/store/contract.ts";
import { alike, holds, type Served, serve, whenStatus } from "./under-test.ts";
import { HELLO } from "../sync/played-peer.ts";

type Person = "ada" | "bob" | "eve";

/** Ada may write everything, Bob below his name alone, Eve nothing, and not read "private". */
const HOOKS: ServerOptions<Person> = {
  authenticate: ({ token }) => {
    if (token === "ada" || token === "bob" || token === "eve") return token;
    throw new Error(`nobody is called ${token}`);
  },
  authorize: (person, action, room, key) => {
    if (action === "read") return person !== "eve" || room !== "private";
    return person === "ada" || (person === "bob" && key?.startsWith("bob/") === true);
  },
};

async function comes(served: Served, room: string, token?: string): Promise<Store> {
  return open({
    persistence: memoryPersistence(),
    connect: `${served.url}/${room}`,
    ...(token !== undefined && { token }),
  });
}

/** All that a client is told that says only hello, and how it ends. */
function hearing(url: string, hello: Hello): Promise<{ heard: SyncMessage[]; code: number }> {
  const socket = new WebSocket(url);
  const heard: SyncMessage[] = [];
  socket.on("open", () => socket.send(encodeMessage(hello, 0)));
  socket.on("message", (data: Buffer) => heard.push(decodeMessage(new Uint8Array(data)).message));
  return new Promise((resolve) => {
    socket.on("close", (code) => resolve({ heard, code }));
  });
}

describe("authenticate", () => {
  test("is asked with the token and the request, once a connection, before the room is opened", async () => {
    const asked: Credentials[] = [];
    await using served = await serve({
      authenticate: (credentials) => void asked.push(credentials),
    });
    const store = await served.store("team", { token: "sesame" });
    store.set("a", 1);
    await store.synced();
    expect(asked.map(({ token }) => token)).toEqual(["sesame"]);
    expect(asked[0]?.request.headers["upgrade"]).toBe("websocket");
    expect(asked[0]?.request.url).toBe("/team");
  });

  test("whoever it does not know hears unauthorized and nothing else, and does not come back", async () => {
    await using served = await serve<Person>(HOOKS);
    for (const token of [undefined, "mallory"]) {
      const store = await comes(served, "team", token);
      await whenStatus(store, "closed");
      expect(store.statusReason?.code).toBe("unauthorized");
      expect(store.statusReason?.message).not.toContain("nobody is called");
      await store.close();
    }
    const { heard, code } = await hearing(`${served.url}/team`, { ...HELLO, token: "mallory" });
    expect(heard).toEqual([
      { type: "error", code: "unauthorized", message: expect.any(String), final: true },
    ]);
    expect(code).toBe(4401);
    expect(served.log.filter(({ event }) => event === "room-opened")).toEqual([]);
  });

  test("may take its time", async () => {
    await using served = await serve<string>({
      authenticate: async ({ token }) => {
        await new Promise((resolve) => void setImmediate(resolve));
        if (token !== "sesame") throw new Error("no");
        return token;
      },
    });
    expect((await served.store("team", { token: "sesame" })).status).toBe("live");
    const store = await comes(served, "team", "open");
    await whenStatus(store, "closed");
    expect(store.statusReason?.code).toBe("unauthorized");
    await store.close();
  });

  test("that never answers keeps nobody waiting for longer than a handshake may take", async () => {
    await using served = await serve({
      authenticate: () => new Promise<never>(() => {}),
      limits: { handshakeMsMax: 50 },
    });
    const { code } = await hearing(`${served.url}/team`, HELLO);
    expect(code).toBe(1008);
    const headers = { authorization: "Bearer ada" };
    expect(await served.json("team", { headers }).closed).toBe(1008);
    const page = served.json("team");
    page.says({ action: "authenticate", token: "ada" });
    expect(await page.closed).toBe(1008);
  });

  test("one who leaves while it is asked leaves nothing behind", async () => {
    let answer = (): void => {};
    let isAsked = (): void => {};
    const asked = new Promise<void>((resolve) => (isAsked = resolve));
    await using served = await serve<string>({
      roomIdleMs: 0,
      authenticate: () => {
        isAsked();
        return new Promise<string>((resolve) => (answer = () => resolve("late")));
      },
    });
    const store = await comes(served, "team");
    await asked;
    await store.close();
    answer();
    await served.logged("room-closed");
    expect(served.server.metrics()).toContain("lastwrite_rooms_open 0");
  });

  test("tokens, keys and values are in no log", async () => {
    await using served = await serve<Person>({ ...HOOKS, limits: { roomKeysMax: 1 } });
    const ada = await served.store("team", { token: "ada" });
    ada.set("secret-key", "secret-value");
    await ada.synced();
    const eve = await comes(served, "team", "eve");
    eve.set("secret-key", "secret-value");
    await whenStatus(eve, "closed");
    await eve.close();
    const json = served.json("team", { headers: { authorization: "Bearer secret-token" } });
    await json.closed;
    await served.server.close();
    expect(served.log.length).toBeGreaterThan(3);
    expect(JSON.stringify(served.log)).not.toContain("secret");
  });
});

describe("authorize", () => {
  test("who may not read a room hears unauthorized and nothing else, whatever is in it", async () => {
    await using served = await serve<Person>(HOOKS);
    const room = await served.server.room("private");
    const said = [];
    for (const value of [1, "two", { three: [3] }]) {
      room.set(`k${said.length}`, value);
      said.push(await hearing(`${served.url}/private`, { ...HELLO, token: "eve" }));
    }
    expect(said[0]?.heard).toEqual([
      { type: "error", code: "unauthorized", message: "you may not read that room", final: true },
    ]);
    expect(said[1]).toEqual(said[0]);
    expect(said[2]).toEqual(said[0]);
  });

  test("is asked for reading without a key, and for writing with each", async () => {
    const asked: [string, Action, string, string | undefined][] = [];
    await using served = await serve<string>({
      authenticate: ({ token }) => token,
      authorize: (...args) => {
        asked.push(args);
        return true;
      },
    });
    const store = await served.store("team", { token: "ada" });
    store.transaction(() => {
      store.set("a", 1);
      store.set("b", 2);
    });
    await store.synced();
    store.delete("a");
    await store.synced();
    expect(asked).toEqual([
      ["ada", "read", "team", undefined],
      ["ada", "write", "team", "a"],
      ["ada", "write", "team", "b"],
      ["ada", "write", "team", "a"],
    ]);
  });

  test("who may write some keys writes these, and everybody sees it", async () => {
    await using served = await serve<Person>(HOOKS);
    const ada = await served.store("team", { token: "ada" });
    const bob = await served.store("team", { token: "bob" });
    ada.set("ada/a", 1);
    bob.set("bob/a", 2);
    await holds(ada, "bob/a", 2);
    await holds(bob, "ada/a", 1);
    await alike(ada, bob);
    expect(bob.status).toBe("live");
  });

  test("one key that is not allowed refuses all of the message, and nobody hears of it", async () => {
    await using served = await serve<Person>(HOOKS);
    const ada = await served.store("team", { token: "ada" });
    const bob = await served.store("team", { token: "bob" });
    bob.transaction(() => {
      bob.set("bob/a", 1);
      bob.set("ada/a", 2);
      bob.set("bob/b", 3);
    });
    await whenStatus(bob, "closed");
    expect(bob.statusReason?.code).toBe("unauthorized");
    expect(bob.pendingCount).toBe(3);
    ada.set("ada/b", 1);
    await ada.synced();
    expect([...ada.keys()]).toEqual(["ada/b"]);
    expect([...(await served.server.room("team")).keys()]).toEqual(["ada/b"]);
  });

  test("what was written offline is looked at like what comes live", async () => {
    await using served = await serve<Person>(HOOKS);
    const eve = await comes(served, "other", "eve");
    eve.set("ada/a", 1);
    await whenStatus(eve, "closed");
    expect(eve.statusReason?.code).toBe("unauthorized");
    expect((await served.server.room("other")).size).toBe(0);
    await eve.close();
  });

  test("who deletes a prefix may delete all that is below it", async () => {
    await using served = await serve<Person>({
      ...HOOKS,
      authorize: (person, action, _, key) =>
        action === "read" || person === "ada" || key !== "a/kept",
    });
    const ada = await served.store("team", { token: "ada" });
    ada.set("a/kept", 1);
    ada.set("b/kept", 1);
    const bob = await served.store("team", { token: "bob" });
    bob.deletePrefix("b/");
    await holds(ada, "b/kept", undefined);
    bob.deletePrefix("a/");
    await whenStatus(bob, "closed");
    expect(ada.get("a/kept")).toBe(1);
    expect(bob.statusReason?.code).toBe("unauthorized");
  });

  test("who may write nothing reads on, from before, live, and after being away", async () => {
    await using served = await serve<Person>(HOOKS);
    const ada = await served.store("team", { token: "ada" });
    ada.set("ada/a", 1);
    const persistence = memoryPersistence();
    const eve = await served.store("team", { token: "eve", persistence });
    await holds(eve, "ada/a", 1);
    ada.set("ada/a", 2);
    await holds(eve, "ada/a", 2);
    await eve.close();
    ada.set("ada/b", 3);
    await ada.synced();
    const again = await served.store("team", { token: "eve", persistence });
    await alike(ada, again);
    expect(again.status).toBe("live");
  });

  test("one that throws allows nothing", async () => {
    await using served = await serve({
      authorize: (_, action) => {
        if (action === "write") throw new Error("broken");
        return true;
      },
    });
    const store = await served.store("team");
    store.set("a", 1);
    await whenStatus(store, "closed");
    expect(store.statusReason?.code).toBe("unauthorized");
    expect(await served.logged("authorize-failed")).toMatchObject({ level: "error" });
  });

  test("only true is yes", async () => {
    await using served = await serve({ authorize: () => "false" as unknown as boolean });
    const store = await comes(served, "team");
    await whenStatus(store, "closed");
    expect(store.statusReason?.code).toBe("unauthorized");
    await store.close();
  });
});

describe("a session", () => {
  test("that means another room is refused", async () => {
    await using served = await serve();
    const { heard, code } = await hearing(`${served.url}/team`, { ...HELLO, room: "other" });
    expect(heard).toMatchObject([{ type: "error", code: "room-invalid", final: true }]);
    expect(code).toBe(4404);
  });

  test("that speaks another protocol is refused politely", async () => {
    await using served = await serve();
    const hello = { ...HELLO, protocolMin: 2, protocolMax: 9 };
    const { heard } = await hearing(`${served.url}/team`, hello);
    expect(heard.at(-1)).toMatchObject({
      type: "error",
      code: "unsupported-protocol",
      final: true,
    });
  });
});

describe("plain JSON", () => {
  test("who is asked says it by a header, or by his first message, and is told nothing before", async () => {
    await using served = await serve<Person>(HOOKS);
    (await served.server.room("team")).set("a", 1);
    const program = served.json("team", { headers: { authorization: "Bearer ada" } });
    await program.hears({ action: "initial_data", data: { a: 1 } });
    const page = served.json("team");
    page.says({ action: "authenticate", token: "bob" });
    await page.hears({ action: "initial_data", data: { a: 1 } });
    expect(page.heard).toHaveLength(1);
  });

  test.each([
    ["another action first", { action: "lookup", key: "a" }],
    ["a token that is none", { action: "authenticate", token: 7 }],
    ["one that nobody has", { action: "authenticate", token: "mallory" }],
    ["no JSON", "{"],
  ])("%s: unauthorized, and closed for good", async (_, message) => {
    await using served = await serve<Person>(HOOKS);
    const client = served.json("team");
    client.says(message);
    expect(await client.closed).toBe(4401);
    expect(client.heard).toEqual([
      { action: "error", error: "unauthorized", message: expect.any(String) },
    ]);
  });

  test("who says nothing is sent away", async () => {
    await using served = await serve<Person>({ ...HOOKS, limits: { handshakeMsMax: 50 } });
    expect(await served.json("team").closed).toBe(1008);
  });

  test("a key that is not allowed is an error, and the connection goes on", async () => {
    await using served = await serve<Person>(HOOKS);
    const ada = await served.store("team", { token: "ada" });
    ada.set("ada/a", 1);
    await ada.synced();
    const bob = served.json("team", { headers: { authorization: "Bearer bob" } });
    for (const message of [
      { action: "set", key: "ada/a", value: 2 },
      { action: "remove", key: "ada/a" },
      { action: "remove", key: "ada/absent" },
    ]) {
      const from = bob.heard.length;
      bob.says(message);
      expect(await bob.hears({ action: "error" }, from)).toMatchObject({
        error: "unauthorized",
        key: message.key,
      });
    }
    bob.says({ action: "set", key: "bob/a", value: 3 });
    await holds(ada, "bob/a", 3);
    expect(ada.get("ada/a")).toBe(1);
  });

  test("who may not read a room is told nothing of it", async () => {
    await using served = await serve<Person>(HOOKS);
    const eve = served.json("private", { headers: { authorization: "Bearer eve" } });
    expect(await eve.closed).toBe(4401);
    expect(eve.heard).toMatchObject([{ action: "error", error: "unauthorized" }]);
  });
});
