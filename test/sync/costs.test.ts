/** What it costs to find little in much: messages and bytes with a million keys. */

import { createDictionary, loadEngine } from "lastwrite";
import { expect, test } from "vitest";

import {
  type Exchange,
  exchangeOf,
  testReplica,
  type TestReplica,
  withEqualVersions,
} from "./replicas.ts";

const engine = await loadEngine();
const KEY_COUNT = 1_000_000;
const clock = (): number => 1_700_000_000_000;

function filled(): TestReplica {
  const writer = createDictionary({ engine, clock });
  for (let at = 0; at < KEY_COUNT; at++) writer.set(`user/${at}/name`, `name ${at}`);
  const snapshot = writer.snapshot();
  writer.close();
  return testReplica(engine, clock, { snapshot });
}

function met(a: TestReplica, b: TestReplica): Exchange {
  const exchange = exchangeOf(a, b);
  exchange.run();
  expect(b.dictionary.digest()).toBe(a.dictionary.digest());
  expect(exchange.a.isSettled && exchange.b.isSettled).toBe(true);
  return exchange;
}

test("of a million keys: none, one, and a thousand that changed", { timeout: 120_000 }, () => {
  const [a, b] = [filled(), testReplica(engine, clock)];
  met(a, b);

  const same = met(a, b);
  expect(Object.fromEntries(same.counts)).toEqual({ hello: 2, have: 2, ack: 2 });
  expect(same.byteCount()).toBeLessThan(200);

  a.dictionary.set("user/77/name", "another");
  const one = met(a, b);
  expect(one.counts.get("need")).toBeUndefined();
  expect(one.byteCount()).toBeLessThan(400);
  a.dictionary.close();
  b.dictionary.close();
});

test(
  "a thousand of a million that differ, whatever the versions say, in 400 kB",
  { timeout: 120_000 },
  () => {
    const [a, b] = withEqualVersions(KEY_COUNT, (at) => at % 1000 === 7);
    const exchange = met(a, b);
    expect(exchange.counts.get("ranges")).toBeGreaterThan(0);
    expect(exchange.byteCount()).toBeLessThan(400_000);
    a.dictionary.close();
    b.dictionary.close();
  },
);
