/** Stores in a dedicated worker. */

import { errorText, type Stores, stores } from "./stores.ts";

export interface StoresQuestion {
  readonly id: number;
  readonly name: keyof Stores;
  readonly args: readonly unknown[];
}

export interface StoresAnswer {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: string;
}

globalThis.addEventListener("message", ({ data }: MessageEvent<StoresQuestion>) => {
  void answer(data);
});

async function answer({ id, name, args }: StoresQuestion): Promise<void> {
  try {
    const call = stores[name] as (...given: readonly unknown[]) => Promise<unknown>;
    globalThis.postMessage({ id, result: await call(...args) } satisfies StoresAnswer);
  } catch (error) {
    globalThis.postMessage({ id, error: errorText(error) } satisfies StoresAnswer);
  }
}
