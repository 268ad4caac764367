/** Whether what was given can be used as a persistence at all. */

import { invalid } from "../dictionary/arguments.ts";
import type { Persistence } from "./contract.ts";

const CALLS: readonly (keyof Persistence)[] = ["open", "load", "append", "replace", "close"];

/** Throws `invalid-argument` for what has not the five calls. `what` names it. */
export function checkPersistence(given: Persistence | undefined, what: string): void {
  const missing = CALLS.find((call) => typeof given?.[call] !== "function");
  if (missing === undefined) return;
  throw invalid(
    `${what} must come from an adapter, such as filePersistence(path); it has no ${missing}()`,
  );
}
