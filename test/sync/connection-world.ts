/** What live synchronisation needs around it in a test: time that the test makes, servers in memory, and turns of the event loop to wait for. */

import { loadEngine, type OpenOptions } from "lastwrite";
import { memoryPersistence } from "lastwrite/persistence/memory";

import { openOn } from "../../ts/open.ts";
import { LastwriteError } from "../../ts/errors.ts";
import type { PersistentStore } from "../../ts/store/store.ts";
import type { Machine } from "../../ts/sync/connection.ts";
import { runSession } from "../../ts/sync/run.ts";
import type { Connector, Link } from "../../ts/transport/contract.ts";
import { type MemoryLink, memoryLink } from "../../ts/transport/memory.ts";
import type { Timers } from "../../ts/transport/timers.ts";

export interface Timeline extends Timers {
  /** How many milliseconds have passed. */
  readonly now: number;
  /** For how many milliseconds each of those that wait was set, soonest first. */
  readonly waits: readonly number[];
  /** Lets time pass: what is due goes off, in order, each followed by some turns of the event loop. */
  advance(ms: number): Promise<void>;
}

interface Timer {
  readonly at: number;
  readonly ms: number;
  readonly run: () => void;
}

export function timeline(): Timeline {
  let now = 0;
  const timers = new Set<Timer>();
  const sorted = (): Timer[] => [...timers].toSorted((a, b) => a.at - b.at);
  return {
    after: (ms, run) => {
      const timer = { at: now + ms, ms, run };
      timers.add(timer);
      return () => void timers.delete(timer);
    },
    get now() {
      return now;
    },
    get waits() {
      return sorted().map(({ ms }) => ms);
    },
    async advance(ms) {
      const end = now + ms;
      for (let next = sorted()[0]; next !== undefined && next.at <= end; next = sorted()[0]) {
        now = next.at;
        timers.delete(next);
        next.run();
        await turns();
      }
      now = end;
    },
  };
}

/** Lets everything that needs no time happen. */
export async function turns(count = 20): Promise<void> {
  for (let turn = 0; turn < count; turn++) {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}

/** Waits for what comes by itself. */
export async function until(isSo: () => boolean, turnCountMax = 20_000): Promise<void> {
  for (let turn = 0; !isSo(); turn++) {
    if (turn === turnCountMax) throw new Error("it never came to that");
    await turns(1);
  }
}

export interface MemoryServer extends Connector {
  /** The ways of those that are connected. */
  readonly ways: readonly MemoryLink[];
  /** How often somebody tried to connect. */
  readonly attemptCount: number;
  /** Nobody gets through for so many attempts. */
  failNext(count: number): void;
  /** Every link breaks. */
  cut(): void;
}

/** Something to connect to that hands the other end of each link to `accept`. */
export function memoryServer(accept: (link: Link) => void, name = "server"): MemoryServer {
  const ways: MemoryLink[] = [];
  let attemptCount = 0;
  let failCount = 0;
  return {
    name,
    ways,
    get attemptCount() {
      return attemptCount;
    },
    failNext: (count) => {
      failCount = count;
    },
    cut: () => {
      for (const way of ways.splice(0)) way.cut();
    },
    connect: async (signal) => {
      // As over a network, nothing comes of it at once.
      await turns(2);
      signal.throwIfAborted();
      attemptCount++;
      if (failCount > 0) {
        failCount--;
        throw new LastwriteError("link-failed", `${name} is not there`);
      }
      const way = memoryLink({ name });
      ways.push(way);
      accept(way.right);
      return way.left;
    },
  };
}

/** What a server that keeps a store does with a link. */
export function serves(store: PersistentStore, timers?: Timers): (link: Link) => void {
  return (link) => {
    const options = { host: store.syncHost, link, once: false, isServer: true };
    runSession({ ...options, ...(timers !== undefined && { timers }) }).catch(() => {});
  };
}

export async function openStore(
  options: Partial<OpenOptions> = {},
  machine: Machine = {},
): Promise<PersistentStore> {
  const engine = await loadEngine();
  return openOn(machine, { persistence: memoryPersistence(), engine, ...options });
}
