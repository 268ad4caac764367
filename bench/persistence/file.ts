/** The workloads on a store in a file. */
import assert from "node:assert/strict";
import {
  copyFileSync,
  fdatasync,
  openSync,
  closeSync,
  readFileSync,
  statSync,
  write,
} from "node:fs";
import { join } from "node:path";
import type { Dictionary, Store } from "lastwrite";
import { assertHolds, freshKey, freshValue, integer, seeded } from "../workloads.ts";
import type { Dataset, Value } from "../workloads.ts";
import {
  inTurn,
  looseDictionary,
  median,
  nextTurn,
  openStore,
  quantile,
  withStore,
} from "./measure.ts";
import type { Kept, Measured, Measurement, Side } from "./measure.ts";

export const FILE_TASKS: Readonly<Record<string, Measurement>> = {
  open: (kept, size, { iterations }) => opened(kept, size, iterations, 0),
  "open-million": (kept, size, { iterations }) => opened(kept, size, iterations, 0),
  "open-longest": (kept, size, { iterations }) => opened(kept, size, iterations, LONGEST),
  set: (kept, size) => setRelaxed(kept, size, "median"),
  "set-slowest": (kept, size) => setRelaxed(kept, size, "slowest"),
  "set-kept": setUntilKept,
  strict: strictSingly,
  "strict-many": strictMany,
  written: (kept, size) => bytesWritten(kept, { writeCount: size, groupSize: 1_000 }),
  "written-singly": (kept, size) => bytesWritten(kept, { writeCount: size, groupSize: 1 }),
};

/** A log is folded when it is twice as long as the state: so long at the most, but for the write that makes it longer. */
const LONGEST = 1.95;
const SAMPLE_COUNT = 1_000;
const KEY_COUNT = 100_000;

/** A record of the file is a frame and 17 bytes: docs/format.md, Store file. */
const RECORD_HEADER_BYTES = 17;

/** Opens a store whose log is so many times as long as its state, beside loading a snapshot of the same. */
function opened(kept: Kept, size: number, runs: number, logFactor: number): Promise<Measured> {
  return withStore(kept, size, async (folder, data) => {
    const values = await grownBy(kept, folder, data, logFactor);
    const changed = { ...data, values };
    const before = await openStore(kept, folder, { readOnly: true });
    const [snapshot, digest] = [before.snapshot(), before.digest()];
    await before.close();

    let store: Store;
    let dictionary: Dictionary;
    const [value, beside] = await inTurn(
      runs,
      {
        run: async () => void (store = await openStore(kept, folder)),
        check: async () => {
          assert.equal(store.digest(), digest);
          assertHolds(store, changed, SAMPLE_COUNT);
          await store.close();
        },
      },
      {
        run: () => void (dictionary = kept.createDictionary({ engine: kept.engine, snapshot })),
        check: () => {
          assert.equal(dictionary.digest(), digest);
          assertHolds(dictionary, changed, SAMPLE_COUNT);
          dictionary.close();
        },
      },
    );
    return measured(value, beside, runs);
  });
}

/** Overwrites entries until the log is so long, and answers the values that are there then. */
async function grownBy(
  kept: Kept,
  folder: string,
  { size, values }: Dataset,
  logFactor: number,
): Promise<readonly (Value | undefined)[]> {
  const now = [...values];
  const wholeBytes = statSync(join(folder, "store.lw")).size;
  const random = seeded(size);
  const store = await openStore(kept, folder, {
    hooks: { onCompact: () => assert.fail("the log was folded while it was grown") },
  });
  while (statSync(join(folder, "store.lw")).size < wholeBytes * (1 + logFactor)) {
    for (let index = 0; index < 100; index += 1) overwrite(store, now, random);
    await store.flush();
  }
  await store.close();
  return now;
}

const BATCH_COUNT = 1_000;
const BATCH_SIZE = 100;

/** Overwrites of random keys, in short batches with time between them, as writes come to a program that does other things too. */
function setRelaxed(kept: Kept, size: number, which: "median" | "slowest"): Promise<Measured> {
  return withStore(kept, size, async (folder, data) => {
    let flushes = 0;
    const store = await openStore(kept, folder);
    store.on("flush", () => (flushes += 1));
    const dictionary = looseDictionary(kept, data);
    const random = seeded(1);
    const sides = [store, dictionary].map((replica) => ({
      replica,
      values: [...data.values],
      taken: [] as number[],
    }));
    for (let batch = 0; batch < BATCH_COUNT; batch += 1) {
      for (const { replica, values, taken } of batch % 2 === 0 ? sides : sides.toReversed()) {
        const writes = newWrites(size, random);
        const times =
          which === "median" ? timeTogether(replica, writes) : timeEach(replica, writes);
        if (batch >= BATCH_COUNT / 10) taken.push(...times);
        for (const { entry, value } of writes) values[entry] = value;
      }
      await nextTurn();
    }
    for (const { replica, values } of sides) assertHolds(replica, { ...data, values });
    dictionary.close();
    await store.close();
    // Else it was not measured beside them.
    assert(flushes > 1, `${flushes} flushes`);
    await assertKept(kept, folder, { ...data, values: sides[0]?.values ?? [] });
    const part = which === "median" ? 0.5 : 0.99;
    const [value, beside] = sides.map(({ taken }) => quantile(taken, part) * 1_000);
    return measured(value, beside, sides[0]?.taken.length ?? 0);
  });
}

interface Write {
  readonly entry: number;
  readonly key: string;
  readonly value: Value;
}

function newWrites(size: number, random: () => number): readonly Write[] {
  return Array.from({ length: BATCH_SIZE }, () => {
    const entry = integer(random, size);
    return { entry, key: freshKey(entry), value: freshValue(random) };
  });
}

/** A clock costs a tenth of a write, so it is asked once for all. */
function timeTogether(replica: Store | Dictionary, writes: readonly Write[]): readonly number[] {
  const startMs = performance.now();
  for (const { key, value } of writes) replica.set(key, value);
  return [(performance.now() - startMs) / writes.length];
}

function timeEach(replica: Store | Dictionary, writes: readonly Write[]): readonly number[] {
  return writes.map(({ key, value }) => {
    const startMs = performance.now();
    replica.set(key, value);
    return performance.now() - startMs;
  });
}

/** The same until all is written, which is what persistence costs in all. */
function setUntilKept(
  kept: Kept,
  size: number,
  { iterations }: { readonly iterations: number },
): Promise<Measured> {
  return withStore(kept, size, async (folder, data) => {
    const store = await openStore(kept, folder);
    const dictionary = looseDictionary(kept, data);
    const random = seeded(2);
    let batches: (readonly Write[])[] = [];
    const side = (replica: Store | Dictionary, end: () => Promise<void>): Side => {
      const values = [...data.values];
      return {
        before: () => {
          batches = Array.from({ length: 1_000 }, () => newWrites(size, random));
        },
        run: async () => {
          for (const writes of batches) {
            for (const { key, value } of writes) replica.set(key, value);
            await nextTurn();
          }
          await end();
        },
        check: () => {
          for (const { entry, value } of batches.flat()) values[entry] = value;
          assertHolds(replica, { ...data, values }, SAMPLE_COUNT);
        },
      };
    };
    const [value, beside] = await inTurn(
      iterations,
      side(store, () => store.flush()),
      side(dictionary, async () => {}),
    );
    dictionary.close();
    await store.close();
    return measured(value, beside, iterations);
  });
}

const STRICT_COUNT = 400;

/** A write and its flush, beside the calls that nobody can do without, of as many bytes at the end of a file of the same length. */
function strictSingly(kept: Kept, size: number): Promise<Measured> {
  return withStore(kept, size, async (folder, data) => {
    let frameBytes = 0;
    const onAppend = (frame: Uint8Array): void => void (frameBytes = frame.length);
    const store = await openStore(kept, folder, { durability: "strict", hooks: { onAppend } });
    const bare = join(folder, "bare");
    copyFileSync(join(folder, "store.lw"), bare);
    const descriptor = openSync(bare, "r+");
    let end = statSync(bare).size;

    const values = [...data.values];
    const random = seeded(3);
    const taken: { readonly store: number[]; readonly bare: number[] } = { store: [], bare: [] };
    for (let turn = 0; turn < STRICT_COUNT; turn += 1) {
      const { entry, key, value } = newWrite(size, random);
      const startMs = performance.now();
      store.set(key, value);
      await store.flush();
      taken.store.push(performance.now() - startMs);
      values[entry] = value;
      assert.equal(store.unflushedCount, 0);

      const bytes = new Uint8Array(RECORD_HEADER_BYTES + frameBytes).fill(turn);
      const bareStartMs = performance.now();
      await appendBare(descriptor, bytes, end);
      taken.bare.push(performance.now() - bareStartMs);
      end += bytes.length;
    }
    closeSync(descriptor);
    await store.close();
    await assertKept(kept, folder, { ...data, values });
    return measured(median(taken.store), median(taken.bare), STRICT_COUNT);
  });
}

function appendBare(descriptor: number, bytes: Uint8Array, at: number): Promise<void> {
  return new Promise((resolve, reject) => {
    write(descriptor, bytes, 0, bytes.length, at, (error) => {
      if (error !== null) return reject(error);
      fdatasync(descriptor, (failure) => (failure === null ? resolve() : reject(failure)));
    });
  });
}

const IN_FLIGHT = 1_000;
const ROUNDS = 9;
const SINGLY_A_ROUND = 50;
const WRITES_A_ROUND = 50_000;

/** So many who each write, wait for the flush, and write again, beside one who does. */
function strictMany(kept: Kept, size: number): Promise<Measured> {
  return withStore(kept, size, async (folder, data) => {
    const store = await openStore(kept, folder, { durability: "strict" });
    const values = [...data.values];
    const random = seeded(4);
    const rateOf = async (inFlight: number, count: number): Promise<number> => {
      const writes = Array.from({ length: count }, () => newWrite(size, random));
      let next = 0;
      let acknowledged = 0;
      const writeOn = async (): Promise<void> => {
        for (let each = writes[next++]; each !== undefined; each = writes[next++]) {
          store.set(each.key, each.value);
          await store.flush();
          acknowledged += 1;
        }
      };
      const startMs = performance.now();
      await Promise.all(Array.from({ length: inFlight }, writeOn));
      const rate = (count / (performance.now() - startMs)) * 1_000;
      assert.equal(acknowledged, count);
      for (const { entry, value } of writes) values[entry] = value;
      return rate;
    };
    const singly: number[] = [];
    const together: number[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      singly.push(await rateOf(1, SINGLY_A_ROUND));
      together.push(await rateOf(IN_FLIGHT, WRITES_A_ROUND));
    }
    await store.close();
    await assertKept(kept, folder, { ...data, values });
    return measured(median(together), median(singly), ROUNDS);
  });
}

/** All bytes that the process hands to the system for the file, folding included, beside the deltas of the same writes in the same groups. */
function bytesWritten(
  kept: Kept,
  { writeCount, groupSize }: { readonly writeCount: number; readonly groupSize: number },
): Promise<Measured> {
  return withStore(kept, KEY_COUNT, async (folder, data) => {
    let toldBytes = 0;
    const store = await openStore(kept, folder, {
      hooks: {
        onAppend: (frame) => (toldBytes += frame.length + RECORD_HEADER_BYTES),
        onCompact: ({ byteCount }) => (toldBytes += byteCount),
      },
    });
    // Deltas are taken of another replica: what a store exports is kept too.
    const dictionary = looseDictionary(kept, data);
    const values = [...data.values];
    const random = seeded(5);
    let deltaBytes = 0;
    const startBytes = bytesHandedOver();
    for (let group = 0; group < writeCount / groupSize; group += 1) {
      const version = dictionary.version();
      for (let index = 0; index < groupSize; index += 1) {
        const { entry, key, value } = newWrite(KEY_COUNT, random);
        store.set(key, value);
        dictionary.set(key, value);
        values[entry] = value;
      }
      await store.flush();
      deltaBytes += dictionary.deltaSince(version).length;
    }
    await store.close();
    dictionary.close();
    const written = bytesHandedOver() - startBytes;
    assert(written >= toldBytes && written < toldBytes * 1.1 + 10_000, `${written}, ${toldBytes}`);
    await assertKept(kept, folder, { ...data, values });
    return measured(written, deltaBytes, 1);
  });
}

function bytesHandedOver(): number {
  const [, count] = /^wchar: (\d+)$/mu.exec(readFileSync("/proc/self/io", "utf8")) ?? [];
  return Number(count);
}

function newWrite(size: number, random: () => number): Write {
  const entry = integer(random, size);
  return { entry, key: freshKey(entry), value: freshValue(random) };
}

function overwrite(store: Store, values: (Value | undefined)[], random: () => number): void {
  const { entry, key, value } = newWrite(values.length, random);
  store.set(key, value);
  values[entry] = value;
}

/** Opens the store once more: all of it is there. */
async function assertKept(kept: Kept, folder: string, data: Dataset): Promise<void> {
  const store = await openStore(kept, folder, { readOnly: true });
  assertHolds(store, data);
  await store.close();
}

function measured(value: number | undefined, beside: number | undefined, runs: number): Measured {
  assert(value !== undefined && beside !== undefined);
  return { value, beside, runs };
}
