/** Sessions between two replicas, message by message. */

import { compareVersions, type Dictionary, loadEngine } from "lastwrite";
import { describe, expect, test } from "vitest";

import { exchangeOf, testReplica } from "./replicas.ts";

const engine = await loadEngine();

function expectEqual(a: Dictionary, b: Dictionary): void {
  expect(b.digest()).toBe(a.digest());
  expect(compareVersions(a.version(), b.version())).toBe("equal");
  // Comparing long arrays by `toEqual` takes a minute.
  expect(Buffer.compare(b.snapshot(), a.snapshot())).toBe(0);
}

describe("two replicas that meet", () => {
  test("end equal, whoever had what", () => {
    const [a, b] = [testReplica(engine), testReplica(engine)];
    for (let at = 0; at < 100; at++) a.dictionary.set(`a/${at}`, at);
    for (let at = 0; at < 50; at++) b.dictionary.set(`b/${at}`, at);
    b.dictionary.set("a/1", "later");
    const exchange = exchangeOf(a, b);
    exchange.run();
    expectEqual(a.dictionary, b.dictionary);
    expect(exchange.a.isSettled).toBe(true);
    expect(exchange.b.isSettled).toBe(true);
    expect(a.dictionary.get("a/1")).toBe("later");
  });

  test("say hello, what they have, and that they have it, when nothing changed", () => {
    const [a, b] = [testReplica(engine), testReplica(engine)];
    a.dictionary.set("a", 1);
    exchangeOf(a, b).run();
    const second = exchangeOf(a, b);
    second.run();
    expect(Object.fromEntries(second.counts)).toEqual({ hello: 2, have: 2, ack: 2 });
    expect(second.a.isSettled).toBe(true);
  });

  test("go on from the place that was reached, in one round trip", () => {
    const [a, b] = [testReplica(engine), testReplica(engine)];
    for (let at = 0; at < 1000; at++) a.dictionary.set(`a/${at}`, at);
    exchangeOf(a, b).run();
    a.dictionary.set("a/7", "changed");
    const second = exchangeOf(a, b);
    second.run();
    expectEqual(a.dictionary, b.dictionary);
    expect(second.counts.get("need")).toBeUndefined();
    expect(second.a.isSettled && second.b.isSettled).toBe(true);
  });

  test("send what is written afterwards, and nothing back", () => {
    const [a, b] = [testReplica(engine), testReplica(engine)];
    const exchange = exchangeOf(a, b);
    exchange.run();
    exchange.counts.clear();
    for (let at = 0; at < 10; at++) {
      a.dictionary.set("k", at);
      exchange.wroteA();
      exchange.run();
      exchange.wroteB();
      exchange.run();
      expectEqual(a.dictionary, b.dictionary);
    }
    expect(exchange.counts.get("delta")).toBe(10);
    b.dictionary.set("k", "from b");
    exchange.wroteB();
    exchange.run();
    expectEqual(a.dictionary, b.dictionary);
    expect(exchange.a.isSettled && exchange.b.isSettled).toBe(true);
  });

  test("a hundred thousand entries on each side go in parts, under credit", () => {
    const [a, b] = [testReplica(engine), testReplica(engine)];
    for (let at = 0; at < 100_000; at++) a.dictionary.set(`left/${at}`, `some text ${at}`);
    for (let at = 0; at < 100_000; at++) b.dictionary.set(`right/${at}`, `some text ${at}`);
    const exchange = exchangeOf(a, b);
    exchange.run();
    expectEqual(a.dictionary, b.dictionary);
    expect(exchange.counts.get("delta")).toBeGreaterThan(10);
    expect(exchange.counts.get("credit")).toBeGreaterThan(4);
  });

  test("one that has missed collected tombstones re-reads by itself", () => {
    const [a, b] = [testReplica(engine), testReplica(engine)];
    a.dictionary.set("gone", 1);
    a.dictionary.set("stays", 1);
    exchangeOf(a, b).run();
    b.dictionary.set("own", "kept");
    a.dictionary.delete("gone");
    a.dictionary.collectTombstones(a.dictionary.version());
    const exchange = exchangeOf(a, b);
    exchange.run();
    expectEqual(a.dictionary, b.dictionary);
    expect([...b.dictionary.keys()]).toEqual(["own", "stays"]);
    expect(exchange.a.isSettled && exchange.b.isSettled).toBe(true);
  });
});

describe("presence", () => {
  const state = JSON.stringify({ name: "Ada" });

  test("comes out on the other side, and is gone when it was taken back or the link ended", () => {
    const exchange = exchangeOf(testReplica(engine), testReplica(engine));
    exchange.run();
    const from = "0011223344556677";
    const other = "8899aabbccddeeff";
    exchange.take(0, exchange.a.present(state));
    exchange.run();
    const [, [first]] = exchange.presence;
    expect(first).toEqual({ from: expect.stringMatching(/^[0-9a-f]{16}$/u) as unknown, state });
    exchange.take(0, exchange.a.present(undefined));
    exchange.run();
    expect(exchange.presence[1]).toEqual([first, { from: first?.from, state: undefined }]);
    expect(exchange.b.ended()).toEqual([]);

    exchange.b.receive({ type: "presence", from, state });
    exchange.b.receive({ type: "presence", from: other, state });
    expect(exchange.b.ended()).toEqual([
      { from, state: undefined },
      { from: other, state: undefined },
    ]);
    expect(exchange.b.ended()).toEqual([]);
  });

  test("must be JSON of at most 4 KiB, on both sides", () => {
    const { a, b } = exchangeOf(testReplica(engine), testReplica(engine));
    const most = JSON.stringify("é".repeat(2047));
    expect(a.present(most).messages).toHaveLength(1);
    for (const wrong of [JSON.stringify("é".repeat(2048)), "{", ""]) {
      expect(() => a.present(wrong)).toThrow(expect.objectContaining({ code: "invalid-argument" }));
    }
    for (const message of a.open().messages) b.receive(message);
    expect(() => b.receive({ type: "presence", from: "00".repeat(8), state: "{" })).toThrow(
      expect.objectContaining({ code: "corrupt-bytes" }),
    );
  });

  test("of more sessions than can be there is refused", () => {
    const exchange = exchangeOf(testReplica(engine), testReplica(engine));
    exchange.run();
    expect(() => {
      for (let at = 0; at < 5000; at++) {
        const from = at.toString(16).padStart(16, "0");
        exchange.b.receive({ type: "presence", from, state });
      }
    }).toThrow(expect.objectContaining({ code: "too-large" }));
  });
});
