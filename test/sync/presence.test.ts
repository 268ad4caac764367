/** Who is there: told over links, passed on by servers, gone with the link, kept nowhere. */

import { LastwriteError, type Present } from "lastwrite";
import { afterEach, describe, expect, test } from "vitest";

import { PresenceHub, type PresenceMember } from "../../ts/sync/presence.ts";
import { startSession } from "../../ts/sync/run.ts";
import type { PersistentStore } from "../../ts/store/store.ts";
import { memoryLink } from "../../ts/transport/memory.ts";
import { memoryServer, openStore, serves, timeline, until } from "./connection-world.ts";

const ID = "0011223344556677";
const OTHER = "8899aabbccddeeff";

const opened: PersistentStore[] = [];

async function opens(...args: Parameters<typeof openStore>): Promise<PersistentStore> {
  const store = await openStore(...args);
  opened.push(store);
  return store;
}

afterEach(async () => {
  await Promise.all(opened.splice(0).map((store) => store.close()));
});

function valuesOf(present: readonly Present[]): unknown[] {
  return present.map(({ value }) => value);
}

describe("around a server", () => {
  test("each sees the others, what they tell last, and that they have gone", async () => {
    const room = await opens();
    const server = memoryServer(serves(room));
    const ada = await opens({ connect: server });
    const ben = await opens({ connect: server });
    ada.setPresence({ name: "Ada", at: 1 });
    ada.setPresence({ name: "Ada", at: 2 });
    ben.setPresence("Ben");
    await until(() => ada.presence.length === 1 && ben.presence.length === 1);
    expect(valuesOf(ada.presence)).toEqual(["Ben"]);
    expect(valuesOf(ben.presence)).toEqual([{ name: "Ada", at: 2 }]);
    expect(ben.presence[0]?.id).toMatch(/^[0-9a-f]{16}$/u);
    expect(room.presence).toHaveLength(2);

    const late = await opens({ connect: server });
    await until(() => late.presence.length === 2);

    ben.setPresence(undefined);
    await until(() => ada.presence.length === 0);
    await ada.close();
    await until(() => late.presence.length === 0 && room.presence.length === 0);
  });

  test("one whose link breaks off is gone, and back under the same id when it is connected again", async () => {
    const room = await opens();
    const server = memoryServer(serves(room));
    const time = timeline();
    const ada = await opens({ connect: server }, { timers: time });
    const seen: (readonly Present[])[] = [];
    room.on("presence", (present) => seen.push(present));
    ada.setPresence("Ada");
    await until(() => room.presence.length === 1);
    const [before] = room.presence;
    server.cut();
    await until(() => room.presence.length === 0);
    await until(() => ada.status === "offline");
    await time.advance(60_000);
    await until(() => room.presence.length === 1);
    expect(room.presence[0]).toEqual(before);
    expect(seen.map(valuesOf)).toEqual([["Ada"], [], ["Ada"]]);
  });

  test("the list is the same until something changes", async () => {
    const room = await opens();
    const ada = await opens({ connect: memoryServer(serves(room)) });
    ada.setPresence(1);
    await until(() => room.presence.length === 1);
    const { presence } = room;
    ada.set("k", 1);
    await until(() => room.has("k"));
    ada.setPresence(1);
    expect(room.presence).toBe(presence);
  });
});

test("two without a server see each other, and pass nothing on", async () => {
  const [a, b, c] = [await opens(), await opens(), await opens()];
  const connect = (left: PersistentStore, right: PersistentStore): Promise<void>[] => {
    const way = memoryLink();
    return [
      startSession({ host: left.syncHost, link: way.left, once: false }).ended,
      startSession({ host: right.syncHost, link: way.right, once: false }).ended,
    ];
  };
  const ends = [...connect(a, b), ...connect(b, c)].map((ended) => ended.catch(() => {}));
  a.setPresence("a");
  c.setPresence("c");
  await until(() => b.presence.length === 2);
  expect(valuesOf(b.presence)).toEqual(expect.arrayContaining(["a", "c"]));
  expect([a.presence, c.presence]).toEqual([[], []]);
  await Promise.all([a, b, c].map((store) => store.close()));
  await Promise.all(ends);
});

test("what a store tells is JSON of at most 4 KiB", async () => {
  const store = await opens();
  store.setPresence("é".repeat(2047));
  const circle: { self?: unknown } = {};
  circle.self = circle;
  for (const wrong of ["é".repeat(2048), 1n, circle, () => {}, Symbol("s")]) {
    expect(() => store.setPresence(wrong as never)).toThrow(
      expect.objectContaining({ code: "invalid-argument" }),
    );
  }
});

describe("what others say", () => {
  function client(hub: PresenceHub): PresenceMember {
    return hub.join({ isClient: true, wake: () => {} });
  }

  test("that is no JSON, or of another client, is refused", () => {
    const hub = new PresenceHub();
    const member = client(hub);
    expect(() => member.take({ type: "presence", from: ID, state: "{" })).toThrow(LastwriteError);
    member.take({ type: "presence", from: ID, state: "1" });
    expect(() => member.take({ type: "presence", from: OTHER, state: "1" })).toThrow(
      expect.objectContaining({ code: "corrupt-bytes" }),
    );
    expect(valuesOf(hub.present)).toEqual([1]);
  });

  test.each(["1", "2"])(
    "is what the newest link says (%s), and an older one that ends takes nothing away",
    (state) => {
      const hub = new PresenceHub();
      const [before, after] = [client(hub), client(hub)];
      before.take({ type: "presence", from: ID, state: "1" });
      after.take({ type: "presence", from: ID, state });
      before.leave();
      expect(valuesOf(hub.present)).toEqual([Number(state)]);
      after.leave();
      expect(hub.present).toEqual([]);
    },
  );

  test("cannot be said for another: what is seen of him is not his name", () => {
    const hub = new PresenceHub();
    const [ada, other] = [client(hub), client(hub)];
    ada.take({ type: "presence", from: ID, state: '"Ada"' });
    const seen = other.next();
    other.take({ type: "presence", from: seen?.from ?? "", state: '"not Ada"' });
    other.leave();
    expect(valuesOf(hub.present)).toEqual(["Ada"]);
  });

  test("a link that is slow is told the last word of each", () => {
    const hub = new PresenceHub();
    const [slow, quick] = [client(hub), client(hub)];
    for (let at = 0; at < 100; at++) {
      quick.take({ type: "presence", from: ID, state: String(at) });
    }
    // Under a name of the server's own.
    const from = hub.present[0]?.id;
    expect(from).not.toBe(ID);
    expect(slow.next()).toEqual({ type: "presence", from, state: "99" });
    expect(slow.next()).toBeUndefined();
    expect(quick.next()).toBeUndefined();
  });

  test("has a bound: a room shows no more, and a store gives a server up that tells of more", () => {
    const fill = (hub: PresenceHub, member: () => PresenceMember): void => {
      for (let at = 0; at < 1025; at++) {
        const from = at.toString(16).padStart(16, "0");
        member().take({ type: "presence", from, state: "1" });
      }
    };
    const room = new PresenceHub();
    fill(room, () => client(room));
    expect(room.present).toHaveLength(1024);
    const store = new PresenceHub();
    const server = store.join({ isClient: false, wake: () => {} });
    expect(() => fill(store, () => server)).toThrow(expect.objectContaining({ code: "too-large" }));
  });
});
