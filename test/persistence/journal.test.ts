/** Journals as storage takes them apart: rows and joined states give back the replica that the frames themselves give. */

import { describe, expect, test } from "vitest";

import type { EntryRow } from "../../ts/dictionary/rows.ts";
import type { Engine, EngineDictionary } from "../../ts/engine/contract.ts";
import { scriptEngine } from "../../ts/engine/script.ts";
import { encodeEntries } from "../../ts/index.ts";
import {
  encodeAttributes,
  joinStates,
  readJournal,
  splitJournal,
} from "../../ts/persistence/journal.ts";
import { toHex } from "../suites/bytes.ts";
import { describeEngines } from "../suites/engines.ts";
import { type Random, seededRandom } from "../suites/random.ts";
import { codeOf, idOf, onlyPart, wholeDelta, wholeSnapshot } from "../suites/replicas.ts";

const historyCount = 30;
const driftMaxMs = 100;
const startMs = 10_000;
const noBytes = new Uint8Array(0);

describeEngines("journals as rows and states", (engine) => {
  test("come back as the frames do, in random histories", () => {
    let joinedCount = 0;
    for (let seed = 1; seed <= historyCount; seed += 1) {
      const { log, table } = randomHistory(engine, seed);
      const fromFrames = replayed(engine, log);
      const fromRows = replayed(engine, table.load());
      expect(factsOf(fromRows), `history of seed ${seed}`).toEqual(factsOf(fromFrames));
      for (const dictionary of [fromFrames, fromRows]) dictionary.close();
      joinedCount += table.joinedCount;
    }
    expect(joinedCount).toBeGreaterThan(historyCount);
  });

  test("keep the places of entries from going down, so that nobody misses changes", () => {
    const dictionary = open(engine);
    for (const key of ["a", "b", "c", "d"]) dictionary.set(key, 1, startMs);
    for (let count = 0; count < 20; count += 1) dictionary.set("d", count, startMs);
    const table = createTable(engine);
    table.add(onlyPart(dictionary.journal(noBytes)));
    const place = dictionary.head();
    dictionary.set("b", 2, startMs);
    table.add(onlyPart(dictionary.journal(noBytes)));
    const reopened = replayed(engine, table.load());
    const { frame } = reopened.changesSince(place);
    expect(splitJournalKeys(engine, frame)).toEqual(["b"]);
    for (const each of [dictionary, reopened]) each.close();
  });
});

describe("the header of a journal", () => {
  const engine = scriptEngine();

  test("tells id, place, attributes, and whether the frame is part of a whole state", () => {
    const dictionary = open(engine);
    dictionary.set("a", 1, startMs);
    dictionary.set("b", 1, startMs);
    const attributes = new Map([
      ["é", Uint8Array.of(1, 2)],
      ["b", undefined],
      ["a", noBytes],
    ]);
    const first = readJournal(onlyPart(dictionary.journal(encodeAttributes(attributes))));
    expect(first).toEqual({
      isWhole: false,
      replicaId: toHex(idOf(1)),
      firstPlace: 0,
      attributes: new Map([...attributes].toSorted(([a], [b]) => (a < b ? -1 : 1))),
    });
    const parts = dictionary.journal(noBytes, { whole: true, partBytesMax: 1 });
    expect(parts.map((part) => readJournal(part))).toMatchObject([
      { isWhole: true, firstPlace: 0 },
      { isWhole: true, firstPlace: 1 },
    ]);
    dictionary.close();
  });

  test("is that of no journal where there are entries alone", () => {
    const frame = encodeEntries(engine, []);
    expect(readJournal(frame)).toBeUndefined();
    expect(splitJournal(engine, frame)).toEqual({
      rows: [],
      firstPlace: undefined,
      collected: [],
      state: undefined,
    });
  });

  test("is refused where it is nonsense", () => {
    const dictionary = open(engine);
    dictionary.set("a", 1, startMs);
    const attributes = new Map([["name", Uint8Array.of(1)]]);
    const frame = onlyPart(dictionary.journal(encodeAttributes(attributes)));
    const other = wholeSnapshot(dictionary);
    for (const bytes of [noBytes, Uint8Array.of(1, 2, 3), frame.subarray(0, 12), frame.with(0, 0)])
      expect(codeOf(() => readJournal(bytes))).toBe("corrupt-bytes");
    for (const bytes of [frame.with(2, 9), frame.with(3, 9), other])
      expect(codeOf(() => readJournal(bytes))).toBe("unsupported-format");
    // The name of the attribute would be longer than the field.
    const at = Buffer.from(frame).indexOf("name") - 1;
    expect(codeOf(() => readJournal(frame.with(at, 100)))).toBe("corrupt-bytes");
    // The checksum is the engine's to look at.
    expect(readJournal(frame.with(frame.length - 1, 0))).toBeDefined();
    expect(codeOf(() => splitJournal(engine, frame.with(frame.length - 1, 0)))).toBe(
      "corrupt-bytes",
    );
    expect(codeOf(() => splitJournal(engine, other))).toBe("unsupported-format");
    dictionary.close();
  });

  test("has attributes whose names ascend, each well-formed and once", () => {
    const dictionary = open(engine);
    for (const attributes of [
      [1, 0x62, 0, 1, 0x61, 0],
      [1, 0x61, 0, 1, 0x61, 0],
      [1, 0x61],
      [1, 0xff, 0],
    ]) {
      const frame = onlyPart(dictionary.journal(Uint8Array.from(attributes)));
      expect(codeOf(() => readJournal(frame))).toBe("corrupt-bytes");
    }
    expect(codeOf(() => encodeAttributes(new Map([["\ud800", noBytes]])))).toBe("invalid-argument");
    expect(encodeAttributes(new Map())).toHaveLength(0);
    dictionary.close();
  });
});

describe("joined states", () => {
  const engine = scriptEngine();

  test("have the last attribute of each name, without those that were removed", () => {
    const dictionary = open(engine);
    const states = [
      { a: [1], b: [2], c: [3] },
      { a: [4], b: undefined },
      { b: undefined, d: [5] },
    ].map((attributes) => {
      const entries = Object.entries(attributes).map(
        ([name, value]) => [name, value && Uint8Array.from(value)] as const,
      );
      const frame = onlyPart(dictionary.journal(encodeAttributes(new Map(entries))));
      return splitJournal(engine, frame).state as Uint8Array;
    });
    const joined = readJournal(joinStates(states));
    expect(joined?.attributes).toEqual(
      new Map([
        ["a", Uint8Array.of(4)],
        ["c", Uint8Array.of(3)],
        ["d", Uint8Array.of(5)],
      ]),
    );
    expect(joined?.isWhole).toBe(false);
    expect(joinStates([joinStates(states.slice(0, 2)), ...states.slice(2)])).toEqual(
      joinStates(states),
    );
    dictionary.close();
  });

  test("are of one state or more, and of states alone", () => {
    const dictionary = open(engine);
    dictionary.set("a", 1, startMs);
    const frame = onlyPart(dictionary.journal(noBytes));
    expect(codeOf(() => joinStates([]))).toBe("invalid-argument");
    expect(codeOf(() => joinStates([frame]))).toBe("invalid-argument");
    expect(codeOf(() => joinStates([wholeSnapshot(dictionary)]))).toBe("unsupported-format");
    dictionary.close();
  });
});

/** A table of rows as an adapter keeps it. */
interface Table {
  readonly joinedCount: number;
  add(frame: Uint8Array): void;
  clear(): void;
  load(): Uint8Array[];
}

function createTable(engine: Engine): Table {
  let rows = new Map<string, { readonly row: EntryRow; readonly place: number }>();
  let states: Uint8Array[] = [];
  let joinedCount = 0;
  return {
    get joinedCount() {
      return joinedCount;
    },
    add(frame) {
      const { rows: added, firstPlace, collected, state } = splitJournal(engine, frame);
      for (const [index, row] of added.entries())
        rows.set(nameOf(row), { row, place: (firstPlace ?? 0) + index });
      for (const prefix of added) {
        if (prefix.kind !== "prefix") continue;
        for (const [name, { row }] of rows) {
          if (row !== prefix && row.key.startsWith(prefix.key) && !isLater(row, prefix))
            rows.delete(name);
        }
      }
      for (const { replicaId, counter } of collected) {
        for (const [name, { row }] of rows) {
          const isBelow = row.dot.replicaId === replicaId && row.dot.counter <= counter;
          if (row.kind !== "value" && isBelow) rows.delete(name);
        }
      }
      if (state !== undefined) states.push(state);
      if (states.length <= 3) return;
      states = [joinStates(states)];
      joinedCount += 1;
    },
    clear() {
      rows = new Map();
      states = [];
    },
    load() {
      const inOrder = [...rows.values()]
        .toSorted((a, b) => a.place - b.place)
        .map(({ row }) => row);
      const frames: Uint8Array[] = [];
      for (let at = 0; at < inOrder.length; at += 3)
        frames.push(encodeEntries(engine, inOrder.slice(at, at + 3)));
      return [...frames, joinStates(states)];
    },
  };
}

function nameOf({ key, kind }: EntryRow): string {
  return `${kind === "prefix"} ${key}`;
}

function isLater({ stamp: a }: EntryRow, { stamp: b }: EntryRow): boolean {
  const difference = a.millis - b.millis || a.counter - b.counter;
  return difference === 0 ? a.replicaId > b.replicaId : difference > 0;
}

/** One replica that journals, and two that it hears of. */
function randomHistory(
  engine: Engine,
  seed: number,
): { readonly log: Uint8Array[]; readonly table: Table } {
  const random = seededRandom(seed);
  const all = [1, 2, 3].map((number) => open(engine, number));
  const [own] = all as [EngineDictionary, ...EngineDictionary[]];
  const table = createTable(engine);
  let log: Uint8Array[] = [];
  let idCount = 10;
  const journal = (): void => {
    const isWhole = own.isJournalBroken() || random.once(8);
    if (isWhole) {
      log = [];
      table.clear();
    }
    const frames = own.journal(noBytes, isWhole ? { whole: true, partBytesMax: 60 } : {});
    log.push(...frames);
    for (const frame of frames) table.add(frame);
  };
  for (let step = 0; step < 80; step += 1) {
    const now = startMs + step * 3;
    const dictionary = random.once(2) ? own : random.pick(all);
    if (random.once(4)) {
      journal();
    } else if (random.once(30)) {
      own.setReplicaId(idOf((idCount += 1)));
    } else if (random.once(20)) {
      // A clock that runs ahead, and is set.
      own.set("k", step, now + 1_000);
      if (random.once(2)) journal();
      own.restamp(now);
    } else if (random.once(19)) {
      dictionary.setCollector(idOf(200 + random.below(3)), now);
    } else if (random.once(6)) {
      for (const one of all) for (const other of all) merge(one, other, now);
      if (random.once(2)) random.pick(all).collectTombstones(own.version(), now);
    } else if (random.once(3)) {
      merge(dictionary, random.pick(all), now);
    } else {
      write(dictionary, random, now);
    }
  }
  journal();
  for (const dictionary of all) dictionary.close();
  return { log, table };
}

function write(dictionary: EngineDictionary, random: Random, now: number): void {
  const key = random.pick(["k", "p/x", "p/q/y", "z"]);
  if (random.once(5)) dictionary.deletePrefix(random.pick(["p/", "p/q/", ""]), now);
  else if (random.once(3)) dictionary.delete(key, now);
  else dictionary.set(key, random.below(100), now);
}

function merge(to: EngineDictionary, from: EngineDictionary, now: number): void {
  if (to === from) return;
  try {
    to.merge(wholeDelta(from, to.version()), now, 0);
  } catch (error) {
    const code = codeOf(() => {
      throw error;
    });
    if (code === "below-horizon receiver") to.reread([wholeSnapshot(from)], now);
    else expect(["below-horizon sender", "clock-drift"]).toContain(code);
  }
}

function open(engine: Engine, number = 1): EngineDictionary {
  return engine.create({ replicaId: idOf(number), spareId: idOf(number + 128), driftMaxMs });
}

function replayed(engine: Engine, frames: readonly Uint8Array[]): EngineDictionary {
  const dictionary = open(engine, 9);
  for (const frame of frames) dictionary.replay(frame);
  return dictionary;
}

/** All of the state, the clock and the order of arrival included. */
function factsOf(dictionary: EngineDictionary): unknown {
  return {
    head: dictionary.head(),
    version: toHex(dictionary.version()),
    told: dictionary.journal(noBytes).length,
    whole: toHex(onlyPart(dictionary.journal(noBytes, { whole: true }))),
    snapshot: toHex(wholeSnapshot(dictionary)),
    next: dictionary.set("next", 1, 0),
    stamp: toHex(dictionary.stampOf("next") ?? noBytes),
  };
}

function splitJournalKeys(engine: Engine, frame: Uint8Array): string[] {
  const entries = engine.encodeEntries(engine.decodeEntries(frame));
  return splitJournal(engine, entries).rows.map(({ key }) => key);
}
