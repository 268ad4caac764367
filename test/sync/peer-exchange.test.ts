/** Stores that know one other, and find the rest: live, over links in memory. */

import { afterEach, expect, test } from "vitest";

import { LastwriteError } from "../../ts/errors.ts";
import type { PersistentStore } from "../../ts/store/store.ts";
import type { Connector } from "../../ts/transport/contract.ts";
import { type MemoryLink, memoryLink } from "../../ts/transport/memory.ts";
import { openStore, timeline, type Timeline, turns, until } from "./connection-world.ts";

/** Stores by address, and the links between them. */
class World {
  readonly time: Timeline = timeline();
  readonly stores = new Map<string, PersistentStore>();
  readonly asked: string[] = [];
  #links: { readonly from: string; readonly to: string; readonly way: MemoryLink }[] = [];

  /** One that others reach under `address`, and that is told of `friend` alone. */
  async add(address: string, friend?: string, connectionsMax = 8): Promise<PersistentStore> {
    const store = await openStore(
      {
        peers: { address, connectionsMax, connector: (to) => this.#connector(address, to) },
        ...(friend !== undefined && { connect: this.#connector(address, friend) }),
      },
      { timers: this.time, monotonicNow: () => this.time.now, random: () => 0.5 },
    );
    this.stores.set(address, store);
    return store;
  }

  /** It is gone, and so are its links. */
  async remove(address: string): Promise<void> {
    const store = this.stores.get(address);
    this.stores.delete(address);
    await store?.close();
  }

  /** Whom a store has a link with. */
  neighbours(address: string): string[] {
    this.#links = this.#links.filter(
      ({ from, to }) => this.stores.has(from) && this.stores.has(to),
    );
    const found = this.#links.flatMap(({ from, to }) => {
      if (from === address) return [to];
      return to === address ? [from] : [];
    });
    return [...new Set(found)].toSorted();
  }

  async closeAll(): Promise<void> {
    await Promise.all([...this.stores.values()].map((store) => store.close()));
  }

  #connector(from: string, to: string): Connector {
    if (to.startsWith("forbidden")) throw new Error("not there");
    return {
      name: to,
      connect: async (signal) => {
        this.asked.push(to);
        await turns(1);
        signal.throwIfAborted();
        const target = this.stores.get(to);
        if (target === undefined) throw new LastwriteError("link-failed", `${to} is not there`);
        const way = memoryLink();
        this.#links.push({ from, to, way });
        target.sync(way.right, { live: true }).catch(() => {});
        return way.left;
      },
    };
  }
}

const worlds: World[] = [];

function world(): World {
  const made = new World();
  worlds.push(made);
  return made;
}

afterEach(async () => {
  await Promise.all(worlds.splice(0).map((each) => each.closeAll()));
});

test("stores in a line find each other, and go on when the one in the middle is gone", async () => {
  const all = world();
  await all.add("a");
  await all.add("b", "a");
  await all.add("c", "b");
  await all.add("d", "c");
  await until(() => all.neighbours("a").length === 3 && all.neighbours("d").length === 3);
  await all.remove("b");
  await all.remove("c");
  const [a, d] = ["a", "d"].map((address) => all.stores.get(address)) as [
    PersistentStore,
    PersistentStore,
  ];
  a.set("from a", 1);
  d.set("from d", 2);
  await until(() => a.has("from d") && d.has("from a"));
  expect(a.digest()).toBe(d.digest());
});

test("a store connects to no more than it may, never to itself, and not to what its owner does not let through", async () => {
  const all = world();
  const hub = await all.add("hub");
  for (let at = 0; at < 6; at++) await all.add(`store ${at}`, "hub", 2);
  await all.add("forbidden", "hub");
  hub.set("k", 1);
  await until(() => [...all.stores.values()].every((store) => store.has("k")));
  await all.time.advance(1000);
  expect(all.asked.filter((address) => address === "forbidden")).toEqual([]);
  const { peers } = hub.syncHost;
  expect(peers).toBeDefined();
  for (const [address, store] of all.stores) {
    expect(all.neighbours(address)).not.toContain(address);
    expect(store.status === "live" || address === "hub").toBe(true);
  }
});

test("those that vanish are tried for a while, and forgotten", async () => {
  const all = world();
  await all.add("a");
  await all.add("b", "a");
  await all.add("c", "a");
  await until(() => all.neighbours("b").includes("c"));
  await all.remove("c");
  await turns();
  for (let minute = 0; minute < 30; minute++) await all.time.advance(60_000);
  all.asked.length = 0;
  for (let minute = 0; minute < 30; minute++) await all.time.advance(60_000);
  expect(all.asked.filter((address) => address === "c")).toEqual([]);
});

test("who was not opened so takes no notice", async () => {
  const all = world();
  await all.add("a");
  const plain = await openStore({
    connect: {
      name: "a",
      connect: async () => {
        const way = memoryLink();
        all.stores
          .get("a")
          ?.sync(way.right, { live: true })
          .catch(() => {});
        return way.left;
      },
    },
  });
  plain.set("k", 1);
  await until(() => all.stores.get("a")?.has("k") === true);
  expect(plain.status).toBe("live");
  await plain.close();
});

test.each([
  [{ connector: 3 }, "connector"],
  [{ connector: () => {}, address: "x".repeat(257) }, "address"],
  [{ connector: () => {}, connectionsMax: 0 }, "connectionsMax"],
  [{ connector: () => {}, conectionsMax: 3 }, "conectionsMax"],
])("options that cannot be meant are refused: %o", async (peers, named) => {
  await expect(openStore({ peers: peers as never })).rejects.toMatchObject({
    code: "invalid-argument",
    message: expect.stringContaining(named) as unknown,
  });
});
