/** How quickly one connection may be read: a second's worth at once, and then as much as comes in by the second. */

/** What a connection has left. */
export class Pace {
  readonly #perSecondMax: number;
  #left: number;
  #filledAt: number;

  constructor(perSecondMax: number, now: number) {
    this.#perSecondMax = perSecondMax;
    this.#left = perSecondMax;
    this.#filledAt = now;
  }

  /** Takes so much, and answers for how many milliseconds nothing more must be taken; `now` never goes back. */
  take(count: number, now: number): number {
    const filled = this.#left + ((now - this.#filledAt) / 1000) * this.#perSecondMax;
    this.#left = Math.min(this.#perSecondMax, filled) - count;
    this.#filledAt = now;
    return this.#left >= 0 ? 0 : (-this.#left / this.#perSecondMax) * 1000;
  }
}
