import { memoryPersistence } from "lastwrite/persistence/memory";

import { testPersistence } from "../suites/test-persistence.ts";

testPersistence("memory", async () => {
  const first = memoryPersistence();
  return { opener: () => memoryPersistence({ of: first }), remove: async () => {} };
});
