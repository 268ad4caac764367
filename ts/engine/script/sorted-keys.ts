/** The keys of a map in the order of their bytes, sorted only when somebody asks. */

import { compareText } from "../../codec/text.ts";

export class SortedKeys {
  #sorted: string[] = [];
  readonly #added = new Set<string>();
  readonly #removed = new Set<string>();

  add(key: string): void {
    if (!this.#removed.delete(key)) this.#added.add(key);
  }

  remove(key: string): void {
    if (!this.#added.delete(key)) this.#removed.add(key);
  }

  /** Every key once, ascending; stays as it is until the next call. */
  all(): readonly string[] {
    if (this.#added.size > 0 || this.#removed.size > 0) {
      const kept = this.#sorted.filter((key) => !this.#removed.has(key));
      // Sorting takes runs that are in order as they are, so this is cheap when few keys are new.
      this.#sorted = [...kept, ...[...this.#added].toSorted(compareText)].toSorted(compareText);
      this.#added.clear();
      this.#removed.clear();
    }
    return this.#sorted;
  }
}
