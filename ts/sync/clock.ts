/** The time that a store goes by: that of its owner's clock, or of a server's where the two lie far apart. */

/** Times are below that, in milliseconds. */
const MILLIS_MAX = 2 ** 47;

export class StoreClock {
  readonly #clock: () => number;
  readonly #toleranceMs: number;
  #offsetMs = 0;

  /** `clock` answers milliseconds since 1970; another clock is followed when it is further away than half of `driftMaxMs`. */
  constructor(clock: () => number, driftMaxMs: number) {
    this.#clock = clock;
    this.#toleranceMs = driftMaxMs / 2;
  }

  /** What is added to what the owner's clock says. */
  get offsetMs(): number {
    return this.#offsetMs;
  }

  /** Milliseconds since 1970. */
  readonly now = (): number => {
    const millis = this.#clock();
    // What the owner's clock says is looked at where it is used.
    if (this.#offsetMs === 0) return millis;
    return Math.min(Math.max(millis + this.#offsetMs, 0), MILLIS_MAX - 1);
  };

  /** A server's clock says `millis`. Answers whether that changes what `now` says. */
  follow(millis: number): boolean {
    const errorMs = millis - this.now();
    if (Math.abs(errorMs) <= this.#toleranceMs || millis >= MILLIS_MAX) return false;
    this.#offsetMs += errorMs;
    return true;
  }
}
