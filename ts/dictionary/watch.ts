/** Who watches which keys, and what each of them is told. */

import { compareText } from "../codec/text.ts";
import type { Change, KeyRange, Listener, Origin } from "./contract.ts";
import type { Deliveries } from "./deliveries.ts";

interface Watcher {
  /** In order of subscription. */
  readonly number: number;
  readonly from: string | undefined;
  readonly to: string | undefined;
  readonly listener: Listener;
  active: boolean;
}

/**
 * The subscriptions of one dictionary, by prefix: what a key matches is found with one look-up for each different length of
 * a prefix, however many subscriptions there are.
 */
export class Watchers {
  readonly #byPrefix = new Map<string, Watcher[]>();
  /** The different lengths of the prefixes, ascending. */
  #lengths: readonly number[] = [];
  /** How many prefixes there are of each length. */
  readonly #lengthCounts = new Map<number, number>();
  #nextNumber = 0;

  /** Whether nobody watches anything. */
  get none(): boolean {
    return this.#byPrefix.size === 0;
  }

  /** The fewest prefixes that cover all that is watched: none of them begins with another. */
  get prefixes(): readonly string[] {
    const fewest: string[] = [];
    // In order of their units, what begins with a prefix comes right after it.
    for (const prefix of [...this.#byPrefix.keys()].toSorted()) {
      const last = fewest.at(-1);
      if (last === undefined || !prefix.startsWith(last)) fewest.push(prefix);
    }
    return fewest;
  }

  /** Adds a listener, and returns the function that removes it again. */
  add({ prefix = "", from, to }: KeyRange, listener: Listener): () => void {
    const watcher: Watcher = { number: this.#nextNumber, from, to, listener, active: true };
    this.#nextNumber += 1;
    const others = this.#byPrefix.get(prefix);
    if (others === undefined) {
      this.#byPrefix.set(prefix, [watcher]);
      this.#count(prefix.length, 1);
    } else {
      others.push(watcher);
    }
    return () => this.#remove(prefix, watcher);
  }

  clear(): void {
    for (const watchers of this.#byPrefix.values()) {
      for (const watcher of watchers) watcher.active = false;
    }
    this.#byPrefix.clear();
    this.#lengthCounts.clear();
    this.#lengths = [];
  }

  /** Whether somebody watches `key`. */
  has(key: string): boolean {
    for (const length of this.#lengths) {
      if (length > key.length) return false;
      const watchers = this.#byPrefix.get(key.slice(0, length));
      if (watchers?.some((watcher) => contains(watcher, key)) === true) return true;
    }
    return false;
  }

  /** Whether somebody may watch a key below `prefix`. */
  overlaps(prefix: string): boolean {
    for (const watched of this.#byPrefix.keys()) {
      if (watched.startsWith(prefix) || prefix.startsWith(watched)) return true;
    }
    return false;
  }

  /** Puts a call into `deliveries` for everybody whom some of `changes` concern, in order of subscription. */
  notify(changes: readonly Change[], origin: Origin, deliveries: Deliveries): void {
    const concerned = new Map<Watcher, Change[]>();
    for (const change of changes) {
      for (const length of this.#lengths) {
        if (length > change.key.length) break;
        for (const watcher of this.#byPrefix.get(change.key.slice(0, length)) ?? []) {
          if (!contains(watcher, change.key)) continue;
          const others = concerned.get(watcher);
          if (others === undefined) concerned.set(watcher, [change]);
          else others.push(change);
        }
      }
    }
    const inOrder = [...concerned].toSorted(([a], [b]) => a.number - b.number);
    for (const [watcher, itsChanges] of inOrder) {
      deliveries.add(() => {
        // It may have been unsubscribed by a listener before it.
        if (watcher.active) watcher.listener(itsChanges, origin);
      });
    }
  }

  #remove(prefix: string, watcher: Watcher): void {
    if (!watcher.active) return;
    watcher.active = false;
    const others = this.#byPrefix.get(prefix)?.filter((other) => other !== watcher) ?? [];
    if (others.length > 0) {
      this.#byPrefix.set(prefix, others);
    } else {
      this.#byPrefix.delete(prefix);
      this.#count(prefix.length, -1);
    }
  }

  /** Notes a prefix of this length that came, or one that went. */
  #count(length: number, change: 1 | -1): void {
    const counts = this.#lengthCounts;
    const before = counts.get(length) ?? 0;
    const after = before + change;
    if (after > 0) counts.set(length, after);
    else counts.delete(length);
    if (before === 0 || after === 0) this.#lengths = [...counts.keys()].toSorted((a, b) => a - b);
  }
}

function contains({ from, to }: Watcher, key: string): boolean {
  return (
    (from === undefined || compareText(key, from) >= 0) &&
    (to === undefined || compareText(key, to) < 0)
  );
}
