/** Laws 3 and 4: the clock only rises, whatever the host's does, and stamps too far ahead are refused one by one. */

import fc from "fast-check";
import { expect, test } from "vitest";

import { CLOCK_AHEAD, WON, type EngineDictionary } from "../../ts/engine/contract.ts";
import { describeEngines } from "../suites/engines.ts";
import { hasDot, readEntries, readVersion } from "../suites/frames.ts";
import {
  codeOf,
  driftMaxMs,
  entriesOf,
  idOf,
  openReplica,
  pull,
  stateOf,
  wholeDelta,
  wholeSnapshot,
} from "../suites/replicas.ts";

const now = 10_000_000;

describeEngines("the clock", (engine) => {
  test("gives a million unique, rising stamps while the host's clock stands still", () => {
    const replica = openReplica(engine, 1);
    const first = BigInt(now) << 16n;
    for (let count = 1; count <= 1_000_000; count += 1) {
      replica.set("k", count, now);
      // Each is the one before plus one: rising, so unique. The counter carries into the milliseconds.
      if (count % 1_000 === 0 || count < 10) expect(hlcOf(replica)).toBe(first + BigInt(count - 1));
    }
    expect(hlcOf(replica)).toBe(first + 999_999n);
    expect(replica.get("k")).toBe(1_000_000);
    expect(entriesOf(replica)[0]?.dot.counter).toBe(1_000_000);
    replica.close();
  });

  test("never goes back when the host's clock does, also after opening from a snapshot", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 100 }), { minLength: 2, maxLength: 20 }),
        (times) => {
          let replica = openReplica(engine, 1);
          let previous = -1n;
          for (const [index, time] of times.entries()) {
            expect(replica.set("k", index, time) & WON).toBe(WON);
            expect(hlcOf(replica)).toBeGreaterThan(previous);
            previous = hlcOf(replica);
            if (time % 3 === 0) {
              const snapshot = [wholeSnapshot(replica)];
              replica.close();
              replica = openReplica(engine, 1, { snapshot });
            }
          }
          replica.close();
        },
      ),
      { numRuns: 100 },
    );
  });

  test("takes a stamp exactly at the drift limit and refuses the next millisecond", () => {
    for (const [ahead, refused] of [
      [driftMaxMs - 1, 0],
      [driftMaxMs, 0],
      [driftMaxMs + 1, 1],
    ] as const) {
      const sender = openReplica(engine, 1);
      sender.set("k", "ahead", now + ahead);
      const reader = openReplica(engine, 2);
      expect(reader.merge(wholeDelta(sender), now, 0).refusedCount).toBe(refused);
      expect(reader.has("k")).toBe(refused === 0);
      if (refused === 0)
        expect(reader.writeAt("x", 1, now + ahead, 65_535, idOf(9), now) & WON).toBe(WON);
      else
        expect(codeOf(() => reader.writeAt("x", 1, now + ahead, 0, idOf(9), now))).toBe(
          "clock-drift",
        );
      sender.close();
      reader.close();
    }
  });

  test("says that it is ahead from the first millisecond beyond the limit on", () => {
    const replica = openReplica(engine, 1);
    replica.set("k", 1, now);
    expect(replica.set("k", 2, now - driftMaxMs) & CLOCK_AHEAD).toBe(0);
    expect(replica.set("k", 3, now - driftMaxMs - 1) & CLOCK_AHEAD).toBe(CLOCK_AHEAD);
    replica.close();
  });

  test("is not moved by what it refuses, and neither is anything else", () => {
    const sender = openReplica(engine, 1);
    sender.set("good", 1, now);
    sender.set("far", 2, now + driftMaxMs + 1_000);
    const reader = openReplica(engine, 2);
    const report = reader.merge(wholeDelta(sender), now, 0);
    expect(report).toMatchObject({ applied: 1, refusedCount: 1, complete: false });
    expect(reader.get("good")).toBe(1);
    expect(
      hasDot(readVersion(reader.version()), { replica: `${"0".repeat(31)}1`, counter: 2 }),
    ).toBe(false);
    reader.set("k", 1, now);
    expect(hlcOf(reader) >> 16n).toBe(BigInt(now));
    sender.close();
    reader.close();
  });

  test("takes one poisoned entry out of many, at any place, and no good one with it", () => {
    for (const poisoned of [0, 1, 499, 998, 999]) {
      const sender = openReplica(engine, 1);
      for (let index = 0; index < 1_000; index += 1) {
        const millis = index === poisoned ? now + driftMaxMs + 5_000 : now + index;
        sender.writeAt(`key${index}`, index, millis, 0, idOf(1), now + driftMaxMs);
      }
      const reader = openReplica(engine, 2);
      expect(reader.merge(wholeDelta(sender), now, 0)).toMatchObject({
        applied: 999,
        refusedCount: 1,
      });
      expect(reader.size()).toBe(999);
      expect(reader.has(`key${poisoned}`)).toBe(false);
      sender.close();
      reader.close();
    }
  });

  test("never leaves equal versions with unequal data when one of three replicas refuses an overwrite", () => {
    const [a, b, c] = [openReplica(engine, 1), openReplica(engine, 2), openReplica(engine, 3)];
    a.set("k", "old", now);
    for (const reader of [b, c]) pull(reader, a, now);
    const later = now + driftMaxMs + 10;
    a.set("k", "far", later);
    a.set("other", 1, later);
    // B's clock is right by then, C's still is behind.
    pull(b, a, later);
    expect(pull(c, a, now).refusedCount).toBe(2);
    pull(c, b, now);
    expect(c.get("k")).toBe("old");
    expect(c.version()).not.toEqual(b.version());
    expect(readEntries(wholeDelta(b, c.version())).length).toBe(2);
    // Writes of C go on, and when its clock is right all is equal.
    c.set("k", "meanwhile", now + 1);
    for (const [reader, sender] of [
      [c, a],
      [c, b],
      [a, c],
      [b, c],
    ] as const)
      pull(reader, sender, later);
    expect(stateOf(c)).toBe(stateOf(a));
    expect(stateOf(b)).toBe(stateOf(a));
    expect(a.get("k")).toBe("far");
    for (const replica of [a, b, c]) replica.close();
  });

  test("withholds what lies beyond the receiver's limit, and then does not hand over its version", () => {
    const sender = openReplica(engine, 1);
    sender.set("near", 1, now);
    sender.set("far", 2, now + driftMaxMs + 1);
    const [part] = sender.delta(undefined, { stampLimitMs: now + driftMaxMs });
    const reader = openReplica(engine, 2);
    const report = reader.merge(part ?? new Uint8Array(), now, 0);
    expect(report).toMatchObject({ applied: 1, refusedCount: 0, complete: false });
    expect(readEntries(wholeDelta(sender, reader.version())).map(({ key }) => key)).toEqual([
      "far",
    ]);
    sender.close();
    reader.close();
  });
});

describeEngines("restamping", (engine) => {
  const ahead = now + 10 * driftMaxMs;

  test("gives own writes that were never sent fresh stamps, in their order", () => {
    const replica = openReplica(engine, 1);
    replica.set("b", 1, ahead);
    replica.set("a", 2, ahead + 1);
    replica.set("b", 3, ahead + 2);
    expect(replica.restamp(now)).toBe(2);
    const [a, b] = entriesOf(replica);
    expect([a?.hlc, b?.hlc]).toEqual([(BigInt(now) << 16n) + 1n, (BigInt(now) << 16n) + 2n]);
    expect(replica.set("c", 1, now + 1) & CLOCK_AHEAD).toBe(0);
    const reader = openReplica(engine, 2);
    expect(pull(reader, replica, now)).toMatchObject({
      applied: 3,
      refusedCount: 0,
      complete: true,
    });
    replica.close();
    reader.close();
  });

  test("leaves alone what was sent by delta, snapshot, cursor or hash, but not what the own storage got", () => {
    const exports: readonly (readonly [string, (replica: EngineDictionary) => unknown, number])[] =
      [
        ["nothing", () => undefined, 1],
        ["delta", (replica) => replica.delta(undefined), 0],
        ["snapshot", (replica) => replica.snapshot(), 0],
        ["cursor", (replica) => replica.changesSince(0), 0],
        ["journal", (replica) => replica.journal(new Uint8Array(0)), 1],
        ["whole journal", (replica) => replica.journal(new Uint8Array(0), { whole: true }), 1],
        ["withheld", (replica) => replica.delta(undefined, { stampLimitMs: now }), 1],
      ];
    for (const [name, send, count] of exports) {
      const replica = openReplica(engine, 1);
      replica.set("k", name, ahead);
      send(replica);
      expect([name, replica.restamp(now)]).toEqual([name, count]);
      replica.close();
    }
  });

  test("does nothing while the clock is within the limit, and never goes below what was merged", () => {
    const replica = openReplica(engine, 1);
    replica.set("k", 1, now + driftMaxMs);
    expect(replica.restamp(now)).toBe(0);
    const other = openReplica(engine, 2);
    other.set("merged", 1, now + 500);
    pull(replica, other, now + 500);
    replica.set("k", 2, ahead);
    expect(replica.restamp(now)).toBe(1);
    expect(entriesOf(replica)[0]?.hlc).toBe((BigInt(now + 500) << 16n) + 1n);
    replica.close();
    other.close();
  });
});

/** The HLC of what `k` has. */
function hlcOf(replica: EngineDictionary): bigint {
  const stamp = replica.stampOf("k");
  if (stamp === undefined) throw new Error("no stamp");
  return new DataView(stamp.buffer, stamp.byteOffset).getBigUint64(0, true);
}
