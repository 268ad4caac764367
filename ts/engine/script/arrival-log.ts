/** Where each entry held stands in the order of arrival. */

/** Anything that stands in the log. */
export interface Placed {
  /** Its number in the log. */
  place: number;
}

/** Places numbered from 0; an entry that leaves one leaves it empty. */
export class ArrivalLog<T extends Placed> {
  #places: (T | undefined)[] = [];
  /** The number of the first place that is kept. */
  #start = 0;

  /** The number that the next arrival gets. */
  get head(): number {
    return this.#start + this.#places.length;
  }

  append(entry: T): void {
    entry.place = this.head;
    this.#places.push(entry);
  }

  leave({ place }: T): void {
    this.#places[place - this.#start] = undefined;
  }

  /** Gives an entry back the place that it left. */
  restore(entry: T): void {
    this.#places[entry.place - this.#start] = entry;
  }

  /** Forgets all places, and goes on from the head. */
  restart(): void {
    this.#start = this.head;
    this.#places = [];
  }

  /** Forgets all places from `head` on. */
  truncate(head: number): void {
    this.#places.length = head - this.#start;
  }

  /** Closes the gaps once they outnumber the entries held, of which there are `count`. */
  packIfSparse(count: number): void {
    if (isSparse(this.#places.length, count)) this.#packUpTo(this.head);
  }

  /** Leaves all places before `head` empty, or with `packs`, and where they would be too many, moves the entries up to it. */
  moveHead(head: number, count: number, packs: boolean): void {
    if (packs || isSparse(head - this.#start, count)) this.#packUpTo(head);
    else while (this.head < head) this.#places.push(undefined);
  }

  #packUpTo(head: number): void {
    this.#places = this.#places.filter((entry) => entry !== undefined);
    this.#start = head - this.#places.length;
    this.#places.forEach((entry, at) => {
      if (entry !== undefined) entry.place = this.#start + at;
    });
  }

  /** The entries that arrived at `place` or later, in order. */
  *since(place: number): Generator<T, void, undefined> {
    for (let at = Math.max(0, place - this.#start); at < this.#places.length; at++) {
      const entry = this.#places[at];
      if (entry !== undefined) yield entry;
    }
  }
}

const SPARE_PLACES = 64;

/** Whether too many of the places are empty. */
function isSparse(placeCount: number, heldCount: number): boolean {
  return placeCount - heldCount > heldCount + SPARE_PLACES;
}
