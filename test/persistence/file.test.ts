import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";

import { filePersistence } from "lastwrite/persistence/file";

import { testPersistence } from "../suites/test-persistence.ts";

testPersistence("file", async () => {
  const folder = await mkdtemp(path.join(tmpdir(), "lastwrite-file-"));
  return {
    opener: () => filePersistence(path.join(folder, "store.lw")),
    remove: () => rm(folder, { recursive: true }),
  };
});
