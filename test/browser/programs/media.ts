/** Plays the same workloads on IndexedDB and OPFS, in a worker: see ../measure-media.mjs. */

import { type Engine, loadEngine, open, type Persistence } from "lastwrite";
import { indexedDbPersistence, opfsPersistence } from "lastwrite/persistence/indexeddb";

const APPENDS = 200;
const IN_FLIGHT = 1000;
const ENTRIES = 100_000;

const MEDIA: readonly (readonly [string, (name: string) => Persistence])[] = [
  ["IndexedDB", (name) => indexedDbPersistence(name)],
  ["IndexedDB, exclusive", (name) => indexedDbPersistence(name, { tabs: "exclusive" })],
  ["OPFS", (name) => opfsPersistence(name)],
];

const WORKLOADS: Readonly<
  Record<string, (persistence: () => Persistence, engine: Engine) => Promise<number>>
> = {
  async "strict, one at a time: ms each"(persistence, engine) {
    const store = await open({ persistence: persistence(), engine, durability: "strict" });
    const start = performance.now();
    for (let index = 0; index < APPENDS; index++) {
      store.set(`key/${index}`, index);
      await store.flush();
    }
    const ms = (performance.now() - start) / APPENDS;
    await store.close();
    await expectSize(persistence(), engine, APPENDS);
    return ms;
  },

  async "strict, 1,000 in flight: ms in all"(persistence, engine) {
    const store = await open({ persistence: persistence(), engine, durability: "strict" });
    const start = performance.now();
    await Promise.all(
      Array.from({ length: IN_FLIGHT }, async (_, index) => {
        store.set(`key/${index}`, index);
        await store.flush();
      }),
    );
    const ms = performance.now() - start;
    await store.close();
    await expectSize(persistence(), engine, IN_FLIGHT);
    return ms;
  },

  async "relaxed, one at a time: ms each"(persistence, engine) {
    const store = await open({ persistence: persistence(), engine });
    store.set("first", 1);
    await store.flush();
    const start = performance.now();
    for (let index = 1; index < APPENDS; index++) {
      store.set(`key/${index}`, index);
      await store.flush();
    }
    const ms = (performance.now() - start) / (APPENDS - 1);
    await store.close();
    await expectSize(persistence(), engine, APPENDS);
    return ms;
  },

  async "open 100,000 entries: ms"(persistence, engine) {
    const store = await open({ persistence: persistence(), engine });
    for (let index = 0; index < ENTRIES; index++) {
      store.set(`users/${index}/name`, `name of ${index}`);
    }
    await store.close();
    const start = performance.now();
    const again = await open({ persistence: persistence(), engine });
    const ms = performance.now() - start;
    const { size } = again;
    await again.close();
    if (size !== ENTRIES) throw new Error(`${size} entries instead of ${ENTRIES}`);
    return ms;
  },
};

globalThis.addEventListener("message", ({ data }: MessageEvent<number>) => {
  void measure(data).then((table) => globalThis.postMessage(table));
});

/** The median of each workload on each medium. */
async function measure(rounds: number): Promise<Record<string, Record<string, number>>> {
  const engine = await loadEngine({ backend: "wasm" });
  const table: Record<string, Record<string, number>> = {};
  for (const [workload, run] of Object.entries(WORKLOADS)) {
    const times = MEDIA.map((): number[] => []);
    for (let round = 0; round < rounds; round++) {
      for (const [index, [, make]] of MEDIA.entries()) {
        const name = `${workload} ${round} ${crypto.randomUUID()}`;
        times[index]?.push(await run(() => make(name), engine));
      }
    }
    table[workload] = Object.fromEntries(
      MEDIA.map(([medium], index) => [medium, Number(median(times[index] ?? []).toFixed(2))]),
    );
  }
  return table;
}

async function expectSize(persistence: Persistence, engine: Engine, size: number): Promise<void> {
  const store = await open({ persistence, engine });
  const actual = store.size;
  await store.close();
  if (actual !== size) throw new Error(`${actual} entries instead of ${size}`);
}

function median(times: readonly number[]): number {
  return times.toSorted((left, right) => left - right)[times.length >> 1] ?? Number.NaN;
}
