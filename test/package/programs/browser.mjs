import * as lastwrite from "lastwrite";

import { agree } from "./agree.mjs";

async function main() {
  for (const backend of ["wasm", "script"]) await agree(lastwrite, backend);
  const { backend } = await lastwrite.loadEngine();
  return `chose ${backend}`;
}

main().then(
  (result) => (document.title = result),
  (error) => (document.title = `failed: ${error.stack}`),
);
