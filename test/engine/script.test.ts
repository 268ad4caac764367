import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { idText } from "../../ts/codec/entry.ts";
import { compareText } from "../../ts/codec/text.ts";
import { decodeFrame } from "../../ts/codec/frame.ts";
import { KIND } from "../../ts/codec/header.ts";
import { readColumns } from "../../ts/engine/columns.ts";
import {
  ADOPT,
  CLOCK_AHEAD,
  type EngineDictionary,
  type EngineValue,
  type ScanRange,
  WON,
} from "../../ts/engine/contract.ts";
import { scriptEngine } from "../../ts/engine/script.ts";
import { compareVersions } from "../../ts/codec/version.ts";

const NOW = 1_000_000;
const DRIFT_MS = 300_000;
const engine = scriptEngine();

const id = (byte: number): Uint8Array => new Uint8Array(16).fill(byte);
const code = (expected: string): unknown => expect.objectContaining({ code: expected });

function replica(byte: number, snapshot?: readonly Uint8Array[]): EngineDictionary {
  const options = { replicaId: id(byte), spareId: id(byte + 100), driftMaxMs: DRIFT_MS };
  return engine.create(snapshot === undefined ? options : { ...options, snapshot });
}

function only(parts: readonly Uint8Array[]): Uint8Array {
  expect(parts).toHaveLength(1);
  return parts[0] as Uint8Array;
}

function scan(
  dictionary: EngineDictionary,
  range: Partial<ScanRange> = {},
): [string, EngineValue | undefined][] {
  const columns = readColumns(dictionary.scan({ limit: Infinity, ...range }));
  return Array.from({ length: columns.count }, (_, at) => [columns.key(at), columns.value(at)]);
}

function changes(bytes: Uint8Array): unknown[] {
  const columns = readColumns(bytes);
  return Array.from({ length: columns.count }, (_, at) => [
    columns.key(at),
    columns.previous(at),
    columns.value(at),
  ]);
}

/** Everything that can be asked of a dictionary and leaves no trace but the mark of its journals. */
function stateOf(dictionary: EngineDictionary): unknown {
  return [
    dictionary.journal(new Uint8Array(0), { whole: true }),
    dictionary.digest(),
    dictionary.size(),
    dictionary.head(),
    scan(dictionary),
  ];
}

describe("arguments", () => {
  test("that are no keys, prefixes, values, ids or stamps are refused", () => {
    const dictionary = replica(1);
    for (const key of ["", "k".repeat(1025), "é".repeat(513)]) {
      for (const call of [
        () => dictionary.get(key),
        () => dictionary.has(key),
        () => dictionary.set(key, 1, NOW),
        () => dictionary.delete(key, NOW),
        () => dictionary.stampOf(key),
        () => dictionary.writeAt(key, 1, NOW, 0, id(1), NOW),
      ]) {
        expect(call).toThrow(code("invalid-key"));
      }
    }
    expect(() => dictionary.deletePrefix("a", NOW)).toThrow(code("invalid-prefix"));
    expect(() => dictionary.deletePrefix(`${"a".repeat(1024)}/`, NOW)).toThrow(
      code("invalid-prefix"),
    );
    for (const value of [
      new Uint8Array(0),
      Uint8Array.of(0),
      Uint8Array.of(14),
      Uint8Array.of(9, 1),
      "x".repeat(2 ** 20),
    ]) {
      expect(() => dictionary.set("k", value, NOW)).toThrow(code("invalid-value"));
    }
    expect(dictionary.set("k", "x".repeat(2 ** 20 - 1), NOW)).toBe(WON);
    expect(() => dictionary.setSpareId(id(1).subarray(1))).toThrow(code("invalid-argument"));
    expect(() => dictionary.writeAt("k", 1, 2 ** 48, 0, id(1), NOW)).toThrow(
      code("invalid-argument"),
    );
    expect(() => dictionary.writeAt("k", 1, NOW, 2 ** 16, id(1), NOW)).toThrow(
      code("invalid-argument"),
    );
    expect(() => dictionary.delta(undefined, { partBytesMax: 0 })).toThrow(
      code("invalid-argument"),
    );
    expect(() => dictionary.changesSince(2)).toThrow(code("invalid-argument"));
    expect(() => dictionary.fingerprints(id(1), new Uint8Array(8))).toThrow(
      code("invalid-argument"),
    );
    expect(() => dictionary.hashes(id(1), Uint8Array.of(17, 0, 0, 0, 0, 0, 0, 0, 0))).toThrow(
      code("invalid-argument"),
    );
  });

  test("are of no use once the dictionary is closed", () => {
    const dictionary = replica(1);
    dictionary.close();
    dictionary.close();
    for (const call of [
      () => dictionary.get("k"),
      () => dictionary.patch(),
      () => dictionary.version(),
      () => dictionary.watch([]),
    ]) {
      expect(call).toThrow(code("closed"));
    }
  });

  test("keep bytes apart from those of the caller", () => {
    const dictionary = replica(1);
    const bytes = Uint8Array.of(8, 1, 2);
    dictionary.set("k", bytes, NOW);
    bytes[1] = 9;
    (dictionary.get("k") as Uint8Array)[2] = 9;
    expect(dictionary.get("k")).toEqual(Uint8Array.of(8, 1, 2));
  });
});

describe("local writes", () => {
  test("tick past all that was seen, and tell when the clock is ahead", () => {
    const dictionary = replica(1);
    expect(dictionary.set("a", 1, NOW + DRIFT_MS + 1)).toBe(WON);
    expect(dictionary.set("a", 2, NOW)).toBe(WON | CLOCK_AHEAD);
    expect(dictionary.delete("nothing", NOW)).toBe(0);
    expect(dictionary.delete("a", NOW)).toBe(WON | CLOCK_AHEAD);
    expect([dictionary.get("a"), dictionary.size(), dictionary.head()]).toEqual([undefined, 0, 3]);
  });

  test("under an explicit stamp lose without a trace", () => {
    const dictionary = replica(1);
    dictionary.set("a", 1, NOW);
    dictionary.deletePrefix("p/", NOW);
    const before = stateOf(dictionary);
    expect(dictionary.writeAt("a", 2, NOW - 1, 0, id(9), NOW)).toBe(0);
    expect(dictionary.writeAt("p/x", 2, NOW, 0, id(9), NOW)).toBe(0);
    expect(dictionary.writeAt("b", undefined, NOW, 0, id(9), NOW)).toBe(0);
    expect(() => dictionary.writeAt("a", 2, NOW + DRIFT_MS + 1, 0, id(9), NOW)).toThrow(
      code("clock-drift"),
    );
    expect(stateOf(dictionary)).toEqual(before);
    expect(dictionary.writeAt("a", 2, NOW + 5, 3, id(9), NOW)).toBe(WON);
    const stamp = dictionary.stampOf("a") as Uint8Array;
    expect(idText(stamp)).toBe(`030045420f000000${"09".repeat(16)}`);
  });

  test("of a prefix remove what lies below it", () => {
    const dictionary = replica(1);
    for (const key of ["p/", "p/a", "p/b/c", "pq"]) dictionary.set(key, 1, NOW);
    dictionary.deletePrefix("p/b/", NOW);
    expect(dictionary.deletePrefix("p/", NOW)).toBe(2);
    expect(scan(dictionary).map(([key]) => key)).toEqual(["pq"]);
    expect(dictionary.stampOf("p/a")).toBeDefined();
    expect(decodeFrame(only(dictionary.snapshot()), [KIND.snapshot]).entries).toHaveLength(2);
  });
});

test("scans answer as sorting and filtering all keys does", () => {
  const key = fc.string({
    unit: fc.constantFrom("a", "b", "/", "\uffff", "😀"),
    minLength: 1,
    maxLength: 4,
  });
  const range = fc.record(
    { from: key, to: key, prefix: key, reverse: fc.boolean(), limit: fc.nat(5) },
    { requiredKeys: ["limit"] },
  );
  const action = fc.tuple(key, fc.boolean(), fc.option(range, { nil: undefined }));
  fc.assert(
    fc.property(fc.array(action), (actions) => {
      const dictionary = replica(1);
      const model = new Map<string, EngineValue>();
      for (const [name, isSet, asked] of actions) {
        if (isSet) model.set(name, dictionary.head());
        else model.delete(name);
        if (isSet) dictionary.set(name, dictionary.head(), NOW);
        else dictionary.delete(name, NOW);
        if (asked === undefined) continue;
        const { from = "", to, prefix = "", reverse = false, limit } = asked;
        const expected = [...model]
          .filter(
            ([found]) =>
              compareText(found, from) >= 0 &&
              (to === undefined || compareText(found, to) < 0) &&
              found.startsWith(prefix),
          )
          .toSorted(([a], [b]) => compareText(a, b) * (reverse ? -1 : 1));
        expect(scan(dictionary, asked)).toEqual(expected.slice(0, limit));
      }
      expect(dictionary.size()).toBe(model.size);
    }),
  );
});

describe("transactions", () => {
  const keys = fc.constantFrom("a", "p/a", "p/b", "q/");
  const write = fc.oneof(
    fc.record({ call: fc.constant("set"), key: keys }),
    fc.record({ call: fc.constant("delete"), key: keys }),
    fc.record({ call: fc.constant("writeAt"), key: keys }),
    fc.record({ call: fc.constant("deletePrefix"), key: fc.constantFrom("", "p/", "q/") }),
  );
  const apply = (
    dictionary: EngineDictionary,
    writes: readonly { call: string; key: string }[],
  ): void => {
    writes.forEach(({ call, key }, at) => {
      if (call === "set") dictionary.set(key, at, NOW + at);
      if (call === "delete") dictionary.delete(key, NOW + at);
      if (call === "writeAt") dictionary.writeAt(key, at, NOW - at, at, id(7), NOW);
      if (call === "deletePrefix") dictionary.deletePrefix(key, NOW + at);
    });
  };

  test("leave nothing behind when they are rolled back", () => {
    fc.assert(
      fc.property(fc.array(write), fc.array(write), fc.array(write), (before, undone, after) => {
        const [dictionary, other] = [replica(1), replica(1)];
        for (const each of [dictionary, other]) apply(each, before);
        dictionary.begin();
        apply(dictionary, undone);
        dictionary.rollback();
        for (const each of [dictionary, other]) apply(each, after);
        expect(stateOf(dictionary)).toEqual(stateOf(other));
      }),
    );
  });

  test("keep merges and exports waiting", () => {
    const dictionary = replica(1);
    const frame = only(dictionary.delta(undefined));
    expect(() => dictionary.commit()).toThrow(code("transaction-open"));
    dictionary.begin();
    for (const call of [
      () => dictionary.begin(),
      () => dictionary.merge(frame, NOW, 0),
      () => dictionary.delta(undefined),
      () => dictionary.snapshot(),
      () => dictionary.changesSince(0),
      () => dictionary.restamp(NOW),
      () => dictionary.reread([], NOW),
      () => dictionary.collectTombstones(dictionary.version(), NOW),
      () => dictionary.entriesByHash(id(1), new Uint8Array(0)),
    ]) {
      expect(call).toThrow(code("transaction-open"));
    }
    dictionary.set("k", 1, NOW);
    dictionary.commit();
    expect(dictionary.get("k")).toBe(1);
  });
});

describe("merging", () => {
  test("ends equal whichever way deltas go, and tells what changed of what is watched", () => {
    const [a, b] = [replica(1), replica(2)];
    a.set("w/x", "one", NOW);
    a.set("w/y", 1.5, NOW + 1);
    b.set("w/x", 2, NOW + 2);
    b.deletePrefix("w/", NOW + 3);
    b.set("w/z", -7, NOW + 4);
    a.watch(["w/"]);
    expect(a.merge(only(b.delta(a.version())), NOW, 0)).toEqual({
      applied: 2,
      ignored: 0,
      refusedCount: 0,
      complete: true,
      cloned: false,
      patched: true,
    });
    expect(changes(a.patch())).toEqual([
      ["w/x", "one", undefined],
      ["w/y", 1.5, undefined],
      ["w/z", undefined, -7],
    ]);
    b.merge(only(a.delta(b.version())), NOW, 0);
    expect(a.snapshot()).toEqual(b.snapshot());
    expect(compareVersions(a.version(), b.version())).toBe("equal");
  });

  test("adopts the version of a delta in parts when the last missing part has come, in any order", () => {
    const [a, b] = [replica(1), replica(2)];
    for (let at = 0; at < 50; at++) a.set(`key ${at}`, at, NOW + at);
    const parts = a.delta(b.version(), { partBytesMax: 200 });
    expect(parts.length).toBeGreaterThan(4);
    const [first, ...others] = parts.toReversed() as [Uint8Array, ...Uint8Array[]];
    expect(b.merge(first, NOW, 0).complete).toBe(false);
    others.forEach((part, at) =>
      expect(b.merge(part, NOW, 0).complete).toBe(at === others.length - 1),
    );
    expect(b.version()).toEqual(a.version());
  });

  test("never adopts the version of what was withheld or refused", () => {
    const [a, b] = [replica(1), replica(2)];
    a.set("late", 1, NOW + DRIFT_MS + 1);
    const tainted = only(a.delta(undefined, { stampLimitMs: NOW }));
    expect(b.merge(tainted, NOW, 0)).toMatchObject({ applied: 0, complete: false });
    expect(b.merge(only(a.delta(undefined)), NOW, 0)).toMatchObject({
      refusedCount: 1,
      complete: false,
    });
    expect(readColumns(b.refusals()).key(0)).toBe("late");
    expect(b.head()).toBe(0);
  });

  test("names the parts of a delta anew after a collection", () => {
    const a = replica(1);
    for (let at = 0; at < 6; at++) a.set(`key ${at}`, at, NOW);
    a.delete("key 0", NOW);
    a.set("key 6", 6, NOW);
    const deltaId = (): string | undefined =>
      decodeFrame(a.delta(undefined, { partBytesMax: 40 })[0] as Uint8Array, [KIND.delta]).part
        ?.deltaId;
    const before = deltaId();
    expect(deltaId()).toBe(before);
    expect(a.collectTombstones(a.version(), NOW + 1)).toBe(1);
    expect(deltaId()).not.toBe(before);
  });

  test("tells who has to re-read after a collection", () => {
    const [a, b] = [replica(1), replica(2)];
    a.set("k", 1, NOW);
    b.merge(only(a.delta(undefined)), NOW, 0);
    a.delete("k", NOW);
    expect(a.collectTombstones(a.version(), NOW + 1)).toBe(1);
    const catchCode = (call: () => unknown): unknown => {
      try {
        return call();
      } catch (error) {
        return error;
      }
    };
    expect(catchCode(() => b.merge(only(a.delta(b.version())), NOW, 0))).toMatchObject({
      code: "below-horizon",
      side: "receiver",
    });
    expect(catchCode(() => a.merge(only(b.delta(a.version())), NOW, 0))).toMatchObject({
      code: "below-horizon",
      side: "sender",
    });
    b.set("mine", 1, NOW);
    b.watch([""]);
    expect(b.reread(a.snapshot(), NOW)).toMatchObject({
      applied: 1,
      complete: true,
      patched: true,
    });
    expect(changes(b.patch())).toEqual([["k", 1, undefined]]);
    expect(scan(b)).toEqual([["mine", 1]]);
    expect(() => b.writeAt("k", 1, NOW, 0, id(2), NOW)).toThrow(code("below-horizon"));
  });

  test("finds a copied replica out, and goes on under the spare id", () => {
    const a = replica(1);
    a.set("k", 1, NOW);
    const copy = engine.create({
      replicaId: id(1),
      spareId: id(50),
      driftMaxMs: DRIFT_MS,
      snapshot: a.snapshot(),
    });
    a.set("a", 1, NOW);
    copy.set("c", 1, NOW);
    expect(copy.merge(only(a.delta(undefined)), NOW, 0).cloned).toBe(true);
    expect(idText(copy.replicaId())).toBe(idText(id(50)));
    a.merge(only(copy.delta(undefined)), NOW, 0);
    expect(scan(a)).toEqual([
      ["a", 1],
      ["c", 1],
      ["k", 1],
    ]);
    expect(scan(copy)).toEqual(scan(a));
  });
});

describe("exports", () => {
  test("by arrival go on where the last one ended", () => {
    const [a, b] = [replica(1), replica(2)];
    for (let at = 0; at < 300; at++) a.set(`key ${at % 100}`, at, NOW + at);
    let seq = 0;
    for (let atHead = false; !atHead;) {
      const part = a.changesSince(seq, { partBytesMax: 300 });
      b.merge(part.frame, NOW, ADOPT);
      [seq, atHead] = [part.next, part.atHead];
    }
    expect(seq).toBe(a.head());
    expect(b.version()).toEqual(a.version());
    expect(b.snapshot()).toEqual(a.snapshot());
  });

  test("keep own writes from being stamped anew", () => {
    const a = replica(1);
    a.set("kept", 1, NOW + 2 * DRIFT_MS);
    a.journal(new Uint8Array(0));
    a.delta(undefined, { stampLimitMs: NOW });
    expect(a.restamp(NOW)).toBe(1);
    expect(a.restamp(NOW)).toBe(0);
    a.set("sent", 1, NOW + 2 * DRIFT_MS);
    a.delta(undefined);
    expect(a.restamp(NOW)).toBe(0);
  });

  test("of a snapshot come back from its parts in any order", () => {
    const a = replica(1);
    for (let at = 0; at < 50; at++) a.set(`key ${at}`, at, NOW + at);
    a.deletePrefix("key/", NOW);
    const parts = a.snapshot({ partBytesMax: 100 });
    expect(replica(2, parts.toReversed()).snapshot()).toEqual(a.snapshot());
    expect(() => replica(2, parts.slice(1))).toThrow(code("invalid-argument"));
    expect(() => replica(2, [...parts, parts[0] as Uint8Array])).toThrow(code("invalid-argument"));
    expect(() => replica(2, [])).toThrow(code("invalid-argument"));
  });
});

describe("ranges", () => {
  const whole = new Uint8Array(9);

  test("lead to the entries that differ", () => {
    const [a, b] = [replica(1), replica(2)];
    for (let at = 0; at < 100; at++) a.set(`key ${at}`, at, NOW + at);
    b.merge(only(a.delta(undefined)), NOW, 0);
    expect(b.fingerprints(id(3), whole)).toEqual(a.fingerprints(id(3), whole));
    a.set("new", 1, NOW);
    const [left, right] = [a.fingerprints(id(3), whole), b.fingerprints(id(3), whole)];
    const differing = Array.from({ length: 16 }, (_, at) => at).filter(
      (at) =>
        idText(left.subarray(12 * at, 12 * at + 12)) !==
        idText(right.subarray(12 * at, 12 * at + 12)),
    );
    expect(differing).toHaveLength(1);
    const range = Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0, (differing[0] as number) << 4);
    const rows = (bytes: Uint8Array): string[] => {
      const count = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
      return Array.from({ length: count }, (_, at) =>
        idText(bytes.subarray(4 + 16 * at, 20 + 16 * at)),
      );
    };
    const known = new Set(rows(b.hashes(id(3), range)));
    const missing = rows(a.hashes(id(3), range)).filter((row) => !known.has(row));
    expect(missing).toHaveLength(1);
    const hashes = Uint8Array.from(Buffer.from((missing[0] as string).slice(0, 16), "hex"));
    b.merge(a.entriesByHash(id(3), hashes), NOW, 0);
    expect(b.get("new")).toBe(1);
    expect(b.fingerprints(id(3), whole)).toEqual(a.fingerprints(id(3), whole));
  });

  test("of each depth count what the hashes of all say", () => {
    const a = replica(1);
    for (let at = 0; at < 500; at++) a.set(`key ${at}`, at, NOW + at);
    const all = a.hashes(id(3), whole);
    const view = new DataView(all.buffer, all.byteOffset);
    const hashes = Array.from({ length: 500 }, (_, at) => view.getBigUint64(4 + 16 * at, true));
    expect(hashes).toEqual(hashes.toSorted((x, y) => (x < y ? -1 : 1)));
    for (let depth = 0; depth <= 15; depth++) {
      const prefix = hashes[depth] as bigint;
      const range = new Uint8Array(9);
      range[0] = depth;
      new DataView(range.buffer).setBigUint64(1, prefix, true);
      const prints = a.fingerprints(id(3), range);
      const counts = Array.from({ length: 16 }, (_, at) =>
        new DataView(prints.buffer, prints.byteOffset).getUint32(12 * at + 8, true),
      );
      const within = hashes.filter(
        (hash) => hash >> BigInt(64 - 4 * depth) === prefix >> BigInt(64 - 4 * depth),
      );
      const expected = Array.from(
        { length: 16 },
        (_, at) =>
          within.filter((hash) => ((hash >> BigInt(60 - 4 * depth)) & 15n) === BigInt(at)).length,
      );
      expect(counts).toEqual(expected);
    }
  });
});

test("a scratch merge finds the winners and the difference of the digests", () => {
  const [a, b] = [replica(1), replica(2)];
  a.set("x", 1, NOW);
  a.set("y", 1, NOW);
  b.set("y", 2, NOW - 1);
  b.set("x", 2, NOW + 1);
  b.set("z", 2, NOW + DRIFT_MS + 1);
  const held = engine.encodeEntries(engine.decodeEntries(only(a.snapshot())));
  const { winners, digestDifference, refusedCount } = engine.scratchMerge(
    held,
    only(b.delta(undefined)),
    NOW,
    DRIFT_MS,
  );
  const columns = readColumns(winners);
  expect([columns.count, columns.key(0), columns.value(0), refusedCount]).toEqual([1, "x", 2, 1]);
  const before = new DataView(a.digest().buffer);
  a.merge(only(b.delta(undefined)), NOW, 0);
  const after = new DataView(a.digest().buffer);
  const difference = new DataView(digestDifference.buffer);
  for (let lane = 0; lane < 16; lane += 4) {
    expect(difference.getUint32(lane)).toBe((after.getUint32(lane) - before.getUint32(lane)) >>> 0);
  }
});

test("the arrival log is packed when most of its places are empty", () => {
  const a = replica(1);
  for (let at = 0; at < 66; at++) a.set("k", at, NOW);
  a.set("l", 0, NOW);
  expect([a.head(), a.changesSince(0, { partBytesMax: 1 }).next]).toEqual([67, 66]);
  expect(a.changesSince(66).next).toBe(67);
});
