/** A thousand clients of one room, among them some that do harm: all others get every change once, and the server stays small. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { WebSocket } from "ws";

import { open } from "../../ts/open.ts";
import { memoryPersistence } from "../../ts/persistence/memory.ts";
import type { Store } from "../../ts/store/contract.ts";
import { webSocketConnector } from "../../ts/transport/websocket.ts";
import { numberFromEnvironment, seededRandom } from "../suites/random.ts";
import { buildLastwrite, type ProgramUnderTest, type Serving } from "./program-under-test.ts";
import { jsonClient } from "./under-test.ts";

const CLIENTS = numberFromEnvironment("CROWD_CLIENTS") ?? 1000;
const CHANGES = 60;
/** Of one of a few keys at each change: far more in all than the network takes for one that does not read. */
const HEAVY = "x".repeat(500_000);
const HEAVY_KEYS = 4;
const MIB = 2 ** 20;
const GROWTH_MAX = 64 * MIB;

let program: ProgramUnderTest;
let folder: string;

beforeAll(async () => {
  program = await buildLastwrite();
});

afterAll(() => program[Symbol.dispose]());

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), "crowd-"));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A client, and how often it was told of each key. */
interface Listener {
  readonly store: Store;
  readonly counts: Map<string, number>;
}

async function listener(url: string): Promise<Listener> {
  const counts = new Map<string, number>();
  const store = await open({
    persistence: memoryPersistence(),
    connect: webSocketConnector(url, { WebSocket }),
  });
  store.subscribe({}, (changes) => {
    for (const { key } of changes) counts.set(key, (counts.get(key) ?? 0) + 1);
  });
  await store.synced();
  return { store, counts };
}

function hasAll({ store }: Listener): Promise<void> {
  return new Promise((resolve) => {
    const look = (): void => {
      if (store.size < CHANGES) return;
      stop();
      resolve();
    };
    const stop = store.subscribe({}, look);
    look();
  });
}

/** Says hello, and reads nothing from then on. */
async function sleeper(url: string): Promise<Store> {
  class Sleeping extends WebSocket {
    constructor(address: string) {
      super(address);
      // A moment, in which the two get to know each other.
      this.once("message", () => setTimeout(() => this.pause(), 50));
    }
  }
  return open({
    persistence: memoryPersistence(),
    connect: webSocketConnector(url, { WebSocket: Sleeping }),
  });
}

/** Comes again and again, with what nobody can read. */
async function rubbish({ url }: Serving, isOver: () => boolean): Promise<number> {
  const random = seededRandom(7);
  let count = 0;
  while (!isOver()) {
    const socket = new WebSocket(`${url}/${random.pick(["team", "json/team", "other"])}`);
    socket.on("error", () => {});
    const closed = new Promise((resolve) => {
      socket.on("close", resolve);
    });
    socket.on("open", () => {
      for (let at = 0; at < 10; at++) socket.send(random.bytes(random.below(1000)));
      count += 10;
      setTimeout(() => socket.terminate(), 50);
    });
    await closed;
  }
  return count;
}

test(
  `${CLIENTS} clients, one that does not read, one that sends rubbish, some that come meanwhile`,
  { timeout: 300_000 },
  async () => {
    const limits = ["--connections-per-address-max", "2000", "--log-level", "warn"];
    const serving = await program.serve(["--data", folder, "--port", "0", ...limits]);
    const url = `${serving.url}/team`;
    const early: Listener[] = [];
    while (early.length < CLIENTS * 0.9) {
      early.push(...(await Promise.all(Array.from({ length: 9 }, () => listener(url)))));
    }
    const json = jsonClient(`${serving.url}/json/team`);
    await json.hears({ action: "initial_data" });
    const asleep = await sleeper(url);
    await asleep.synced();
    const heavy = jsonClient(`${serving.url}/json/heavy`);
    await heavy.hears({ action: "initial_data" });
    const asleepThere = [
      await sleeper(`${serving.url}/heavy`),
      jsonClient(`${serving.url}/json/heavy`),
    ] as const;
    await asleepThere[0].synced();
    await asleepThere[1].hears({ action: "initial_data" });
    asleepThere[1].socket.pause();
    // What it takes for large values at all, it takes once.
    for (let at = 0; at < 20; at++) {
      heavy.says({ action: "set", key: `k${at % HEAVY_KEYS}`, value: `before ${at} ${HEAVY}` });
      await heavy.hears({ value: `before ${at} ${HEAVY}` }, at);
    }
    const before = await serving.metric("resident_bytes");

    let isOver = false;
    const rubbishCount = rubbish(serving, () => isOver);
    const writer = early[0] as Listener;
    const late: Promise<Listener>[] = [];
    let most = before;
    for (let at = 0; at < CHANGES; at++) {
      writer.store.set(`k${at}`, `${at} ${"x".repeat(100)}`);
      await writer.store.synced();
      heavy.says({ action: "set", key: `k${at % HEAVY_KEYS}`, value: `${at} ${HEAVY}` });
      await heavy.hears({ value: `${at} ${HEAVY}` }, 20 + at);
      for (let now = 0; now < 2 && early.length + late.length < CLIENTS; now++) {
        late.push(listener(url));
      }
      if (at % 10 === 0) most = Math.max(most, await serving.metric("resident_bytes"));
    }
    const all = [...early, ...(await Promise.all(late))];
    await Promise.all(all.map(hasAll));
    await json.hears({ key: `k${CHANGES - 1}` });
    isOver = true;
    most = Math.max(most, await serving.metric("resident_bytes"));

    for (const { store, counts } of all) {
      expect(store.digest()).toBe(writer.store.digest());
      expect([...counts.values()].filter((count) => count !== 1)).toEqual([]);
    }
    for (const { counts } of early) expect(counts.size).toBe(CHANGES);
    const told = json.heard.filter(({ action }) => action === "set").map(({ key }) => key);
    expect(told).toEqual(Array.from({ length: CHANGES }, (_, at) => `k${at}`));
    expect(await rubbishCount).toBeGreaterThan(20);
    expect(asleep.size).toBeLessThan(CHANGES);
    expect(asleepThere[0].get(`k${(CHANGES - 1) % HEAVY_KEYS}`)).not.toBe(
      `${CHANGES - 1} ${HEAVY}`,
    );
    expect(asleepThere[1].heard.length).toBeLessThan(CHANGES);
    const grown = ((most - before) / MIB).toFixed(1);
    console.log(`${all.length} clients: it grew by ${grown} MiB from ${(before / MIB).toFixed(0)}`);
    expect(most - before).toBeLessThan(GROWTH_MAX);

    for (const { socket } of [json, heavy, asleepThere[1]]) socket.terminate();
    await Promise.all([
      asleep.close(),
      asleepThere[0].close(),
      ...all.map(({ store }) => store.close()),
    ]);
    serving.process.kill("SIGTERM");
    expect((await serving.ended).code).toBe(0);
  },
);
