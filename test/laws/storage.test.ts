/**
 * What a replica told its storage is what it comes back with: random histories in which stores journal, crash, close and open again, over
 * real engines. After each opening all of the state is compared with that of the last journal kept.
 *
 * STORAGE_SEED=7 plays one history and prints it step by step; STORAGE_HISTORIES=1000000 plays that many, however long it takes;
 * PLANTED=text plays only the wrong variants whose name has that text.
 */

import { testHistories, testVariants } from "./histories-on-engines.ts";
import { storageVariants } from "./planted-storage.ts";

testHistories({
  law: "replicas come back as they were",
  variable: "STORAGE",
  plan: "storage",
  fastest: { count: 5_000, least: 500, budgetMs: 30_000 },
  others: { count: 500, least: 50, budgetMs: 10_000 },
});

testVariants(storageVariants, 120_000);
