/** Random scripts of engine calls, played on several engines at once and compared after every step. */

import {
  ADOPT,
  DIFFERENCE,
  type Engine,
  type EngineDictionary,
  type EngineValue,
  type ExportOptions,
  REPAIR,
  type ScanRange,
} from "../../ts/engine/contract.ts";
import { toHex } from "../suites/bytes.ts";
import { errorWords } from "../suites/failures.ts";
import { xxh32 } from "../suites/frames.ts";
import { seededRandom } from "../suites/random.ts";
import { idOf } from "../suites/replicas.ts";

/** A call and the numbers that choose its arguments, which mean something in any state. */
export interface Step {
  readonly call: Call;
  readonly numbers: readonly number[];
}

type Call = keyof typeof weights;

export function randomScript(seed: number): Step[] {
  const random = seededRandom(seed);
  const calls = Object.entries(weights).flatMap(([call, weight]) =>
    Array.from({ length: weight }, () => call as Call),
  );
  return Array.from({ length: 10 + random.below(50) }, () => ({
    call: random.pick(calls),
    numbers: Array.from({ length: 6 }, () => random.below(2 ** 16)),
  }));
}

/** What engines answered differently, or undefined. */
export function differenceIn(
  script: readonly Step[],
  engines: readonly Engine[],
): string | undefined {
  const players = engines.map((engine) => createPlayer(engine));
  try {
    for (const [index, step] of script.entries()) {
      const answers = players.map((player) => player.play(step));
      const [first, ...others] = answers;
      if (others.some((answer) => answer !== first)) {
        return [
          `step ${index}, ${step.call}(${step.numbers.join(", ")}):`,
          ...answers.map((answer, at) => `    ${engines[at]?.backend}: ${answer}`),
        ].join("\n");
      }
    }
    const [first, ...others] = players.map((player) => player.ending());
    if (others.every((ending) => ending === first)) return undefined;
    return [
      "at the end:",
      ...[first, ...others].map((ending, at) => `    ${engines[at]?.backend}: ${ending}`),
    ].join("\n");
  } finally {
    for (const player of players) player.close();
  }
}

/** The script without the steps that the difference does not need. */
export function shorten(script: readonly Step[], engines: readonly Engine[]): Step[] {
  let steps = [...script];
  for (
    let size = Math.ceil(steps.length / 2);
    size >= 1;
    size = size === 1 ? 0 : Math.ceil(size / 2)
  ) {
    for (let start = 0; start < steps.length;) {
      const fewer = [...steps.slice(0, start), ...steps.slice(start + size)];
      if (differenceIn(fewer, engines) === undefined) start += size;
      else steps = fewer;
    }
  }
  return steps;
}

export function describeScript(script: readonly Step[], engines: readonly Engine[]): string {
  const [first] = engines;
  const player = first === undefined ? undefined : createPlayer(first);
  const lines = script.map((step) => {
    const answer = player?.play(step) ?? "";
    return `  ${step.call}(${step.numbers.join(", ")}) ${player?.lastCall() ?? ""} → ${answer.slice(0, 120)}`;
  });
  player?.close();
  return [...lines, differenceIn(script, engines) ?? "equal"].join("\n");
}

interface Player {
  /** Makes the call, and answers result and state as text. */
  play(step: Step): string;
  /** The last call in words. */
  lastCall(): string;
  /** All that is there at last, that too which can only be seen by changing something. */
  ending(): string;
  close(): void;
}

const weights = {
  set: 14,
  delete: 6,
  writeAt: 8,
  deletePrefix: 3,
  read: 4,
  scan: 3,
  begin: 3,
  commit: 2,
  rollback: 2,
  delta: 8,
  snapshot: 3,
  changes: 6,
  frontier: 3,
  collector: 2,
  merge: 16,
  mergeDamaged: 5,
  watch: 4,
  collect: 3,
  restamp: 2,
  reread: 3,
  fingerprints: 2,
  hashes: 2,
  entriesByHash: 2,
  entries: 2,
  scratch: 3,
  reopen: 1,
  journal: 12,
  restart: 5,
  replay: 3,
  replayDamaged: 4,
  replicaId: 1,
  copy: 2,
  time: 4,
  spare: 1,
} as const;

const driftMaxMs = 100;
const dictionaryCount = 3;
const keys = [
  "k",
  "p/",
  "p/x",
  "p/q/",
  "p/q/y",
  "é",
  "𝔘",
  "￿",
  "__proto__",
  "p/long".padEnd(40, "-"),
  "p/long".padEnd(300, "-"),
];
/** Lone surrogates are the Dictionary's to refuse: engines are given well-formed text. */
const strangeKeys = ["", "x".repeat(1_025), "é".repeat(512), "é".repeat(513)];
const prefixes = ["", "p/", "p/q/", "é/"];
const strangePrefixes = ["p", "/p", `${"x".repeat(1_024)}/`];
const bytes = (...list: readonly number[]): Uint8Array => Uint8Array.from(list);
const values: readonly EngineValue[] = [
  null,
  false,
  true,
  0,
  1,
  -1,
  63,
  64,
  -64,
  -65,
  8_191,
  2 ** 31,
  2 ** 53,
  -(2 ** 53),
  -0,
  0.5,
  -1e300,
  Number.NaN,
  Infinity,
  -Infinity,
  5e-324,
  2 ** 53 + 2,
  "",
  "a",
  "b",
  "ba",
  "é𝔘",
  "x".repeat(100),
  "\u0000",
  // A lone surrogate, bytes, bigints, a date, an array, an object, a tagged value.
  bytes(7, 0, 0xd8),
  bytes(8),
  bytes(8, 1, 2, 3),
  bytes(9, 0),
  bytes(9, 1, 255, 1),
  bytes(10, 5),
  bytes(11, 2, 1, 4, 7),
  bytes(12, 1, 6, 1, 0x61, 3),
  bytes(13, 4, 0x75, 0x75, 0x69, 0x64, 6, 0x61),
];

/** Not canonical: cut off, with a byte too many, a tombstone, an unknown tag, a trailing zero, a lone surrogate that is none. */
const strangeValues: readonly EngineValue[] = [
  bytes(),
  bytes(0),
  bytes(14),
  bytes(15),
  bytes(9, 0, 1, 0),
  bytes(11, 2, 1),
  bytes(12, 1, 6, 1, 0x61, 3, 0),
  bytes(7, 0x61, 0),
];

function createPlayer(engine: Engine): Player {
  const dictionaries: EngineDictionary[] = [];
  let frames: Uint8Array[] = [];
  let snapshots: Uint8Array[][] = [];
  let versions: Uint8Array[] = [];
  let frontiers: Uint8Array[] = [];
  /** What each dictionary told its storage, and all journals of late. */
  const logs: (readonly Uint8Array[])[] = [];
  let journals: Uint8Array[] = [];
  const seqs: number[] = [];
  const inTransaction = new Set<EngineDictionary>();
  let timeMs = 1_000;
  let idCount = 0;
  let call = "";
  for (let index = 0; index < dictionaryCount; index += 1) dictionaries.push(create());

  function nextId(): Uint8Array {
    idCount += 1;
    // Not in the order in which they are given out.
    const id = idOf(idCount);
    id[0] = (idCount * 151) % 256;
    return id;
  }

  function create(
    snapshot?: readonly Uint8Array[],
    replicaId: Uint8Array = nextId(),
  ): EngineDictionary {
    return engine.create({
      replicaId,
      spareId: nextId(),
      driftMaxMs,
      ...(snapshot === undefined ? {} : { snapshot }),
    });
  }

  /** All that can be seen without changing anything; not by an export, which would raise the floor. */
  function stateText(dictionary: EngineDictionary): string {
    try {
      const parts = [
        toHex(dictionary.digest()),
        dictionary.size(),
        dictionary.head(),
        toHex(dictionary.replicaId()),
      ];
      parts.push(toHex(dictionary.version()), toHex(dictionary.frontier()));
      parts.push(toHex(dictionary.collector() ?? bytes()));
      parts.push(toHex(dictionary.hashes(seedOf(1), new Uint8Array(9))));
      parts.push(String(dictionary.isJournalBroken()));
      return parts.join(" ");
    } catch (error) {
      return errorText(error);
    }
  }

  function replace(index: number, dictionary: EngineDictionary): void {
    const old = dictionaries[index];
    if (old !== undefined) {
      inTransaction.delete(old);
      old.close();
    }
    dictionaries[index] = dictionary;
    logs[index] = [];
  }

  /** Tells the storage of a dictionary what changed, or all there is. */
  function journal(dictionary: EngineDictionary, index: number, number: number): unknown {
    const attributes = pick([bytes(), bytes(), bytes(1, 0x61, 2, 7)], number >>> 8);
    const whole = number % 4 === 0 || (dictionary.isJournalBroken() && number % 16 > 2);
    const options = whole ? { whole, ...optionsOf(number >>> 4) } : {};
    const taken = dictionary.journal(attributes, options);
    logs[index] = whole ? taken : [...(logs[index] ?? []), ...taken];
    journals = [...journals.slice(-8), ...taken];
    return taken;
  }

  function stored(): Uint8Array[] {
    return [...journals, ...journals, ...frames.slice(-2)];
  }

  function keep(frame: Uint8Array): Uint8Array {
    frames = [...frames.slice(-11), frame];
    return frame;
  }

  function optionsOf(number: number): ExportOptions {
    return {
      ...(number % 3 === 0 ? {} : { partBytesMax: [1, 40, 200][(number >>> 3) % 3] ?? 1 }),
      ...((number >>> 6) % 3 === 0 ? { stampLimitMs: timeMs + ((number >>> 8) % 200) } : {}),
    };
  }

  function keyOf(number: number): string {
    return number % 61 === 0 ? pick(strangeKeys, number >>> 6) : pick(keys, number >>> 6);
  }

  /** Never strange when the key is: which of two faults an engine names first is left open. */
  function valueOf(keyNumber: number, number: number): EngineValue {
    return keyNumber % 61 === 1 ? pick(strangeValues, number) : pick(values, number);
  }

  function prefixOf(number: number): string {
    return number % 61 === 0 ? pick(strangePrefixes, number >>> 6) : pick(prefixes, number >>> 6);
  }

  function howOf(number: number): number {
    return (
      (number % 2 === 0 ? ADOPT : 0) |
      ((number >>> 3) % 4 === 0 ? REPAIR : 0) |
      ((number >>> 1) % 4 === 0 ? 0 : DIFFERENCE)
    );
  }

  function merge(dictionary: EngineDictionary, frame: Uint8Array, how: number): unknown {
    const report = dictionary.merge(frame, timeMs, how);
    if (report.cloned) dictionary.setSpareId(nextId());
    return [report, dictionary.refusals(), dictionary.patch()];
  }

  type Answer = (
    dictionary: EngineDictionary,
    numbers: readonly number[],
    index: number,
  ) => unknown;

  const calls: Readonly<Record<Call, Answer>> = {
    set(dictionary, [, b = 0, c = 0]) {
      const value = valueOf(b, c);
      said(`${keyOf(b)} = ${textOf(value)}`);
      return dictionary.set(keyOf(b), value, timeMs);
    },
    delete: (dictionary, [, b = 0]) => said(keyOf(b), dictionary.delete(keyOf(b), timeMs)),
    writeAt(dictionary, [, b = 0, c = 0, d = 0, e = 0]) {
      const value = c % 4 === 0 ? undefined : valueOf(b, c >>> 2);
      const millis =
        [timeMs, timeMs + driftMaxMs, timeMs + driftMaxMs + 1, d % 1_200, 0][d % 5] ?? 0;
      const counter = [0, 1, 65_535][e % 3] ?? 0;
      said(`${keyOf(b)}@${millis}.${counter}`);
      return dictionary.writeAt(keyOf(b), value, millis, counter, idOf(e % 4), timeMs);
    },
    deletePrefix: (dictionary, [, b = 0]) =>
      said(prefixOf(b), dictionary.deletePrefix(prefixOf(b), timeMs)),
    read(dictionary, [, b = 0]) {
      const key = keyOf(b);
      said(key);
      return [dictionary.get(key), dictionary.has(key), dictionary.stampOf(key)];
    },
    scan(dictionary, [, b = 0, c = 0, d = 0, e = 0]) {
      const range: ScanRange = {
        ...(b % 2 === 0 ? { from: pick(keys, b >>> 2) } : {}),
        ...(c % 2 === 0 ? { to: pick(keys, c >>> 2) } : {}),
        ...(d % 2 === 0 ? { prefix: pick(["", "p", "p/", "p/q", "é"], d >>> 2) } : {}),
        ...(e % 2 === 0 ? { reverse: true } : {}),
        limit: (e >>> 2) % 6,
      };
      return said(JSON.stringify(range), dictionary.scan(range));
    },
    begin(dictionary) {
      dictionary.begin();
      inTransaction.add(dictionary);
    },
    commit(dictionary) {
      dictionary.commit();
      inTransaction.delete(dictionary);
    },
    rollback(dictionary) {
      dictionary.rollback();
      inTransaction.delete(dictionary);
    },
    delta(dictionary, [, b = 0, c = 0]) {
      const base = versions.length === 0 || b % 3 === 0 ? undefined : pick(versions, b);
      const parts = dictionary.delta(base, optionsOf(c));
      versions = [...versions.slice(-5), dictionary.version()];
      return parts.map(keep);
    },
    snapshot(dictionary, [, b = 0]) {
      const parts = dictionary.snapshot(optionsOf(b));
      snapshots = [...snapshots.slice(-3), parts];
      return parts.map(keep);
    },
    changes(dictionary, [, b = 0, c = 0, d = 0]) {
      const seq = seqs.length === 0 || b % 3 === 0 ? b % 4 : pick(seqs, b);
      said(`from ${seq}`);
      const since = frontiers.length === 0 || c % 2 === 0 ? {} : { since: pick(frontiers, c) };
      const { frame, next, atHead } = dictionary.changesSince(seq, { ...optionsOf(d), ...since });
      seqs.push(next);
      return [keep(frame), next, atHead];
    },
    collector(dictionary, [, b = 0]) {
      const store = said(`store ${b % 3}`, idOf(b % 3)) as Uint8Array;
      return dictionary.setCollector(store, timeMs);
    },
    frontier(dictionary) {
      const frontier = dictionary.frontier();
      frontiers = [...frontiers.slice(-3), frontier];
      return frontier;
    },
    merge: (dictionary, [, b = 0, c = 0]) =>
      frames.length === 0 ? "nothing" : merge(dictionary, pick(frames, b), howOf(c)),
    mergeDamaged(dictionary, [, b = 0, c = 0, d = 0, e = 0]) {
      if (frames.length === 0) return "nothing";
      const frame = damaged(pick(frames, b), c, d, e);
      said(toHex(frame));
      return merge(dictionary, frame, howOf(e >>> 4));
    },
    watch: (dictionary, [, b = 0]) =>
      dictionary.watch([[""], [""], ["p/"], ["p/q", "k"], []][b % 5] ?? []),
    collect(dictionary, [, b = 0]) {
      const horizon =
        versions.length === 0 || b % 3 === 0 ? dictionary.version() : pick(versions, b);
      return dictionary.collectTombstones(horizon, timeMs);
    },
    restamp: (dictionary, [, b = 0]) => [
      dictionary.restamp(Math.max(0, timeMs - (b % 500))),
      dictionary.patch(),
    ],
    reread(dictionary, [, b = 0, c = 0]) {
      if (snapshots.length === 0) return "nothing";
      const parts = pick(snapshots, b);
      const given =
        c % 8 === 0 ? parts.slice(1) : c % 8 === 1 ? [...parts, ...parts] : parts.toReversed();
      const report = dictionary.reread(given, timeMs);
      if (report.cloned) dictionary.setSpareId(nextId());
      return [report, dictionary.patch()];
    },
    fingerprints: (dictionary, [, b = 0, c = 0]) =>
      dictionary.fingerprints(seedOf(b), rangesOf(c, 15)),
    hashes: (dictionary, [, b = 0, c = 0]) => dictionary.hashes(seedOf(b), rangesOf(c, 16)),
    entriesByHash(dictionary, [, b = 0, c = 0, d = 0]) {
      const table = dictionary.hashes(seedOf(b), new Uint8Array(9));
      const count = new DataView(table.buffer, table.byteOffset).getUint32(0, true);
      const hashes = Array.from({ length: count }, (_, index) =>
        table.subarray(4 + index * 16, 12 + index * 16),
      ).filter((_, index) => (c >>> index) % 2 === 0);
      return keep(
        dictionary.entriesByHash(seedOf(b), Uint8Array.from(Buffer.concat(hashes)), optionsOf(d)),
      );
    },
    entries(_dictionary, [, b = 0]) {
      if (stored().length === 0) return "nothing";
      const columns = engine.decodeEntries(pick(stored(), b));
      return [columns, engine.encodeEntries(columns)];
    },
    scratch(_dictionary, [, b = 0, c = 0]) {
      if (frames.length === 0) return "nothing";
      const held = engine.encodeEntries(engine.decodeEntries(pick(frames, b)));
      return engine.scratchMerge(held, pick(frames, c), timeMs, driftMaxMs);
    },
    reopen(dictionary, [, b = 0], index) {
      const fresh = create(dictionary.snapshot(), b % 2 === 0 ? nextId() : dictionary.replicaId());
      replace(index, fresh);
    },
    journal: (dictionary, [, b = 0], index) => journal(dictionary, index, b),
    /** Closed, or crashed, and made again of what storage has. */
    restart(dictionary, [, b = 0, c = 0], index) {
      const told = b % 2 === 0 ? journal(dictionary, index, c) : "crash";
      const log = logs[index] ?? [];
      const fresh = create();
      for (const frame of log) fresh.replay(frame);
      replace(index, fresh);
      logs[index] = log;
      return told;
    },
    /** As an adapter that keeps rows: the entries of what storage has, then what no row tells. */
    replay(dictionary, [, b = 0, c = 0]) {
      if (stored().length === 0) return "nothing";
      const frame = pick(stored(), b);
      if (c % 4 > 0) return dictionary.replay(frame);
      return dictionary.replay(engine.encodeEntries(engine.decodeEntries(frame)));
    },
    replayDamaged(_dictionary, [, b = 0, c = 0, d = 0, e = 0]) {
      if (stored().length === 0) return "nothing";
      const frame = damaged(pick(stored(), b), c, d, e);
      said(toHex(frame));
      const fresh = create();
      try {
        fresh.replay(frame);
        return [stateText(fresh), fresh.journal(bytes(), { whole: true })];
      } finally {
        fresh.close();
      }
    },
    replicaId: (dictionary, [, b = 0]) =>
      dictionary.setReplicaId(b % 2 === 0 ? dictionary.replicaId() : nextId()),
    copy(dictionary, [, b = 0]) {
      const index = b % dictionaries.length;
      if (dictionaries[index] === dictionary) return;
      replace(
        index,
        create(dictionary.snapshot(), b % 2 === 0 ? dictionary.replicaId() : nextId()),
      );
    },
    time(_dictionary, [, b = 0]) {
      timeMs = Math.max(0, timeMs + ([1, 10, 150, 1_000, -50, -400][b % 6] ?? 0));
    },
    spare: (dictionary) => dictionary.setSpareId(nextId()),
  };

  function said(words: string, result?: unknown): unknown {
    call = words;
    return result;
  }

  return {
    play({ call: name, numbers }) {
      const open =
        name === "commit" || name === "rollback"
          ? dictionaries.findIndex((one) => inTransaction.has(one))
          : -1;
      const index = open >= 0 ? open : (numbers[0] ?? 0) % dictionaries.length;
      let answer: string;
      try {
        answer = textOf(calls[name](dictionaries[index] as EngineDictionary, numbers, index));
      } catch (error) {
        answer = errorText(error);
      }
      return `${answer} | ${stateText(dictionaries[index] as EngineDictionary)}`;
    },
    lastCall: () => call,
    ending: () =>
      dictionaries
        .map((dictionary) => {
          try {
            if (inTransaction.has(dictionary)) dictionary.rollback();
            const changes = dictionary.isJournalBroken() ? [] : dictionary.journal(bytes());
            const all = dictionary.journal(bytes(), { whole: true });
            return textOf([changes, all, dictionary.snapshot(), dictionary.changesSince(0)]);
          } catch (error) {
            return errorText(error);
          }
        })
        .join(" "),
    close() {
      for (const dictionary of dictionaries) dictionary.close();
    },
  };
}

/** A frame with some bytes changed, cut off or put in; half of them with a checksum that fits, so that the rest is looked at. */
function damaged(frame: Uint8Array, how: number, where: number, what: number): Uint8Array {
  const at = where % frame.length;
  let changed: Uint8Array;
  if (how % 4 === 0) {
    changed = frame.slice(0, at);
  } else if (how % 4 === 1) {
    changed = Uint8Array.from([...frame.subarray(0, at), what & 255, ...frame.subarray(at)]);
  } else {
    changed = frame.slice();
    changed[at] = how % 4 === 2 ? (changed[at] ?? 0) ^ (1 << (what % 8)) : what & 255;
  }
  if ((how >>> 4) % 8 > 0 && changed.length > 8) {
    const view = new DataView(changed.buffer);
    view.setUint32(changed.length - 4, xxh32(changed.subarray(0, -4)), true);
  }
  return changed;
}

function seedOf(number: number): Uint8Array {
  return Uint8Array.from({ length: 16 }, (_, index) => (number * (index + 1)) & 255);
}

function rangesOf(number: number, depthMax: number): Uint8Array {
  const ranges = new Uint8Array(9 * ((number % 3) + 1));
  const view = new DataView(ranges.buffer);
  for (let at = 0; at < ranges.length; at += 9) {
    view.setUint8(at, [0, 1, 1, 2, depthMax][(number >>> 2) % 5] ?? 0);
    view.setUint32(at + 5, Math.imul(number + at, 0x9e3779b1), true);
  }
  return ranges;
}

function pick<Item>(items: readonly Item[], number: number): Item {
  const item = items[number % items.length];
  if (item === undefined) throw new Error("nothing to pick from");
  return item;
}

/** −0 and NaN told apart, bytes as hex. */
function textOf(value: unknown): string {
  if (value instanceof Uint8Array) return toHex(value);
  if (Array.isArray(value)) return `[${value.map(textOf).join(", ")}]`;
  if (Object.is(value, -0)) return "-0";
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "object" && value !== null) {
    return `{${Object.entries(value)
      .map(([name, member]) => `${name}: ${textOf(member)}`)
      .join(", ")}}`;
  }
  return String(value);
}

/** Errors on purpose by code and side; any other by its message, so that it is seen. */
function errorText(error: unknown): string {
  return `threw ${errorWords(error) ?? String(error)}`;
}
