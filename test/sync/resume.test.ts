/** A transfer that breaks off goes on where it was: what arrived is not sent again. */

import { loadEngine } from "lastwrite";
import { expect, test } from "vitest";

import { exchangeOf, testReplica, type TestReplica } from "./replicas.ts";

const engine = await loadEngine();
const KEY_COUNT = 100_000;

function filled(): TestReplica {
  const replica = testReplica(engine);
  for (let at = 0; at < KEY_COUNT; at++) replica.dictionary.set(`key/${at}`, `some text ${at}`);
  return replica;
}

/** Two that met, of whom one has written much since. */
function met(): readonly [TestReplica, TestReplica] {
  const [a, b] = [testReplica(engine), testReplica(engine)];
  a.dictionary.set("before", 1);
  exchangeOf(a, b).run();
  for (let at = 0; at < KEY_COUNT; at++) a.dictionary.set(`key/${at}`, `some text ${at}`);
  return [a, b];
}

/** Two of whom one has collected what the other has not seen. */
function apart(): readonly [TestReplica, TestReplica] {
  const [a, b] = [filled(), testReplica(engine)];
  a.dictionary.delete("key/0");
  a.dictionary.collectTombstones(a.dictionary.version());
  return [a, b];
}

/** What an exchange costs that breaks off after so many messages, and what the one after it costs. */
function broken(
  [a, b]: readonly [TestReplica, TestReplica],
  messageCount: number,
): readonly [number, number] {
  const first = exchangeOf(a, b);
  first.deliver(messageCount);
  first.a.ended();
  first.b.ended();
  const before = first.byteCount();
  const second = exchangeOf(a, b);
  second.run();
  expect(second.a.isSettled && second.b.isSettled).toBe(true);
  expect(Buffer.compare(a.dictionary.snapshot(), b.dictionary.snapshot())).toBe(0);
  return [before, second.byteCount()];
}

test.each([
  ["by version", (): readonly [TestReplica, TestReplica] => [filled(), testReplica(engine)]],
  ["since a place that was reached", met],
  ["by snapshot", apart],
])("%s", (_way, pair) => {
  const whole = exchangeOf(...pair());
  whole.run();
  const wholeBytes = whole.byteCount();
  expect(wholeBytes).toBeGreaterThan(1_000_000);
  const [before, after] = broken(pair(), 14);
  // What was on its way when it broke is lost.
  expect(after).toBeLessThan(wholeBytes * 0.8);
  expect(before + after).toBeLessThan(wholeBytes * 1.9);
});

test("of a snapshot that is another one by now nothing is kept", () => {
  const [a, b] = apart();
  const first = exchangeOf(a, b);
  first.deliver(14);
  first.b.ended();
  a.dictionary.set("key/7", "changed");
  exchangeOf(a, b).run();
  expect(b.dictionary.get("key/7")).toBe("changed");
  expect(b.dictionary.digest()).toBe(a.dictionary.digest());
});
