/** The entries and prefix tombstones that something holds, and what decides which of them stay. */

import { compareStamps, type Entry, type Write } from "../../codec/entry.ts";
import { compareKeys, compareRank, entryHash } from "../../codec/order.ts";
import type { Lanes } from "../../codec/hash.ts";

/** What an entry is found by. */
export type EntryName = Pick<Entry, "key" | "isPrefix">;

/** Entries by key and prefix tombstones by prefix, with the digest of all of them. */
export class Holdings<Held extends Entry = Entry> {
  readonly entries: Map<string, Held> = new Map();
  readonly prefixes: Map<string, Held> = new Map();
  /** How many prefix tombstones there are of each length, so that covering looks at no other length. */
  readonly #prefixLengths = new Map<number, number>();
  #digest: Lanes = [0, 0, 0, 0];
  #valueCount = 0;

  get digest(): Lanes {
    return this.#digest;
  }

  /** How many keys have a value. */
  get valueCount(): number {
    return this.#valueCount;
  }

  get count(): number {
    return this.entries.size + this.prefixes.size;
  }

  /** Everything held, in no particular order. */
  *all(): Generator<Held, void, undefined> {
    yield* this.prefixes.values();
    yield* this.entries.values();
  }

  /** What is held under the key and kind of `entry`. */
  rivalOf(entry: EntryName): Held | undefined {
    return this.#mapOf(entry).get(entry.key);
  }

  /** The prefix tombstones, of other prefixes, below which `entry` lies. */
  *prefixesOver({ key, isPrefix }: EntryName): Generator<Held, void, undefined> {
    for (const length of this.#prefixLengths.keys()) {
      if (isPrefix ? length >= key.length : length > key.length) continue;
      const prefix = this.prefixes.get(key.slice(0, length));
      if (prefix !== undefined) yield prefix;
    }
  }

  isCovered(entry: Write): boolean {
    if (this.prefixes.size === 0) return false;
    for (const prefix of this.prefixesOver(entry)) {
      if (compareStamps(prefix.stamp, entry.stamp) >= 0) return true;
    }
    return false;
  }

  /** Puts an entry in the place of its rival, and returns that one, if there is one. */
  put(entry: Held): Held | undefined {
    const map = this.#mapOf(entry);
    const rival = map.get(entry.key);
    map.set(entry.key, entry);
    if (rival !== undefined) this.#count(rival, -1);
    this.#count(entry, 1);
    return rival;
  }

  /** Removes what is held under the key and kind of `entry`, and returns it, if there is anything. */
  drop(entry: EntryName): Held | undefined {
    const map = this.#mapOf(entry);
    const held = map.get(entry.key);
    if (held === undefined) return undefined;
    map.delete(entry.key);
    this.#count(held, -1);
    return held;
  }

  #mapOf({ isPrefix }: EntryName): Map<string, Held> {
    return isPrefix ? this.prefixes : this.entries;
  }

  #count(entry: Held, change: 1 | -1): void {
    if (entry.isPrefix) this.#countPrefix(entry.key.length, change);
    if (entry.value !== undefined) this.#valueCount += change;
    const hash = entryHash(entry);
    this.#digest = change > 0 ? addLanes(this.#digest, hash) : subtractLanes(this.#digest, hash);
  }

  #countPrefix(length: number, change: 1 | -1): void {
    const count = (this.#prefixLengths.get(length) ?? 0) + change;
    if (count === 0) this.#prefixLengths.delete(length);
    else this.#prefixLengths.set(length, count);
  }
}

/** Something that entries are merged into. */
export interface MergeTarget {
  readonly holdings: Holdings;
  put(entry: Entry): unknown;
  drop(entry: Entry): unknown;
}

/** Something to try a merge out on. */
export function scratchTarget(): MergeTarget {
  const holdings = new Holdings();
  return { holdings, put: (entry) => holdings.put(entry), drop: (entry) => holdings.drop(entry) };
}

/** Merges entries by rank and cover, prefix tombstones first, and returns those that won. */
export function mergeEntries(target: MergeTarget, incoming: readonly Entry[]): Set<Entry> {
  const winners = new Set<Entry>();
  for (const entry of incoming) {
    if (!entry.isPrefix || !wins(target.holdings, entry)) continue;
    target.put(entry);
    winners.add(entry);
  }
  if (winners.size > 0) dropCovered(target);
  for (const entry of incoming) {
    if (entry.isPrefix || !wins(target.holdings, entry)) continue;
    target.put(entry);
    winners.add(entry);
  }
  return winners;
}

/** Whether an entry is neither covered nor of lower rank than what is held. */
export function wins(holdings: Holdings, entry: Entry): boolean {
  const rival = holdings.rivalOf(entry);
  return (rival === undefined || compareRank(entry, rival) > 0) && !holdings.isCovered(entry);
}

/** Drops what prefix tombstones cover: other prefix tombstones, then entries in the order of their keys. */
export function dropCovered(target: MergeTarget): void {
  const { holdings } = target;
  const prefixes = [...holdings.prefixes.values()].filter((prefix) => holdings.isCovered(prefix));
  for (const prefix of prefixes) target.drop(prefix);
  const entries = [...holdings.entries.values()].filter((entry) => holdings.isCovered(entry));
  for (const entry of entries.toSorted(compareKeys)) target.drop(entry);
}

/** Drops what one prefix tombstone covers, whatever others do. */
export function dropCoveredBy(target: MergeTarget, prefix: Entry): void {
  for (const held of target.holdings.all()) {
    const isItself = held.isPrefix && held.key === prefix.key;
    if (isItself || !held.key.startsWith(prefix.key)) continue;
    if (compareStamps(held.stamp, prefix.stamp) <= 0) target.drop(held);
  }
}

export function subtractLanes(a: Lanes, b: Lanes): Lanes {
  return [(a[0] - b[0]) >>> 0, (a[1] - b[1]) >>> 0, (a[2] - b[2]) >>> 0, (a[3] - b[3]) >>> 0];
}

function addLanes(a: Lanes, b: Lanes): Lanes {
  return [(a[0] + b[0]) >>> 0, (a[1] + b[1]) >>> 0, (a[2] + b[2]) >>> 0, (a[3] + b[3]) >>> 0];
}
