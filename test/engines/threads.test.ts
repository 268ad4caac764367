/** Threads with engines of their own exchange everything, crossed and with themselves, and end equal. */

import { Worker } from "node:worker_threads";

import { expect, test } from "vitest";

import type { Backend } from "../../ts/index.ts";

const THREADS = 4;
const ROUNDS = 3;

/** What a thread sends in each round: its digest, its size, and a delta of everything it has. */
interface State {
  readonly digest: string;
  readonly size: number;
  readonly delta: Uint8Array;
}

test.each<Backend>(["native", "wasm", "script"])(
  "%s engines in several threads end equal",
  async (backend) => {
    const threads = Array.from(
      { length: THREADS },
      (_, thread) =>
        new Worker(new URL("./thread.mjs", import.meta.url), {
          workerData: { backend, thread },
          // Without the condition that names the sources: Node does not read TypeScript, so a thread loads the built package.
          execArgv: [],
        }),
    );
    try {
      for (let round = 0; round < ROUNDS; round += 1) {
        const written = await askAll(threads, (index) => ({ write: round * THREADS + index }));
        const deltas = written.map(({ delta }) => delta);
        // Each gets them in another order, its own among them, and the first one twice.
        const merged = await askAll(threads, (index) => ({
          merge: [...deltas.slice(index), ...deltas.slice(0, index), deltas[index]],
        }));
        expect(new Set(merged.map(({ digest }) => digest)).size).toBe(1);
        expect(new Set(merged.map(({ size }) => size)).size).toBe(1);
        expect(merged[0]?.size).toBeGreaterThan(100);
      }
    } finally {
      await Promise.all(threads.map((thread) => thread.terminate()));
    }
  },
);

function askAll(threads: readonly Worker[], request: (index: number) => unknown): Promise<State[]> {
  return Promise.all(
    threads.map(
      (thread, index) =>
        new Promise<State>((resolve, reject) => {
          thread.once("message", resolve);
          thread.once("error", reject);
          thread.postMessage(request(index));
        }),
    ),
  );
}
