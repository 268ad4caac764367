/** What goes over a session that lasts: differences, made once for all, and what becomes of them when the ground shifts. */

import { compareVersions, createDictionary, loadEngine } from "lastwrite";
import { expect, test } from "vitest";

import { decodeMessage, encodeMessage } from "../../ts/sync/codec.ts";
import type { Delta, SyncMessage } from "../../ts/sync/messages.ts";
import { runSession } from "../../ts/sync/run.ts";
import type { Link } from "../../ts/transport/contract.ts";
import { memoryLink } from "../../ts/transport/memory.ts";
import { openStore, until } from "./connection-world.ts";
import { exchangeOf, testReplica } from "./replicas.ts";

const engine = await loadEngine();

test("a push costs its entry and a few bytes, however many have written", () => {
  const [a, b] = [testReplica(engine), testReplica(engine)];
  const sizes = [10, 1000].map((writerCount) => {
    for (let writer = 0; writer < writerCount; writer++) {
      const other = createDictionary({ engine });
      other.set(`from/${writer}`, writer);
      a.dictionary.merge(other.deltaSince());
      other.close();
    }
    const exchange = exchangeOf(a, b);
    exchange.run();
    const before = exchange.byteCount();
    a.dictionary.set("k", writerCount);
    exchange.wroteA();
    exchange.run();
    expect(b.dictionary.get("k")).toBe(writerCount);
    expect(compareVersions(a.dictionary.version(), b.dictionary.version())).toBe("equal");
    return exchange.byteCount() - before;
  });
  const [few = 0, many = Infinity] = sizes;
  expect(many).toBeLessThan(120);
  expect(many - few).toBeLessThan(10);
});

test("what was collected elsewhere meanwhile is not brought back: the receiver asks again, with the whole version", () => {
  const [a, b] = [testReplica(engine), testReplica(engine)];
  a.dictionary.set("gone", 1);
  a.dictionary.set("stays", 1);
  const exchange = exchangeOf(a, b);
  exchange.run();
  // As from a third one, which b has met.
  b.dictionary.delete("gone");
  exchange.wroteB();
  exchange.run();
  b.dictionary.collectTombstones(b.dictionary.version());
  exchange.counts.clear();
  a.dictionary.set("late", 1);
  exchange.wroteA();
  a.dictionary.set("later", 1);
  exchange.wroteA();
  exchange.run();
  expect(exchange.counts.get("need")).toBe(1);
  expect(exchange.counts.get("restart")).toBe(1);
  expect([...b.dictionary.keys()]).toEqual(["late", "later", "stays"]);
  expect(exchange.a.isSettled).toBe(true);
  exchange.counts.clear();
  a.dictionary.set("after", 1);
  exchange.wroteA();
  exchange.run();
  expect(exchange.counts.get("need")).toBeUndefined();
  expect(exchange.a.isSettled && exchange.b.isSettled).toBe(true);
});

/** A client that hears a server's pushes and says no more than it must. */
function listener(
  link: Link,
  name: number,
): { readonly deltas: Delta[]; readonly acks: unknown[] } {
  const deltas: Delta[] = [];
  const acks: unknown[] = [];
  let count = 0;
  const say = (message: SyncMessage): void => link.send(encodeMessage(message, count++));
  const storeId = name.toString(16).padStart(32, "0");
  link.start({
    message(bytes) {
      const { message } = decodeMessage(bytes);
      if (message.type === "hello") say({ ...message, isServer: false, storeId });
      if (message.type === "have") say({ ...message, log: { epoch: "0".repeat(16), place: 0 } });
      if (message.type === "delta") deltas.push(message);
      if (message.type === "ack") acks.push(message);
    },
    drained: () => {},
    closed: () => {},
  });
  return { deltas, acks };
}

test("all who stand at one place are sent the same bytes, once for all that is written at one moment", async () => {
  const room = await openStore();
  const ends: Promise<void>[] = [];
  const links: Link[] = [];
  const clients = Array.from({ length: 20 }, (_, at) => {
    const { left, right } = memoryLink();
    links.push(right);
    ends.push(
      runSession({ host: room.syncHost, link: left, once: false, isServer: true }).catch(() => {}),
    );
    return listener(right, at);
  });
  const count = (): number => Math.min(...clients.map(({ deltas }) => deltas.length));
  await until(() => clients.every(({ acks }) => acks.length === 1));
  for (let at = 0; at < 10; at++) room.set(`k/${at}`, at);
  await until(() => count() === 1);
  room.set("one more", 1);
  await until(() => count() === 2);
  const frames = clients.map(({ deltas }) =>
    deltas.map(({ frame }) => Buffer.from(frame).toString("hex")),
  );
  expect(new Set(frames.map((sent) => sent.join())).size).toBe(1);
  expect(frames[0]).toHaveLength(2);
  for (const link of links) link.close();
  await Promise.all(ends);
  await room.close();
});
