/** Stands for the native engine where there is no Node, so that no bundle for a browser names its modules. */

import { LastwriteError } from "../errors.ts";
import type { Engine } from "./contract.ts";
import type { NativeEngineOptions } from "./native.ts";

/** Throws `engine-unavailable`. */
export function loadNativeEngine(_options?: NativeEngineOptions): Engine {
  throw new LastwriteError(
    "engine-unavailable",
    "the native engine runs on Node only; take another backend",
  );
}
