/** Keeps stores by the sub-paths of the package, as far as this runtime has what they need. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { copyPersistence, loadEngine, open } from "lastwrite";
import { filePersistence } from "lastwrite/persistence/file";
import { indexedDbPersistence } from "lastwrite/persistence/indexeddb";
import { memoryPersistence } from "lastwrite/persistence/memory";
import { postgresPersistence } from "lastwrite/persistence/postgres";
import { sqlitePersistence } from "lastwrite/persistence/sqlite";

const folder = mkdtempSync(join(tmpdir(), "lastwrite-stores-"));
const kept = [];
try {
  const engine = await loadEngine({ backend: process.argv[2] });
  await keeps("memory", engine, sameMemory());
  await keeps("file", engine, () => filePersistence(join(folder, "notes.lw")));
  if (process.getBuiltinModule?.("node:sqlite") !== undefined) {
    const { DatabaseSync } = await import("node:sqlite");
    const database = new DatabaseSync(join(folder, "app.db"));
    await keeps("node:sqlite", engine, () => sqlitePersistence(database));
    database.close();
  }
  for (const factory of [indexedDbPersistence, postgresPersistence]) {
    if (typeof factory !== "function") throw new Error("a sub-path lacks its function");
  }
  console.log(`kept by ${kept.join(", ")}`);
} finally {
  rmSync(folder, { recursive: true });
}

function sameMemory() {
  const first = memoryPersistence();
  return () => memoryPersistence({ of: first });
}

async function keeps(name, engine, opener) {
  const store = await open({ persistence: opener(), engine, durability: "strict" });
  store.set("tasks/42/title", "Ship it");
  store.deletePrefix("tasks/41/");
  await store.flush();
  const snapshot = store.snapshot();
  await store.close();
  const copy = memoryPersistence();
  await copyPersistence(opener(), copy, { engine });
  for (const persistence of [opener(), copy]) {
    const again = await open({ persistence, engine });
    const isSame = Buffer.compare(again.snapshot(), snapshot) === 0;
    await again.close();
    if (!isSame) throw new Error(`${name} did not keep the store`);
  }
  kept.push(name);
}
