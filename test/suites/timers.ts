/** Time as tests have it. */

import type { Timers } from "../../ts/transport/timers.ts";

export interface ManualTimers extends Timers {
  /** How many wait. */
  readonly count: number;
  /** All that wait go off; those that they set wait for the next time. */
  run(): void;
}

/** Timers that go off when the test says so. */
export function manualTimers(): ManualTimers {
  const waiting = new Set<() => void>();
  return {
    after: (_ms, run) => {
      const once = (): void => run();
      waiting.add(once);
      return () => void waiting.delete(once);
    },
    get count() {
      return waiting.size;
    },
    run: () => {
      const due = [...waiting];
      waiting.clear();
      for (const run of due) run();
    },
  };
}
