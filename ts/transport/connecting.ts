/** An attempt to connect: one answer, in time, and nothing left behind. */

import type { Link } from "./contract.ts";
import { linkFailed } from "./deliveries.ts";
import { systemTimers, type Timers } from "./timers.ts";

/** The longest that anybody waits for a link. */
const CONNECT_MAX_MS = 20_000;

export interface Settle {
  resolve(link: Link): void;
  reject(error: Error): void;
}

/** Runs `begin`, which returns how to give up; rejects with `link-failed` after 20 s, and with the signal's reason. */
export function connecting(
  name: string,
  signal: AbortSignal,
  timers: Timers | undefined,
  begin: (settle: Settle) => () => void,
): Promise<Link> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    let hasSettled = false;
    const settle = (act: () => void): void => {
      if (hasSettled) return;
      hasSettled = true;
      cancel();
      signal.removeEventListener("abort", abort);
      act();
    };
    const giveUp = (error: unknown): void =>
      settle(() => {
        // oxlint-disable-next-line typescript/prefer-promise-reject-errors -- the reason of a signal is its owner's
        reject(error);
        abandon();
      });
    const abort = (): void => giveUp(signal.reason);
    const cancel = (timers ?? systemTimers).after(CONNECT_MAX_MS, () =>
      giveUp(linkFailed(`${name} gave no answer within ${CONNECT_MAX_MS / 1000} s`)),
    );
    signal.addEventListener("abort", abort);
    const abandon = begin({
      resolve: (link) => settle(() => resolve(link)),
      reject: (error) => settle(() => reject(error)),
    });
  });
}
