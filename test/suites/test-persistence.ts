/** Runs the cases of ./persistence.ts under vitest. */

import { loadEngine } from "lastwrite";
import { describe, expect, test } from "vitest";

import { LACKING } from "../summary-reporter.ts";
import { persistenceCases, type PlaceUnderTest } from "./persistence.ts";

export interface PersistenceTestOptions {
  /** Cases that this adapter cannot meet, by name, each with what it lacks. */
  readonly without?: Readonly<Record<string, string>>;
}

/** What every persistence adapter must do. `make` gives an empty place each time. */
export function testPersistence(
  name: string,
  make: () => Promise<PlaceUnderTest>,
  { without = {} }: PersistenceTestOptions = {},
): void {
  describe(`persistence: ${name}`, () => {
    test.for(persistenceCases)("$name", async (persistenceCase, { skip }) => {
      const reason = without[persistenceCase.name];
      if (reason !== undefined) skip(`${LACKING}${reason}`);
      const place = await make();
      try {
        const engines = [
          await loadEngine(),
          await loadEngine({ backend: "script" }),
          await loadEngine({ backend: "wasm" }),
        ] as const;
        // The cases assert by themselves, so that a page can run them.
        await expect(persistenceCase.run({ place, engines })).resolves.toBeUndefined();
      } finally {
        await place.remove();
      }
    });
  });
}
