import * as lastwrite from "lastwrite";
import { indexedDbPersistence } from "lastwrite/persistence/indexeddb";

import { agree } from "./agree.mjs";

async function main() {
  for (const backend of ["wasm", "script"]) await agree(lastwrite, backend);
  await keeps();
  const { backend } = await lastwrite.loadEngine();
  return `chose ${backend}`;
}

async function keeps() {
  const persistence = indexedDbPersistence("notes");
  const store = await lastwrite.open({ persistence });
  store.set("title", "Ship it");
  await store.close();
  const again = await lastwrite.open({ persistence });
  if (again.get("title") !== "Ship it") throw new Error("IndexedDB did not keep the store");
  await again.close();
}

main().then(
  (result) => (document.title = result),
  (error) => (document.title = `failed: ${error.stack}`),
);
