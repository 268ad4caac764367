/** What each key held before, as far as this page has seen it: nothing else remembers. */

import type { Change, Stamp, Store, Value } from "lastwrite";

/** A value that was replaced or removed. */
export interface Former {
  readonly value: Value;
  /** When and by whom it was written, if that was seen. */
  readonly stamp: Stamp | undefined;
}

const FORMER_MAX = 20;
const KEYS_MAX = 10_000;
const STAMPED_MAX = 1000;

export class SeenHistory {
  readonly #store: Store;
  /** Newest last; keys in the order of their last change. */
  readonly #former = new Map<string, readonly Former[]>();
  /** Of the values that are there now; as far as they are known. */
  readonly #stamps = new Map<string, Stamp>();

  constructor(store: Store) {
    this.#store = store;
  }

  /** Watches from now on; returns the function that ends it. */
  readonly watch = (): (() => void) => this.#store.subscribe({}, (changes) => this.#note(changes));

  /** What `key` held before, newest first. */
  formerOf(key: string): readonly Former[] {
    return (this.#former.get(key) ?? []).toReversed();
  }

  /** When and by whom `key` was written or removed; remembered, for when it is replaced. */
  stampOf(key: string): Stamp | undefined {
    const stamp = this.#store.stampOf(key);
    if (stamp !== undefined) this.#stamps.set(key, stamp);
    return stamp;
  }

  #note(changes: readonly Change[]): void {
    for (const { key, value, previous } of changes) {
      if (previous !== undefined) {
        const former = this.#former.get(key) ?? [];
        this.#former.delete(key);
        const replaced = { value: previous, stamp: this.#stamps.get(key) };
        this.#former.set(key, [...former, replaced].slice(-FORMER_MAX));
      }
      this.#stamps.delete(key);
      // Of many at once, as a room brings when it is loaded, it costs more than it is worth.
      if (value !== undefined && changes.length <= STAMPED_MAX) this.stampOf(key);
    }
    forgetOldest(this.#former);
    forgetOldest(this.#stamps);
  }
}

function forgetOldest(known: Map<string, unknown>): void {
  for (const key of known.keys()) {
    if (known.size <= KEYS_MAX) return;
    known.delete(key);
  }
}
