/** A store that is open as long as a component is there. */

import { useState, useSyncExternalStore } from "react";

import { LastwriteError } from "../errors.ts";
import type { Store } from "../store/contract.ts";

/** How far opening a store is. */
export type OpenedStore =
  | { readonly state: "opening"; readonly store: undefined; readonly error: undefined }
  | { readonly state: "open"; readonly store: Store; readonly error: undefined }
  | {
      readonly state: "failed";
      readonly store: undefined;
      /** What `open` rejected with: a `LastwriteError` with a code, where it is of this library. */
      readonly error: unknown;
    };

/**
 * Opens a store for the component that calls it, and closes it when the component is gone, or when one of `dependencies` is another one than before; then `open` is called anew.
 *
 * Opens once, also under StrictMode. The signal that `open` is given is aborted when the store is not wanted any more: hand it on, so that an opening under way is given up. Where the former store of the same place is still
 * being closed, so that `open` rejects with `store-locked`, it is called once more when that is done. On a server nothing is opened. What `store.close()` rejects with, as nobody waits for it, becomes an
 * unhandled rejection.
 *
 * Hand the store on to other components: every other hook takes it, and takes undefined until it is there.
 *
 * @param dependencies What `open` depends on, compared one by one. Default: nothing, so the first `open` counts.
 *
 * @example
 * ```tsx
 * import { open } from "lastwrite";
 * import { memoryPersistence } from "lastwrite/persistence/memory";
 * import { useEntry, useStore } from "lastwrite/react";
 * import { renderToString } from "react-dom/server";
 *
 * function Room({ name }: { name: string }) {
 *   const { store, error } = useStore(
 *     (signal) => open({ persistence: memoryPersistence(), connect: `wss://example.org/${name}`, signal }),
 *     [name],
 *   );
 *   const title = useEntry(store, "title");
 *   if (error !== undefined) throw error; // for an error boundary; or tell it here
 *   if (store === undefined) return <p>Opening {name}</p>;
 *   return <input value={String(title ?? "")} onChange={(event) => store.set("title", event.target.value)} />;
 * }
 *
 * console.log(renderToString(<Room name="team" />)); // <p>Opening <!-- -->team</p>
 * ```
 */
export function useStore(
  open: (signal: AbortSignal) => Promise<Store>,
  dependencies: readonly unknown[] = [],
): OpenedStore {
  const [opening, setOpening] = useState(() => new Opening(open, dependencies));
  let current = opening;
  if (!isSame(opening.dependencies, dependencies)) {
    current = new Opening(open, dependencies);
    setOpening(current);
  }
  return useSyncExternalStore(current.subscribe, current.state, stateOnServer);
}

const OPENING: OpenedStore = { state: "opening", store: undefined, error: undefined };

function stateOnServer(): OpenedStore {
  return OPENING;
}

/** Stores that hooks gave up, on their way to being closed. */
const closings = new Set<Promise<void>>();

/** A store for as long as somebody subscribes: made in no render, since one may be thrown away. */
class Opening {
  readonly dependencies: readonly unknown[];
  readonly #open: (signal: AbortSignal) => Promise<Store>;
  #state: OpenedStore = OPENING;
  #notify: (() => void) | undefined;
  /** While it is open, or on its way. */
  #abort: AbortController | undefined;

  constructor(open: (signal: AbortSignal) => Promise<Store>, dependencies: readonly unknown[]) {
    this.#open = open;
    this.dependencies = dependencies;
  }

  readonly state = (): OpenedStore => this.#state;

  readonly subscribe = (notify: () => void): (() => void) => {
    this.#notify = notify;
    if (this.#abort === undefined) {
      this.#abort = new AbortController();
      void this.#run(this.#abort.signal);
    }
    return () => {
      this.#notify = undefined;
      // StrictMode, and what reloads code while it runs, subscribe anew at once.
      queueMicrotask(() => {
        if (this.#notify === undefined) this.#release();
      });
    };
  };

  async #run(signal: AbortSignal): Promise<void> {
    try {
      const store = await openAfterOthers(this.#open, signal);
      if (signal.aborted) close(store);
      else this.#become({ state: "open", store, error: undefined });
    } catch (error) {
      if (!signal.aborted) this.#become({ state: "failed", store: undefined, error });
    }
  }

  #release(): void {
    this.#abort?.abort();
    this.#abort = undefined;
    const { store } = this.#state;
    this.#state = OPENING;
    if (store !== undefined) close(store);
  }

  #become(state: OpenedStore): void {
    this.#state = state;
    this.#notify?.();
  }
}

/** As `open`, where a place may still be taken by a store that is being closed. */
async function openAfterOthers(
  open: (signal: AbortSignal) => Promise<Store>,
  signal: AbortSignal,
): Promise<Store> {
  // Those that are given up with the same commit have begun to close by then.
  await Promise.resolve();
  const others = [...closings];
  try {
    return await open(signal);
  } catch (error) {
    const isLocked = error instanceof LastwriteError && error.code === "store-locked";
    if (!isLocked || others.length === 0) throw error;
    await Promise.allSettled(others);
    return open(signal);
  }
}

function close(store: Store): void {
  const closing = store.close().finally(() => closings.delete(closing));
  closings.add(closing);
}

function isSame(before: readonly unknown[], now: readonly unknown[]): boolean {
  return before.length === now.length && before.every((each, at) => Object.is(each, now[at]));
}
