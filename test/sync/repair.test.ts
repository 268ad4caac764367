/** Comparisons by ranges: what they find, what they cost, and what becomes of strange messages. */

import { compareVersions, type Dictionary, loadEngine } from "lastwrite";
import { describe, expect, test } from "vitest";

import type { Hashes, Ranges, SyncMessage } from "../../ts/sync/messages.ts";
import type { Session } from "../../ts/sync/session.ts";
import { errorCode } from "../suites/failures.ts";
import {
  exchangeOf,
  sessionOf,
  testReplica,
  type TestReplica,
  withEqualVersions,
} from "./replicas.ts";

const native = await loadEngine();
const script = await loadEngine({ backend: "script" });

const SEED = Uint8Array.from({ length: 16 }, (_, at) => at);

function expectEqual(a: Dictionary, b: Dictionary): void {
  expect(b.digest()).toBe(a.digest());
  expect(compareVersions(a.version(), b.version())).toBe("equal");
}

describe("two replicas of equal versions and different entries", () => {
  test("end equal, and only what differs is sent", () => {
    const [a, b] = withEqualVersions(100_000, (at) => at % 1000 === 7);
    const exchange = exchangeOf(a, b);
    exchange.run();
    expectEqual(a.dictionary, b.dictionary);
    expect(exchange.a.isSettled && exchange.b.isSettled).toBe(true);
    // A tenth of what 1,000 of a million may cost.
    expect(exchange.byteCount()).toBeLessThan(40_000);
    expect(exchange.counts.get("need")).toBeUndefined();
  });

  test.each([
    ["one entry", 5000, (at: number) => at === 4321],
    ["a tenth", 5000, (at: number) => at % 10 === 0],
    ["nearly all", 5000, (at: number) => at > 3],
    ["all of a few", 300, () => true],
  ] as const)("end equal when %s differ, on any engines", (_what, count, differs) => {
    const [a, b] = withEqualVersions(count, differs, [native, script]);
    const exchange = exchangeOf(a, b);
    exchange.run();
    expectEqual(a.dictionary, b.dictionary);
    expect(exchange.a.isSettled && exchange.b.isSettled).toBe(true);
    const again = exchangeOf(a, b);
    again.run();
    expect(again.counts.get("ranges")).toBeUndefined();
  });

  test("end equal by sending all, when they hold few", () => {
    const [a, b] = withEqualVersions(200, (at) => at === 3);
    const exchange = exchangeOf(a, b);
    exchange.run();
    expectEqual(a.dictionary, b.dictionary);
    expect(exchange.counts.get("ranges")).toBeUndefined();
  });

  test("send what is written meanwhile", () => {
    const [a, b] = withEqualVersions(5000, (at) => at % 100 === 0);
    const exchange = exchangeOf(a, b);
    for (let at = 0; at < 40; at++) {
      a.dictionary.set(`key/${100 * at}`, "from a");
      b.dictionary.delete(`key/${100 * at + 1}`);
      if (at === 20) a.dictionary.deletePrefix("key/");
      exchange.wroteA();
      exchange.wroteB();
      exchange.deliver(1);
    }
    exchange.run();
    expectEqual(a.dictionary, b.dictionary);
    expect(exchange.a.isSettled && exchange.b.isSettled).toBe(true);
  });

  test("compare once when both begin, as stores of one id do", () => {
    const [a, b] = withEqualVersions(5000, (at) => at === 9);
    const sameStore = { ...b, replica: { ...b.replica, storeId: a.replica.storeId } };
    const exchange = exchangeOf(a, sameStore, { seed: SEED }, { seed: SEED.toReversed() });
    exchange.run();
    expectEqual(a.dictionary, b.dictionary);
    expect(exchange.a.isSettled && exchange.b.isSettled).toBe(true);
  });
});

describe("one whose replica id is used twice", () => {
  test("finds by ranges what both wrote under one number", () => {
    const [a, b] = [testReplica(native), testReplica(script)];
    for (let at = 0; at < 3000; at++) b.dictionary.set(`key/${at}`, at);
    a.dictionary.merge(b.dictionary.deltaSince());
    const backup = a.dictionary.snapshot();
    const { replicaId } = a.dictionary;
    a.dictionary.set("of a", 1);
    a.dictionary.set("of a too", 1);
    b.dictionary.merge(a.dictionary.deltaSince(b.dictionary.version()));

    const restored = testReplica(native, Date.now, { snapshot: backup, replicaId });
    restored.dictionary.set("of the copy", 1);
    const exchange = exchangeOf(restored, b);
    exchange.run();
    expectEqual(restored.dictionary, b.dictionary);
    expect(restored.dictionary.replicaId).not.toBe(replicaId);
    expect([...b.dictionary.keys()]).toHaveLength(3003);
    expect(exchange.counts.get("ranges")).toBeGreaterThan(1);
    expect(exchange.byteCount()).toBeLessThan(8000);
    expect(exchange.a.isSettled && exchange.b.isSettled).toBe(true);
  });
});

describe("two replicas that never met", () => {
  test("compare no ranges: their versions tell what is missing", () => {
    const [a, b, c] = [testReplica(native), testReplica(native), testReplica(native)];
    for (let at = 0; at < 100_000; at++) a.dictionary.set(`key/${at}`, "the same");
    b.dictionary.merge(a.dictionary.deltaSince());
    c.dictionary.merge(b.dictionary.deltaSince());
    for (let at = 0; at < 100_000; at += 1000) c.dictionary.set(`key/${at}`, "changed");
    const exchange = exchangeOf(b, c);
    exchange.run();
    expectEqual(b.dictionary, c.dictionary);
    expect(exchange.counts.get("ranges")).toBeUndefined();
    expect(exchange.byteCount()).toBeLessThan(5_000);
  });
});

describe("a comparison of a hostile side", () => {
  function filled(): TestReplica {
    const replica = testReplica(native);
    for (let at = 0; at < 5000; at++) replica.dictionary.set(`key/${at}`, at);
    return replica;
  }

  /** A session that has said hello and have, to which the other side sends these. */
  function refusalOf(...messages: readonly SyncMessage[]): string | undefined {
    const replica = filled();
    const other = sessionOf(testReplica(native).replica);
    const session: Session = sessionOf(replica.replica);
    const have: SyncMessage[] = [];
    for (const message of session.open().messages) {
      for (const answer of other.receive(message).messages) have.push(answer);
    }
    for (const message of [...other.open().messages, ...have]) session.receive(message);
    try {
      for (const message of messages) session.receive(message);
      return undefined;
    } catch (error) {
      return errorCode(error);
    }
  }

  /** Of every child it claims one entry that is not there. */
  function claim(prefixes: readonly string[], depth: number): Ranges {
    const fingerprint = [1, 9, 9, 9, 9, 9, 9, 9, 9];
    return {
      type: "ranges",
      seed: SEED,
      depth,
      prefixes: Uint8Array.from(Buffer.from(prefixes.join(""), "hex")),
      fingerprints: Uint8Array.from(
        prefixes.flatMap(() => Array.from({ length: 16 }, () => fingerprint).flat()),
      ),
    };
  }

  const root = claim([""], 0);
  const turn: SyncMessage = { type: "compared", seed: SEED };
  const noRows: Hashes = {
    type: "hashes",
    seed: SEED,
    depth: 2,
    prefixes: Uint8Array.of(0),
    hashes: new Uint8Array(4),
  };

  test("is refused when ranges are not those that were asked for", () => {
    expect(refusalOf(root)).toBeUndefined();
    expect(refusalOf(root, root)).toBeUndefined();
    expect(refusalOf(root, turn, claim(["ab"], 2))).toBeUndefined();
    expect(refusalOf(root, turn, claim(["abc0"], 3))).toBe("corrupt-bytes");
    expect(refusalOf(root, claim(["ab"], 2))).toBe("corrupt-bytes");
    expect(refusalOf(root, turn, claim(["ab", "ab"], 2))).toBe("corrupt-bytes");
    expect(refusalOf(root, turn, claim(["ab"], 2), claim(["ab"], 2))).toBe("corrupt-bytes");
    expect(refusalOf(root, turn, claim([], 2))).toBe("corrupt-bytes");
  });

  test("is refused when it divides without end", () => {
    const roots = Array.from({ length: 20 }, () => root);
    expect(refusalOf(...roots)).toBe("corrupt-bytes");
    const single = Array.from({ length: 256 }, (_, at) =>
      claim([at.toString(16).padStart(2, "0")], 2),
    );
    expect(refusalOf(root, turn, ...single)).toBe("corrupt-bytes");
  });

  test("is refused when counts do not match", () => {
    const { fingerprints } = root;
    const withFingerprints = (bytes: Uint8Array): Ranges => ({ ...root, fingerprints: bytes });
    expect(refusalOf(withFingerprints(fingerprints.subarray(1)))).toBe("corrupt-bytes");
    expect(refusalOf(withFingerprints(Uint8Array.of(...fingerprints, 0)))).toBe("corrupt-bytes");
    expect(refusalOf(root, turn, noRows)).toBeUndefined();
    const rowsOf = (count: number, length: number): Hashes => {
      const hashes = new Uint8Array(4 + 16 * length);
      hashes[0] = count;
      return { ...noRows, hashes };
    };
    expect(refusalOf(root, turn, rowsOf(1, 1))).toBeUndefined();
    expect(refusalOf(root, turn, rowsOf(2, 1))).toBe("corrupt-bytes");
    expect(refusalOf(root, turn, rowsOf(1, 2))).toBe("corrupt-bytes");
    expect(refusalOf(root, turn, rowsOf(200, 200))).toBe("corrupt-bytes");
    expect(refusalOf(root, turn, { ...rowsOf(1, 1), prefixes: Uint8Array.of(1) })).toBe(
      "corrupt-bytes",
    );
  });

  test("is refused when more is wanted than was told", () => {
    const hashes = new Uint8Array(8);
    expect(refusalOf(root, turn, { type: "wanted", seed: SEED, hashes })).toBe("corrupt-bytes");
  });

  test("does nothing under a seed that names none", () => {
    expect(refusalOf({ ...noRows }, turn, { type: "wanted", seed: SEED, hashes: SEED })).toBe(
      undefined,
    );
  });
});
