/** What replicas write, and what they restamp. */

import { WON } from "../../../ts/engine/contract.ts";
import { fromHex, sameBytes } from "../../suites/bytes.ts";
import { errorCode, expectCode } from "../../suites/failures.ts";
import { TAG, type FrameEntry } from "../../suites/frames.ts";
import { describeWrite, isRemoval, supersedes, type Write } from "../oracle.ts";
import type { Checks } from "./checks.ts";
import { dotText, fail, pick, type Node, type Replicas } from "./replicas.ts";
import { driftMaxMs, type Step } from "./setup.ts";

/** Writes, of which the oracle is told. */
export interface Writes {
  /** One that no other has. */
  readonly nextValue: () => number;
  readonly wroteNow: (node: Node, key: string, isPrefix: boolean) => void;
  /** One with an explicit stamp, which may lose. */
  readonly writeAt: (node: Node, numbers: Step["numbers"]) => void;
  readonly restamp: (node: Node) => void;
}

export function createWrites(
  { setup, nodes, nodeAt, nowOf, log, printOf }: Replicas,
  { oracle, dotWrites, changed }: Checks,
): Writes {
  const { traits, keys } = setup;
  let valueCount = 0;

  /** Law 3: a write that carries no explicit stamp is greater than all its author has seen. */
  function wroteNow(node: Node, key: string, isPrefix: boolean): void {
    const before = new Set(node.seen);
    wrote(node, key, isPrefix);
    const write = [...node.seen].at(-1);
    for (const other of before) {
      if (write !== undefined && other.hlc >= write.hlc)
        fail(`${describeWrite(write)} is not later than ${describeWrite(other)}`);
    }
  }

  /** Tells the oracle what `node` just wrote under `key`. */
  function wrote(node: Node, key: string, isPrefix: boolean): void {
    node.dirty = true;
    node.print = undefined;
    const entry = printOf(node).entries.find(
      (candidate) => candidate.key === key && (candidate.tag === TAG.prefixTombstone) === isPrefix,
    );
    if (entry === undefined) throw fail(`${node.name} does not hold what it wrote under ${key}`);
    const write = oracle.record(entry, node.name, isRemoval(entry) ? new Set(node.seen) : noWrites);
    node.seen.add(write);
    log(describeWrite(write));
    changed(node);
  }

  function nextValue(): number {
    valueCount += 1;
    return valueCount;
  }

  function writeAt(node: Node, [, keyNumber, kind, detail]: Step["numbers"]): void {
    const key = pick(keys, keyNumber);
    const now = nowOf(node);
    const rivals = oracle.writes.filter((write) => write.key === key);
    const rival = rivals[detail % Math.max(1, rivals.length)];
    let millis =
      [now - (detail % 60), now + driftMaxMs, now + driftMaxMs + 1, 1 + (detail % 9)][kind % 4] ??
      now;
    let counter = (detail >>> 8) % 3;
    let replica = nodeAt(detail >>> 4).id;
    if (rival !== undefined && (kind >>> 2) % 2 === 0) {
      millis = Number(rival.hlc >> 16n);
      counter = Number(rival.hlc & 0xffffn);
      replica = rival.stampReplica;
    }
    const value = (kind >>> 3) % 4 === 0 ? undefined : nextValue();
    const before = printOf(node);
    let won: boolean;
    try {
      won =
        (node.dictionary.writeAt(key, value, Math.max(0, millis), counter, fromHex(replica), now) &
          WON) !==
        0;
    } catch (error) {
      expectCode(error, ["clock-drift", "below-horizon"]);
      if (errorCode(error) === "clock-drift" && millis <= now + driftMaxMs) throw error;
      won = false;
    }
    if (won) {
      const { collected } = before;
      const hlc = (BigInt(Math.max(0, millis)) << 16n) + BigInt(counter);
      if (collected !== undefined && hlc < collected.hlc) {
        fail(`${node.name} took an explicit stamp below the greatest collected one`);
      }
      if (millis > now + driftMaxMs)
        fail(`${node.name} took an explicit stamp beyond the clock limit`);
      wrote(node, key, false);
    } else {
      log(`${node.name} writes ${key}@${millis} and loses`);
      node.print = undefined;
      if (!sameBytes(before.frame, printOf(node).frame))
        fail(`a write that lost at ${node.name} changed its state or version`);
    }
  }

  /** An own entry that was never sent may get a new stamp; nothing else may. */
  function restamp(node: Node): void {
    const before = printOf(node);
    const count = node.dictionary.restamp(nowOf(node));
    node.print = undefined;
    const after = printOf(node);
    let restamped = 0;
    for (const old of before.entries) {
      const entry = after.entries.find(
        (candidate) =>
          candidate.key === old.key &&
          (candidate.tag === TAG.prefixTombstone) === (old.tag === TAG.prefixTombstone),
      );
      const write = oracle.find(old);
      if (entry === undefined || write === undefined)
        throw fail(`restamp of ${node.name} dropped ${old.key}`);
      // The new stamp may be the old one.
      if (dotText(entry.dot) === dotText(old.dot)) continue;
      restamped += 1;
      if (entry.tag !== old.tag || !sameBytes(entry.payload, old.payload))
        fail(`restamp of ${node.name} changed ${old.key}`);
      renew(node, write, entry);
    }
    if (restamped !== count)
      fail(`${node.name} restamped ${restamped} entries and counted ${count}`);
    log(`${node.name} restamps ${count}`);
    if (count === 0) return;
    node.dirty = true;
    node.mustSync = true;
    node.epoch += 1;
    changed(node);
  }

  /** What `old` had replaced is gone with it: the renewed stamp may be lower than theirs, and nobody else knows of them. */
  function renew(node: Node, old: Write, entry: FrameEntry): void {
    const renewed = oracle.record(entry, node.name, old.seen);
    for (const write of node.seen) {
      if (!supersedes(old, write) || supersedes(renewed, write)) continue;
      // A copy of a store has what its original never sent.
      if (!traits.clones && nodes.some((other) => other !== node && other.seen.has(write))) {
        fail(`${node.name} restamped ${describeWrite(old)}, and ${describeWrite(write)} was sent`);
      }
      node.seen.delete(write);
      for (const known of dotWrites.values()) if (known.write === write) known.write = renewed;
    }
    node.seen.add(renewed);
  }

  return { nextValue, wroteNow, writeAt, restamp };
}

const noWrites: ReadonlySet<Write> = new Set();
