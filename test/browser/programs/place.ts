/**
 * What is asked of lastwrite in every place: in Node, in a page, in a worker. Nothing here is of Node or of the browser, and what
 * goes in and out is plain data, so that the same call can be made in each of them and the answers compared.
 */

import type { createDictionary, Dictionary, Engine, tagged, Value } from "lastwrite";

/** The package, as the place gets it. */
export interface Package {
  readonly createDictionary: typeof createDictionary;
  readonly tagged: typeof tagged;
}

/** Bytes as base64, which all channels between the places carry, and which is quickly compared. */
export type Bytes = string;

export interface Place {
  backend(): string;
  /** All that a fixed history gives: equal in all places. */
  history(): Outcome;
  /** The names of the values that did not come back as they went in. */
  changedValues(): readonly string[];
  /** Starts the replica that the calls below are about, which writes under this id. */
  open(replicaId: string): void;
  /** Writes `count` keys of its own and `count` that all places write. */
  write(count: number): void;
  version(): Bytes;
  deltaSince(version: Bytes): Bytes;
  merge(delta: Bytes): boolean;
  state(): State;
}

export interface State {
  readonly digest: string;
  readonly size: number;
  readonly version: Bytes;
  readonly snapshot: Bytes;
}

export interface Outcome {
  readonly states: readonly State[];
  /** What calls answered on the way. */
  readonly answers: readonly unknown[];
}

export function createPlace(engine: Engine, lastwrite: Package): Place {
  let replica: Dictionary | undefined;
  const opened = (): Dictionary => {
    if (replica === undefined) throw new Error("open() comes first");
    return replica;
  };
  return {
    backend: () => engine.backend,
    history: () => runHistory(engine, lastwrite),
    changedValues: () => changedValues(engine, lastwrite),
    open(replicaId) {
      replica?.close();
      replica = lastwrite.createDictionary({ engine, replicaId, clock: () => START_MS });
    },
    write(count) {
      const { replicaId } = opened();
      for (let index = 0; index < count; index += 1) {
        opened().set(`own/${replicaId}/${index}`, index);
        opened().set(`shared/${index}`, `${replicaId} wrote ${index}`);
      }
    },
    version: () => toText(opened().version()),
    deltaSince: (version) => toText(opened().deltaSince(fromText(version))),
    merge: (delta) => opened().merge(fromText(delta)).complete,
    state: () => stateOf(opened()),
  };
}

/** Every type of value, and the ones that get lost where something converts on the way. */
function valuesOf(lastwrite: Pick<Package, "tagged">): readonly (readonly [string, Value])[] {
  return [
    ["null", null],
    ["true", true],
    ["false", false],
    ["zero", 0],
    ["minus zero", -0],
    ["integer", -123_456_789],
    ["greatest integer", 2 ** 53],
    ["float", 0.1],
    ["least float", Number.MIN_VALUE],
    ["NaN", Number.NaN],
    ["infinity", Number.POSITIVE_INFINITY],
    ["minus infinity", Number.NEGATIVE_INFINITY],
    ["bigint", 2n ** 53n + 1n],
    ["negative bigint", -(2n ** 200n)],
    ["empty string", ""],
    ["ASCII", "plain"],
    ["accents and emoji", "Bjørgvin – 🇳🇴"],
    ["lone surrogate", "a\ud800b"],
    ["byte order mark", "\ufefftext"],
    ["bytes", Uint8Array.of(0, 255, 1)],
    ["view with an offset", Uint8Array.of(1, 2, 3, 4).subarray(1, 3)],
    ["date", new Date(-1)],
    ["tagged", lastwrite.tagged("decimal", "12.50")],
    ["empty array", []],
    ["empty object", {}],
    ["nested", { list: [1, null, { deep: [2n, new Date(5)] }], ["__proto__"]: "a member" }],
  ];
}

/** Longer than what the engine keeps at hand for arguments and answers. */
const largeValues: readonly (readonly [string, Value])[] = [
  ["long ASCII", "x".repeat(100_000)],
  ["long text", "ø".repeat(50_000)],
  ["many bytes", new Uint8Array(200_000).fill(7)],
];

const START_MS = Date.UTC(2026, 0, 1);

function runHistory(engine: Engine, { createDictionary, tagged }: Package): Outcome {
  let now = START_MS;
  const clock = () => now;
  const answers: unknown[] = [];
  const a = createDictionary({ engine, replicaId: "a".repeat(32), clock });
  const b = createDictionary({ engine, replicaId: "b".repeat(32), clock });
  const exchange = () => {
    const [toA, toB] = [b.deltaSince(a.version()), a.deltaSince(b.version())];
    answers.push(a.merge(toA), b.merge(toB));
  };

  const values = valuesOf({ tagged });
  for (let index = 0; index < 3_000; index += 1) {
    now += index % 3;
    const [, value = null] = values[index % values.length] ?? [];
    a.set(`list/${index % 700}/${index % 5}`, value);
    if (index % 2 === 0) b.set(`list/${index % 600}/${index % 7}`, index);
    if (index % 11 === 0) answers.push(a.delete(`list/${index % 300}/${index % 5}`));
    if (index % 500 === 0) answers.push(b.deletePrefix(`list/${index % 100}/`));
    if (index % 1_000 === 0) exchange();
  }
  a.transaction(() => {
    a.set("both/left", 1);
    a.set("both/right", 2);
  });
  try {
    b.transaction(() => {
      b.clear();
      throw new Error("not this time");
    });
  } catch (error) {
    answers.push(String(error));
  }
  answers.push(
    b.set("both/left", 0, { stamp: { millis: 1 } }),
    b.set("both/left", 0, { stamp: { millis: now } }),
  );
  exchange();
  answers.push(a.collectTombstones(b.version()), b.collectTombstones(a.version()));
  answers.push([...a.keys({ prefix: "list/1", limit: 50, reverse: true })]);
  const copy = createDictionary({
    engine,
    replicaId: "c".repeat(32),
    clock,
    snapshot: a.snapshotParts(),
  });

  const states = [a, b, copy].map((dictionary) => stateOf(dictionary));
  for (const dictionary of [a, b, copy]) dictionary.close();
  return { states, answers };
}

function stateOf(dictionary: Dictionary): State {
  return {
    digest: dictionary.digest(),
    size: dictionary.size,
    version: toText(dictionary.version()),
    snapshot: toText(dictionary.snapshot()),
  };
}

function changedValues(engine: Engine, lastwrite: Package): readonly string[] {
  const dictionary = lastwrite.createDictionary({ engine });
  const values = [...valuesOf(lastwrite), ...largeValues];
  for (const [name, value] of values) dictionary.set(name, value);
  const copy = lastwrite.createDictionary({ engine });
  copy.merge(dictionary.deltaSince());
  const changed = values.flatMap(([name, value]) =>
    [dictionary, copy].every((each) => isSame(each.get(name), value)) ? [] : [name],
  );
  dictionary.close();
  copy.close();
  return changed;
}

/** Equal in type and in every part; −0 is not 0. */
function isSame(left: unknown, right: unknown): boolean {
  if (typeof left !== "object" || typeof right !== "object" || left === null || right === null) {
    return Object.is(left, right);
  }
  if (Object.getPrototypeOf(left) !== Object.getPrototypeOf(right)) return false;
  if (left instanceof Date) return left.getTime() === (right as Date).getTime();
  const [leftMembers, rightMembers] = [left, right].map((each) => Object.entries(each));
  if (leftMembers === undefined || leftMembers.length !== rightMembers?.length) return false;
  return leftMembers.every(([name, value], index) => {
    const [otherName, otherValue] = rightMembers[index] as [string, unknown];
    return name === otherName && isSame(value, otherValue);
  });
}

function toText(bytes: Uint8Array): Bytes {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

function fromText(text: Bytes): Uint8Array {
  return Uint8Array.from(atob(text), (unit) => unit.charCodeAt(0));
}
