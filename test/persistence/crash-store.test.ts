/** As ./crash.test.ts, with whole stores: writes, flushes, folds. STORE_RECOVERIES=100000 asks for more, SEED=n for others. */

import { createHash } from "node:crypto";

import { createDictionary, type Dictionary, open, type Store } from "lastwrite";
import { expect, test } from "vitest";

import type { Persistence } from "../../ts/persistence/contract.ts";
import { logPersistence } from "../../ts/persistence/log-persistence.ts";
import { fastestEngine } from "../suites/engines.ts";
import { numberFromEnvironment, type Random, seededRandom } from "../suites/random.ts";
import { CrashDisk, type Outcome, OUTCOMES } from "./crash-disk.ts";
import { collectElsewhere } from "../suites/collect.ts";

const RECOVERIES = numberFromEnvironment("STORE_RECOVERIES") ?? 4000;
const SEED = numberFromEnvironment("SEED") ?? 1;

const engine = fastestEngine();

test(
  `stores lose nothing acknowledged in ${RECOVERIES} losses of power`,
  { timeout: 1000 * 60 * 60 },
  async () => {
    const counts = { recoveries: 0, folds: 0, workloads: 0 };
    for (let seed = SEED; counts.recoveries < RECOVERIES; seed++) {
      const crashes = new StoreCrashes(seededRandom(seed), counts);
      try {
        await crashes.play();
      } catch (error) {
        throw new Error(`SEED=${seed}: ${String(error)}`, { cause: error });
      }
      counts.workloads++;
    }
    const { recoveries, folds, workloads } = counts;
    console.log(`${recoveries} recoveries of ${workloads} stores, ${folds} folds on the way`);
    expect(recoveries).toBeGreaterThanOrEqual(RECOVERIES);
    expect(folds).toBeGreaterThan(0);
  },
);

class StoreCrashes {
  readonly #random: Random;
  readonly #counts: { recoveries: number; folds: number };
  readonly #isStrict: boolean;
  /** Whether its values are so long that the log outgrows the state. */
  readonly #isLong: boolean;
  #disk = new CrashDisk();
  #now = 1_000_000_000_000;
  /** The store after each change, which tells its number under the key `last`; at first as one that is empty. */
  readonly #states: string[] = [stateOf(createDictionary({ engine }))];
  /** All changes up to this one survive a loss of power. */
  #kept = 0;
  /** The id that a store has written under since it was opened, in frames that may have been handed on. */
  #openId: string | undefined;
  /** How many changes there were when it was opened. */
  #opened = 0;

  constructor(random: Random, counts: { recoveries: number; folds: number }) {
    this.#random = random;
    this.#counts = counts;
    this.#isStrict = random.once(2);
    this.#isLong = random.once(4);
  }

  async play(): Promise<void> {
    const random = this.#random;
    this.#disk.hook = () => this.#crash();
    let store = await this.#open(this.#disk);
    for (let step = 0; step < 12; step++) {
      for (let count = random.below(4); count > 0; count--) this.#change(store);
      const chance = random.below(12);
      // A tombstone that no frame has told of is gone: the next one has to be whole.
      if (chance < 3) {
        this.#change(store, "a/0");
        collectElsewhere(store, engine);
        // No frame is begun in between, so that no state is kept but those after a change.
        this.#change(store);
      }
      if (chance < 8) await this.#flush(store);
      if (chance >= 10) store = await this.#reopen(store);
    }
    await this.#close(store);
    await this.#crash();
  }

  #open(disk: CrashDisk): Promise<Store> {
    return open({
      persistence: persistenceOn(disk),
      engine,
      durability: this.#isStrict ? "strict" : "relaxed",
      flushIntervalMs: 1_000_000,
      clock: () => this.#now++,
      hooks: { onCompact: () => this.#counts.folds++ },
    });
  }

  #change(store: Store, removed?: string): void {
    const random = this.#random;
    const number = this.#states.length;
    store.transaction(() => {
      const key = `${random.pick(["a", "b"])}/${random.below(4)}`;
      const chance = random.below(10);
      if (removed !== undefined) {
        store.set(removed, number);
        store.delete(removed);
      } else if (this.#isLong && chance < 5) store.set("long", "x".repeat(90_000 + number));
      else if (chance < 7) store.set(key, `${number} ${"x".repeat(random.below(30))}`);
      else if (chance < 9) store.delete(key);
      else store.deletePrefix("a/");
      store.set("last", number);
    });
    this.#states.push(stateOf(store));
  }

  async #flush(store: Store): Promise<void> {
    const begun = this.#begun;
    await store.flush();
    if (this.#isStrict) this.#kept = Math.max(this.#kept, begun);
    if (begun > this.#opened) this.#openId = store.replicaId;
  }

  async #reopen(store: Store): Promise<Store> {
    await this.#close(store);
    const again = await this.#open(this.#disk);
    this.#opened = this.#check(again);
    return again;
  }

  async #close(store: Store): Promise<void> {
    await store.close();
    this.#kept = this.#begun;
    this.#openId = undefined;
  }

  async #crash(): Promise<void> {
    for (let count = this.#isLong ? 1 : 3; count > 0; count--) {
      await this.#recover(this.#disk, this.#random.pick(OUTCOMES), true);
    }
  }

  async #recover(crashed: CrashDisk, outcome: Outcome, isFirst: boolean): Promise<void> {
    const random = this.#random;
    const [kept, begun, openId] = [this.#kept, this.#begun, this.#openId];
    const disk = crashed.afterPowerLoss(outcome, random);
    if (isFirst && random.once(10)) {
      disk.hook = () => this.#recover(disk, random.pick(OUTCOMES), false);
    }
    const store = await this.#open(disk);
    this.#counts.recoveries++;
    const found = this.#check(store, kept, begun);
    if (!this.#isStrict && openId !== undefined && found > 0) {
      store.set("other", 1);
      // It was about to close, and nothing of it is missing.
      const isClosed = found === begun;
      if (store.replicaId === openId && !isClosed) {
        throw new Error("a relaxed store that lost writes goes on under their id");
      }
    }
    disk.hook = undefined;
    await store.close();
  }

  #check(store: Store, kept = this.#kept, begun = this.#begun): number {
    const number = Number(store.get("last") ?? 0);
    if (number < kept || number > begun) {
      throw new Error(`found ${number} changes; ${kept} were kept, ${begun} made`);
    }
    if (stateOf(store) !== this.#states[number]) {
      throw new Error(`what is found after ${number} changes was never so`);
    }
    return number;
  }

  get #begun(): number {
    return this.#states.length - 1;
  }
}

function persistenceOn(disk: CrashDisk): Persistence {
  return logPersistence("simulated", () => ({ disk, path: "store", release: () => {} }));
}

/** All that a store is, but for its ids: what it shows, and what it would tell others. */
function stateOf(store: Pick<Dictionary, "entries" | "snapshot" | "version" | "digest">): string {
  const hash = createHash("sha256").update(JSON.stringify([...store.entries()]));
  for (const bytes of [store.snapshot(), store.version()]) hash.update(bytes);
  return `${store.digest()} ${hash.digest("hex")}`;
}
