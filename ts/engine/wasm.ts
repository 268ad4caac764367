/** The engine as WebAssembly: each engine is an instance of its own. */

import { defaultWasmSource, readLocal } from "#wasm-source";

import { LastwriteError } from "../errors.ts";
import {
  Boundary,
  BoundaryDictionary,
  BoundaryEngine,
  type Call,
  type Calls,
  FORM,
} from "./boundary.ts";
import type { Engine, EngineValue } from "./contract.ts";

/** Where the WASM build is: an address, a response with it, its bytes, or the compiled module. */
export type WasmSource = URL | string | Response | BufferSource | WebAssembly.Module;

/**
 * Loads the WASM engine: from the package's own file, or from `source`. Strings are addresses, relative ones as `fetch` takes them.
 *
 * Rejects with `engine-unavailable`, whose message says why, when it cannot be had from there.
 */
export async function loadWasmEngine(source?: WasmSource): Promise<Engine> {
  try {
    const module = await compile(source ?? (await defaultWasmSource()));
    const instance = await WebAssembly.instantiate(module, importsOf(module));
    return new WasmEngine(new WasmBoundary(instance.exports as unknown as Exports));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new LastwriteError("engine-unavailable", `the WASM engine cannot be loaded: ${why}`, {
      cause: error,
    });
  }
}

/** What the module exports: see bindings/wasm/src. */
interface Exports extends Calls {
  readonly memory: WebAssembly.Memory;
  readonly desk: () => number;
  readonly note: () => number;
  readonly reserve: (length: number) => number;
  readonly answer: () => number;
  /** Answers as numbers the form of the value, and the number. */
  readonly get: Call;
  readonly has: Call;
  /** now. */
  readonly delete: Call;
}

class WasmBoundary extends Boundary {
  readonly exports: Exports;
  readonly #desk: number;
  readonly #note: number;

  constructor(exports: Exports) {
    super(exports);
    this.exports = exports;
    // Addresses are unsigned, the numbers of WebAssembly are not.
    this.#desk = exports.desk() >>> 0;
    this.#note = exports.note() >>> 0;
    this.renew();
  }

  protected override renew(): void {
    this.lay(this.exports.memory.buffer, this.#desk);
  }

  protected override lastWords(): string | undefined {
    const memory = this.exports.memory.buffer;
    const length = new DataView(memory).getUint32(this.#note, true);
    if (length === 0) return undefined;
    return new TextDecoder().decode(new Uint8Array(memory, this.#note + 4, length));
  }

  protected override lend(bytes: Uint8Array): undefined {
    const at = this.#address(() => this.exports.reserve(bytes.length));
    new Uint8Array(this.exports.memory.buffer, at, bytes.length).set(bytes);
  }

  protected override copyLong(length: number): Uint8Array {
    const at = this.#address(() => this.exports.answer());
    return new Uint8Array(this.exports.memory.buffer, at, length).slice();
  }

  #address(call: () => number): number {
    let address: number;
    try {
      address = call() >>> 0;
    } catch (error) {
      throw this.trapped(error);
    }
    // The memory may have grown, which moves it.
    this.renew();
    return address;
  }
}

class WasmEngine extends BoundaryEngine<WasmBoundary> {
  override readonly backend = "wasm";

  protected override dictionary(boundary: WasmBoundary, handle: number): WasmDictionary {
    return new WasmDictionary(boundary, handle);
  }
}

class WasmDictionary extends BoundaryDictionary<WasmBoundary> {
  override get(key: string): EngineValue | undefined {
    const { boundary } = this;
    boundary.open();
    const length = boundary.run(boundary.exports.get, this.handle, boundary.putKey(key));
    switch (boundary.numbers[0]) {
      case FORM.none:
        return undefined;
      case FORM.null:
        return null;
      case FORM.false:
        return false;
      case FORM.true:
        return true;
      case FORM.number:
        return boundary.numbers[1];
      case FORM.ascii:
        return length <= ASCII_MAX ? shortAscii(boundary.body, length) : boundary.takeText(length);
      case FORM.utf8:
        return boundary.takeText(length);
      default:
        return boundary.take(length);
    }
  }

  override has(key: string): boolean {
    const { boundary } = this;
    boundary.open();
    return boundary.run(boundary.exports.has, this.handle, boundary.putKey(key)) === 1;
  }

  override set(key: string, value: EngineValue, now: number): number {
    const { boundary } = this;
    boundary.open();
    const length = boundary.putEntry(key, value);
    boundary.numbers[0] = now;
    return boundary.run(boundary.exports.set, this.handle, length);
  }

  override delete(key: string, now: number): number {
    const { boundary } = this;
    boundary.open();
    const length = boundary.putKey(key);
    boundary.numbers[0] = now;
    return boundary.run(boundary.exports.delete, this.handle, length);
  }
}

/** What wasm-bindgen imports to prepare its own glue, of which nothing is used: the engine itself imports nothing. */
function importsOf(module: WebAssembly.Module): WebAssembly.Imports {
  const imports: Record<string, Record<string, () => void>> = {};
  for (const { module: from, name } of WebAssembly.Module.imports(module)) {
    (imports[from] ??= {})[name] = () => {};
  }
  return imports;
}

async function compile(source: WasmSource): Promise<WebAssembly.Module> {
  if (source instanceof WebAssembly.Module) return source;
  if (typeof source === "string" || source instanceof URL) {
    const address = addressOf(source);
    const local = address instanceof URL ? await readLocal(address) : undefined;
    return local === undefined ? compileResponse(await fetch(address)) : WebAssembly.compile(local);
  }
  if (source instanceof Response) return compileResponse(source);
  return WebAssembly.compile(source);
}

/** A whole address as URL; a relative one is for `fetch` to complete. */
function addressOf(source: string | URL): string | URL {
  return typeof source === "string" && URL.canParse(source) ? new URL(source) : source;
}

async function compileResponse(response: Response): Promise<WebAssembly.Module> {
  if (!response.ok) throw new Error(`${response.url} answered ${response.status}`);
  const type = response.headers.get("content-type") ?? "";
  // Compiling while it comes is quicker, but demands the right type, which not all servers say.
  if (type.startsWith("application/wasm")) return WebAssembly.compileStreaming(response);
  return WebAssembly.compile(await response.arrayBuffer());
}

/** The longest text for which calling TextDecoder costs more than this does. */
const ASCII_MAX = 24;

function shortAscii(bytes: Uint8Array, length: number): string {
  // Each index lies below the length.
  const at = bytes as unknown as Record<number, number>;
  let text = "";
  let index = 0;
  for (; index + 4 <= length; index += 4) {
    text += String.fromCharCode(at[index]!, at[index + 1]!, at[index + 2]!, at[index + 3]!);
  }
  switch (length - index) {
    case 1:
      return text + String.fromCharCode(at[index]!);
    case 2:
      return text + String.fromCharCode(at[index]!, at[index + 1]!);
    case 3:
      return text + String.fromCharCode(at[index]!, at[index + 1]!, at[index + 2]!);
    default:
      return text;
  }
}
