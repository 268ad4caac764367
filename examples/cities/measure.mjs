/** One column of the table: `node --expose-gc measure.mjs <column> <compiled subjects> <number of cities>`, forked by engines.mjs. */
import assert from "node:assert/strict";
import { pathToFileURL } from "node:url";
import { deflateRawSync } from "node:zlib";

import { entriesOf, readCities } from "./data.mjs";

const RUNS = 3;
const KEYS_PER_CITY = 5;
/** One key in a hundred is changed for the delta. */
const CHANGED_EVERY = 100;

const [column, subjects, cityCount] = process.argv.slice(2);
const { loadSubject } = await import(pathToFileURL(subjects).href);
const subject = await loadSubject(column);
const cities = readCities(Number(cityCount));
const entries = cities.flatMap((city) => entriesOf(city));
const changes = freshEntries()
  .filter((_, index) => index % CHANGED_EVERY === 0)
  .map(([key]) => [key, "changed"]);

const rows = [];
let source;
// A city a millisecond: with a clock of its own each column writes the same stamps, and as many bytes.
let now = Date.UTC(2026, 0, 1);
const create = (options) => subject.create({ ...options, clock: () => now });

time("set each key, one by one", {
  prepare: () => ({ replica: create({ writer: 1 }), writes: freshEntries() }),
  run({ replica, writes }) {
    for (const [index, [key, value]] of writes.entries()) {
      now += index % KEYS_PER_CITY === 0 ? 1 : 0;
      replica.set(key, value);
    }
  },
  check({ replica }) {
    assertHolds(replica, entries);
    // The other workloads start from the last of these.
    if (source !== undefined) subject.release(source);
    source = replica;
  },
});

time("get each key", {
  prepare: () => shuffledKeys(),
  run(keys) {
    for (const key of keys) if (source.get(key) === undefined) throw new Error(`${key} is absent`);
  },
  check() {},
});

time("export everything, merge it into an empty replica", {
  prepare: () => create({ writer: 2 }),
  run: (replica) => void replica.merge(source.deltaSince(replica.version())),
  check(replica) {
    assertHolds(replica, entries);
    subject.release(replica);
  },
});

const snapshot = subject.snapshot(source);
time("load a snapshot", {
  prepare: () => snapshot.slice(),
  run: (bytes) => create({ writer: 3, snapshot: bytes }),
  check(_, replica) {
    assertHolds(replica, entries);
    subject.release(replica);
  },
});

time(`version, delta and merge of 1 % changed`, {
  prepare() {
    const [a, b] = [4, 5].map((writer) => create({ writer, snapshot }));
    for (const [key, value] of changes) a.set(key, value);
    return { a, b };
  },
  run: ({ a, b }) => void b.merge(a.deltaSince(b.version())),
  check({ a, b }) {
    assertHolds(b, changes);
    for (const replica of [a, b]) subject.release(replica);
  },
});

rows.push(
  { title: "bytes of the snapshot", unit: "bytes", value: snapshot.length },
  { title: "the same, deflated", unit: "bytes", value: deflateRawSync(snapshot).length },
);
process.send({ rows, entryCount: entries.length, changeCount: changes.length });
process.disconnect();

/** Adds the median of some runs; what comes before and after a run is outside the clock. */
function time(title, { prepare, run, check }) {
  const taken = [];
  for (let index = 0; index < RUNS; index += 1) {
    process.send(`${title} (${index + 1} of ${RUNS})`);
    const prepared = prepare();
    globalThis.gc();
    const startMs = performance.now();
    const result = run(prepared);
    taken.push(performance.now() - startMs);
    check(prepared, result);
  }
  taken.sort((left, right) => left - right);
  rows.push({ title, unit: "ms", value: taken[Math.floor(RUNS / 2)] });
}

/** Strings that nobody has used as keys yet, flat as they come from a file: neither joined nor hashed before the clock starts. */
function freshEntries() {
  return entries.map(([key, value]) => [Buffer.from(key).toString("latin1"), value]);
}

/** The keys in another order than they were written in, fresh. */
function shuffledKeys() {
  const keys = freshEntries().map(([key]) => key);
  // A stride that shares no factor with the length visits each once.
  let stride = Math.floor(keys.length * 0.618);
  while (greatestCommonDivisor(stride, keys.length) !== 1) stride += 1;
  return keys.map((_, index) => keys[(index * stride) % keys.length]);
}

function greatestCommonDivisor(a, b) {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

function assertHolds(replica, expected) {
  const every = Math.max(1, Math.floor(expected.length / 1_000));
  for (let index = 0; index < expected.length; index += every) {
    const [key, value] = expected[index];
    assert.deepEqual(replica.get(key), value, key);
  }
}
