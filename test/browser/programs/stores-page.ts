/** Stores in a page, and in its worker. */

import { errorText, type Stores, stores } from "./stores.ts";
import type { StoresAnswer, StoresQuestion } from "./stores-worker.ts";

declare global {
  /** Calls a function of `Stores` in the page or in its worker. */
  var ask: (
    where: "page" | "worker",
    name: keyof Stores,
    args: readonly unknown[],
  ) => Promise<unknown>;
}

let worker: Worker | undefined;
let lastId = 0;
const waiting = new Map<number, (answer: StoresAnswer) => void>();

globalThis.ask = async (where, name, args) => {
  if (where === "page") {
    try {
      return await (stores[name] as (...given: readonly unknown[]) => Promise<unknown>)(...args);
    } catch (error) {
      throw new Error(errorText(error), { cause: error });
    }
  }
  worker ??= startWorker();
  lastId++;
  const question: StoresQuestion = { id: lastId, name, args };
  const answer = await new Promise<StoresAnswer>((resolve) => {
    waiting.set(question.id, resolve);
    worker?.postMessage(question);
  });
  if (answer.error !== undefined) throw new Error(answer.error);
  return answer.result;
};

function startWorker(): Worker {
  const started = new Worker("/stores-worker.js", { type: "module" });
  started.addEventListener("message", ({ data }: MessageEvent<StoresAnswer>) => {
    waiting.get(data.id)?.(data);
    waiting.delete(data.id);
  });
  started.addEventListener("error", ({ message }) => {
    for (const [id, resolve] of waiting) resolve({ id, error: `the worker failed: ${message}` });
    waiting.clear();
  });
  return started;
}
