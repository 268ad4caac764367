/** Who else is connected. */

import { useEffect, useMemo, useSyncExternalStore } from "react";

import type { PresenceValue, Present, Store } from "../store/contract.ts";
import { unlessClosed } from "./use-entry.ts";

/**
 * The others that are connected, and what they tell of themselves: the same array until that changes, none without a store and on a server. Renders again when it does.
 *
 * @param mine What this store tells of itself as long as the component is there: as of `Store.setPresence`. One component at a time should say so. Default: nothing is told, and nothing is
 *   taken back.
 *
 * @example
 * ```tsx
 * import type { Store } from "lastwrite";
 * import { usePresence } from "lastwrite/react";
 * import { renderToString } from "react-dom/server";
 *
 * function People({ store, name }: { store: Store | undefined; name: string }) {
 *   const others = usePresence(store, { name });
 *   return <p>{`${others.length} others are here`}</p>;
 * }
 *
 * console.log(renderToString(<People store={undefined} name="Ada" />)); // <p>0 others are here</p>
 * ```
 */
export function usePresence(store: Store | undefined, mine?: PresenceValue): readonly Present[] {
  const view = useMemo(() => new PresenceView(store), [store]);
  const isTelling = mine !== undefined;
  const told = JSON.stringify(mine);
  useEffect(() => {
    if (isTelling) unlessClosed(() => store?.setPresence(mine));
    // By its text: an equal object is nothing new.
  }, [store, told]);
  useEffect(() => {
    if (!isTelling) return undefined;
    return () => unlessClosed(() => store?.setPresence(undefined));
  }, [store, isTelling]);
  return useSyncExternalStore(view.subscribe, view.others, nobodyOnServer);
}

const NOBODY: readonly Present[] = [];

function nobodyOnServer(): readonly Present[] {
  return NOBODY;
}

class PresenceView {
  readonly #store: Store | undefined;

  constructor(store: Store | undefined) {
    this.#store = store;
  }

  readonly others = (): readonly Present[] => {
    const others = this.#store?.presence ?? NOBODY;
    // A closed store has nobody, in a new array each time.
    return others.length === 0 ? NOBODY : others;
  };

  readonly subscribe = (notify: () => void): (() => void) => {
    const stops = (["presence", "close"] as const).map((name) => this.#store?.on(name, notify));
    return () => {
      for (const stop of stops) stop?.();
    };
  };
}
