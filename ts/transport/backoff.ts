/** How long to wait before the next attempt to connect. */

export interface BackoffOptions {
  /** From 0 up to, but not, 1. Default: `Math.random`. */
  readonly random?: () => number;
  /** The most that is waited before the second attempt. Default: 300. */
  readonly minMs?: number;
  /** The most that is ever waited. Default: 30,000. */
  readonly maxMs?: number;
}

export interface Backoff {
  /** The next wait in milliseconds, from 0 to a bound that doubles each time: so clients that lost one server do not come back all at once. */
  next(): number;
  /** An attempt was good: the bound is the smallest again. */
  reset(): void;
}

/** Returns waits with full jitter: each is drawn from all that its bound allows. */
export function backoff({
  random = Math.random,
  minMs = 300,
  maxMs = 30_000,
}: BackoffOptions = {}): Backoff {
  let boundMs = minMs;
  return {
    next: () => {
      const waitMs = Math.floor(random() * (Math.min(boundMs, maxMs) + 1));
      boundMs = Math.min(boundMs * 2, maxMs);
      return waitMs;
    },
    reset: () => {
      boundMs = minMs;
    },
  };
}
