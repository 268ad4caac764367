/** What is measured, as the process of the clients does it. */
import assert from "node:assert/strict";
import { closeSync, fdatasync, openSync, write } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { createDictionary, loadEngine } from "lastwrite";
import type { Store } from "lastwrite";
import { dataset, freshKey } from "../workloads.ts";
import { type Clients, clientsOf, ownStore, type Subscriber } from "./clients.ts";
import type { Asked } from "./processes.ts";
import type { ServerName } from "./served.ts";

/** What a measurement answers, in the unit of its row. */
export interface Measured {
  readonly value: number;
  readonly beside?: number;
  readonly runs: number;
}

const KEYS = 1000;
const VALUE = "v".repeat(80);
/** Real members, who have to end with the data of the writer. */
const WITNESSES = 4;
const WARM_UP_MS = 1000;
/** Connections are made so many at a time. */
const WAVE = 100;

/** Answers the questions of one column. */
export async function measureAs(name: ServerName): Promise<(question: Asked) => Promise<unknown>> {
  const crowd: Subscriber[] = [];
  return async (question) => {
    const port = Number(question["port"]);
    switch (question.what) {
      case "deliveries":
        return deliveries(name, question as unknown as Throughput);
      case "connect":
        crowd.push(
          ...(await subscribers(await clientsOf(name, 1), port, Number(question["count"]))),
        );
        return crowd.length;
      case "held":
        return held(port, Number(question["count"]));
      case "latency":
        return latency(port, String(question["folder"]));
      case "first-load":
        return firstLoad(port, Number(question["size"]));
      default:
        throw new Error(`clients know no ${question.what}`);
    }
  };
}

interface Throughput {
  readonly port: number;
  readonly count: number;
  /** Changes that may be under way, each to all. */
  readonly window: number;
  /** Writes that are made one message by whoever makes them. */
  readonly together: number;
  readonly ms: number;
}

/** Deliveries a second, and beside it how many changes came in one message. */
async function deliveries(name: ServerName, asked: Throughput): Promise<Measured> {
  const { port, count, window, together, ms } = asked;
  const clients = await clientsOf(name, together);
  const room = `deliveries-${window}-${together}`;
  const tally = new Tally();
  const writer = await clients.join(port, room);
  const witnesses = await Promise.all(
    Array.from({ length: WITNESSES }, () => clients.join(port, room)),
  );
  const crowd = await subscribers(clients, port, count, room, (changes) => tally.add(changes));
  let made = 0;
  /** One after the other, each in a turn of its own, as long as not too many are under way. */
  const writeFor = async (writeMs: number): Promise<void> => {
    const endMs = performance.now() + writeMs;
    while (performance.now() < endMs) {
      await tally.reaches((made - window) * count + 1);
      writer.together(() => {
        for (let each = 0; each < together; each++, made++) {
          writer.set(`k${made % KEYS}`, `${made} ${VALUE}`);
        }
      });
      await new Promise((resolve) => void setImmediate(resolve));
    }
  };
  await writeFor(WARM_UP_MS);
  const [startMs, before] = [performance.now(), tally.count];
  const framesBefore = framesOf(crowd);
  await writeFor(ms);
  const tookMs = performance.now() - startMs;
  const [counted, frames] = [tally.count - before, framesOf(crowd) - framesBefore];

  await tally.reaches(made * count);
  for (const each of crowd) assert.equal(each.count, made);
  for (let at = 0; at < Math.min(KEYS, made); at++) {
    for (const witness of witnesses) {
      while (witness.get(`k${at}`) !== writer.get(`k${at}`)) {
        await new Promise((resolve) => void setTimeout(resolve, 5));
      }
    }
  }
  for (const each of crowd) each.close();
  for (const each of [writer, ...witnesses]) await each.close();
  return { value: (counted / tookMs) * 1000, beside: counted / frames, runs: made };
}

/** 100 rooms, in each a hundredth of all, and one writer. Milliseconds from a write until all in its room have it, while all others write, too. */
async function held(port: number, count: number): Promise<Measured> {
  const clients = await clientsOf("lastwrite", 1);
  const roomCount = 100;
  const writesEach = 5;
  const tookMs: number[] = [];
  const rooms = [];
  for (let at = 0; at < roomCount; at++) {
    const tally = new Tally();
    const room = `held-${at}`;
    const writer = await clients.join(port, room);
    const heard = (changes: number): void => tally.add(changes);
    const crowd = await subscribers(clients, port, count / roomCount - 1, room, heard);
    rooms.push({ tally, writer, crowd });
  }
  for (let round = 1; round <= writesEach; round++) {
    await Promise.all(
      rooms.map(async ({ tally, writer, crowd }, at) => {
        // Not all at one moment.
        await new Promise((resolve) => void setTimeout(resolve, 10 * at));
        const startMs = performance.now();
        writer.set(`k${round}`, VALUE);
        await tally.reaches(round * crowd.length);
        tookMs.push(performance.now() - startMs);
      }),
    );
  }
  for (const { crowd } of rooms) for (const each of crowd) assert.equal(each.count, writesEach);
  return { value: medianOf(tookMs), runs: tookMs.length };
}

/** Milliseconds from a write of one client until another sees it, and beside it those of a bare write and sync on the disk of the server. */
async function latency(port: number, folder: string): Promise<Measured> {
  const [one, other] = await Promise.all([ownStore(port, "latency"), ownStore(port, "latency")]);
  const file = openSync(join(folder, "bare"), "w");
  const runs = 300;
  const seen: number[] = [];
  const bare: number[] = [];
  try {
    for (let run = -20; run < runs; run++) {
      const value = `${run} ${VALUE}`;
      const isSeen = sees(other, "k", value);
      const startMs = performance.now();
      one.set("k", value);
      await isSeen;
      const seenMs = performance.now() - startMs;
      // It lets the acknowledgements pass.
      await new Promise((resolve) => void setTimeout(resolve, 5));
      const bareMs = performance.now();
      await promisify(write)(file, Buffer.alloc(200));
      await promisify(fdatasync)(file);
      const bareTookMs = performance.now() - bareMs;
      if (run < 0) continue;
      seen.push(seenMs);
      bare.push(bareTookMs);
    }
    assert.equal(other.digest(), one.digest());
  } finally {
    closeSync(file);
    await Promise.all([one.close(), other.close()]);
  }
  return { value: medianOf(seen), beside: medianOf(bare), runs };
}

/** Milliseconds until an empty client has all that a room holds, and beside it those of export and merge in one process. */
async function firstLoad(port: number, size: number): Promise<Measured> {
  const engine = await loadEngine({ backend: "native" });
  const source = createDictionary({ engine });
  for (const [entry, value] of dataset(0, size).values.entries()) {
    if (value !== undefined) source.set(freshKey(entry), value);
  }
  const loaded: number[] = [];
  const merged: number[] = [];
  const runs = 7;
  for (let run = -1; run < runs; run++) {
    globalThis.gc?.();
    const startMs = performance.now();
    const store = await ownStore(port, "first-load");
    const loadedMs = performance.now() - startMs;
    assert.equal(store.size, source.size);
    for (const [key, value] of store.entries({ limit: 1000 })) assert.equal(value, source.get(key));
    await store.close();
    globalThis.gc?.();
    const target = createDictionary({ engine });
    const mergeMs = performance.now();
    target.merge(source.deltaSince());
    const mergedMs = performance.now() - mergeMs;
    assert.equal(target.digest(), source.digest());
    target.close();
    if (run < 0) continue;
    loaded.push(loadedMs);
    merged.push(mergedMs);
  }
  source.close();
  return { value: medianOf(loaded), beside: medianOf(merged), runs };
}

/** Counts deliveries, for who waits for them. */
class Tally {
  count = 0;
  #wake = (): void => {};

  add(count: number): void {
    this.count += count;
    this.#wake();
  }

  async reaches(count: number): Promise<void> {
    while (this.count < count) await new Promise<void>((resolve) => (this.#wake = resolve));
  }
}

async function subscribers(
  clients: Clients,
  port: number,
  count: number,
  room = "idle",
  heard: (count: number) => void = () => {},
): Promise<Subscriber[]> {
  const all: Subscriber[] = [];
  while (all.length < count) {
    const wave = Array.from({ length: Math.min(WAVE, count - all.length) }, () =>
      clients.subscribe(port, room, heard),
    );
    all.push(...(await Promise.all(wave)));
  }
  return all;
}

function sees(store: Store, key: string, value: string): Promise<void> {
  return new Promise((resolve) => {
    const stop = store.subscribe({}, (changes) => {
      if (!changes.some((change) => change.key === key && change.value === value)) return;
      stop();
      resolve();
    });
  });
}

function framesOf(crowd: readonly Subscriber[]): number {
  return crowd.reduce((sum, { frameCount }) => sum + frameCount, 0);
}

function medianOf(values: readonly number[]): number {
  const sorted = values.toSorted((left, right) => left - right);
  return sorted[Math.floor(sorted.length / 2)] as number;
}
