/** What links need of time; tests pass their own. */
export interface Timers {
  /** Runs `run` once, after `ms`, unless the function that comes back is called before. */
  after(ms: number, run: () => void): () => void;
}

/** Those of this process, which they keep alive: for what somebody waits for. */
export const heldTimers: Timers = {
  after: (ms, run) => {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
};

/** Those of this process, which they do not keep alive. */
export const systemTimers: Timers = {
  after: (ms, run) => {
    const timer: unknown = setTimeout(run, ms);
    if (typeof timer === "object" && timer !== null && "unref" in timer) {
      (timer as { unref(): void }).unref();
    }
    return () => clearTimeout(timer as Parameters<typeof clearTimeout>[0]);
  },
};
