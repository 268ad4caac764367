/** What somebody may not write is not taken, and to find that out costs little. */

import { afterEach, beforeEach, expect, test } from "vitest";

import { createDictionary } from "../../ts/dictionary/dictionary.ts";
import type { Engine } from "../../ts/engine/contract.ts";
import { loadEngine } from "../../ts/engine/load.ts";
import { openOn } from "../../ts/open.ts";
import { memoryPersistence } from "../../ts/persistence/memory.ts";
import { Guard, type MayWrite } from "../../ts/server/guard.ts";
import { LIMITS } from "../../ts/server/limits.ts";
import { Room } from "../../ts/server/room.ts";
import type { PersistentStore } from "../../ts/store/store.ts";
import { sessionOf, testReplica } from "../sync/replicas.ts";

const KEYS = 1000;

let engine: Engine;
let store: PersistentStore;

beforeEach(async () => {
  engine = await loadEngine();
  store = await openOn({}, { persistence: memoryPersistence(), engine, collector: true });
  for (let at = 0; at < KEYS; at++) store.set(`a/b/${at}`, at);
});

afterEach(() => store.close());

/** A guard, the keys that it asked about, and how often it went over keys of the store. */
function watched(mayWrite: MayWrite): {
  readonly guard: Guard;
  readonly asked: string[];
  readonly scans: () => number;
} {
  const asked: string[] = [];
  let scans = 0;
  const counted = new Proxy(store, {
    get(target, name) {
      if (name === "keys") scans++;
      const member = Reflect.get(target, name, target) as unknown;
      return typeof member === "function" ? (member.bind(target) as unknown) : member;
    },
  });
  const guard = new Guard(engine, counted, (key) => {
    asked.push(key);
    return mayWrite(key);
  });
  return { guard, asked, scans: () => scans };
}

/** A frame that deletes these prefixes, in the name of the store and long ago: the store has seen such dots. */
function forged(prefixes: readonly string[]): Uint8Array {
  const dictionary = createDictionary({
    engine,
    replicaId: store.replicaId as string,
    clock: () => 1000,
  });
  for (const prefix of prefixes) dictionary.deletePrefix(prefix);
  const frame = dictionary.deltaSince();
  dictionary.close();
  return frame;
}

test("a deleted prefix that he may not write is refused without a look at the keys below", () => {
  for (const prefix of ["", "a/"]) {
    const { guard, asked, scans } = watched(() => false);
    expect(() => guard.admitFrame(forged([prefix]))).toThrow(
      expect.objectContaining({ code: "unauthorized" }),
    );
    expect(asked).toEqual([prefix]);
    expect(scans()).toBe(0);
  }
});

test("of prefixes within prefixes that he may write each key is asked about once", () => {
  const { guard, asked, scans } = watched(() => true);
  const prefixes = ["a/", "a/b/", "a/b/c/", "a/b/c/d/"];
  expect(guard.admitFrame(forged(prefixes))).toBe(true);
  expect(scans()).toBe(1);
  expect(asked).toHaveLength(prefixes.length + KEYS);
});

test("a deleted prefix that was told him he may send back, also once it is collected", () => {
  store.deletePrefix("a/");
  store.deletePrefix("c/");
  const frame = store.deltaSince();
  const { guard, asked, scans } = watched(() => false);
  expect(guard.admitFrame(frame)).toBe(false);
  expect(store.collectTombstones(store.version())).toBeGreaterThan(0);
  expect(guard.admitFrame(frame)).toBe(false);
  expect({ asked, scans: scans() }).toEqual({ asked: [], scans: 0 });
});

test("a snapshot takes leave to write everything, be it an empty one into an empty room", () => {
  store.clear();
  const empty = createDictionary({ engine });
  const { guard, asked } = watched((key) => key !== "");
  expect(() => guard.admitSnapshot([empty.snapshot()])).toThrow(
    expect.objectContaining({ code: "unauthorized" }),
  );
  expect(asked).toEqual([""]);
  expect(() => guard.admitSnapshot([])).toThrow(expect.objectContaining({ code: "unauthorized" }));
  empty.close();
});

test("after a snapshot a room is measured anew", () => {
  const room = new Room({
    name: "team",
    store,
    engine,
    limits: { ...LIMITS, roomBytesMax: 20_000 },
    byteCount: 0,
    now: () => performance.now(),
    failed: () => {},
  });
  const other = createDictionary({ engine });
  other.merge(store.deltaSince());
  // So much that it does not pack.
  const bytes = Uint8Array.from({ length: 30_000 }, () => Math.floor(Math.random() * 256));
  other.set("large", bytes);
  room.admitWrite({ key: "small", value: "x" });
  room.host.replica.reread([other.snapshot()]);
  expect(() => room.admitWrite({ key: "new", value: "x" })).toThrow(
    expect.objectContaining({ code: "too-large" }),
  );
  other.close();
});

test("a session holds no more of a snapshot than the room may have", () => {
  const room = new Room({
    name: "team",
    store,
    engine,
    limits: { ...LIMITS, roomBytesMax: 20_000 },
    byteCount: 0,
    now: () => performance.now(),
    failed: () => {},
  });
  const [session, other] = [sessionOf(room.host.replica), sessionOf(testReplica(engine).replica)];
  const said = [...session.open().messages];
  const answers = [...other.open().messages];
  for (const message of said) answers.push(...other.receive(message).messages);
  for (const message of answers) session.receive(message);
  const empty = createDictionary({ engine });
  const frame = empty.snapshot();
  const part = { type: "snapshot", place: undefined, frame } as const;
  session.receive({ ...part, remaining: 10_000 });
  expect(() => session.receive({ ...part, remaining: 20_000 })).toThrow(
    expect.objectContaining({ code: "too-large" }),
  );
  empty.close();
});
