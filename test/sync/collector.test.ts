/** Tombstones are collected once all known replicas have seen them, by the one store that is named for it. */

import { decodeEntries, loadEngine } from "lastwrite";
import { memoryPersistence } from "lastwrite/persistence/memory";
import { expect, test } from "vitest";

import type { PersistentStore } from "../../ts/store/store.ts";
import { memoryLink } from "../../ts/transport/memory.ts";
import { memoryServer, openStore, serves, timeline, until } from "./connection-world.ts";

const engine = await loadEngine();
const DAY = 86_400_000;
const NOW = 1_800_000_000_000;

/** Keys whose tombstones are still there. */
function tombstones(store: PersistentStore): string[] {
  const rows = decodeEntries(engine, store.snapshot());
  return rows.filter(({ kind }) => kind !== "value").map(({ key }) => key);
}

async function exchange(one: PersistentStore, other: PersistentStore): Promise<void> {
  const way = memoryLink();
  await Promise.all([one.sync(way.left), other.sync(way.right)]);
}

async function closeAll(...stores: readonly PersistentStore[]): Promise<void> {
  await Promise.all(stores.map((store) => store.close()));
}

test("a room drops what all have seen a minute after they said so, and the others with the next push", async () => {
  const time = timeline();
  const room = await openStore({ collector: true }, { timers: time });
  const server = memoryServer(serves(room));
  const ada = await openStore({ connect: server }, { timers: time });
  const ben = await openStore({ connect: server }, { timers: time });
  ada.set("gone", 1);
  ada.set("stays", 1);
  await ada.synced();
  await until(() => ben.has("gone"));
  ben.delete("gone");
  await ben.synced();
  await until(() => !ada.has("gone"));
  expect(tombstones(room)).toEqual(["gone"]);
  // Who wrote it acknowledges it with what he is sent next; pushes are acknowledged a second later.
  room.set("next", 1);
  await until(() => ada.has("next") && ben.has("next"));
  for (let minute = 0; minute < 2; minute++) await time.advance(60_000);
  expect(tombstones(room)).toEqual([]);
  room.set("last", 1);
  await until(() => ada.has("last"));
  expect(tombstones(ada)).toEqual([]);
  expect(ada.horizon()).toEqual(room.horizon());
  await closeAll(ada, ben, room);
});

test("who was away reads everything anew: removed keys stay removed, and what only he has is kept", async () => {
  let now = NOW;
  const clock = (): number => now;
  const place = memoryPersistence();
  const time = timeline();
  const options = { collector: true, clock, replicaRetentionMs: 30 * DAY };
  const room = await openStore(options, { timers: time });
  const away = await openStore({ persistence: place, clock });
  room.set("gone", 1);
  room.set("stays", 1);
  await exchange(away, room);
  away.set("own", "written offline");
  await away.close();

  const there = await openStore({ clock });
  room.delete("gone");
  await exchange(there, room);
  await time.advance(60_000);
  // He is waited for.
  expect(tombstones(room)).toEqual(["gone"]);
  now += 31 * DAY;
  await exchange(there, room);
  await time.advance(60_000);
  expect(tombstones(room)).toEqual([]);

  const back = await openStore({ persistence: place, clock });
  expect([...back.keys()]).toEqual(["gone", "own", "stays"]);
  await exchange(back, room);
  expect([...back.keys()]).toEqual(["own", "stays"]);
  expect([...room.keys()]).toEqual(["own", "stays"]);
  await closeAll(back, there, room);
});

test("whom a room waits for it knows after a restart, too", async () => {
  const place = memoryPersistence();
  const time = timeline();
  const opens = (): Promise<PersistentStore> =>
    openStore({ persistence: place, collector: true }, { timers: time });
  let room = await opens();
  const [slow, quick] = [await openStore(), await openStore()];
  room.set("gone", 1);
  await exchange(slow, room);
  await room.close();
  room = await opens();
  room.delete("gone");
  await exchange(quick, room);
  await time.advance(60_000);
  expect(tombstones(room)).toEqual(["gone"]);
  await exchange(slow, room);
  await exchange(quick, room);
  await time.advance(60_000);
  expect(tombstones(room)).toEqual([]);
  await closeAll(slow, quick, room);
});

test("one store collects: others are refused, and one that was opened so beside it stands back", async () => {
  const room = await openStore({ collector: true });
  const second = await openStore({ collector: false });
  room.set("a", 1);
  await exchange(second, room);
  expect(() => second.collectTombstones(second.version())).toThrow(
    expect.objectContaining({ code: "not-collector" }),
  );
  const third = await openStore({ collector: true });
  await exchange(third, room);
  const named = [room, third].filter(({ syncHost }) => syncHost.isCollector);
  expect(named).toHaveLength(1);
  room.delete("a");
  const [collector] = named as [PersistentStore];
  await exchange(third, room);
  expect(collector.collectTombstones(collector.version())).toBe(1);
  await closeAll(room, second, third);
});
