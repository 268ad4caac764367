/** The engines that every promise of the Dictionary is tested on, and small helpers. */

import { beforeAll, describe, expect } from "vitest";
import {
  type Backend,
  createDictionary,
  type Dictionary,
  type DictionaryOptions,
  type Engine,
  type ErrorCode,
  LastwriteError,
  loadEngine,
} from "../../ts/index.ts";

const BACKENDS: readonly Backend[] = ["script", "native", "wasm"];

/** Gives new dictionaries on one engine. */
export type Make = (options?: Omit<DictionaryOptions, "engine">) => Dictionary;

/** Declares the same tests for each engine. */
export function onEachEngine(declare: (make: Make, engine: () => Engine) => void): void {
  describe.each(BACKENDS)("on the %s engine", (backend) => {
    let engine: Engine;
    beforeAll(async () => {
      engine = await loadEngine({ backend });
    });
    declare(
      (options) => createDictionary({ engine, ...options }),
      () => engine,
    );
  });
}

/** Expects `call` to throw a LastwriteError of this code, and returns it. */
export function assertRefused(code: ErrorCode, call: () => unknown): LastwriteError {
  try {
    call();
  } catch (error) {
    expect(error).toBeInstanceOf(LastwriteError);
    expect((error as LastwriteError).code).toBe(code);
    return error as LastwriteError;
  }
  throw new Error(`nothing was thrown where ${code} should have been`);
}

/** What tells whether anything changed. */
export function stateOf(dictionary: Dictionary): readonly unknown[] {
  return [dictionary.snapshot(), dictionary.digest(), dictionary.version(), dictionary.size];
}

/** An id that is easily told from others. */
export function id(digit: string): string {
  return digit.repeat(32);
}
