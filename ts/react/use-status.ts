/** How a store is connected. */

import { useMemo, useSyncExternalStore } from "react";

import type { LastwriteError } from "../errors.ts";
import type { ConnectionStatus, Store } from "../store/contract.ts";

/** How a store is connected, now. */
export interface ConnectionState {
  /** As of `Store.status`; "connecting" before there is a store. */
  readonly status: ConnectionStatus;
  /** Why the status is not better than that, if that is known. */
  readonly reason: LastwriteError | undefined;
  /** How many own writes wait for an acknowledgement. */
  readonly pendingCount: number;
}

/**
 * How a store is connected, and how much of what was written here has not arrived: the same object until one of that changes. Renders again when it does.
 *
 * On a server, and while React takes over what a server rendered, it is `"connecting"` with nothing pending: connections are a matter of the machine.
 *
 * @example
 * ```tsx
 * import type { Store } from "lastwrite";
 * import { useStatus } from "lastwrite/react";
 * import { renderToString } from "react-dom/server";
 *
 * function Status({ store }: { store: Store | undefined }) {
 *   const { status, reason, pendingCount } = useStatus(store);
 *   return <p title={reason?.message}>{status}, {pendingCount} to send</p>;
 * }
 *
 * console.log(renderToString(<Status store={undefined} />)); // <p>connecting<!-- -->, <!-- -->0<!-- --> to send</p>
 * ```
 */
export function useStatus(store: Store | undefined): ConnectionState {
  const view = useMemo(() => new StatusView(store), [store]);
  return useSyncExternalStore(view.subscribe, view.state, stateOnServer);
}

const CONNECTING: ConnectionState = { status: "connecting", reason: undefined, pendingCount: 0 };

function stateOnServer(): ConnectionState {
  return CONNECTING;
}

class StatusView {
  readonly #store: Store | undefined;
  #state: ConnectionState = CONNECTING;

  constructor(store: Store | undefined) {
    this.#store = store;
  }

  readonly state = (): ConnectionState => {
    if (this.#store === undefined) return CONNECTING;
    const { status, statusReason: reason, pendingCount } = this.#store;
    const before = this.#state;
    const isSame =
      before.status === status && before.reason === reason && before.pendingCount === pendingCount;
    if (!isSame) this.#state = { status, reason, pendingCount };
    return this.#state;
  };

  readonly subscribe = (notify: () => void): (() => void) => {
    const stops = (["status", "pending", "close"] as const).map((name) =>
      this.#store?.on(name, notify),
    );
    return () => {
      for (const stop of stops) stop?.();
    };
  };
}
