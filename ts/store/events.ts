/** Tells listeners of a store, and the functions given to `open`, what happens. */

import { checkFunction, invalid } from "../dictionary/arguments.ts";
import { Deliveries } from "../dictionary/deliveries.ts";
import type { StoreEvents } from "./contract.ts";

type AnyListener = (event: never) => void;

const NAMES: ReadonlySet<string> = new Set<keyof StoreEvents>([
  "close",
  "error",
  "flush",
  "pending",
  "presence",
  "progress",
  "report",
  "status",
]);

export class StoreEmitter {
  readonly #listeners = new Map<keyof StoreEvents, Set<AnyListener>>();
  readonly #deliveries = new Deliveries();

  on<Name extends keyof StoreEvents>(
    name: Name,
    listener: (event: StoreEvents[Name]) => void,
  ): () => void {
    checkFunction(listener, "a listener");
    if (!NAMES.has(name)) {
      throw invalid(
        `there is no event ${JSON.stringify(name)}; there are ${[...NAMES].join(", ")}`,
      );
    }
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners);
    // One function may listen twice, and each time is ended alone.
    const own = (event: StoreEvents[Name]): void => listener(event);
    listeners.add(own);
    return () => {
      listeners.delete(own);
    };
  }

  /** Whether anybody listens. */
  has(name: keyof StoreEvents): boolean {
    return (this.#listeners.get(name)?.size ?? 0) > 0;
  }

  emit<Name extends keyof StoreEvents>(name: Name, event: StoreEvents[Name]): void {
    for (const listener of this.#listeners.get(name) ?? []) {
      this.call(() => (listener as (event: StoreEvents[Name]) => void)(event));
    }
  }

  /** Calls a function of the user's, whose errors are none of ours. */
  call(fn: () => void): void {
    this.#deliveries.add(fn);
    this.#deliveries.run();
  }
}
