/**
 * What every adapter has to do, as cases that run anywhere: `testPersistence` runs them under vitest, test/browser in a page. They use nothing of Node.
 */

import {
  compareVersions,
  copyPersistence,
  createDictionary,
  type Dictionary,
  type Engine,
  LastwriteError,
  open,
  type OpenOptions,
  type Persistence,
  type Report,
  type Store,
  tagged,
  type Value,
} from "lastwrite";
import { memoryPersistence } from "lastwrite/persistence/memory";
import { collectElsewhere } from "./collect.ts";

/** One place of its own, which goes when the case is over. */
export interface PlaceUnderTest {
  /** Another opener of it, as another process would make one. */
  opener(): Persistence;
  remove(): Promise<void>;
}

export interface PersistenceCase {
  readonly name: string;
  run(subject: CaseSubject): Promise<void>;
}

export interface CaseSubject {
  readonly place: PlaceUnderTest;
  /** The first one is used; a case that changes engines uses them all. */
  readonly engines: readonly [Engine, ...Engine[]];
}

const KEYS = ["a", "tasks/1", "tasks/2", "tasks/2/title", "\u0000", "\u{1F600}", "\uFFFD", "é/ü"];

const VALUES: readonly Value[] = [
  null,
  true,
  false,
  0,
  -0,
  1,
  -(2 ** 53),
  0.1,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  5e-324,
  "",
  "text \u0000 \u{1F600}",
  "\uD800 alone",
  -(2n ** 70n),
  new Uint8Array([0, 255]),
  new Uint8Array(0),
  new Date(-1),
  [],
  [1, [null, "x"]],
  {},
  { b: 1, a: { __proto__: null, c: [new Date(0)] } },
  tagged("decimal", "1.10"),
];

export const persistenceCases: readonly PersistenceCase[] = [
  {
    name: "a new place holds nothing, and still nothing when it was only looked at",
    async run({ place, engines: [engine] }) {
      // For writing first: what is not there cannot be looked at.
      for (const access of ["write", "read", "write"] as const) {
        const persistence = place.opener();
        await persistence.open({ access, engine });
        assertEqual((await framesOf(persistence)).length, 0, "frames");
        await persistence.close();
      }
    },
  },
  {
    name: "gives back what was appended, in order",
    async run({ place, engines: [engine] }) {
      const original = createDictionary({ engine });
      const store = await open({ persistence: place.opener(), engine });
      for (const [at, key] of KEYS.entries()) {
        original.set(key, at);
        store.merge(original.deltaSince(store.version()));
        await store.flush();
      }
      original.delete("a");
      store.merge(original.deltaSince(store.version()));
      await store.close();
      const again = await open({ persistence: place.opener(), engine });
      assertBytes(again.snapshot(), original.snapshot(), "snapshot");
      await again.close();
      original.close();
    },
  },
  {
    name: "every sort of value and key comes back as it was",
    async run({ place, engines: [engine] }) {
      const persistence = place.opener();
      const store = await open({ persistence, engine });
      for (const [at, value] of VALUES.entries()) store.set(`value/${at}`, value);
      for (const key of [...KEYS, "k".repeat(1024), "\u{1F600}".repeat(256)]) {
        store.set(key, key);
      }
      store.set("large", "x".repeat(1024 * 1024 - 1));
      const again = await assertReopens(store, { persistence: place.opener(), engine });
      for (const [at, value] of VALUES.entries()) {
        assertEqual(shown(again.get(`value/${at}`)), shown(value), `value ${at}`);
      }
      await again.close();
    },
  },
  {
    name: "state, version, horizon and replica id are those of before, whatever was done",
    async run({ place, engines: [engine] }) {
      await playHistory(place, [engine], 40, 1);
    },
  },
  {
    name: "a store written by one engine opens on the others",
    async run({ place, engines }) {
      await playHistory(place, engines, 30, 2);
    },
  },
  {
    name: "removed keys and prefixes stay removed",
    async run({ place, engines: [engine] }) {
      const store = await open({ persistence: place.opener(), engine });
      for (let at = 0; at < 50; at++) store.set(`tasks/${at % 5}/${at}`, at);
      store.set("tasks", "not below");
      store.set("users/1", "Ada");
      await store.flush();
      store.deletePrefix("tasks/1/");
      store.delete("users/1");
      await store.flush();
      store.set("tasks/1/new", "lives");
      store.deletePrefix("tasks/2/");
      const again = await assertReopens(store, { persistence: place.opener(), engine });
      assertEqual([...again.keys({ prefix: "tasks/1/" })], ["tasks/1/new"], "keys below");
      assertEqual(again.get("users/1"), undefined, "the removed key");
      assertEqual([...again.keys()].length, again.size, "size");
      await again.close();
    },
  },
  {
    name: "collected tombstones stay collected",
    async run({ place, engines: [engine] }) {
      const store = await open({ persistence: place.opener(), engine });
      for (let at = 0; at < 20; at++) store.set(`k/${at}`, at);
      await store.flush();
      for (let at = 0; at < 10; at++) store.delete(`k/${at}`);
      store.deletePrefix("gone/");
      await store.flush();
      assertEqual(collectElsewhere(store, engine), 11, "tombstones");
      await store.flush();
      store.set("k/3", "again");
      store.delete("k/15");
      // Put and collected between two frames: the next one has to be whole.
      collectElsewhere(store, engine);
      const again = await assertReopens(store, { persistence: place.opener(), engine });
      assertEqual(again.has("k/15"), false, "a collected key");
      await again.close();
    },
  },
  {
    name: "a re-read replaces what was kept",
    async run({ place, engines: [engine] }) {
      const other = createDictionary({ engine });
      const store = await open({ persistence: place.opener(), engine });
      other.set("both", 1);
      store.merge(other.deltaSince());
      store.set("own", "kept");
      await store.flush();
      other.delete("both");
      other.collectTombstones(other.version());
      assertEqual(
        codeOf(() => store.merge(other.deltaSince(store.version()))),
        "below-horizon",
        "",
      );
      store.reread(other.snapshot());
      const again = await assertReopens(store, { persistence: place.opener(), engine });
      assertEqual([...again.keys()], ["own"], "keys");
      await again.close();
      other.close();
    },
  },
  {
    name: "a clock that was ahead and was turned back stays turned back",
    async run({ place, engines: [engine] }) {
      let now = 10_000_000_000;
      const clock = (): number => now;
      const store = await open({ persistence: place.opener(), engine, clock });
      store.set("early", 1);
      await store.flush();
      now = 20_000_000_000;
      store.set("ahead", 1);
      await store.flush();
      now = 10_000_000_001;
      const second = await reopened(store, { persistence: place.opener(), engine, clock });
      assertEqual(second.restamp(), 1, "entries with new stamps");
      assertEqual(second.stampOf("ahead")?.millis, now, "stamp");
      const before = stateOf(second);
      const third = await reopened(second, { persistence: place.opener(), engine, clock });
      assertState(third, before);
      third.set("later", 1);
      assertEqual(third.stampOf("later")?.millis, now, "the clock");
      await third.close();
    },
  },
  {
    name: "stamps rise, though the clock goes back an hour at each restart",
    async run({ place, engines: [engine] }) {
      let now = 1_000_000_000_000;
      const clock = (): number => now;
      let last = { millis: 0, counter: 0 };
      for (let round = 0; round < 20; round++) {
        const store = await open({ persistence: place.opener(), engine, clock });
        for (const key of ["a", "b"]) {
          store.set(key, round);
          const stamp = store.stampOf(key) ?? last;
          const rises =
            stamp.millis > last.millis ||
            (stamp.millis === last.millis && stamp.counter > last.counter);
          assert(rises, `the stamp of round ${round} does not rise`);
          last = stamp;
        }
        await store.close();
        now -= 3_600_000;
      }
    },
  },
  {
    name: "a transaction is one frame, and one that is undone is none",
    async run({ place, engines: [engine] }) {
      const frames: Uint8Array[] = [];
      const store = await open({
        persistence: place.opener(),
        engine,
        flushIntervalMs: 1_000_000,
        hooks: { onAppend: (frame) => frames.push(frame) },
      });
      store.set("first", 1);
      await store.flush();
      frames.length = 0;
      store.transaction(() => {
        store.set("a", 1);
        store.set("b", 2);
        store.delete("first");
      });
      await store.flush();
      assertEqual(frames.length, 1, "frames");
      try {
        store.transaction(() => {
          store.set("c", 3);
          throw new RangeError("undone");
        });
      } catch {}
      assertEqual(store.unflushedCount, 0, "unflushed changes");
      await store.flush();
      assertEqual(frames.length, 1, "frames");
      const again = await assertReopens(store, { persistence: place.opener(), engine });
      await again.close();
    },
  },
  {
    name: "what nobody flushes is kept within the interval",
    async run({ place, engines: [engine] }) {
      const store = await open({ persistence: place.opener(), engine, flushIntervalMs: 1 });
      const flushed = new Promise<number>((resolve) => {
        store.on("flush", ({ changeCount }) => resolve(changeCount));
      });
      store.set("a", 1);
      assertEqual(store.unflushedCount, 1, "unflushed changes");
      assertEqual(await flushed, 1, "changes kept");
      assertEqual(store.unflushedCount, 0, "unflushed changes");
      await store.close();
    },
  },
  {
    name: "a thousand strict writes at once share a few frames",
    async run({ place, engines: [engine] }) {
      let frameCount = 0;
      const store = await open({
        persistence: place.opener(),
        engine,
        durability: "strict",
        hooks: { onAppend: () => frameCount++ },
      });
      const writes = Array.from({ length: 1000 }, async (_, at) => {
        store.set(`key/${at}`, at);
        await store.flush();
      });
      await Promise.all(writes);
      assert(frameCount <= 5, `${frameCount} frames for 1000 writes of one moment`);
      await store.close();
      const again = await open({ persistence: place.opener(), engine });
      assertEqual(again.size, 1000, "keys");
      await again.close();
    },
  },
  {
    name: "a second opener is told at once, and has the place when the first is done",
    async run({ place, engines: [engine] }) {
      const first = await open({ persistence: place.opener(), engine });
      first.set("a", 1);
      await first.flush();
      const refused = await codeOfAsync(() => open({ persistence: place.opener(), engine }));
      assertEqual(refused, "store-locked", "code");
      first.set("b", 2);
      await first.close();
      const second = await open({ persistence: place.opener(), engine });
      assertEqual([...second.keys()], ["a", "b"], "keys");
      await second.close();
    },
  },
  {
    name: "one that only reads opens beside the writer, and writes nothing",
    async run({ place, engines: [engine] }) {
      const writer = await open({ persistence: place.opener(), engine });
      writer.set("a", 1);
      await writer.flush();
      const reader = await open({ persistence: place.opener(), engine, readOnly: true });
      assertEqual(reader.get("a"), 1, "value");
      assertEqual(
        codeOf(() => reader.set("a", 2)),
        "store-read-only",
        "code",
      );
      assertEqual(
        codeOf(() => reader.merge(writer.deltaSince())),
        "store-read-only",
        "code",
      );
      await reader.flush();
      writer.set("a", 3);
      await writer.flush();
      assertEqual(reader.get("a"), 1, "value as of opening");
      await reader.close();
      await writer.close();
      const again = await open({ persistence: place.opener(), engine });
      assertEqual(again.get("a"), 3, "value");
      await again.close();
    },
  },
  {
    name: "after close everything says so, and closing twice does no harm",
    async run({ place, engines: [engine] }) {
      const store = await open({ persistence: place.opener(), engine });
      store.set("a", 1);
      await Promise.all([store.close(), store.close()]);
      await store.close();
      assertEqual(
        codeOf(() => store.get("a")),
        "store-closed",
        "code of get",
      );
      assertEqual(
        codeOf(() => store.set("a", 1)),
        "store-closed",
        "code of set",
      );
      assertEqual(await codeOfAsync(() => store.flush()), "store-closed", "code of flush");
    },
  },
  {
    name: "a log that outgrew the state is folded, and writes go on meanwhile",
    async run({ place, engines: [engine] }) {
      const persistence = place.opener();
      let compactedCount = 0;
      const store = await open({
        persistence,
        engine,
        hooks: { onCompact: () => compactedCount++ },
      });
      const filler = "x".repeat(5000);
      for (let round = 0; round < 200; round++) {
        for (let at = 0; at < 5; at++) store.set(`key/${at}`, `${round} ${filler}`);
        await store.flush();
      }
      const expected = persistence.keepsRows === true ? 0 : 2;
      assert(compactedCount >= expected, `folded ${compactedCount} times`);
      const again = await assertReopens(store, { persistence: place.opener(), engine });
      await again.close();
    },
  },
  {
    name: "what was strict goes on under its id after a crash",
    async run({ place, engines: [engine] }) {
      const crashing = place.opener();
      const options = { engine, durability: "strict" } as const;
      const store = await open({ ...options, persistence: crashing });
      store.set("a", 1);
      await store.flush();
      const { replicaId } = store;
      const before = stateOf(store);
      await crashing.close();
      const reports: Report[] = [];
      const again = await open({
        ...options,
        persistence: place.opener(),
        onReport: (report) => reports.push(report),
      });
      assertState(again, before);
      assertEqual(again.replicaId, replicaId, "replica id");
      assertEqual(reports, [], "reports");
      await again.close();
    },
  },
  {
    name: "what was relaxed and not closed takes a new id before its next write, and loses nothing",
    async run({ place, engines: [engine] }) {
      const crashing = place.opener();
      const store = await open({ persistence: crashing, engine });
      store.set("a", 1);
      await store.flush();
      const { replicaId } = store;
      await crashing.close();
      const reports: Report[] = [];
      const again = await open({
        persistence: place.opener(),
        engine,
        onReport: (report) => reports.push(report),
      });
      if (place.opener().share === undefined) {
        assertEqual(again.replicaId, undefined, "replica id before the first write");
        assertEqual(
          reports.map(({ code }) => code),
          ["replica-cloned"],
          "reports",
        );
        again.set("b", 2);
        assert(again.replicaId !== replicaId, "the id is the old one");
      }
      assertEqual(again.get("a"), 1, "value");
      await again.close();
      // Closed cleanly now: the id stays.
      const third = await open({ persistence: place.opener(), engine });
      assertEqual(third.get("a"), 1, "value");
      await third.close();
    },
  },
  {
    name: "a replica id is drawn at the first write, and stays",
    async run({ place, engines: [engine] }) {
      const store = await open({ persistence: place.opener(), engine });
      assertEqual(store.replicaId, undefined, "replica id");
      store.set("a", 1);
      const { replicaId } = store;
      assert(replicaId !== undefined, "there is no replica id");
      const again = await reopened(store, { persistence: place.opener(), engine });
      assertEqual(again.replicaId, replicaId, "replica id");
      await again.close();
    },
  },
  {
    name: "a copy in another sort of place, and back, has the same bytes and an id of its own",
    async run({ place, engines: [engine] }) {
      const source = memoryPersistence();
      const store = await open({ persistence: source, engine });
      for (let at = 0; at < 300; at++) store.set(`k/${at % 200}`, at);
      store.deletePrefix("k/1/");
      store.delete("k/7");
      const { replicaId } = store;
      const before = stateOf(store);
      await store.close();
      await copyPersistence(source, place.opener(), { engine });
      const refused = await codeOfAsync(() => copyPersistence(source, place.opener(), { engine }));
      assertEqual(refused, "invalid-argument", "code of a copy into a full place");
      const back = memoryPersistence();
      await copyPersistence(place.opener(), back, { engine });
      for (const persistence of [place.opener(), back]) {
        const copy = await open({ persistence, engine });
        assertState(copy, { ...before, replicaId: undefined });
        copy.set("own", 1);
        assert(copy.replicaId !== replicaId, "the copy writes under the id of the original");
        await copy.close();
      }
    },
  },
  {
    name: "ten thousand entries come back, in one frame or in many",
    async run({ place, engines: [engine] }) {
      const store = await open({ persistence: place.opener(), engine });
      for (let at = 0; at < 10_000; at++) store.set(`users/${at}/name`, `name ${at}`);
      await store.flush();
      for (let at = 0; at < 300; at++) {
        store.set(`users/${at * 7}/name`, at);
        await store.flush();
      }
      const before = stateOf(store);
      const again = await reopened(store, { persistence: place.opener(), engine });
      assertState(again, before);
      await again.close();
    },
  },
  {
    name: "opening is given up when the signal says so, and the place is free",
    async run({ place, engines: [engine] }) {
      const reason = new Error("enough");
      const aborted = AbortSignal.abort(reason);
      const error = await open({ persistence: place.opener(), engine, signal: aborted }).then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      assert(error === reason, "the signal's reason is not what it rejects with");
      const store = await open({ persistence: place.opener(), engine });
      await store.close();
    },
  },
];

/** Plays a random history on a store that is opened anew again and again, and on a dictionary that never is: both stay equal. */
async function playHistory(
  place: PlaceUnderTest,
  engines: readonly [Engine, ...Engine[]],
  rounds: number,
  seed: number,
): Promise<void> {
  const random = randomNumbers(seed);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  let now = 1_700_000_000_000;
  const clock = (): number => now;
  const peer = createDictionary({ engine: engines[0], clock });
  let before: StoreState | undefined;
  for (let round = 0; round < rounds; round++) {
    const engine = engines[round % engines.length] as Engine;
    const durability = pick(["strict", "relaxed"] as const);
    const store = await open({ persistence: place.opener(), engine, clock, durability });
    if (before !== undefined) assertState(store, before);
    for (let step = 0; step < 12; step++) {
      now += Math.floor(random() * 100);
      playStep(store, peer, pick, random);
      if (random() < 0.3) await store.flush();
    }
    before = stateOf(store);
    await store.close();
  }
  const last = await open({ persistence: place.opener(), engine: engines[0], clock });
  peer.merge(last.deltaSince(peer.version()));
  last.merge(peer.deltaSince(last.version()));
  assertEqual(last.digest(), peer.digest(), "digest after an exchange");
  assertEqual(compareVersions(last.version(), peer.version()), "equal", "versions");
  await last.close();
  peer.close();
}

function playStep(
  store: Store,
  peer: Dictionary,
  pick: <T>(list: readonly T[]) => T,
  random: () => number,
): void {
  const key = pick(KEYS);
  switch (Math.floor(random() * 9)) {
    case 0:
      store.delete(key);
      break;
    case 1:
      store.deletePrefix(pick(["tasks/", "tasks/2/", "é/"]));
      break;
    case 2:
      peer.set(key, pick(VALUES));
      break;
    case 3:
      peer.merge(store.deltaSince(peer.version()));
      break;
    case 4:
      store.merge(peer.deltaSince(store.version()));
      break;
    case 5:
      // One part of several: its dots are exceptions of the version.
      for (const part of peer.deltaParts(store.version(), { partBytesMax: 20 })) {
        if (random() < 0.5) store.merge(part);
      }
      break;
    case 6:
      store.transaction(() => {
        store.set(key, 1);
        store.set(pick(KEYS), pick(VALUES));
      });
      break;
    default:
      store.set(key, pick(VALUES));
  }
}

interface StoreState {
  readonly snapshot: Uint8Array;
  readonly version: Uint8Array;
  readonly horizon: Uint8Array;
  readonly digest: string;
  readonly replicaId: string | undefined;
}

function stateOf(store: Store): StoreState {
  return {
    snapshot: store.snapshot(),
    version: store.version(),
    horizon: store.horizon(),
    digest: store.digest(),
    replicaId: store.replicaId,
  };
}

function assertState(store: Store, before: StoreState): void {
  assertBytes(store.snapshot(), before.snapshot, "snapshot");
  assertBytes(store.version(), before.version, "version");
  assertBytes(store.horizon(), before.horizon, "horizon");
  assertEqual(store.digest(), before.digest, "digest");
  assertEqual(store.replicaId, before.replicaId, "replica id");
}

async function reopened(store: Store, options: OpenOptions): Promise<Store> {
  await store.close();
  return open(options);
}

/** As `reopened`; it has to be as it was. */
async function assertReopens(store: Store, options: OpenOptions): Promise<Store> {
  const before = stateOf(store);
  const again = await reopened(store, options);
  assertState(again, before);
  return again;
}

async function framesOf(persistence: Persistence): Promise<Uint8Array[]> {
  const frames: Uint8Array[] = [];
  for await (const frame of persistence.load()) frames.push(frame);
  return frames;
}

function codeOf(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    return error instanceof LastwriteError ? error.code : String(error);
  }
  return "nothing was thrown";
}

async function codeOfAsync(call: () => Promise<unknown>): Promise<string> {
  try {
    await call();
  } catch (error) {
    return error instanceof LastwriteError ? error.code : String(error);
  }
  return "nothing was thrown";
}

export function assert(holds: boolean, otherwise: string): void {
  if (!holds) throw new Error(otherwise);
}

export function assertEqual(actual: unknown, expected: unknown, what: string): void {
  const [is, should] = [shown(actual), shown(expected)];
  if (is !== should) throw new Error(`${what}: ${is} instead of ${should}`);
}

function assertBytes(actual: Uint8Array, expected: Uint8Array, what: string): void {
  const isEqual =
    actual.length === expected.length && actual.every((byte, at) => byte === expected[at]);
  if (!isEqual) throw new Error(`${what}: other bytes (${actual.length}, ${expected.length})`);
}

/** Text that differs where values do. */
function shown(value: unknown): string {
  if (value instanceof Uint8Array) return `bytes(${[...value].join()})`;
  if (value instanceof Date) return `date(${value.getTime()})`;
  if (Array.isArray(value)) return `[${value.map(shown).join()}]`;
  if (typeof value === "number" && Object.is(value, -0)) return "-0";
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "object" && value !== null) {
    const members = Object.entries(value).map(([key, member]) => `${key}:${shown(member)}`);
    return `{${members.join()}}`;
  }
  return String(value);
}

/** Numbers from 0 to below 1, the same for the same seed. */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
