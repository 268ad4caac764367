/**
 * The histories that shaped the rules of versions, horizon and re-reading, each by its name. A1 is the first write of
 * replica A, H the horizon.
 */

import { expect, test } from "vitest";

import type { Engine, EngineDictionary } from "../../ts/engine/contract.ts";
import { toHex } from "../suites/bytes.ts";
import { describeEngines } from "../suites/engines.ts";
import { hasDot, readVersion, versionText, writeVersion } from "../suites/frames.ts";
import {
  codeOf,
  entriesOf,
  idOf,
  openReplica,
  pull,
  pullAll,
  stateOf,
  wholeDelta,
  wholeSnapshot,
} from "../suites/replicas.ts";
import { closeAll } from "./writes.ts";

const [A, B, C, D] = [1, 2, 3, 4] as const;
const now = 1_000;

describeEngines("the counterexample", (engine) => {
  test("islands: a push whose base never came leaves its dot in the version, as an exception", () => {
    const { a, b, c } = open(engine);
    a.set("x", "v1", now);
    const base = a.version();
    a.set("x", "v2", now);
    expect(b.merge(wholeDelta(a, base), now, 0).complete).toBe(false);
    expect(exceptions(b)).toBe(`${hex(A)}:2-2`);
    expect(vector(b)).toEqual({});
    expect(b.version()).not.toEqual(c.version());
    expect(pull(b, a, now).complete).toBe(true);
    expect(vector(b)).toEqual({ [hex(A)]: 2 });
    closeAll([a, b, c]);
  });

  test("explicit stamps: a stamp that is not above all collected ones is refused", () => {
    const { a, b } = open(engine);
    a.set("k", 1, 1);
    a.delete("k", 4);
    pull(b, a, now);
    b.collectTombstones(b.version(), now);
    expect(codeOf(() => b.writeAt("k", "v", 3, 0, idOf(B), now))).toBe("below-horizon");
    closeAll([a, b]);
  });

  test("a late tombstone below the horizon does not remove what a re-read brought back", () => {
    const { a, b, c } = open(engine);
    c.set("k", "unseen", 1);
    a.set("k", "seen", 10);
    a.delete("k", 20);
    const late = wholeDelta(a);
    pull(b, a, now);
    b.collectTombstones(b.version(), now);
    c.reread([wholeSnapshot(b)], now);
    expect(c.get("k")).toBe("unseen");
    expect(c.merge(late, now, 0)).toMatchObject({ applied: 0, ignored: 1 });
    expect(c.get("k")).toBe("unseen");
    closeAll([a, b, c]);
  });

  test("a re-read drops what the snapshot's version has seen, above the horizon too", () => {
    const { a, b, c, d } = open(engine);
    b.set("k", "v", 1);
    pull(d, b, now);
    pull(c, b, now);
    c.delete("k", 2);
    pull(b, c, now);
    b.collectTombstones(
      writeVersion({ vector: new Map([[hex(C), 1]]), exceptions: new Map() }),
      now,
    );
    expect(entriesOf(b)).toEqual([]);
    d.reread([wholeSnapshot(b)], now);
    expect(d.has("k")).toBe(false);
    closeAll([a, b, c, d]);
  });

  test("re-read twice: the first dot of an entry that got a new one stays known", () => {
    const { a, b, c } = open(engine);
    b.set("e", "v", 10);
    pull(c, b, now);
    collectSomething(a);
    b.reread([wholeSnapshot(a)], now);
    expect(entriesOf(b)[0]).toMatchObject({
      key: "e",
      dot: { counter: 2 },
      origin: { replica: hex(B), counter: 1 },
    });
    pull(a, b, now);
    expect(hasDot(readVersion(a.version()), { replica: hex(B), counter: 1 })).toBe(true);
    a.delete("e", now);
    a.collectTombstones(a.version(), now + 10);
    c.reread([wholeSnapshot(a)], now + 10);
    expect(c.has("e")).toBe(false);
    closeAll([a, b, c]);
  });

  test("joining the horizon comes first: what was brought back does not die where the tombstone still is", () => {
    const { a, b, c } = open(engine);
    c.set("k", "unseen", 1);
    a.set("k", "seen", 10);
    a.delete("k", 20);
    pull(b, a, now);
    a.collectTombstones(a.version(), now);
    c.reread([wholeSnapshot(a)], now);
    expect(b.has("k")).toBe(false);
    pull(b, c, now);
    expect(b.get("k")).toBe("unseen");
    pullAll([a, b, c], now);
    expect(stateOf(b)).toBe(stateOf(a));
    expect(stateOf(c)).toBe(stateOf(a));
    closeAll([a, b, c]);
  });

  test("a snapshot that is re-read is not filtered by the horizon", () => {
    const { a, b, c } = open(engine);
    a.set("kept", 1, 10);
    pull(b, a, now);
    collectSomething(a);
    collectSomething(a);
    c.set("own", 1, 30);
    c.reread([wholeSnapshot(a)], now);
    expect(["kept", "own"].map((key) => c.has(key))).toEqual([true, true]);
    closeAll([a, b, c]);
  });

  test("a delayed part from before a collection is refused: it would bring back what was removed", () => {
    const { a, b } = open(engine);
    a.set("k", "v", 1);
    const delayed = wholeDelta(a);
    a.delete("k", 2);
    pull(b, a, now);
    b.collectTombstones(b.version(), now);
    expect(codeOf(() => b.merge(delayed, now, 0))).toBe("below-horizon sender");
    expect(b.has("k")).toBe(false);
    closeAll([a, b]);
  });

  test("restamping spares an entry that was sent, even if nobody received it", () => {
    const { a } = open(engine);
    a.set("sent", 1, now + 1_000_000);
    wholeDelta(a);
    a.set("unsent", 1, now + 1_000_000);
    expect(a.restamp(now)).toBe(1);
    expect(entriesOf(a).map(({ key, dot }) => [key, dot.counter])).toEqual([
      ["sent", 1],
      ["unsent", 3],
    ]);
    a.close();
  });

  test("the vector must be closed: what stood on unseen writes stays an exception and is not collected", () => {
    const { a, b, c } = open(engine);
    c.set("v", 1, 1);
    pull(b, c, now);
    const base = b.version();
    b.delete("v", 2);
    expect(a.merge(wholeDelta(b, base), now, 0).complete).toBe(false);
    // B1 is the first write of B, and so touches the empty vector.
    expect(vector(a)).toEqual({});
    expect(exceptions(a)).toBe(`${hex(B)}:1-1`);
    expect(a.collectTombstones(b.version(), now)).toBe(0);
    pull(a, b, now);
    expect(vector(a)).toEqual({ [hex(B)]: 1, [hex(C)]: 1 });
    expect(a.collectTombstones(b.version(), now)).toBe(1);
    c.reread([wholeSnapshot(a)], now);
    expect(c.has("v")).toBe(false);
    closeAll([a, b, c]);
  });

  test("own writes on top of exceptions stay exceptions until their ground is known", () => {
    const { a, b } = open(engine);
    a.set("x", 1, now);
    const base = a.version();
    a.set("x", 2, now);
    b.merge(wholeDelta(a, base), now, 0);
    b.set("y", 1, now);
    expect(vector(b)).toEqual({});
    pull(b, a, now);
    expect(vector(b)).toEqual({ [hex(A)]: 2, [hex(B)]: 1 });
    closeAll([a, b]);
  });

  test("ranges without dots: equal entries under other dots have equal digests and other fingerprints", () => {
    const { a, b, c } = open(engine);
    c.set("k", 1, 30);
    pull(b, c, now);
    c.delete("k", 31);
    pull(b, c, now);
    collectSomething(a);
    c.reread([wholeSnapshot(a)], now);
    b.reread([wholeSnapshot(a)], now);
    expect(entriesOf(b)[0]?.dot).not.toEqual(entriesOf(c)[0]?.dot);
    expect(b.digest()).toEqual(c.digest());
    const [seed, whole] = [new Uint8Array(16), new Uint8Array(9)];
    expect(b.fingerprints(seed, whole)).not.toEqual(c.fingerprints(seed, whole));
    pullAll([b, c], now);
    expect(b.fingerprints(seed, whole)).toEqual(c.fingerprints(seed, whole));
    closeAll([a, b, c]);
  });

  test("a losing explicit write takes no dot that a crash would give out again", () => {
    const { a, b } = open(engine);
    a.set("k", "great", 50);
    const saved = wholeSnapshot(a);
    expect(a.writeAt("k", "small", 40, 0, idOf(A), now)).toBe(0);
    pull(b, a, now);
    const restored = openReplica(engine, A, { snapshot: [saved] });
    restored.set("other", "must arrive", now);
    pull(b, restored, now);
    expect(b.get("other")).toBe("must arrive");
    closeAll([a, b, restored]);
  });

  test("an overwrite that was refused leaves no dot behind that would hide it later", () => {
    const { a, b } = open(engine);
    a.set("k", "far", now + 1_000_000);
    pull(b, a, now);
    expect(versionText(readVersion(b.version()))).toBe("");
    pull(b, a, now + 1_000_000);
    expect(b.get("k")).toBe("far");
    closeAll([a, b]);
  });

  test("a superseded entry's dot is not forgotten: who has seen it keeps saying so", () => {
    const { a, b, c } = open(engine);
    a.set("x", 1, 1);
    const base = a.version();
    a.set("y", 1, 2);
    b.merge(wholeDelta(a, base), now, 0);
    b.set("y", 2, 3);
    expect(hasDot(readVersion(b.version()), { replica: hex(A), counter: 2 })).toBe(true);
    expect(entriesOf(b).map(({ dot }) => dot.replica)).toEqual([hex(B)]);
    closeAll([a, b, c]);
  });

  test("many exceptions are kept, every one", () => {
    const { a, b } = open(engine);
    for (let index = 0; index < 400; index += 1) {
      const base = a.version();
      a.set(`key${index}`, index, now);
      if (index % 2 === 1) b.merge(wholeDelta(a, base), now, 0);
    }
    expect(readVersion(b.version()).exceptions.get(hex(A))?.length).toBe(200);
    expect(pull(b, a, now)).toMatchObject({ applied: 200, ignored: 0, complete: true });
    closeAll([a, b]);
  });
});

interface Replicas {
  readonly a: EngineDictionary;
  readonly b: EngineDictionary;
  readonly c: EngineDictionary;
  readonly d: EngineDictionary;
}

function open(engine: Engine): Replicas {
  return {
    a: openReplica(engine, A),
    b: openReplica(engine, B),
    c: openReplica(engine, C),
    d: openReplica(engine, D),
  };
}

/** Puts a replica's horizon above nothing, so that all who know nothing of it are below. */
function collectSomething(replica: EngineDictionary): void {
  replica.set("collected", 1, 5);
  replica.delete("collected", 5);
  replica.collectTombstones(replica.version(), now);
}

function hex(number: number): string {
  return toHex(idOf(number));
}

function vector(replica: EngineDictionary): Record<string, number> {
  return Object.fromEntries(readVersion(replica.version()).vector);
}

function exceptions(replica: EngineDictionary): string {
  return versionText({ vector: new Map(), exceptions: readVersion(replica.version()).exceptions });
}
