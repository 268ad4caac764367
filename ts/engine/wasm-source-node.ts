/** Where the package's WASM build is, under Node. */

import { readFile } from "node:fs/promises";

/** Beside this module in the package; in the checkout where wasm-pack puts it. */
const PLACES = ["./lastwrite.wasm", "../../bindings/wasm/pkg/lastwrite_wasm_bg.wasm"];

/** Reads it. */
export async function defaultWasmSource(): Promise<Uint8Array<ArrayBuffer>> {
  const [beside, built] = PLACES.map((place) => new URL(place, import.meta.url));
  try {
    return await readFile(beside as URL);
  } catch {
    return await readFile(built as URL);
  }
}

/** Reads a file of this machine; undefined for an address that is to be fetched. */
export async function readLocal(address: URL): Promise<Uint8Array<ArrayBuffer> | undefined> {
  return address.protocol === "file:" ? readFile(address) : undefined;
}
