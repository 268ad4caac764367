/** The workloads that are timed, each as tinybench runs it: prepared and checked outside the clock. */
import assert from "node:assert/strict";
import { Bench } from "tinybench";
import type { Replica, Subject } from "./subjects.ts";
import {
  assertHolds,
  dataset,
  entriesOfUser,
  freshKey,
  freshPrefix,
  freshValue,
  integer,
  seeded,
  snapshotOf,
} from "./workloads.ts";
import type { Dataset, Value } from "./workloads.ts";

export interface Effort {
  /** A workload runs at least this often, and at least this long in all. */
  readonly iterations: number;
  readonly timeMs: number;
}

/** One workload at one size, for one engine. */
interface Task {
  /** Calls of `run` are divided into this many operations: 1 for one that is a whole. */
  readonly operations: number;
  before(): void;
  run(): void;
  /** Throws unless `run` did what it should; after every run. */
  check(): void;
  /** The same, thoroughly, once at the end; and lets go of everything. */
  finish(): void;
}

/** Names of replicas that no data set was written by. */
const A = 1;
const B = 2;

const LIVE_WRITES = 200;
const GETS_MAX = 100_000;
const PREFIXES = 1_000;
const PREFIX_LIMIT = 10;
/** Entries looked at after each run; all of them are after the last. */
const SAMPLE_COUNT = 100;

export const TASKS: Readonly<Record<string, (subject: Subject, size: number) => Task>> = {
  "merge-disjoint": mergeDisjoint,
  "merge-identical": mergeIdentical,
  "sync-percent": (subject, size) => syncChanged(subject, size, size / 100),
  "sync-one": (subject, size) => syncChanged(subject, size, 1),
  live: liveWrite,
  "live-known": liveWriteKnown,
  "set-new": setNew,
  "get-fresh": (subject, size) => getRandom(subject, size, "fresh"),
  "get-used": (subject, size) => getRandom(subject, size, "used"),
  load,
  prefix: firstByPrefix,
};

/** The median of one operation in milliseconds, and how many runs it is the median of. */
export function time(
  task: Task,
  name: string,
  { iterations, timeMs }: Effort,
): { readonly ms: number; readonly runs: number } {
  const bench = new Bench({
    name,
    time: timeMs,
    iterations,
    warmupTime: timeMs / 4,
    warmupIterations: Math.ceil(iterations / 4),
    throws: true,
  });
  bench.add(name, () => task.run(), {
    beforeEach: () => task.before(),
    afterEach: () => task.check(),
  });
  // Once by hand: what it throws is thrown as it is, before the checks complain of the consequences.
  task.before();
  task.run();
  task.check();
  bench.runSync();
  task.finish();
  const [{ result } = { result: undefined }] = bench.tasks;
  assert(result?.state === "completed", `${name}: ${result?.state}`);
  return { ms: result.latency.p50 / task.operations, runs: result.latency.samplesCount };
}

function mergeDisjoint(subject: Subject, size: number): Task {
  const [left, right] = [dataset(0, size), dataset(size, size)];
  const a = subject.create({ writer: A, snapshot: snapshotOf(subject, left) });
  const snapshot = snapshotOf(subject, right);
  let b = subject.create({ writer: B });
  return {
    operations: 1,
    before: () => {
      subject.release(b);
      b = subject.create({ writer: B, snapshot });
      settle(size);
    },
    run: () => void b.merge(a.deltaSince()),
    check: () => {
      assertHolds(b, left, SAMPLE_COUNT);
      assertHolds(b, right, SAMPLE_COUNT);
    },
    finish: () => {
      assertHolds(b, left);
      assertHolds(b, right);
      subject.release(a);
      subject.release(b);
    },
  };
}

function mergeIdentical(subject: Subject, size: number): Task {
  const data = dataset(0, size);
  const snapshot = snapshotOf(subject, data);
  const a = subject.create({ writer: A, snapshot });
  const b = subject.create({ writer: B, snapshot });
  const everything = a.deltaSince();
  settle(size);
  return {
    operations: 1,
    before: () => {},
    run: () => void b.merge(everything),
    check: () => assertHolds(b, data, SAMPLE_COUNT),
    finish: () => {
      assertHolds(b, data);
      subject.release(a);
      subject.release(b);
    },
  };
}

function syncChanged(subject: Subject, size: number, changeCount: number): Task {
  const { a, b, data, values, random } = pair(subject, size);
  let changed: readonly number[] = [];
  settle(size);
  return {
    operations: 1,
    before: () => {
      changed = Array.from({ length: changeCount }, () => integer(random, size));
      subject.batch(a, () => {
        for (const entry of changed) {
          values[entry] = freshValue(random);
          a.set(freshKey(entry), values[entry]);
        }
      });
    },
    run: () => void b.merge(a.deltaSince(b.version())),
    check: () => {
      for (const entry of changed) assert.equal(b.get(freshKey(entry)), values[entry]);
    },
    finish: () => finishPair(subject, a, b, data),
  };
}

function liveWrite(subject: Subject, size: number): Task {
  const { a, b, data, values, random } = pair(subject, size);
  let writes: readonly Write[] = [];
  settle(size);
  return {
    operations: LIVE_WRITES,
    before: () => {
      writes = Array.from({ length: LIVE_WRITES }, () => randomWrite(random, values));
      settleYoung();
    },
    run: () => {
      for (const { key, value } of writes) {
        a.set(key, value);
        b.merge(subject.push(a, b, key));
      }
    },
    check: () => assertWritten(b, writes, values),
    finish: () => finishPair(subject, a, b, data),
  };
}

/**
 * The peer's version is another after each write, and asking for it is what this row leaves out. A twin of A, which
 * makes the same writes before the clock starts and meets nobody, tells what the version will be.
 */
function liveWriteKnown(subject: Subject, size: number): Task {
  const { a, b, data, values, random } = pair(subject, size);
  const twin = subject.create({ writer: A, snapshot: snapshotOf(subject, dataset(0, size)) });
  let writes: readonly (Write & { readonly base: Uint8Array })[] = [];
  settle(size);
  return {
    operations: LIVE_WRITES,
    before: () => {
      writes = Array.from({ length: LIVE_WRITES }, () => {
        const write = { ...randomWrite(random, values), base: twin.version() };
        twin.set(write.key, write.value);
        // The twin has used the key's string; A shall get one that nobody has.
        return { ...write, key: freshKey(write.entry) };
      });
      settleYoung();
    },
    run: () => {
      for (const { key, value, base } of writes) {
        a.set(key, value);
        b.merge(subject.pushKnown(a, base, key));
      }
    },
    check: () => assertWritten(b, writes, values),
    finish: () => {
      subject.release(twin);
      finishPair(subject, a, b, data);
    },
  };
}

function setNew(subject: Subject, size: number): Task {
  const random = seeded(size);
  let a = subject.create({ writer: A });
  let values: readonly Value[] = [];
  let keys: readonly string[] = [];
  const check = (sampleCount: number) => assertHolds(a, { first: 0, size, values }, sampleCount);
  return {
    operations: size,
    before: () => {
      subject.release(a);
      a = subject.create({ writer: A });
      keys = Array.from({ length: size }, (_, entry) => freshKey(entry));
      values = keys.map(() => freshValue(random));
      settle(size);
    },
    run: () => {
      for (let entry = 0; entry < size; entry += 1)
        a.set(keys[entry] as string, values[entry] as Value);
    },
    check: () => check(SAMPLE_COUNT),
    finish: () => {
      check(size);
      subject.release(a);
    },
  };
}

/** From a dictionary filled by `set`: kinder to the hand-written map than one filled by decoding. */
function getRandom(subject: Subject, size: number, strings: "fresh" | "used"): Task {
  const random = seeded(size);
  const keysInUse = Array.from({ length: size }, (_, entry) => freshKey(entry));
  const values = keysInUse.map(() => freshValue(random));
  const a = subject.create({ writer: A });
  subject.batch(a, () => keysInUse.forEach((key, entry) => a.set(key, values[entry] as Value)));

  const getCount = Math.min(size, GETS_MAX);
  let entries: readonly number[] = [];
  let keys: readonly string[] = [];
  const found: unknown[] = Array.from({ length: getCount });
  settle(size);
  return {
    operations: getCount,
    before: () => {
      entries = Array.from({ length: getCount }, () => integer(random, size));
      keys = entries.map((entry) =>
        strings === "fresh" ? freshKey(entry) : (keysInUse[entry] as string),
      );
    },
    run: () => {
      for (let index = 0; index < getCount; index += 1) found[index] = a.get(keys[index] as string);
    },
    check: () => entries.forEach((entry, index) => assert.equal(found[index], values[entry])),
    finish: () => subject.release(a),
  };
}

function load(subject: Subject, size: number): Task {
  const data = dataset(0, size);
  const snapshot = snapshotOf(subject, data);
  let a = subject.create({ writer: A });
  return {
    operations: 1,
    before: () => {
      subject.release(a);
      settle(size);
    },
    run: () => {
      a = subject.create({ writer: A, snapshot });
    },
    check: () => assertHolds(a, data, SAMPLE_COUNT),
    finish: () => {
      assertHolds(a, data);
      subject.release(a);
    },
  };
}

function firstByPrefix(subject: Subject, size: number): Task {
  const random = seeded(size);
  const data = dataset(0, size);
  const a = subject.create({ writer: A, snapshot: snapshotOf(subject, data) });
  const read = (prefix: string) => subject.firstByPrefix?.(a, prefix, PREFIX_LIMIT) ?? [];
  // The first question builds the order.
  read(freshPrefix(0));

  let entries: readonly number[] = [];
  let prefixes: readonly string[] = [];
  const found: (readonly (readonly [string, unknown])[])[] = [];
  settle(size);
  return {
    operations: PREFIXES,
    before: () => {
      entries = Array.from({ length: PREFIXES }, () => integer(random, size));
      prefixes = entries.map(freshPrefix);
    },
    run: () => {
      for (let index = 0; index < PREFIXES; index += 1)
        found[index] = read(prefixes[index] as string);
    },
    check: () =>
      entries.forEach((entry, index) => {
        const expected = entriesOfUser(entry)
          .map((each) => [freshKey(each), data.values[each]] as const)
          .filter(([, value]) => value !== undefined);
        assert.deepEqual(found[index], expected);
      }),
    finish: () => subject.release(a),
  };
}

interface Write {
  readonly entry: number;
  readonly key: string;
  readonly value: Value;
}

/** Two replicas that hold the same, and what they hold. */
function pair(
  subject: Subject,
  size: number,
): {
  readonly a: Replica;
  readonly b: Replica;
  readonly data: Dataset;
  readonly values: (Value | undefined)[];
  readonly random: () => number;
} {
  const data = dataset(0, size);
  const snapshot = snapshotOf(subject, data);
  const values = [...data.values];
  return {
    a: subject.create({ writer: A, snapshot }),
    b: subject.create({ writer: B, snapshot }),
    data: { ...data, values },
    values,
    random: seeded(size),
  };
}

function finishPair(subject: Subject, a: Replica, b: Replica, data: Dataset): void {
  assertHolds(a, data);
  assertHolds(b, data);
  subject.release(a);
  subject.release(b);
}

/** A write to an entry that is there; `values` is what the replicas will hold after it. */
function randomWrite(random: () => number, values: (Value | undefined)[]): Write {
  const entry = integer(random, values.length);
  const value = freshValue(random);
  values[entry] = value;
  return { entry, key: freshKey(entry), value };
}

/** The last write to an entry is what counts, and `values` has it. */
function assertWritten(
  replica: Replica,
  writes: readonly Write[],
  values: readonly (Value | undefined)[],
): void {
  for (const { entry } of writes) assert.equal(replica.get(freshKey(entry)), values[entry]);
}

/**
 * Collects what was thrown away before, so that no run pays for it.
 *
 * At 1k a collection would take longer than the run, and what it collects is little.
 */
function settle(size: number): void {
  if (size > 1_000) globalThis.gc?.();
}

/** The same for what `before` made just now and threw away, where a full collection would take too long. */
function settleYoung(): void {
  globalThis.gc?.({ type: "minor" });
}
