/** What a store keeps beside its entries, by name: docs/persistence.md, What is kept. */

export const ATTRIBUTE = {
  /** 16 bytes that name the store to other stores, from its creation on. */
  storeId: "id",
  /** 8 bytes that name the order of arrival: places of one epoch can be compared. */
  epoch: "epoch",
  /** There while the store is open, and after it was not closed: one byte, of `OPEN`. */
  open: "open",
} as const;

/** How a store is open. */
export const OPEN = { relaxed: 1, strict: 2 } as const;

/** Attributes, and which of them are still to be kept. */
export class Attributes {
  readonly #all = new Map<string, Uint8Array>();
  readonly #changed = new Map<string, Uint8Array | undefined>();
  #isChanged = false;

  get all(): ReadonlyMap<string, Uint8Array> {
    return this.#all;
  }

  get(name: string): Uint8Array | undefined {
    return this.#all.get(name);
  }

  set(name: string, value: Uint8Array | undefined): void {
    this.note(name, value);
    this.#isChanged = true;
  }

  /** Whether something has to be kept that was not only noted. */
  get isChanged(): boolean {
    return this.#isChanged;
  }

  /** As `set`, for what may get lost in a crash: it is kept with what is to be kept anyway. */
  note(name: string, value: Uint8Array | undefined): void {
    this.#put(name, value);
    this.#changed.set(name, value);
  }

  /** Has an attribute kept once more. */
  touch(name: string): void {
    this.#changed.set(name, this.#all.get(name));
    this.#isChanged = true;
  }

  /** Takes over what was kept. */
  load(kept: Iterable<readonly [name: string, value: Uint8Array | undefined]>): void {
    for (const [name, value] of kept) this.#put(name, value);
  }

  /** What changed since the last call. */
  takeChanged(): ReadonlyMap<string, Uint8Array | undefined> {
    const changed = new Map(this.#changed);
    this.#changed.clear();
    this.#isChanged = false;
    return changed;
  }

  #put(name: string, value: Uint8Array | undefined): void {
    if (value === undefined) this.#all.delete(name);
    else this.#all.set(name, value);
  }
}
