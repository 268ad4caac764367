/** An adapter as a user writes one: examples/key-value-persistence.mjs, over a service that is a Map. */

import { keyValuePersistence } from "../../examples/key-value-persistence.mjs";
import { testPersistence } from "../suites/test-persistence.ts";

testPersistence("an adapter of one's own", async () => {
  const kept = new Map<string, Uint8Array>();
  const service = {
    get: async (key: string) => kept.get(key),
    set: async (key: string, value: Uint8Array) => void kept.set(key, value.slice()),
    delete: async (key: string) => void kept.delete(key),
    keys: async (prefix: string) => [...kept.keys()].filter((key) => key.startsWith(prefix)),
  };
  return { opener: () => keyValuePersistence(service, "notes"), remove: async () => {} };
});
