/**
 * Damaged and hostile bytes on every engine: the same error, or the same acceptance and the same bytes; after an error
 * nothing has changed. HOSTILE_MUTANTS=1000000 makes that many changes of structure, however long it takes; HOSTILE_SEED begins elsewhere.
 */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

import { readColumns } from "../../ts/engine/columns.ts";
import {
  ADOPT,
  DIFFERENCE,
  type Engine,
  type EngineDictionary,
  REPAIR,
} from "../../ts/engine/contract.ts";
import { scriptEngine } from "../../ts/engine/script.ts";
import { fromHex, toHex } from "../suites/bytes.ts";
import { describeEngines, loadedEngines, testAllEnginesThere } from "../suites/engines.ts";
import { KIND } from "../suites/frames.ts";
import { numberFromEnvironment, seededRandom } from "../suites/random.ts";
import {
  codeOf,
  driftMaxMs,
  idOf,
  openReplica,
  wholeDelta,
  wholeSnapshot,
} from "../suites/replicas.ts";
import { mutant, sealed } from "./frame-mutator.ts";

const now = 5_000;
const askedCount = numberFromEnvironment("HOSTILE_MUTANTS");
const firstSeed = numberFromEnvironment("HOSTILE_SEED") ?? 1;
const mutantGoal = askedCount ?? 10_000;
/** Made however slow the machine is. */
const mutantsMin = 1_000;
const budgetMs = askedCount === undefined ? 30_000 : Infinity;

const noBytes = new Uint8Array(0);

/** The frames of the vectors, and journals; and of these a few short ones, to be damaged at each byte, that have every field and column. */
const frames = [...framesOfVectors(), ...journals()];
const samples = coveringFrames();

testAllEnginesThere();

test("the vectors have frames of every kind", () => {
  const kinds = new Set(samples.map((frame) => frame[3]));
  expect(kinds).toEqual(new Set(Object.values(KIND)));
  expect(frames.length).toBeGreaterThan(200);
});

test("every truncation gives the same error on all engines, and changes nothing", () => {
  const victims = openVictims();
  for (const frame of samples) {
    for (let length = 0; length < frame.length; length += 1) {
      const cut = frame.subarray(0, length);
      assertCorrupt(victims, cut);
      assertSameOutcome(victims, cut);
      assertSameOutcome(victims, sealed(Uint8Array.from([...cut, 0, 0, 0, 0])));
    }
  }
  assertSameNextStamp(victims);
});

test(
  "every flipped bit gives the same error or the same bytes on all engines",
  { timeout: 600_000 },
  () => {
    const victims = openVictims();
    let taken = 0;
    for (const frame of samples) {
      for (let bit = 0; bit < 8 * frame.length; bit += 1) {
        const flipped = frame.slice();
        flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7));
        assertCorrupt(victims, flipped);
        if (assertSameOutcome(victims, sealed(flipped))) taken += 1;
      }
    }
    expect(taken).toBeGreaterThan(100);
    assertSameNextStamp(victims);
  },
);

test(
  "frames of another structure give the same error or the same bytes on all engines",
  { timeout: 24 * 60 * 60 * 1_000 },
  () => {
    const start = performance.now();
    const victims = openVictims();
    let [count, taken] = [0, 0];
    const goesOn = (): boolean =>
      count < mutantGoal && (count < mutantsMin || performance.now() - start < budgetMs);
    for (; goesOn(); count += 1) {
      const random = seededRandom(firstSeed + count);
      if (assertSameOutcome(victims, mutant(random.pick(frames), random))) taken += 1;
    }
    assertSameNextStamp(victims);
    console.log(
      `hostile: ${count} mutants, of which ${taken} were valid, on ${victims.length} engines`,
    );
    expect(taken).toBeGreaterThan(count / 100);
  },
);

test("random bytes are refused alike", () => {
  const victims = openVictims();
  for (let seed = 1; seed <= 2_000; seed += 1) {
    const random = seededRandom(seed);
    const bytes = random.bytes(random.below(120));
    assertCorrupt(victims, bytes);
    const framed = Uint8Array.from([0x4c, 0x57, 1, random.below(8), ...bytes, 0, 0, 0, 0]);
    assertSameOutcome(victims, sealed(framed));
  }
  assertSameNextStamp(victims);
});

test("damaged columns are refused or taken alike", () => {
  const [first] = loadedEngines;
  if (first === undefined) return;
  const columns = samples
    .filter((frame) => !isWithoutEntries(frame))
    .map((frame) => first.decodeEntries(frame))
    .filter((bytes) => bytes.length > 100);
  let taken = 0;
  for (let seed = 1; seed <= 4_000; seed += 1) {
    const random = seededRandom(seed);
    const bytes = random.pick(columns).slice();
    for (let changes = 1 + random.below(2); changes > 0; changes -= 1) {
      const at = random.below(bytes.length);
      bytes[at] = random.once(2)
        ? (bytes[at] as number) ^ (1 << random.below(8))
        : random.below(256);
    }
    const given = random.once(10) ? bytes.subarray(0, random.below(bytes.length)) : bytes;
    const outcomes = loadedEngines.map((engine) => outcomeOf(() => engine.encodeEntries(given)));
    for (const outcome of outcomes) {
      if (outcome !== outcomes[0]) expect(outcome, `columns ${toHex(given)}`).toBe(outcomes[0]);
    }
    if (!isError(outcomes[0] ?? "")) taken += 1;
  }
  expect(taken).toBeGreaterThan(100);
});

describeEngines("hostile bytes", (engine) => {
  test("arrays nest 64 deep, and neither 65 nor a million", () => {
    const dictionary = openReplica(engine, 1);
    const nested = (depth: number): Uint8Array => {
      const bytes = new Uint8Array(2 * depth);
      for (let at = 0; at < bytes.length; at += 2) bytes.set([11, 1], at);
      bytes[bytes.length - 1] = 0;
      return bytes;
    };
    expect(dictionary.set("key", nested(64), now)).toBe(1);
    for (const depth of [65, 66, 10_000, 500_000, 1_000_000]) {
      expect(codeOf(() => dictionary.set("key", nested(depth), now))).toBe("invalid-value");
    }
    expect(dictionary.get("key")).toEqual(nested(64));
    dictionary.close();
  });

  test("own frames are never refused, not even of keys that share all but their ends", () => {
    const [from, to] = [openReplica(engine, 1), openReplica(engine, 2)];
    for (let number = 0; number < 5_000; number += 1) {
      from.set("k".repeat(1_020) + String(number).padStart(4, "0"), null, now);
    }
    const snapshot = wholeSnapshot(from);
    expect(to.merge(snapshot, now, 0).applied).toBe(5_000);
    expect(wholeSnapshot(to)).toEqual(snapshot);
    expect(readColumns(engine.decodeEntries(snapshot)).count).toBe(5_000);
    for (const dictionary of [from, to]) dictionary.close();
  });

  test("keys that expand above 64 times their frame are too large", () => {
    // 4,096 entries share 1,024 bytes of key: four million bytes from twelve thousand.
    const lengths = new Uint8Array(3 * 4_096).map((_, at) => [0xf0, 0xf1, 0x07][at % 3] ?? 0);
    lengths[0] = 0x0f;
    const column = (id: number, bytes: readonly number[] | Uint8Array): number[] => [
      id,
      (bytes.length & 127) | 128,
      bytes.length >> 7,
      ...bytes,
    ];
    const block = [
      [0x80, 0x20],
      column(1, lengths),
      column(2, new Uint8Array(1_024).fill(0x6b)),
      column(3, new Uint8Array(2_048)),
      [4, 3, 0, 0xff, 0x1f],
      [5, 2, 0xfe, 0x3f],
      [6, 2, 0xfc, 0x7f],
      [0],
    ].flat();
    const frame = sealed(
      Uint8Array.from([0x4c, 0x57, 1, KIND.entries, 1, 16, ...idOf(1), 0, ...block, 0, 0, 0, 0]),
    );
    expect(codeOf(() => engine.decodeEntries(frame))).toBe("too-large");
  });
});

/** Who is given the bytes; opened anew after it has taken some. */
interface Victim {
  merge(bytes: Uint8Array): unknown;
  /** What every call that takes bytes says of these, and what it leaves. */
  take(bytes: Uint8Array): string[];
  nextStamp(): string;
}

function openVictims(): Victim[] {
  return loadedEngines.map((engine) => openVictim(engine));
}

function openVictim(engine: Engine): Victim {
  const home = homeSnapshot(engine);
  const held = engine.encodeEntries(engine.decodeEntries(home));
  const open = (): EngineDictionary => openReplica(engine, 1, { snapshot: [home] });
  let dictionary = open();
  /** Takes journals from the first place on. */
  let blank = openReplica(engine, 1);
  const before = stateText(dictionary);

  /** A call that may change the dictionary: its answer and what it leaves. A dictionary that was changed is replaced. */
  const changing = (call: () => unknown): string => {
    const outcome = outcomeOf(call);
    if (isError(outcome)) return outcome;
    const after = stateText(dictionary);
    if (after !== before) {
      dictionary.close();
      dictionary = open();
    }
    return `${outcome} ${after}`;
  };

  return {
    merge: (bytes) => dictionary.merge(bytes, now, ADOPT),
    take: (bytes) => [
      changing(() => dictionary.merge(bytes, now, ADOPT)),
      changing(() => dictionary.merge(bytes, now, ADOPT | DIFFERENCE)),
      changing(() => dictionary.merge(bytes, now, REPAIR)),
      changing(() => toHex(dictionary.changesSince(0, { since: bytes }).frame)),
      changing(() => dictionary.reread([bytes], now)),
      changing(() => dictionary.collectTombstones(bytes, now)),
      changing(() => dictionary.delta(bytes).map(toHex)),
      changing(() => dictionary.replay(bytes)),
      // No error changed anything.
      stateText(dictionary) === before ? "" : "changed",
      outcomeOf(() => {
        const opened = openReplica(engine, 1, { snapshot: [bytes] });
        const state = stateText(opened);
        opened.close();
        return state;
      }),
      outcomeOf(() => {
        blank.replay(bytes);
        const state = [stateText(blank), blank.journal(noBytes, { whole: true }).map(toHex)];
        blank.close();
        blank = openReplica(engine, 1);
        return state;
      }),
      outcomeOf(() => {
        const columns = engine.decodeEntries(bytes);
        return [toHex(columns), toHex(engine.encodeEntries(columns))];
      }),
      outcomeOf(() => {
        const { winners, digestDifference, refusedCount } = engine.scratchMerge(
          held,
          bytes,
          now,
          driftMaxMs,
        );
        return [toHex(winners), toHex(digestDifference), refusedCount];
      }),
    ],
    nextStamp() {
      dictionary.set("next", null, 0);
      return toHex(dictionary.stampOf("next") ?? new Uint8Array());
    },
  };
}

function homeSnapshot(engine: Engine): Uint8Array {
  const dictionary = openReplica(engine, 1);
  dictionary.set("k", "held", 1_000);
  dictionary.set("x", 7, 1_000);
  dictionary.delete("x", 1_000);
  dictionary.deletePrefix("d/", 1_000);
  const snapshot = wholeSnapshot(dictionary);
  dictionary.close();
  return snapshot;
}

/** Whether the bytes were taken by any call; fails where engines differ. */
function assertSameOutcome(victims: readonly Victim[], bytes: Uint8Array): boolean {
  const outcomes = victims.map((victim) => victim.take(bytes));
  const [first = [], ...others] = outcomes;
  for (const [index, other] of others.entries()) {
    if (other.some((text, call) => text !== first[call])) {
      expect(other, `${loadedEngines[index + 1]?.backend} on ${toHex(bytes)}`).toEqual(first);
    }
  }
  if (first.includes("changed")) expect.unreachable(`an error left another state: ${toHex(bytes)}`);
  return first.some((text) => text.startsWith("="));
}

/** Without a checksum that fits. */
function assertCorrupt(victims: readonly Victim[], bytes: Uint8Array): void {
  for (const victim of victims) {
    const outcome = outcomeOf(() => victim.merge(bytes));
    if (outcome !== "corrupt-bytes") expect.unreachable(`${toHex(bytes)} gives ${outcome}`);
  }
}

/** The clock, too, is where it was. */
function assertSameNextStamp(victims: readonly Victim[]): void {
  const stamps = victims.map((victim) => victim.nextStamp());
  // Four writes at 1,000 ms gave the counters 0 to 3.
  expect(new Set(stamps)).toEqual(new Set([`0400e80300000000${toHex(idOf(1))}`]));
}

function stateText(dictionary: EngineDictionary): string {
  return [
    wholeSnapshot(dictionary),
    dictionary.version(),
    dictionary.frontier(),
    dictionary.digest(),
    dictionary.replicaId(),
  ]
    .map(toHex)
    .concat(String(dictionary.head()), String(dictionary.size()))
    .join(" ");
}

/** Answers as text begin with an equals sign. */
function isError(outcome: string): boolean {
  return !outcome.startsWith("=");
}

/** The answer as text, or the code of what was thrown on purpose. */
function outcomeOf(call: () => unknown): string {
  let answer: unknown;
  try {
    answer = call();
  } catch (error) {
    return codeOf(() => {
      throw error;
    });
  }
  return answer instanceof Uint8Array ? `=${toHex(answer)}` : `=${JSON.stringify(answer)}`;
}

function framesOfVectors(): Uint8Array[] {
  const folder = join(import.meta.dirname, "../vectors/histories");
  const texts = readdirSync(folder)
    .filter((name) => name !== "refusals.json")
    .map((name) => readFileSync(join(folder, name), "utf8"));
  const found = new Set(texts.flatMap((text) => text.match(/(?<=")4c5701[0-9a-f]+(?=")/g) ?? []));
  return [...found]
    .map((hex) => fromHex(hex))
    .filter((frame) => frame.length < 400 && (isWithoutEntries(frame) || isSound(frame)))
    .toSorted((left, right) => right.length - left.length);
}

function isWithoutEntries(frame: Uint8Array): boolean {
  return frame[3] === KIND.version || frame[3] === KIND.frontier;
}

/** Among the vectors are frames that are refused, too. */
function isSound(frame: Uint8Array): boolean {
  return !isError(outcomeOf(() => scriptEngine().decodeEntries(frame)));
}

/** Journals of every field: entries of others, exceptions, a horizon, attributes; whole ones, and differences. */
function journals(): Uint8Array[] {
  const engine = scriptEngine();
  const [own, other] = [openReplica(engine, 1), openReplica(engine, 2)];
  const taken: Uint8Array[] = [];
  const journal = (attributes: readonly number[], whole = false): void => {
    const options = { whole, partBytesMax: 60 };
    taken.push(...own.journal(Uint8Array.from(attributes), options));
  };
  own.set("k", "a text", 1_000);
  journal([]);
  other.set("far", 1, 1_000);
  const base = other.version();
  other.set("n/x", 1.5, 1_001);
  own.merge(wholeDelta(other, base), now, 0);
  journal([1, 0x61, 2, 7]);
  own.delete("k", 1_002);
  own.setCollector(idOf(9), 1_002);
  journal([1, 0x61, 0]);
  own.merge(wholeDelta(other), now, 0);
  other.merge(wholeDelta(own), now, 0);
  own.collectTombstones(own.version(), now);
  journal([]);
  other.deletePrefix("n/", 1_003);
  const behind = other.version();
  other.set("last", null, 1_004);
  own.merge(wholeDelta(other, behind), now, 0);
  journal([]);
  journal([1, 0x61, 2, 7], true);
  for (const dictionary of [own, other]) dictionary.close();
  return taken;
}

/** Frames, the shortest first, until each field and column that any frame of a kind has is in one of its kind. */
function coveringFrames(): Uint8Array[] {
  const covered = new Set<string>();
  return frames.toReversed().filter((frame) => {
    const fresh = idsOf(frame).filter((id) => !covered.has(id));
    for (const id of fresh) covered.add(id);
    return fresh.length > 0;
  });
}

/** The fields, and the columns of the first block, each with the kind. */
function idsOf(frame: Uint8Array): string[] {
  let at = 4;
  const ids: string[] = [];
  const readVarint = (): number => {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = frame[at] as number;
      at += 1;
      value += (byte & 0x7f) * factor;
      if (byte < 128) return value;
    }
  };
  const readPieces = (sort: string): void => {
    for (let id = frame[at++] as number; id !== 0; id = frame[at++] as number) {
      ids.push(`${frame[3]} ${sort} ${id}`);
      const length = readVarint();
      at += length;
    }
  };
  readPieces("field");
  if (at < frame.length - 4) {
    readVarint();
    readPieces("column");
  }
  return ids;
}
