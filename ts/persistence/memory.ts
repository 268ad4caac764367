/** Keeps frames in this process, and loses them with it: for tests and caches. */

import { LastwriteError } from "../errors.ts";
import type { Access, Persistence } from "./contract.ts";

/** Which place it is. */
export interface MemoryPersistenceOptions {
  /** Another opener of what that one keeps, as a second process would be one of a file. Default: a new place. */
  readonly of?: Persistence;
}

/** What openers of one place share. */
interface Place {
  frames: Uint8Array[];
  writer: Persistence | undefined;
}

const places = new WeakMap<Persistence, Place>();

/**
 * Returns a place in memory, empty at first. Stores opened on it one after the other find what was written before; it takes no copies of what it is given.
 *
 * Throws `invalid-argument` when `of` is no persistence of this function.
 */
export function memoryPersistence({ of }: MemoryPersistenceOptions = {}): Persistence {
  const place = of === undefined ? { frames: [], writer: undefined } : places.get(of);
  if (place === undefined) {
    throw new LastwriteError("invalid-argument", "`of` must come from memoryPersistence()");
  }
  const persistence = new MemoryPersistence(place);
  places.set(persistence, place);
  return persistence;
}

class MemoryPersistence implements Persistence {
  readonly name = "memory";
  readonly #place: Place;
  #access: Access | undefined;

  constructor(place: Place) {
    this.#place = place;
  }

  async open({ access }: { readonly access: Access }): Promise<void> {
    if (this.#access !== undefined || (access === "write" && this.#place.writer !== undefined)) {
      throw new LastwriteError("store-locked", "another store is open in this memory; close it");
    }
    this.#access = access;
    if (access === "write") this.#place.writer = this;
  }

  async *load(): AsyncGenerator<Uint8Array, void, undefined> {
    this.#checkOpen();
    yield* this.#place.frames;
  }

  async append(frame: Uint8Array): Promise<void> {
    this.#checkOpen();
    this.#place.frames.push(frame);
  }

  async replace(frames: Iterable<Uint8Array>): Promise<void> {
    this.#checkOpen();
    this.#place.frames = [...frames];
  }

  async close(): Promise<void> {
    this.#access = undefined;
    if (this.#place.writer === this) this.#place.writer = undefined;
  }

  #checkOpen(): void {
    if (this.#access === undefined) {
      throw new LastwriteError("store-closed", "the memory is not open; call open() first");
    }
  }
}
