/**
 * The data of every benchmark: seeded, the same for each engine and each run.
 *
 * An entry is one of ten fields of a user. A user's fields are written at one moment by one of five writers,
 * users one after the other, as records are made in an application; some fields are removed again.
 */
import assert from "node:assert/strict";
import type { Replica, Subject } from "./subjects.ts";

export type Value = number | string | boolean;

export interface Dataset {
  /** The number of the first entry; entries of two data sets with other numbers have other keys. */
  readonly first: number;
  readonly size: number;
  /** What a replica that holds all of it answers, by entry; `undefined` for the removed ones. */
  readonly values: readonly (Value | undefined)[];
}

const FIELD_COUNT = 10;
const WRITER_COUNT = 5;
const REMOVED_SHARE = 0.05;

/** Long before any run, so that no write made during one is older than the data. */
const START_MS = Date.UTC(2025, 0, 1);
/** Between two users; an application that makes a user a second. */
const PAUSE_MAX_MS = 2_000;

const FIRST_WORDS = (
  "amber bold calm dusty early fresh golden happy icy jolly keen lucky misty noble old proud " +
  "quiet rapid silver tiny urban vivid warm young zesty blue green rusty sharp sweet tall wild"
).split(" ");
const SECOND_WORDS = (
  "river stone cloud forest tiger engine garden harbor island jacket kettle ladder market needle orange pepper " +
  "quartz rocket saddle table umber valley window yarn zebra anchor bridge candle drum ember falcon grove"
).split(" ");

/** Numbers in [0, 1), the same for the same seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** An integer in [0, limit). */
export function integer(random: () => number, limit: number): number {
  return Math.floor(random() * limit);
}

/**
 * The key of an entry: `user:000123:field7`, as a string that nobody has used yet.
 *
 * Flat, as it comes from a request or a file: a template would leave a tree of parts to be joined at the first
 * use, and a string used before carries its hash along. Both would move work into or out of the clock.
 */
export function freshKey(entry: number): string {
  return flat(`${userPrefix(entry)}field${entry % FIELD_COUNT}`);
}

/** What the ten keys of an entry's user begin with. */
export function freshPrefix(entry: number): string {
  return flat(userPrefix(entry));
}

/** The entries of the user of `entry`, in the order of their keys. */
export function entriesOfUser(entry: number): readonly number[] {
  const first = entry - (entry % FIELD_COUNT);
  return Array.from({ length: FIELD_COUNT }, (_, field) => first + field);
}

/** 37 % small integers, 16 % floats, 42 % two words, 5 % booleans: the shares of what is not removed. */
export function freshValue(random: () => number): Value {
  const share = random() * (1 - REMOVED_SHARE);
  if (share < 0.35) return integer(random, 1_000);
  if (share < 0.5) return integer(random, 100_000) / 100;
  if (share < 0.9) return flat(`${pick(FIRST_WORDS, random)} ${pick(SECOND_WORDS, random)}`);
  return random() < 0.5;
}

/** Calls `write` for each entry in the order of writing; `undefined` follows a value and removes it. */
export function eachWrite(
  first: number,
  size: number,
  write: (entry: number, value: Value | undefined) => void,
): void {
  const random = seeded(first + size);
  for (let entry = first; entry < first + size; entry += 1) {
    write(entry, freshValue(random));
    if (random() < REMOVED_SHARE) write(entry, undefined);
  }
}

export function dataset(first: number, size: number): Dataset {
  const values: (Value | undefined)[] = [];
  eachWrite(first, size, (entry, value) => {
    values[entry - first] = value;
  });
  return { first, size, values };
}

/** Building one takes longer than most of what is measured with it. */
const snapshots = new WeakMap<Subject, Map<string, Uint8Array>>();

/** The data set as five writers left it, in one snapshot. Other data sets have other writers. */
export function snapshotOf(subject: Subject, data: Dataset): Uint8Array {
  const known = snapshots.get(subject) ?? new Map<string, Uint8Array>();
  snapshots.set(subject, known);
  const name = `${data.first}/${data.size}`;
  const snapshot = known.get(name) ?? buildSnapshot(subject, data);
  known.set(name, snapshot);
  return snapshot;
}

/** Throws unless the replica answers what the data set says, for all of it or for `sampleCount` entries. */
export function assertHolds(
  replica: Replica,
  { first, size, values }: Dataset,
  sampleCount: number = size,
): void {
  const step = Math.max(1, Math.floor(size / sampleCount));
  for (let index = 0; index < size; index += step) {
    assert.equal(replica.get(freshKey(first + index)), values[index], freshKey(first + index));
  }
}

function apply(replica: Replica, entry: number, value: Value | undefined): void {
  const key = freshKey(entry);
  if (value === undefined) replica.delete(key);
  else replica.set(key, value);
}

function buildSnapshot(subject: Subject, data: Dataset): Uint8Array {
  let now = START_MS;
  const clock = () => now;
  const firstWriter = data.first === 0 ? 10 : 20;
  const reader = subject.create({ writer: firstWriter, clock });
  const writers = Array.from({ length: WRITER_COUNT }, (_, index) =>
    subject.create({ writer: firstWriter + 1 + index, clock }),
  );

  // Whose turn it is must not depend on the values, or a change to these would change all stamps.
  const turns = seeded(data.size);
  let writer = pick(writers, turns);
  let fields: { readonly entry: number; readonly value: Value | undefined }[] = [];
  const writeFields = () => {
    writer = pick(writers, turns);
    now += integer(turns, PAUSE_MAX_MS);
    subject.batch(writer, () => fields.forEach(({ entry, value }) => apply(writer, entry, value)));
    fields = [];
  };
  eachWrite(data.first, data.size, (entry, value) => {
    const isNextUser = entry % FIELD_COUNT === 0 && value !== undefined;
    if (isNextUser) writeFields();
    fields.push({ entry, value });
  });
  writeFields();

  for (const each of writers) {
    reader.merge(each.deltaSince());
    subject.release(each);
  }
  assertHolds(reader, data);
  const snapshot = subject.snapshot(reader);
  subject.release(reader);
  return snapshot;
}

function userPrefix(entry: number): string {
  return `user:${String(Math.floor(entry / FIELD_COUNT)).padStart(6, "0")}:`;
}

function pick<T>(items: readonly T[], random: () => number): T {
  const item = items[integer(random, items.length)];
  assert(item !== undefined);
  return item;
}

function flat(text: string): string {
  return Buffer.from(text, "latin1").toString("latin1");
}
