/** Where the package's WASM build is, in browsers, workers and other hosts: beside this module, where bundlers find it too. */

/** Its address. */
export async function defaultWasmSource(): Promise<URL> {
  // Bundlers copy the file because of this very expression.
  return new URL("./lastwrite.wasm", import.meta.url);
}

/** Undefined: every address is to be fetched. */
export async function readLocal(_address: URL): Promise<undefined> {}
