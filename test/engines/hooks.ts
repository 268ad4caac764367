/** The engines as they are built for tests: they count probes, panic when told to, and craft keys. */

import { readdir, readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

import type { Boundary, BoundaryDictionary, Call, Calls } from "../../ts/engine/boundary.ts";
import type { Engine, EngineDictionary } from "../../ts/engine/contract.ts";
import { loadNativeEngine } from "../../ts/engine/native.ts";
import { loadWasmEngine } from "../../ts/engine/wasm.ts";

/** What the calls have in these builds alone. */
interface Hooks extends Calls {
  /** Which call from now on panics. */
  readonly injectPanic: Call;
  readonly probes: Call;
  /** How many keys, and how many high bits of their hashes under seed 0 are zero. */
  readonly craftKeys: Call;
}

export const hookedBackends = ["native", "wasm"] as const;
export type HookedBackend = (typeof hookedBackends)[number];

/** Loads an engine of its own. */
export async function loadHooked(backend: HookedBackend): Promise<Engine> {
  return backend === "native"
    ? loadNativeEngine({ file: await nativeFile() })
    : loadWasmEngine(await wasmBytes);
}

/** Everything that the engine exports for JavaScript to call. */
export function exportedCalls(engine: Engine): string[] {
  const { calls } = boundaryOf(engine);
  const hooks = new Set(["injectPanic", "probes", "craftKeys"]);
  return Object.entries(calls)
    .filter(([name, call]) => typeof call === "function" && !hooks.has(name))
    .map(([name]) => name);
}

/** Makes the n-th call from now on panic. */
export function injectPanic(engine: Engine, calls: number): void {
  const boundary = boundaryOf(engine);
  boundary.open();
  boundary.numbers[0] = calls;
  boundary.run((boundary.calls as Hooks).injectPanic, 0, 0);
}

/** How many slots of its table the dictionary has looked at. */
export function probesOf(engine: Engine, dictionary: EngineDictionary): number {
  const boundary = boundaryOf(engine);
  return boundary.run((boundary.calls as Hooks).probes, handleOf(dictionary), 0);
}

/** Keys that meet in the table of whoever hashes with seed 0. */
export function craftKeys(engine: Engine, count: number, bits: number): string[] {
  const boundary = boundaryOf(engine);
  boundary.open();
  boundary.numbers[0] = count;
  boundary.numbers[1] = bits;
  const text = boundary.takeText(boundary.run((boundary.calls as Hooks).craftKeys, 0, 0));
  return Array.from({ length: count }, (_, at) => text.slice(at * 8, at * 8 + 8));
}

/** By which number the engine knows the dictionary. */
export function handleOf(dictionary: EngineDictionary): number {
  return (dictionary as unknown as { readonly handle: number } & BoundaryDictionary).handle;
}

/** The one that was built for this system. */
async function nativeFile(): Promise<string> {
  const folder = new URL("../../bindings/node/test-hooks/", import.meta.url);
  const name = (await readdir(folder)).find((file) => file.endsWith(".node"));
  if (name === undefined)
    throw new Error("the addon for tests is not built: npm run ready -- hooks");
  return fileURLToPath(new URL(name, folder));
}

const wasmBytes = readFile(
  new URL("../../bindings/wasm/pkg-test-hooks/lastwrite_wasm_bg.wasm", import.meta.url),
);

function boundaryOf(engine: Engine): Boundary {
  return (engine as unknown as { readonly boundary: Boundary }).boundary;
}
