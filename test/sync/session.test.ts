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

test("a question is answered behind what was here before it", () => {
  const [a, b] = [testReplica(engine), testReplica(engine)];
  const exchange = exchangeOf(a, b);
  exchange.run();
  exchange.a.hold();
  a.dictionary.set("k", 1);
  expect(exchange.a.receive({ type: "ping" }).messages).toEqual([]);
  a.dictionary.set("k", 2);
  const { messages } = exchange.a.release();
  expect(messages.map(({ type }) => type)).toEqual(["delta", "pong"]);
});
