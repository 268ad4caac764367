/** The WASM engine by itself, for pages and workers that want to say where its file is, and to load nothing else. */

export type { Engine } from "./contract.ts";
export { loadWasmEngine, type WasmSource } from "./wasm.ts";
