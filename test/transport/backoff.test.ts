import { describe, expect, test } from "vitest";

import { backoff } from "../../ts/transport/backoff.ts";

describe("backoff", () => {
  test("doubles what it may wait, up to 30 s", () => {
    const waits = backoff({ random: () => 1 - 2 ** -32 });
    expect(Array.from({ length: 9 }, () => waits.next())).toEqual([
      300, 600, 1200, 2400, 4800, 9600, 19_200, 30_000, 30_000,
    ]);
  });

  test("draws from all that it may wait", () => {
    const draws = [0, 0.5, 0.25];
    const waits = backoff({ random: () => draws.shift() ?? 0, minMs: 100, maxMs: 1000 });
    expect([waits.next(), waits.next(), waits.next()]).toEqual([0, 100, 100]);
  });

  test("begins anew after a good attempt", () => {
    const waits = backoff({ random: () => 1 - 2 ** -32, minMs: 10 });
    waits.next();
    waits.next();
    waits.reset();
    expect(waits.next()).toBe(10);
  });

  test("never waits longer than its greatest wait, even at first", () => {
    expect(backoff({ random: () => 1 - 2 ** -32, minMs: 100, maxMs: 50 }).next()).toBe(50);
  });
});
