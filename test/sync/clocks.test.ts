/** Clocks that are wrong, by much more than the limit: whose is gone by, what becomes of what was written meanwhile. */

import type { Report } from "lastwrite";
import { expect, test } from "vitest";

import { runSession } from "../../ts/sync/run.ts";
import { memoryLink } from "../../ts/transport/memory.ts";
import { memoryServer, openStore, serves, timeline, turns, until } from "./connection-world.ts";

const NOW = 1_800_000_000_000;
const HOUR = 3_600_000;

test("a client an hour ahead goes by the server's clock, stamps anew what it never sent, and loses nothing", async () => {
  const room = await openStore({ clock: () => NOW });
  const complaints: string[] = [];
  const reports: Report[] = [];
  const near = await openStore({
    clock: () => NOW + HOUR,
    connect: memoryServer(serves(room)),
    onReport: (report) => reports.push(report),
  });
  near.on("status", ({ reason }) => {
    if (reason !== undefined) complaints.push(reason.message);
  });
  near.set("before", 1);
  expect(near.stampOf("before")?.millis).toBe(NOW + HOUR);
  await near.synced();
  expect(reports).toContainEqual({ code: "clock-corrected", offsetMs: -HOUR });
  expect(near.stampOf("before")?.millis).toBe(NOW);
  expect(complaints).toEqual([expect.stringContaining("2027-01-15T08:00:00.000Z")]);

  near.set("after", 2);
  expect(near.stampOf("after")?.millis).toBe(NOW);
  await near.synced();
  expect([...room.entries()]).toEqual([
    ["after", 2],
    ["before", 1],
  ]);
  expect(room.stampOf("before")).toEqual(near.stampOf("before"));
  expect(near.status).toBe("live");
  await near.close();
  await room.close();
});

test("a client an hour behind writes, and reads what others wrote since", async () => {
  const room = await openStore({ clock: () => NOW });
  room.set("theirs", 1);
  const near = await openStore({ clock: () => NOW - HOUR, connect: memoryServer(serves(room)) });
  near.set("ours", 2);
  await near.synced();
  await until(() => near.has("theirs"));
  near.set("theirs", 3);
  await near.synced();
  expect(room.get("theirs")).toBe(3);
  expect(room.get("ours")).toBe(2);
  await near.close();
  await room.close();
});

test("a clock that is put right again is gone by at the next connection", async () => {
  let clock = NOW + HOUR;
  const time = timeline();
  const room = await openStore({ clock: () => NOW });
  const server = memoryServer(serves(room));
  const near = await openStore({ clock: () => clock, connect: server }, { timers: time });
  await near.synced();
  clock = NOW;
  server.cut();
  await until(() => near.status === "offline");
  await time.advance(30_000);
  await until(() => near.status === "live");
  near.set("k", 1);
  expect(near.stampOf("k")?.millis).toBe(NOW);
  await near.close();
  await room.close();
});

test("of two that are no servers neither gives in: the exchange ends with clock-drift on both sides, and the rest is exchanged", async () => {
  const ahead = await openStore({ clock: () => NOW + HOUR });
  const behind = await openStore({ clock: () => NOW });
  ahead.set("from the future", 1);
  behind.set("now", 2);
  const way = memoryLink();
  const ends = await Promise.allSettled([ahead.sync(way.left), behind.sync(way.right)]);
  for (const end of ends) {
    expect(end).toMatchObject({ status: "rejected", reason: { code: "clock-drift" } });
  }
  expect(behind.has("from the future")).toBe(false);
  await ahead.close();
  await behind.close();
});

test("what a server refuses is asked for again, and taken when its time has come", async () => {
  let serverClock = NOW;
  let clock = NOW;
  const time = timeline();
  const room = await openStore({ clock: () => serverClock });
  const server = memoryServer(serves(room, time));
  const near = await openStore({ clock: () => clock, connect: server });
  await near.synced();
  clock = NOW + HOUR;
  near.set("too soon", 1);
  await until(() => near.statusReason?.code === "clock-drift");
  room.set("meanwhile", 2);
  await until(() => near.has("meanwhile"));
  expect(near.pendingCount).toBe(1);

  await time.advance(60_000);
  expect(room.has("too soon")).toBe(false);
  serverClock = NOW + HOUR;
  await time.advance(60_000);
  await until(() => room.has("too soon") && near.pendingCount === 0);
  await near.close();
  await room.close();
});

test("whoever connects, or is a day away, is not believed in his time", async () => {
  for (const [accepts, aheadMs] of [
    [true, HOUR],
    [false, 25 * HOUR],
  ] as const) {
    const reports: Report[] = [];
    const way = memoryLink();
    const liar = await openStore({ clock: () => NOW + aheadMs });
    const run = runSession({ host: liar.syncHost, link: way.left, once: false, isServer: true });
    const honest = await openStore({
      clock: () => NOW,
      onReport: (report) => reports.push(report),
      ...(!accepts && { connect: { name: "liar", connect: async () => way.right } }),
    });
    const synced = accepts ? honest.sync(way.right) : turns();
    await Promise.allSettled([synced, turns()]);
    honest.set("k", 1);
    expect(honest.stampOf("k")?.millis).toBe(NOW);
    expect(reports).toEqual([]);
    await honest.close();
    way.cut();
    await run.catch(() => {});
    await liar.close();
  }
});
