/** Chooses the engine: the fastest that this place can run, or the one asked for. Nothing is loaded that is not tried. */

import { LastwriteError } from "../errors.ts";
import type { Backend, Engine } from "./contract.ts";
import type { WasmSource } from "./wasm.ts";

/** Which engine to load, and from where. */
export interface LoadEngineOptions {
  /** Which engine it has to be. Default: the first of native, WASM and script that can be had. */
  readonly backend?: Backend;
  /**
   * Where the WASM build is, where it does not lie beside this module: an address, its bytes, or the compiled module. Ignored by the
   * other engines. Default: the file of the package.
   */
  readonly wasm?: WasmSource;
}

const PREFERRED: readonly Backend[] = ["native", "wasm", "script"];

/**
 * Loads an engine: native → WASM → script, or the one asked for. `engine.backend` says which it is; all give the same
 * bytes and answers, only at other speeds. Each call gives an engine of its own; one is enough for any number of dictionaries.
 *
 * Rejects with `engine-unavailable`, whose message says why, when the engine asked for cannot be had; without `backend` the script engine
 * is always there. `invalid-argument` for a backend of another name.
 *
 * @example
 * ```ts
 * import { loadEngine } from "lastwrite";
 *
 * const engine = await loadEngine({ backend: "script" });
 * console.log(engine.backend); // script
 * ```
 */
export async function loadEngine({ backend, wasm }: LoadEngineOptions = {}): Promise<Engine> {
  if (backend === undefined) return loadFirst(PREFERRED, wasm);
  if (!PREFERRED.includes(backend)) {
    throw new LastwriteError(
      "invalid-argument",
      `there is no engine ${JSON.stringify(backend)}; choose one of ${PREFERRED.join(", ")}`,
    );
  }
  return loadOne(backend, wasm);
}

async function loadFirst(
  [backend = "script", ...others]: readonly Backend[],
  wasm: WasmSource | undefined,
): Promise<Engine> {
  try {
    return await loadOne(backend, wasm);
  } catch (error) {
    if (others.length === 0) throw error;
    return loadFirst(others, wasm);
  }
}

async function loadOne(backend: Backend, wasm: WasmSource | undefined): Promise<Engine> {
  try {
    switch (backend) {
      case "native":
        return (await import("#native")).loadNativeEngine();
      case "wasm":
        return await (await import("./wasm.ts")).loadWasmEngine(wasm);
      default:
        return (await import("./script.ts")).scriptEngine();
    }
  } catch (error) {
    if (error instanceof LastwriteError && error.code === "engine-unavailable") throw error;
    // A bundle that left a module out, a refused download, an addon for another machine.
    const why = error instanceof Error ? error.message : String(error);
    throw new LastwriteError(
      "engine-unavailable",
      `the ${backend} engine cannot be loaded: ${why}`,
      {
        cause: error,
      },
    );
  }
}
