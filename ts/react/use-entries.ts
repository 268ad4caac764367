/** A range of a store, in order. */

import { useMemo, useSyncExternalStore } from "react";

import { compareText } from "../codec/text.ts";
import type { Value } from "../codec/value.ts";
import type { Change, ReadRange } from "../dictionary/contract.ts";
import { kept, type Readable, unlessClosed } from "./use-entry.ts";

/** A key with its value. */
export type Entry = readonly [key: string, value: Value];

/**
 * The entries of a range, in order of their keys; none without a store. Renders again when one of them changes, comes or goes, and for no key outside.
 *
 * The array is the same until then, and each entry in it is the same until its own value changes, so that a memoized row renders again only when it has to. They are shared: do not change them.
 * Costs reading the range once; then, for all changes that come between two renders together, copying the array, or reading it again where `limit` is given. Otherwise as `useEntry`.
 *
 * @param range Which keys; a new object of equal bounds is the same range. Default: all.
 *
 * @example
 * ```tsx
 * import { createDictionary, loadEngine } from "lastwrite";
 * import { useEntries } from "lastwrite/react";
 * import { renderToString } from "react-dom/server";
 *
 * const dictionary = createDictionary({ engine: await loadEngine() });
 * dictionary.set("tasks/1", "write");
 * dictionary.set("tasks/2", "test");
 *
 * function Tasks() {
 *   const tasks = useEntries(dictionary, { prefix: "tasks/" });
 *   return <ul>{tasks.map(([key, title]) => <li key={key}>{String(title)}</li>)}</ul>;
 * }
 *
 * console.log(renderToString(<Tasks />)); // <ul><li>write</li><li>test</li></ul>
 * dictionary.close();
 * ```
 */
export function useEntries(
  store: Readable | undefined,
  { prefix, from, to, reverse, limit }: ReadRange = {},
): readonly Entry[] {
  const view = useMemo(
    () =>
      new EntriesView(store, {
        ...(prefix !== undefined && { prefix }),
        ...(from !== undefined && { from }),
        ...(to !== undefined && { to }),
        ...(reverse !== undefined && { reverse }),
        ...(limit !== undefined && { limit }),
      }),
    [store, prefix, from, to, reverse, limit],
  );
  // A number, so that many writes between two renders do not make as many arrays.
  useSyncExternalStore(view.subscribe, view.edition, view.edition);
  return view.entries();
}

const NONE: readonly Entry[] = [];

class EntriesView {
  readonly #store: Readable | undefined;
  readonly #range: ReadRange;
  #entries: readonly Entry[] = NONE;
  /** Another number whenever `entries` may answer another array. */
  #edition = 0;
  /** What is not in `#entries` yet. */
  #changes = new Map<string, Value | undefined>();
  /** Of the data when they were read, or last known to be right; undefined before. */
  #digest: string | undefined;
  #isStale = true;
  /** Changes are told. */
  #isWatched = false;

  constructor(store: Readable | undefined, range: ReadRange) {
    this.#store = store;
    this.#range = range;
  }

  readonly edition = (): number => {
    if (!this.#isWatched) this.#look();
    return this.#edition;
  };

  readonly subscribe = (notify: () => void): (() => void) => {
    const stop = unlessClosed(() =>
      this.#store?.subscribe(this.#range, (changes) => {
        if (this.#note(changes)) notify();
      }),
    );
    // What was written before it was watched.
    this.#look();
    this.#isWatched = stop !== undefined;
    return () => {
      this.entries();
      unlessClosed(() => (this.#digest = this.#store?.digest()));
      this.#isWatched = false;
      stop?.();
    };
  };

  entries(): readonly Entry[] {
    if (this.#isStale) this.#read();
    else if (this.#changes.size > 0) this.#patch();
    return this.#entries;
  }

  /** Finds out whether something was written while nobody told. */
  #look(): void {
    const digest = unlessClosed(() => this.#store?.digest());
    if (digest === undefined || digest === this.#digest) return;
    this.#digest = digest;
    this.#isStale = true;
    this.#edition++;
  }

  /** Whether these changes concern what is shown. */
  #note(changes: readonly Change[]): boolean {
    if (this.#range.limit === undefined) {
      for (const { key, value } of changes) this.#changes.set(key, value);
    } else {
      if (!this.#isStale && changes.every(({ key }) => this.#isBeyond(key))) return false;
      // What moves up behind the last one has to be read.
      this.#isStale = true;
    }
    this.#edition++;
    return true;
  }

  /** Whether a key comes after as many others as are wanted. */
  #isBeyond(key: string): boolean {
    const { limit = Infinity, reverse = false } = this.#range;
    const last = this.#entries.at(-1)?.[0];
    if (this.#entries.length < limit) return false;
    return (
      last === undefined || (reverse ? compareText(key, last) < 0 : compareText(key, last) > 0)
    );
  }

  #read(): void {
    const read = unlessClosed(() => this.#store && Array.from(this.#store.entries(this.#range)));
    this.#isStale = false;
    this.#changes.clear();
    if (read === undefined) return;
    const before = new Map(this.#entries.map((entry) => [entry[0], entry]));
    const now = read.map((entry) => keptEntry(before.get(entry[0]), entry));
    const isSame =
      now.length === before.size && now.every((entry, at) => entry === this.#entries[at]);
    if (!isSame) this.#entries = now;
  }

  #patch(): void {
    const changes = [...this.#changes];
    this.#changes.clear();
    this.#entries = patched(this.#entries, changes, this.#range.reverse ?? false);
  }
}

function keptEntry(before: Entry | undefined, now: Entry): Entry {
  if (before === undefined) return now;
  return Object.is(kept(before[1], now[1]), before[1]) ? before : now;
}

/** The entries after these changes, in the same order. */
function patched(
  entries: readonly Entry[],
  changes: readonly (readonly [key: string, value: Value | undefined])[],
  reverse: boolean,
): readonly Entry[] {
  const order = reverse ? descending : ascending;
  const after: Entry[] = [];
  let next = 0;
  for (const [key, value] of changes.toSorted(order)) {
    const at = placeOf(entries, key, next, order);
    for (; next < at; next++) after.push(entries[next] as Entry);
    if (entries[next]?.[0] === key) next++;
    if (value !== undefined) after.push([key, value]);
  }
  for (; next < entries.length; next++) after.push(entries[next] as Entry);
  return after;
}

/** Where in order `key` is, or belongs, from `first` on. */
function placeOf(
  entries: readonly Entry[],
  key: string,
  first: number,
  order: (one: Keyed, other: Keyed) => number,
): number {
  let [low, high] = [first, entries.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (order(entries[middle] as Entry, [key]) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

type Keyed = readonly [key: string, ...rest: readonly unknown[]];

function ascending([one]: Keyed, [other]: Keyed): number {
  return compareText(one, other);
}

function descending(one: Keyed, other: Keyed): number {
  return ascending(other, one);
}
