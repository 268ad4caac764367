import { describe, expect, test } from "vitest";

import type { Message } from "../../ts/transport/contract.ts";
import {
  memoryLink,
  type MemoryFaults,
  type MemoryLinkOptions,
} from "../../ts/transport/memory.ts";
import { seededRandom } from "../suites/random.ts";
import { listen, testTransport } from "../suites/transport.ts";

testTransport("memory", async () => memoryWay(), {
  carries: "both",
  without: {
    "bytes that nobody reads are told, and so is that they have gone":
      "without a limit all that is sent is on its way at once",
  },
});

testTransport("memory that buffers 4 KiB", async () => memoryWay({ bufferBytesMax: 4096 }), {
  carries: "both",
});

function memoryWay(options?: MemoryLinkOptions) {
  const way = memoryLink(options);
  return { left: way.left, right: way.right, killRight: () => way.cut(), remove: () => way.cut() };
}

describe("steps", () => {
  const manual = { schedule: () => {} };

  test("an answer takes a step of its own", () => {
    const way = memoryLink(manual);
    const left = listen(way.left);
    const right = listen(way.right, (message) => way.right.send(message));
    way.left.send("there");
    expect(right.messages).toEqual([]);
    way.deliver();
    expect([right.messages, left.messages]).toEqual([["there"], []]);
    way.deliver();
    expect(left.messages).toEqual(["there"]);
    expect(way.isBusy).toBe(false);
  });

  test("a link that buffers lets one message go, however large, and the next when that has arrived", () => {
    const way = memoryLink({ ...manual, bufferBytesMax: 10 });
    const left = listen(way.left);
    const right = listen(way.right);
    for (const length of [100, 4, 4, 4]) way.left.send("x".repeat(length));
    expect(way.left.bufferedBytes).toBe(12);
    way.deliver();
    expect([right.messages.length, way.left.bufferedBytes]).toEqual([1, 4]);
    way.deliver();
    expect([right.messages.length, way.left.bufferedBytes, left.drainCount]).toEqual([3, 0, 0]);
    way.deliver();
    expect([right.messages.length, left.drainCount]).toEqual([4, 1]);
  });

  test("what is under way when a link is cut never arrives", () => {
    const way = memoryLink(manual);
    const [left, right] = [listen(way.left), listen(way.right)];
    way.left.send("lost");
    way.cut();
    while (way.isBusy) way.deliver();
    expect(right.messages).toEqual([]);
    expect([left.endCount, right.endCount]).toEqual([1, 1]);
  });
});

describe("faults", () => {
  test("come again with the same seed", () => {
    const faults = { lossShare: 0.3, duplicateShare: 0.3, reorderShare: 0.3, delaySteps: 5 };
    expect(arrivals(faults, 1)).toEqual(arrivals(faults, 1));
    expect(arrivals(faults, 1)).not.toEqual(arrivals(faults, 2));
  });

  test("are as frequent as they are asked to be", () => {
    const lossy = arrivals({ lossShare: 0.4 }, 3);
    expect(lossy.length).toBeGreaterThan(500);
    expect(lossy.length).toBeLessThan(700);
    expect(lossy).toEqual(lossy.toSorted((a, b) => a - b));

    const doubled = arrivals({ duplicateShare: 0.5 }, 4);
    expect(doubled.length).toBeGreaterThan(1400);
    expect(new Set(doubled).size).toBe(1000);

    const delayed = arrivals({ delaySteps: 9 }, 5);
    expect(delayed).toEqual(Array.from({ length: 1000 }, (_, at) => at));

    const shuffled = arrivals({ reorderShare: 0.5 }, 6);
    expect(shuffled).not.toEqual(delayed);
    expect(shuffled.toSorted((a, b) => a - b)).toEqual(delayed);
  });

  test("do not touch the end, which comes last", () => {
    const way = memoryLink({
      schedule: () => {},
      faults: { random: seededChance(7), delaySteps: 9, reorderShare: 0.5 },
    });
    listen(way.left);
    const right = listen(way.right);
    for (let at = 0; at < 100; at += 1) way.left.send(String(at));
    way.left.close();
    while (way.isBusy) way.deliver();
    expect([right.messages.length, right.endCount]).toEqual([100, 1]);
  });
});

test("a link without room for anything is refused", () => {
  expect(() => memoryLink({ bufferBytesMax: 0 })).toThrow(
    expect.objectContaining({ code: "invalid-argument" }),
  );
});

/** What arrives of the numbers from 0 to 999, sent a step apart. */
function arrivals(faults: Omit<MemoryFaults, "random">, seed: number): readonly number[] {
  const way = memoryLink({ schedule: () => {}, faults: { ...faults, random: seededChance(seed) } });
  listen(way.left);
  const right = listen(way.right);
  for (let at = 0; at < 1000; at += 1) {
    way.left.send(String(at));
    way.deliver();
  }
  while (way.isBusy) way.deliver();
  return right.messages.map((message: Message) => Number(message));
}

function seededChance(seed: number): () => number {
  const random = seededRandom(seed);
  return () => random.bits() / 2 ** 32;
}
