/** The engine as a Node addon. */

import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { markAsUntransferable } from "node:worker_threads";

import { LastwriteError } from "../errors.ts";
import {
  Boundary,
  BoundaryDictionary,
  BoundaryEngine,
  type Calls,
  DESK_BYTES,
} from "./boundary.ts";
import type { Engine, EngineValue } from "./contract.ts";

export interface NativeEngineOptions {
  /** The addon to load. Default: that of this checkout, if it is one and was built, else that of the installed package for this system. */
  readonly file?: string;
}

/** Loads the addon, or says why it cannot with `engine-unavailable`. */
export function loadNativeEngine({ file }: NativeEngineOptions = {}): Engine {
  return new NativeEngine(
    new NativeBoundary(file === undefined ? loadAddon() : requireAddon(file)),
  );
}

/** What the addon has beside the engine: locks of files, which end with the thread or process that took them. */
export interface FileLocks {
  /**
   * Opens the file for writing, makes it if need be, and takes it for this opener alone. Answers a number for `unlockFile`, or −1 when somebody
   * else has it. Throws an error with the `code` of the system when it cannot be opened.
   */
  readonly lockFile: (path: string) => number;
  /** Harmless when done twice. */
  readonly unlockFile: (lock: number) => void;
}

/** The locks, without an engine; throws `engine-unavailable` where there is no addon. */
export function nativeFileLocks(): FileLocks {
  return loadAddon();
}

/** What the addon exports: see bindings/node/src. */
interface Addon extends Calls, FileLocks {
  readonly desk: ArrayBuffer;
  /** A bigint is the length of canonical bytes on the desk, or below 0 an error. */
  readonly getPlain: (
    handle: number,
    key: string,
  ) => Exclude<EngineValue, Uint8Array> | undefined | bigint;
  readonly setPlain: (handle: number, key: string, value: EngineValue, now: number) => number;
  readonly has: (handle: number, key: string) => number;
  readonly delete: (handle: number, key: string, now: number) => number;
  readonly take: (into: Uint8Array) => number;
}

/** Arrays of up to so many bytes lie on the heap of JavaScript, and are quickly made. */
const HEAP_BYTES_MAX = 64;
/** Longer ones each cost an allocation outside, so that short answers share one, as Node's own buffers do. */
const POOLED_BYTES_MAX = 1024;
const POOL_BYTES = 8 * 1024;

class NativeBoundary extends Boundary {
  readonly addon: Addon;
  #pool = newPool();
  #pooled = 0;

  constructor(addon: Addon) {
    super(addon);
    this.addon = addon;
    this.lay(addon.desk, 0);
  }

  protected override lastWords(): undefined {
    // A panic comes as an answer, with its message.
  }

  protected override renew(): void {
    // The desk never moves.
  }

  protected override lend(bytes: Uint8Array): Uint8Array {
    // Another thread could change shared memory while the engine reads it.
    return bytes.buffer instanceof SharedArrayBuffer ? bytes.slice() : bytes;
  }

  override close(handle: number): void {
    // What did not panic itself can still be freed.
    if (this.panic === undefined) super.close(handle);
    else this.addon.close(handle, 0);
  }

  protected override copy(length: number): Uint8Array {
    if (length <= HEAP_BYTES_MAX || length > POOLED_BYTES_MAX) return super.copy(length);
    if (this.#pooled + length > POOL_BYTES) {
      this.#pool = newPool();
      this.#pooled = 0;
    }
    const bytes = new Uint8Array(this.#pool, this.#pooled, length);
    // The next one begins at a multiple of 8, where columns may be read as numbers.
    this.#pooled += (length + 7) & ~7;
    bytes.set(this.body.subarray(0, length));
    return bytes;
  }

  protected override copyLong(length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    const answer = this.addon.take(bytes);
    return answer >= 0 ? bytes : this.fail(answer);
  }
}

/** Whoever transfers a frame to another thread must not take the others along: Node copies it instead, or refuses. */
function newPool(): ArrayBuffer {
  const pool = new ArrayBuffer(POOL_BYTES);
  markAsUntransferable(pool);
  return pool;
}

class NativeEngine extends BoundaryEngine<NativeBoundary> {
  override readonly backend = "native";

  protected override dictionary(boundary: NativeBoundary, handle: number): NativeDictionary {
    return new NativeDictionary(boundary, handle);
  }
}

class NativeDictionary extends BoundaryDictionary<NativeBoundary> {
  override get(key: string): EngineValue | undefined {
    const { boundary } = this;
    boundary.open();
    const value = boundary.addon.getPlain(this.handle, key);
    if (typeof value !== "bigint") return value;
    return value < 0n ? boundary.fail(Number(value)) : boundary.take(Number(value));
  }

  override has(key: string): boolean {
    const { boundary } = this;
    boundary.open();
    const answer = boundary.addon.has(this.handle, key);
    return answer >= 0 ? answer === 1 : boundary.fail(answer);
  }

  override set(key: string, value: EngineValue, now: number): number {
    const { boundary } = this;
    boundary.open();
    if (typeof value === "object" && value !== null) {
      const length = boundary.putEntry(key, value);
      boundary.numbers[0] = now;
      return boundary.run(boundary.calls.set, this.handle, length);
    }
    const answer = boundary.addon.setPlain(this.handle, key, value, now);
    return answer >= 0 ? answer : boundary.fail(answer);
  }

  override delete(key: string, now: number): number {
    const { boundary } = this;
    boundary.open();
    const answer = boundary.addon.delete(this.handle, key, now);
    return answer >= 0 ? answer : boundary.fail(answer);
  }
}

/** Looked for once: asking for the system is slow. */
let loaded: Addon | undefined;

function loadAddon(): Addon {
  return (loaded ??= findAddon());
}

function findAddon(): Addon {
  const triple = hostTriple();
  const packageName = `@lastwrite/node-${triple}`;
  // The same place from ts/ and from dist/; an installed package has nothing there.
  const file = fileURLToPath(
    new URL(`../../bindings/node/lastwrite.${triple}.node`, import.meta.url),
  );
  const reasons: string[] = [];
  for (const specifier of [file, packageName]) {
    try {
      return requireAddon(specifier);
    } catch (error) {
      reasons.push(error instanceof Error ? firstLine(error.message) : String(error));
    }
  }
  throw new LastwriteError(
    "engine-unavailable",
    `there is no addon for this system: install ${packageName}, or take another backend (${reasons.join("; ")})`,
  );
}

function requireAddon(specifier: string): Addon {
  const addon = createRequire(import.meta.url)(specifier) as Addon;
  // Read by another layout, its answers would be nonsense.
  if (addon.desk?.byteLength !== DESK_BYTES) {
    throw new LastwriteError(
      "engine-unavailable",
      `the addon ${specifier} belongs to another version of this library; install both anew`,
    );
  }
  return addon;
}

/** The system as the packages are named by it. */
function hostTriple(): string {
  const { platform, arch } = process;
  switch (platform) {
    case "linux":
      return `linux-${arch}-${isMusl() ? "musl" : "gnu"}`;
    case "win32":
      return `win32-${arch}-msvc`;
    default:
      return `${platform}-${arch}`;
  }
}

/** Node names the version of glibc that it runs with; with musl there is none. */
function isMusl(): boolean {
  const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } };
  return header.glibcVersionRuntime === undefined;
}

function firstLine(text: string): string {
  return text.split("\n", 1)[0] as string;
}
