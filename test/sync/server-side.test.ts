/** The server's side of a session: who is admitted, what a slow link is sent, when a client acknowledges. */

import { loadEngine } from "lastwrite";
import { describe, expect, test } from "vitest";

import { LastwriteError } from "../../ts/errors.ts";
import type { PersistentStore } from "../../ts/store/store.ts";
import { decodeMessage } from "../../ts/sync/codec.ts";
import type { Hello } from "../../ts/sync/messages.ts";
import { runSession, type SyncHost } from "../../ts/sync/run.ts";
import type { Link, LinkHandler } from "../../ts/transport/contract.ts";
import { memoryLink } from "../../ts/transport/memory.ts";
import { openStore, timeline, turns, until } from "./connection-world.ts";
import { HELLO, playedBy, watched } from "./played-peer.ts";
import { exchangeOf, sessionOf, testReplica } from "./replicas.ts";

const engine = await loadEngine();

const GREETING: Hello = { ...HELLO, millis: Date.now(), room: "team", token: "secret" };

function serve(
  host: SyncHost | ((hello: Hello) => Promise<SyncHost>),
  link: Link,
): { readonly outcome: unknown } {
  return watched(runSession({ host, link, once: false, isServer: true, timers: timeline() }));
}

describe("who connects", () => {
  test("is told nothing before he is admitted, by room and token", async () => {
    const store = await openStore();
    const { left, right } = memoryLink();
    const hellos: Hello[] = [];
    let admit = (): void => {};
    const run = serve(async (hello) => {
      hellos.push(hello);
      await new Promise<void>((resolve) => {
        admit = resolve;
      });
      return store.syncHost;
    }, left);
    const client = playedBy(right);
    await turns();
    expect(client.heard).toEqual([]);
    client.say(GREETING);
    client.say({ type: "ping" });
    await turns();
    expect(hellos).toEqual([GREETING]);
    expect(client.heard).toEqual([]);
    admit();
    await until(() => client.heard.length === 3);
    expect(client.heard.map(({ type }) => type)).toEqual(["hello", "have", "pong"]);
    expect(client.heard[0]).toMatchObject({ isServer: true });
    right.close();
    await until(() => run.outcome === "done");
    await store.close();
  });

  test("and is not admitted is told why, and nothing else", async () => {
    const { left, right } = memoryLink();
    const refusal = new LastwriteError("unauthorized", "the token has expired");
    const run = serve(async () => {
      throw refusal;
    }, left);
    const client = playedBy(right);
    client.say(GREETING);
    await until(() => client.end !== undefined);
    expect(client.heard).toEqual([
      { type: "error", code: "unauthorized", message: "the token has expired", final: true },
    ]);
    expect(client.end).toEqual({ code: 4401 });
    expect(run.outcome).toBe(refusal);
  });

  test("and fails to be admitted for a fault of the server hears nothing of it", async () => {
    const { left, right } = memoryLink();
    const run = serve(async () => {
      throw new TypeError("the password of the database is 1234");
    }, left);
    const client = playedBy(right);
    client.say(GREETING);
    await until(() => client.end !== undefined);
    expect(JSON.stringify(client.heard)).not.toContain("1234");
    expect(run.outcome).toBeInstanceOf(TypeError);
  });

  test.each([
    ["says something else first", [{ type: "ping" } as const]],
    ["does not wait", [GREETING, ...Array.from({ length: 20 }, () => ({ type: "ping" }) as const)]],
  ])("and %s is sent away", async (_what, words) => {
    const { left, right } = memoryLink();
    const run = serve(() => new Promise(() => {}), left);
    const client = playedBy(right);
    for (const word of words) client.say(word);
    await until(() => client.end !== undefined);
    expect(run.outcome).toMatchObject({ code: "corrupt-bytes" });
    expect(client.end).toEqual({ code: 4400 });
  });
});

/** A link that tells how much waits in it, as a test says. */
function slowLink(link: Link): { readonly link: Link; fill(bytes: number): void } {
  let bufferedBytes = 0;
  let handler: LinkHandler | undefined;
  return {
    link: {
      name: link.name,
      get bufferedBytes() {
        return bufferedBytes;
      },
      start: (given) => {
        handler = given;
        link.start(given);
      },
      send: (message) => link.send(message),
      close: (code, reason) => link.close(code, reason),
    },
    fill(bytes) {
      bufferedBytes = bytes;
      if (bytes === 0) handler?.drained();
    },
  };
}

async function connected(
  store: PersistentStore,
): Promise<{ client: PersistentStore; slow: ReturnType<typeof slowLink>; deltas: unknown[] }> {
  const { left, right } = memoryLink();
  const slow = slowLink(left);
  const deltas: unknown[] = [];
  const seen: Link = {
    ...slow.link,
    get bufferedBytes() {
      return slow.link.bufferedBytes;
    },
    send(message) {
      if (decodeMessage(message).message.type === "delta") deltas.push(message);
      slow.link.send(message);
    },
  };
  serve(store.syncHost, seen);
  const client = await openStore({ connect: { name: "server", connect: async () => right } });
  await client.synced();
  deltas.length = 0;
  return { client, slow, deltas };
}

test("a link that does not drain is sent no more, and then the last of each key at once", async () => {
  const store = await openStore();
  const { client, slow, deltas } = await connected(store);
  slow.fill(2 ** 21);
  store.set("k", -1);
  await turns();
  const before = deltas.length;
  for (let at = 0; at < 100; at++) {
    store.set("k", at);
    store.set(`key/${at % 3}`, at);
    await turns(2);
  }
  expect(deltas.length - before).toBeLessThanOrEqual(1);
  slow.fill(0);
  await until(() => client.get("k") === 99);
  expect(client.get("key/0")).toBe(99);
  expect(deltas.length - before).toBeLessThanOrEqual(2);
  await client.close();
  await store.close();
});

test("a frame that cannot be read is left out, the connection goes on, and the third ends it", async () => {
  const store = await openStore();
  const { left, right } = memoryLink();
  const run = serve(store.syncHost, left);
  const client = playedBy(right);
  client.say(GREETING);
  const rubbish = {
    type: "delta",
    place: undefined,
    isPartial: false,
    continues: true,
    remaining: 0,
  } as const;
  for (let count = 1; count <= 3; count++) {
    client.say({ ...rubbish, frame: Uint8Array.of(76, 87, 1, 4, count) });
    await turns();
    expect(run.outcome === undefined).toBe(count < 3);
  }
  const errors = client.heard.filter((message) => message.type === "error");
  expect(errors.map(({ code, final }) => [code, final])).toEqual([
    ["corrupt-bytes", false],
    ["corrupt-bytes", false],
    ["corrupt-bytes", true],
  ]);
  expect(store.size).toBe(0);
  await store.close();
});

test("a client acknowledges many pushes of a server at once, a second later", () => {
  const [server, client] = [testReplica(engine), testReplica(engine)];
  const exchange = exchangeOf(server, client, { isServer: true }, {});
  exchange.run();
  const flushes: boolean[] = [];
  for (let at = 0; at < 3; at++) {
    server.dictionary.set("k", at);
    for (const message of exchange.a.changed().messages) {
      flushes.push(exchange.b.receive(message).isFlushLate);
    }
  }
  expect(flushes).toEqual([true, true, true]);
  const { messages } = exchange.b.kept(100);
  expect(messages.map(({ type }) => type)).toEqual(["ack"]);
  expect(messages[0]).toMatchObject({ place: server.replica.head() });
});

test("what a listener writes while something is merged is sent to him from whom it came", () => {
  const [a, b] = [testReplica(engine), testReplica(engine)];
  b.dictionary.subscribe({ prefix: "in/" }, (changes) => {
    for (const { key } of changes) b.dictionary.set(`out/${key}`, "done");
  });
  const exchange = exchangeOf(a, b);
  exchange.run();
  a.dictionary.set("in/1", 1);
  exchange.wroteA();
  exchange.run();
  exchange.wroteB();
  exchange.run();
  expect(a.dictionary.get("out/in/1")).toBe("done");
  expect(exchange.b.progress.ackedPlace).toBe(b.replica.head());
});

describe("a client that asks and takes nothing", () => {
  test.each(["version", "entries", "snapshot"] as const)("is sent away: %s", (what) => {
    const [server, client] = [testReplica(engine), testReplica(engine)];
    for (let at = 0; at < 1000; at++) server.dictionary.set(`key/${at}`, at);
    const exchange = exchangeOf(server, client, { isServer: true }, {});
    exchange.run();
    expect(() => {
      for (let count = 0; count < 100; count++) {
        exchange.a.receive({ type: "need", what, held: undefined });
      }
    }).toThrow(expect.objectContaining({ code: "corrupt-bytes" }));
  });

  test("says no version that nobody asked for, and nothing before what it has", () => {
    const [server, client] = [testReplica(engine), testReplica(engine)];
    const exchange = exchangeOf(server, client, { isServer: true }, {});
    exchange.run();
    const vector = { type: "vector", remaining: 0, bytes: Uint8Array.of(0) } as const;
    expect(() => exchange.a.receive(vector)).toThrow(
      expect.objectContaining({ code: "corrupt-bytes" }),
    );
    const session = sessionOf(server.replica, { isServer: true });
    session.receive(HELLO);
    expect(() => session.receive({ type: "ack", place: 0, reached: 0 })).toThrow(
      expect.objectContaining({ code: "corrupt-bytes" }),
    );
  });

  test("sends no snapshot that is longer than the server holds", () => {
    const [server, client] = [testReplica(engine), testReplica(engine)];
    const limited = { ...server, replica: { ...server.replica, snapshotBytesMax: 10_000 } };
    const exchange = exchangeOf(limited, client, { isServer: true }, {});
    exchange.run();
    const snapshot = { type: "snapshot", place: undefined, remaining: 100 } as const;
    const [frame = new Uint8Array(0)] = client.replica.entries.snapshot();
    expect(() => {
      for (let count = 0; count < 1000; count++) {
        exchange.a.receive({ ...snapshot, frame });
      }
      exchange.a.receive({ ...snapshot, frame, remaining: 20_000 });
    }).toThrow(expect.objectContaining({ code: "too-large" }));
  });
});

test("a message that cannot be made ends the session with its reason, not the process", async () => {
  const store = await openStore();
  store.set("k", 1);
  const { replica } = store.syncHost;
  const tooLong: SyncHost = {
    ...store.syncHost,
    replica: {
      ...replica,
      changesSince: (place, options) => ({
        ...replica.changesSince(place, options),
        frame: new Uint8Array(2 ** 21),
      }),
    },
  };
  const { left, right } = memoryLink();
  const run = serve(tooLong, left);
  const client = await openStore({ connect: { name: "server", connect: async () => right } });
  await until(() => client.size === 1 || run.outcome !== undefined);
  store.set("k", 2);
  await until(() => run.outcome !== undefined);
  expect(run.outcome).toMatchObject({ code: "too-large" });
  await client.close();
  await store.close();
});
