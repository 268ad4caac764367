/** The entries that the list shows, in the order that was asked for; quick again after few changes of many entries. */

import type { Stamp, Store, Value } from "lastwrite";
import type { Entry } from "lastwrite/react";

import { textOf, typeOf, VALUE_TYPES } from "./values.ts";

export interface Order {
  readonly by: "key" | "value" | "when";
  readonly descending: boolean;
}

/** How much of a value is searched, and shown in a row. */
export const SEARCHED_LENGTH = 1000;

/** Remembers what was sorted, and what each entry reads like. */
export class Arranger {
  readonly #store: Store;
  readonly #stamps = new WeakMap<Entry, Stamp>();
  readonly #texts = new WeakMap<Entry, string>();
  /** Ascending, of these entries. */
  #sorted: { by: Order["by"]; of: readonly Entry[]; entries: readonly Entry[] } | undefined;

  constructor(store: Store) {
    this.#store = store;
  }

  /** Entries in order of their keys, as those of which key or value contain `filter`, in `order`. */
  arranged(entries: readonly Entry[], filter: string, order: Order): readonly Entry[] {
    const sorted = order.by === "key" ? entries : this.#sortedBy(order.by, entries);
    const wanted = filter.toLowerCase();
    const found =
      wanted === "" ? sorted : sorted.filter((entry) => this.#textOf(entry).includes(wanted));
    return order.descending ? found.toReversed() : found;
  }

  #sortedBy(by: "value" | "when", entries: readonly Entry[]): readonly Entry[] {
    const compare = by === "value" ? compareValues : this.#compareTimes;
    const before = this.#sorted?.by === by ? this.#sorted : undefined;
    if (before?.of === entries) return before.entries;
    const changes = before && changesBetween(before.of, entries);
    const sorted =
      before === undefined || changes === undefined || changes.came.length > entries.length / 8
        ? entries.toSorted(compare)
        : replaced(before.entries, changes, compare);
    this.#sorted = { by, of: entries, entries: sorted };
    return sorted;
  }

  readonly #compareTimes = (one: Entry, other: Entry): number => {
    const [a, b] = [this.#stampOf(one), this.#stampOf(other)];
    if (a === undefined || b === undefined) return compareKeys(one, other);
    return a.millis - b.millis || a.counter - b.counter || compareKeys(one, other);
  };

  /** When and by whom an entry was written. */
  #stampOf(entry: Entry): Stamp | undefined {
    const known = this.#stamps.get(entry);
    if (known !== undefined) return known;
    const stamp = this.#store.stampOf(entry[0]);
    if (stamp !== undefined) this.#stamps.set(entry, stamp);
    return stamp;
  }

  #textOf(entry: Entry): string {
    const known = this.#texts.get(entry);
    if (known !== undefined) return known;
    const text = `${entry[0]}\n${textOf(entry[1]).slice(0, SEARCHED_LENGTH)}`.toLowerCase();
    this.#texts.set(entry, text);
    return text;
  }
}

interface Changes {
  readonly gone: ReadonlySet<Entry>;
  readonly came: readonly Entry[];
}

/** What is in one array and not in the other; entries that did not change are the same objects. */
function changesBetween(before: readonly Entry[], now: readonly Entry[]): Changes {
  let first = 0;
  while (first < before.length && before[first] === now[first]) first++;
  let [beforeEnd, nowEnd] = [before.length, now.length];
  while (beforeEnd > first && nowEnd > first && before[beforeEnd - 1] === now[nowEnd - 1]) {
    beforeEnd--;
    nowEnd--;
  }
  const gone = new Set(before.slice(first, beforeEnd));
  const came = now.slice(first, nowEnd).filter((entry) => !gone.delete(entry));
  return { gone, came };
}

/** `sorted` without those that are gone, and with those that came in their places. */
function replaced(
  sorted: readonly Entry[],
  { gone, came }: Changes,
  compare: (one: Entry, other: Entry) => number,
): readonly Entry[] {
  const stayed = gone.size === 0 ? sorted : sorted.filter((entry) => !gone.has(entry));
  const merged: Entry[] = [];
  let next = 0;
  for (const entry of came.toSorted(compare)) {
    let [low, high] = [next, stayed.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (compare(stayed[middle] as Entry, entry) < 0) low = middle + 1;
      else high = middle;
    }
    for (; next < low; next++) merged.push(stayed[next] as Entry);
    merged.push(entry);
  }
  for (; next < stayed.length; next++) merged.push(stayed[next] as Entry);
  return merged;
}

const TYPE_ORDER: readonly string[] = VALUE_TYPES.map(([type]) => type);

function compareValues(one: Entry, other: Entry): number {
  const [a, b] = [one[1], other[1]];
  const [typeOfA, typeOfB] = [typeOf(a), typeOf(b)];
  if (typeOfA !== typeOfB) return TYPE_ORDER.indexOf(typeOfA) - TYPE_ORDER.indexOf(typeOfB);
  const [left, right] = [comparable(a), comparable(b)];
  if (left < right) return -1;
  return left > right ? 1 : compareKeys(one, other);
}

/** What two values of one type are told apart by. */
function comparable(value: Value): string | number | bigint {
  switch (typeof value) {
    case "string":
    case "bigint":
      return value;
    case "number":
      return Number.isNaN(value) ? -Infinity : value;
    default:
      return value instanceof Date ? value.getTime() : textOf(value);
  }
}

function compareKeys([one]: Entry, [other]: Entry): number {
  if (one === other) return 0;
  return one < other ? -1 : 1;
}
