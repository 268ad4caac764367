/** Runs the cases of ./persistence.ts under vitest. */

import { loadEngine } from "lastwrite";
import { describe, test } from "vitest";

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
    for (const { name: sentence, run } of persistenceCases) {
      const reason = without[sentence];
      if (reason !== undefined) {
        test.skip(`${sentence} (${reason})`, () => {});
        continue;
      }
      // eslint-disable-next-line vitest/expect-expect -- The cases assert by themselves, so that a page can run them.
      test(sentence, async () => {
        const place = await make();
        try {
          const engines = [
            await loadEngine(),
            await loadEngine({ backend: "script" }),
            await loadEngine({ backend: "wasm" }),
          ] as const;
          await run({ place, engines });
        } finally {
          await place.remove();
        }
      });
    }
  });
}
