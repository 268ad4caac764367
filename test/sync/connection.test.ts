/** Stores that stay connected, over links in memory. */

import { type Change, LastwriteError, type Store } from "lastwrite";
import { memoryPersistence } from "lastwrite/persistence/memory";
import { describe, expect, test, vi } from "vitest";

import type { PersistentStore } from "../../ts/store/store.ts";
import { encodeMessage } from "../../ts/sync/codec.ts";
import type { Link } from "../../ts/transport/contract.ts";
import { memoryLink } from "../../ts/transport/memory.ts";
import { memoryServer, openStore, serves, timeline, turns, until } from "./connection-world.ts";

async function closeAll(...stores: readonly Store[]): Promise<void> {
  await Promise.all(stores.map((store) => store.close()));
}

describe("a store with `connect`", () => {
  test("gets what the other side has, sends what it has, and goes on so", async () => {
    const far = await openStore();
    far.set("far", 1);
    const near = await openStore({ connect: memoryServer(serves(far)) });
    near.set("near", 1);
    await near.synced();
    expect([near.get("far"), far.get("near")]).toEqual([1, 1]);
    expect([near.status, near.statusReason, near.pendingCount]).toEqual(["live", undefined, 0]);

    near.set("later", 2);
    expect(near.pendingCount).toBe(1);
    await until(() => far.get("later") === 2 && near.pendingCount === 0);
    far.set("back", 3);
    await near.synced();
    expect(near.get("back")).toBe(3);
    expect(near.digest()).toBe(far.digest());
    await closeAll(near, far);
  });

  test("opens without waiting for anybody, and tells why it is offline", async () => {
    const time = timeline();
    const server = memoryServer(() => {});
    server.failNext(Infinity);
    const store = await openStore({ connect: server }, { timers: time });
    expect(store.status).toBe("connecting");
    await until(() => store.status === "offline");
    expect(store.statusReason).toMatchObject({ code: "link-failed" });
    await store.close();
    expect([store.status, store.statusReason]).toEqual(["closed", undefined]);
    expect(time.waits).toEqual([]);
  });

  test("comes back when the server does; what was written meanwhile arrives, each once", async () => {
    const time = timeline();
    const far = await openStore();
    const server = memoryServer(serves(far));
    const near = await openStore({ connect: server }, { timers: time });
    const told: Change[] = [];
    near.subscribe({}, (changes) => told.push(...changes));
    const toldFar: Change[] = [];
    far.subscribe({}, (changes) => toldFar.push(...changes));
    near.set("before", 1);
    await near.synced();

    server.failNext(3);
    server.cut();
    await until(() => near.status === "offline");
    near.set("near", 1);
    near.set("near", 2);
    far.set("far", 1);
    expect(near.pendingCount).toBe(2);
    for (let attempt = 0; attempt < 4; attempt++) await time.advance(30_000);
    await near.synced();
    expect(server.attemptCount).toBe(5);
    expect(near.digest()).toBe(far.digest());
    expect(told.map(({ key }) => key)).toEqual(["before", "near", "near", "far"]);
    expect(toldFar.map(({ key }) => key)).toEqual(["before", "far", "near"]);
    expect(near.pendingCount).toBe(0);
    await closeAll(near, far);
  });

  test("waits longer each time, at most 30 s, and begins anew after it was live for 10 s", async () => {
    const time = timeline();
    const far = await openStore();
    const server = memoryServer(serves(far));
    server.failNext(9);
    const near = await openStore({ connect: server }, { timers: time, random: () => 0.999_999 });
    const waits: number[] = [];
    for (let attempt = 0; attempt < 9; attempt++) {
      await until(() => near.status === "offline" && time.waits.length === 1);
      const [wait = 0] = time.waits;
      waits.push(wait);
      await time.advance(wait);
    }
    expect(waits).toEqual([300, 600, 1200, 2400, 4800, 9600, 19_200, 30_000, 30_000]);
    const waitAfterBreak = async (): Promise<readonly number[]> => {
      server.cut();
      await until(() => near.status === "offline" && time.waits.length === 1);
      return time.waits;
    };
    await until(() => near.status === "live");
    await time.advance(9_999);
    expect(await waitAfterBreak()).toEqual([30_000]);
    await time.advance(30_000);
    await until(() => near.status === "live");
    await time.advance(10_000);
    expect(await waitAfterBreak()).toEqual([300]);
    await closeAll(near, far);
  });

  test("tries at once when the machine is online again", async () => {
    const time = timeline();
    const listeners = new Set<() => void>();
    const onOnline = (listener: () => void): (() => void) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    };
    const far = await openStore();
    const server = memoryServer(serves(far));
    server.failNext(1);
    const near = await openStore({ connect: server }, { timers: time, onOnline });
    await until(() => near.status === "offline");
    for (const listener of listeners) listener();
    await until(() => near.status === "live");
    expect(server.attemptCount).toBe(2);
    await closeAll(near, far);
    expect(listeners.size).toBe(0);
  });

  test("listens for `online` where the platform tells of it", async () => {
    const platform = new EventTarget();
    vi.stubGlobal("addEventListener", platform.addEventListener.bind(platform));
    vi.stubGlobal("removeEventListener", platform.removeEventListener.bind(platform));
    const time = timeline();
    const server = memoryServer(() => {});
    server.failNext(2);
    const store = await openStore({ connect: server }, { timers: time });
    await until(() => store.status === "offline");
    platform.dispatchEvent(new Event("online"));
    await turns();
    expect(server.attemptCount).toBe(2);
    await store.close();
    platform.dispatchEvent(new Event("online"));
    await turns();
    expect(server.attemptCount).toBe(2);
    vi.unstubAllGlobals();
  });

  test.each([4400, 4403, 4499])("is not tried again after close code %d", async (code) => {
    const time = timeline();
    const server = memoryServer((link) => link.close(code));
    const store = await openStore({ connect: server }, { timers: time });
    const waiting = store.synced();
    await expect(waiting).rejects.toMatchObject({ code: "link-failed" });
    expect(store.status).toBe("closed");
    expect(store.statusReason).toBeInstanceOf(LastwriteError);
    await expect(store.synced()).rejects.toBe(store.statusReason);
    await time.advance(60_000);
    expect(server.attemptCount).toBe(1);
    await store.close();
  });

  test.each([1000, 1012, 4500, 4503])("is tried again after close code %d", async (code) => {
    const time = timeline();
    const server = memoryServer((link) => link.close(code));
    const store = await openStore({ connect: server }, { timers: time });
    await until(() => store.status === "offline");
    await time.advance(30_000);
    expect(server.attemptCount).toBeGreaterThan(1);
    await store.close();
  });

  test.each([
    { code: "unauthorized", isFinal: true },
    { code: "room-invalid", isFinal: true },
    { code: "unsupported-protocol", isFinal: true },
    { code: "server-closed", isFinal: false },
    { code: "rate-limited", isFinal: false },
  ])("after the other side said $code, final: $isFinal", async ({ code, isFinal }) => {
    const time = timeline();
    const server = memoryServer((link) => saysOnly(link, code));
    const store = await openStore({ connect: server }, { timers: time });
    await until(() => store.status === (isFinal ? "closed" : "offline"));
    expect(store.statusReason).toMatchObject({ code });
    expect(store.statusReason?.message).toContain("because");
    await store.close();
  });

  test("carries the token in its first message", async () => {
    let token: string | undefined;
    const far = await openStore();
    const server = memoryServer((link) => {
      serves(far)({
        ...linkOf(link),
        start: (handler) =>
          link.start({
            ...handler,
            closed: (end) => handler.closed(end),
            drained: () => {},
            message: (message) => {
              token ??= Buffer.from(message as Uint8Array).toString("latin1");
              handler.message(message);
            },
          }),
      });
    });
    const near = await openStore({ connect: server, token: "who I am" });
    await near.synced();
    expect(token).toContain("who I am");
    await closeAll(near, far);
  });

  test("several stores in a ring end equal, with cuts on the way", async () => {
    const time = timeline();
    const stores: PersistentStore[] = [];
    const servers = Array.from({ length: 5 }, (_, at) =>
      memoryServer((link) => serves(stores[(at + 1) % 5] as PersistentStore)(link), `ring ${at}`),
    );
    // They try again when all of them are there.
    for (const server of servers) server.failNext(1);
    for (const server of servers) {
      stores.push(await openStore({ connect: server }, { timers: time, random: () => 0.5 }));
    }
    await time.advance(1000);
    const counts = stores.map(() => 0);
    for (const [at, store] of stores.entries()) {
      store.subscribe({}, (changes) => {
        counts[at] = (counts[at] ?? 0) + changes.length;
      });
    }
    for (let round = 0; round < 4; round++) {
      for (const [at, store] of stores.entries()) {
        for (let key = 0; key < 20; key++) store.set(`${at}/${round}/${key}`, key);
      }
      await turns(5);
      servers[round]?.cut();
      await turns(5);
      await time.advance(1000);
    }
    await until(() => new Set(stores.map((store) => store.digest())).size === 1);
    await Promise.all(stores.map((store) => store.synced()));
    expect(stores.map(({ size }) => size)).toEqual([400, 400, 400, 400, 400]);
    expect(counts).toEqual([400, 400, 400, 400, 400]);
    expect(stores.map(({ pendingCount }) => pendingCount)).toEqual([0, 0, 0, 0, 0]);
    await closeAll(...stores);
  });
});

test("closing does not wait for a connector that never answers, and a link that comes later is closed", async () => {
  let answer = (_link: Link): void => {};
  const connector = {
    name: "deaf",
    connect: () =>
      new Promise<Link>((resolve) => {
        answer = resolve;
      }),
  };
  const store = await openStore({ connect: connector });
  await store.close();
  const { left, right } = memoryLink();
  let isClosed = false;
  right.start({
    message: () => {},
    drained: () => {},
    closed: () => {
      isClosed = true;
    },
  });
  answer(left);
  await until(() => isClosed);
  expect(store.status).toBe("closed");
});

test("openers of one shared place name their orders of arrival apart", async () => {
  const persistence = memoryPersistence();
  persistence.share = async () => {};
  const first = await openStore({ persistence });
  const { storeId, epoch } = first.syncHost.replica;
  await first.close();
  const second = await openStore({ persistence });
  expect(second.syncHost.replica.storeId).toBe(storeId);
  expect(second.syncHost.replica.epoch).not.toBe(epoch);
  await second.close();
});

describe("status", () => {
  test("goes from connecting over syncing to live, and each step is told once", async () => {
    const time = timeline();
    const far = await openStore();
    far.set("far", "x".repeat(1000));
    const server = memoryServer(serves(far));
    server.failNext(1);
    const near = await openStore({ connect: server }, { timers: time });
    const told: string[] = [];
    near.on("status", ({ status, reason }) => told.push(`${status} ${reason?.code ?? ""}`.trim()));
    const progress: unknown[] = [];
    near.on("progress", (event) => progress.push(event));
    await until(() => near.status === "offline");
    await time.advance(300);
    await near.synced();
    await near.close();
    expect(told).toEqual([
      "offline link-failed",
      "connecting link-failed",
      "syncing link-failed",
      "live",
      "closed",
    ]);
    expect(progress).toContainEqual({ entryCount: 1, remainingBytes: 0 });
    await far.close();
  });

  test("is that of the best of several connections", async () => {
    const time = timeline();
    const far = await openStore();
    const [gone, there] = [memoryServer(() => {}, "gone"), memoryServer(serves(far), "there")];
    const refusing = memoryServer((link) => link.close(4403), "refusing");
    gone.failNext(Infinity);
    const near = await openStore({ connect: [gone, refusing, there] }, { timers: time });
    near.set("near", 1);
    await near.synced();
    expect([near.status, near.statusReason, near.pendingCount]).toEqual(["live", undefined, 0]);
    there.failNext(Infinity);
    there.cut();
    await until(() => near.status === "offline");
    expect(near.statusReason).toMatchObject({ code: "link-failed" });
    await closeAll(near, far);
  });

  test("is offline, with nothing pending, without `connect`", async () => {
    const store = await openStore();
    store.set("k", 1);
    expect([store.status, store.statusReason, store.pendingCount]).toEqual([
      "offline",
      undefined,
      0,
    ]);
    await expect(store.synced()).rejects.toMatchObject({ code: "invalid-argument" });
    await store.close();
    expect(store.status).toBe("closed");
    await expect(store.synced()).rejects.toMatchObject({ code: "store-closed" });
  });

  test("the store may be closed by who is told of it", async () => {
    const server = memoryServer(() => {});
    server.failNext(Infinity);
    const store = await openStore({ connect: server }, { timers: timeline() });
    const closed = new Promise<void>((resolve) => {
      store.on("status", ({ status }) => {
        if (status === "offline") resolve(store.close());
      });
    });
    await closed;
    expect(store.status).toBe("closed");
  });
});

describe("pendingCount", () => {
  test("survives restarts", async () => {
    const far = await openStore();
    const server = memoryServer(serves(far));
    const persistence = memoryPersistence();
    const first = await openStore({ persistence, connect: server });
    first.set("a", 1);
    await first.synced();
    server.failNext(Infinity);
    server.cut();
    await until(() => first.status === "offline");
    first.set("b", 1);
    first.set("c", 1);
    await first.close();

    const second = await openStore({ persistence, connect: server }, { timers: timeline() });
    expect(second.pendingCount).toBe(2);
    second.set("d", 1);
    expect(second.pendingCount).toBe(3);
    await second.close();
    server.failNext(0);
    const third = await openStore({ persistence, connect: server });
    await third.synced();
    expect(third.pendingCount).toBe(0);
    expect(far.digest()).toBe(third.digest());
    await closeAll(third, far);
  });

  test("survives a process that ended without closing, whose store goes on under a new id", async () => {
    const server = memoryServer(() => {});
    server.failNext(Infinity);
    const persistence = memoryPersistence();
    const left = await openStore({ persistence, connect: server }, { timers: timeline() });
    left.set("a", 1);
    left.set("b", 1);
    await left.flush();
    // Its process ends: another one finds what it had kept.
    const kept = memoryPersistence();
    await copyFrames(persistence, kept);
    const far = await openStore();
    const again = await openStore({
      persistence: kept,
      connect: { ...memoryServer(serves(far)), name: server.name },
    });
    expect(again.pendingCount).toBe(2);
    await again.synced();
    expect(again.pendingCount).toBe(0);
    expect(far.get("b")).toBe(1);
    await closeAll(left, again, far);
  });

  test("is all again for a server that lost everything", async () => {
    const one = await openStore();
    let current = one;
    const server = memoryServer((link) => serves(current)(link));
    const time = timeline();
    const near = await openStore({ connect: server }, { timers: time });
    near.set("a", 1);
    await near.synced();
    const told: number[] = [];
    near.on("pending", ({ pendingCount }) => told.push(pendingCount));
    const other = await openStore();
    current = other;
    server.cut();
    await until(() => near.status === "offline");
    await time.advance(30_000);
    await near.synced();
    expect(other.get("a")).toBe(1);
    await turns();
    expect(told).toEqual([1, 0]);
    await closeAll(near, one, other);
  });

  test("does not count what came from elsewhere, nor what was undone", async () => {
    const server = memoryServer(() => {});
    server.failNext(Infinity);
    const other = await openStore();
    other.set("x", 1);
    const store = await openStore({ connect: server }, { timers: timeline() });
    store.merge(other.deltaSince());
    expect(store.pendingCount).toBe(0);
    const undone = (): void =>
      store.transaction(() => {
        store.set("y", 1);
        throw new Error("no");
      });
    expect(undone).toThrow("no");
    expect(store.pendingCount).toBe(0);
    expect(store.transaction(() => (store.set("z", 1), store.pendingCount))).toBe(1);
    await closeAll(store, other);
  });
});

describe("the event `pending`", () => {
  test("is told once for all that is written at one moment, and when it is acknowledged", async () => {
    const far = await openStore();
    const near = await openStore({ connect: memoryServer(serves(far)) });
    await near.synced();
    const told: number[] = [];
    const stop = near.on("pending", ({ pendingCount }) => told.push(pendingCount));
    for (let at = 0; at < 10; at++) near.set(`k/${at}`, at);
    await near.synced();
    await turns();
    expect(told).toEqual([10, 0]);
    stop();
    near.set("k", 1);
    await near.synced();
    expect(told).toEqual([10, 0]);
    await closeAll(near, far);
  });
});

describe("synced()", () => {
  test("waits for a connection, and ends with the signal or the store", async () => {
    const server = memoryServer(() => {});
    server.failNext(Infinity);
    const store = await openStore({ connect: server }, { timers: timeline() });
    const giveUp = new AbortController();
    const waiting = store.synced({ signal: giveUp.signal });
    giveUp.abort(new Error("enough"));
    await expect(waiting).rejects.toThrow("enough");
    await expect(store.synced({ signal: giveUp.signal })).rejects.toThrow("enough");
    const open = store.synced();
    const closing = store.close();
    await expect(open).rejects.toMatchObject({ code: "store-closed" });
    await closing;
  });

  test("asks what the other side wrote last, whatever else happens meanwhile", async () => {
    const far = await openStore();
    const near = await openStore({ connect: memoryServer(serves(far)) });
    await near.synced();
    far.set("far", 1);
    const waiting = near.synced();
    // Makes the session look, and find nothing to say.
    near.merge(near.deltaSince());
    await waiting;
    expect(near.get("far")).toBe(1);
    await closeAll(near, far);
  });

  test("goes on over the next link when one breaks", async () => {
    const time = timeline();
    const far = await openStore();
    const server = memoryServer(serves(far));
    const near = await openStore({ connect: server }, { timers: time });
    await near.synced();
    near.set("k", 1);
    const waiting = near.synced();
    server.cut();
    await until(() => near.status === "offline");
    far.set("far", 1);
    await time.advance(30_000);
    await waiting;
    expect([far.get("k"), near.get("far")]).toEqual([1, 1]);
    await closeAll(near, far);
  });
});

test.each([
  { what: "another protocol", options: { connect: "http://host/room" } },
  { what: "a password in an address", options: { connect: "ws://user:password@host/room" } },
  { what: "a number", options: { connect: 7 } },
  { what: "what is no connector", options: { connect: [{ name: "no connector" }] } },
  { what: "a token that is too long", options: { token: "x".repeat(8193) } },
  { what: "a connection of a reader", options: { readOnly: true, connect: "ws://host/room" } },
])("open refuses $what", async ({ options }) => {
  await expect(openStore(options as object)).rejects.toMatchObject({ code: "invalid-argument" });
});

/** A side that gives up as soon as it is there. */
function saysOnly(link: Link, code: string): void {
  link.start({ message: () => {}, drained: () => {}, closed: () => {} });
  link.send(encodeMessage({ type: "error", code, message: "because", final: true }, 0));
}

function linkOf(link: Link): Link {
  return {
    name: link.name,
    bufferedBytes: 0,
    start: (handler) => link.start(handler),
    send: (message) => link.send(message),
    close: (code, reason) => link.close(code, reason),
  };
}

async function copyFrames(
  from: ReturnType<typeof memoryPersistence>,
  to: ReturnType<typeof memoryPersistence>,
): Promise<void> {
  const reader = memoryPersistence({ of: from });
  await reader.open({ access: "read" } as never);
  await to.open({ access: "write" } as never);
  for await (const frame of reader.load()) await to.append(frame, { sync: true });
  await to.close();
}
