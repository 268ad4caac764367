/** One key of a store. */

import { useMemo, useSyncExternalStore } from "react";

import { samePlain } from "../codec/plain.ts";
import { encodeValue, type Value } from "../codec/value.ts";
import type { Dictionary } from "../dictionary/contract.ts";
import { LastwriteError } from "../errors.ts";

/** What the hooks read: a store, or a dictionary. */
export type Readable = Pick<Dictionary, "get" | "entries" | "subscribe" | "digest">;

/**
 * The value of a key; undefined when it has none, and without a store. Renders again when that value changes, and for no other key.
 *
 * It is the same reference until the value changes: a write of an equal one is no change. It is shared: do not change it. On a server, and while React takes over what a server rendered, it
 * is what the store has. Of a closed store it is what it was last. Throws `invalid-key`, in rendering.
 *
 * @example
 * ```tsx
 * import { createDictionary, loadEngine } from "lastwrite";
 * import { useEntry } from "lastwrite/react";
 * import { renderToString } from "react-dom/server";
 *
 * const dictionary = createDictionary({ engine: await loadEngine() });
 * dictionary.set("tasks/42/title", "Ship it");
 *
 * function Title({ task }: { task: number }) {
 *   return <h1>{String(useEntry(dictionary, `tasks/${task}/title`) ?? "Untitled")}</h1>;
 * }
 *
 * console.log(renderToString(<Title task={42} />)); // <h1>Ship it</h1>
 * dictionary.close();
 * ```
 */
export function useEntry(store: Readable | undefined, key: string): Value | undefined {
  const view = useMemo(() => new EntryView(store, key), [store, key]);
  return useSyncExternalStore(view.subscribe, view.value, view.value);
}

class EntryView {
  readonly #store: Readable | undefined;
  readonly #key: string;
  #value: Value | undefined;
  /** Changes are told, so the value need not be read. */
  #isWatched = false;

  constructor(store: Readable | undefined, key: string) {
    this.#store = store;
    this.#key = key;
  }

  readonly value = (): Value | undefined => {
    if (!this.#isWatched) this.#read();
    return this.#value;
  };

  readonly subscribe = (notify: () => void): (() => void) => {
    const key = this.#key;
    // Found by the prefix, among however many that are watched; the bounds leave the key alone.
    const range = { prefix: key, from: key, to: `${key}\0` };
    const stop = unlessClosed(() =>
      this.#store?.subscribe(range, (changes) => {
        this.#value = changes.at(-1)?.value;
        notify();
      }),
    );
    // What was written before it was watched.
    this.#read();
    this.#isWatched = stop !== undefined;
    return () => {
      this.#isWatched = false;
      stop?.();
    };
  };

  #read(): void {
    unlessClosed(() => {
      this.#value = kept(this.#value, this.#store?.get(this.#key));
    });
  }
}

/** `before` where `now` is equal to it, so that the reference stays. */
export function kept<T extends Value | undefined>(before: T, now: T): T {
  if (Object.is(before, now) || !isObject(before) || !isObject(now)) return now;
  return samePlain(encodeValue(before), encodeValue(now)) ? before : now;
}

/** What `read` answers; undefined where the store is closed: it may be so a moment before its readers are gone. */
export function unlessClosed<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    const code = error instanceof LastwriteError ? error.code : undefined;
    if (code === "store-closed" || code === "closed") return undefined;
    throw error;
  }
}

function isObject(value: Value | undefined): value is Value & object {
  return typeof value === "object" && value !== null;
}
