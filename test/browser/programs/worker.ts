/** The place in a module worker, which esbuild bundles: import maps do not reach workers. */

import * as lastwrite from "lastwrite";
import { loadWasmEngine } from "lastwrite/wasm";

import { createPlace, type Place } from "./place.ts";

export type WorkerMessage =
  | { readonly id: number; readonly module: WebAssembly.Module | undefined }
  | { readonly id: number; readonly name: keyof Place; readonly args: readonly unknown[] };

export interface WorkerAnswer {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: string;
}

let place: Place | undefined;

globalThis.addEventListener("message", ({ data }: MessageEvent<WorkerMessage>) => {
  void answer(data).then(
    (result) => globalThis.postMessage({ id: data.id, result } satisfies WorkerAnswer),
    (error: unknown) =>
      globalThis.postMessage({ id: data.id, error: String(error) } satisfies WorkerAnswer),
  );
});

async function answer(message: WorkerMessage): Promise<unknown> {
  if ("module" in message) {
    const { module } = message;
    const engine =
      module === undefined
        ? await lastwrite.loadEngine({ backend: "wasm" })
        : await loadWasmEngine(module);
    place = createPlace(engine, lastwrite);
    return undefined;
  }
  if (place === undefined) throw new Error("the engine was not loaded yet");
  return (place[message.name] as (...args: readonly unknown[]) => unknown)(...message.args);
}
