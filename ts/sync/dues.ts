/** What is to be said of places of the other side's order of arrival, once what was merged by then is kept. */

interface Due {
  readonly flush: number;
  /** Undefined where what was merged reaches up to none. */
  readonly place: number | undefined;
  /** The other side waits for an acknowledgement. */
  readonly isAck: boolean;
}

/** What can be said by now. */
export interface Done {
  /** Up to where everything is kept, to be remembered; undefined where that is no other place. */
  readonly place: number | undefined;
  /** What to acknowledge, if anything. */
  readonly ackedPlace: number | undefined;
}

export class Dues {
  #due: Due[] = [];
  #count = 0;
  #flush: number | undefined;
  #isLate = false;
  /** Up to where everything is acknowledged. */
  #ackedPlace = 0;

  get isEmpty(): boolean {
    return this.#due.length === 0;
  }

  get isAckDue(): boolean {
    return this.#due.some(({ isAck }) => isAck);
  }

  /** `isLate`: nobody waits for it. */
  add(due: {
    readonly place: number | undefined;
    readonly isAck: boolean;
    readonly isLate: boolean;
  }): void {
    this.#isLate = due.isLate && (this.#flush === undefined || this.#isLate);
    this.#count++;
    this.#flush = this.#count;
    this.#due.push({ place: due.place, isAck: due.isAck, flush: this.#count });
  }

  /** What has to be kept for what was added since the last call. */
  takeFlush(): { readonly flush: number | undefined; readonly isFlushLate: boolean } {
    const flush = this.#flush;
    this.#flush = undefined;
    return { flush, isFlushLate: this.#isLate };
  }

  /** What was asked to be kept is, up to that number. */
  kept(flush: number): Done {
    const done = this.#due.filter((due) => due.flush <= flush);
    this.#due = this.#due.filter((due) => due.flush > flush);
    const acks = done.filter(({ isAck }) => isAck);
    for (const { place = 0 } of acks) this.#ackedPlace = Math.max(this.#ackedPlace, place);
    const places = done.flatMap(({ place }) => (place === undefined ? [] : [place]));
    return {
      place: places.length > 0 ? Math.max(...places) : undefined,
      ackedPlace: acks.length > 0 ? this.#ackedPlace : undefined,
    };
  }
}
