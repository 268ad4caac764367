/** Calls of the user's own functions, one after another: what one of them causes waits until it is done. */

export class Deliveries {
  #waiting: (() => void)[] = [];
  #running = false;

  add(call: () => void): void {
    this.#waiting.push(call);
  }

  /** Makes the calls that wait, and those that they add; returns at once when it is called by one of them. */
  run(): void {
    if (this.#running) return;
    this.#running = true;
    // Taken by index: a queue that listeners keep refilling is not shifted each time.
    for (let next = 0; next < this.#waiting.length; next += 1) {
      try {
        this.#waiting[next]!();
      } catch (error) {
        rethrowLater(error);
      }
    }
    this.#waiting = [];
    this.#running = false;
  }
}

/** Lets the program's handler of uncaught errors have it, without disturbing what is going on. */
function rethrowLater(error: unknown): void {
  if (typeof globalThis.reportError === "function") {
    globalThis.reportError(error);
  } else {
    queueMicrotask(() => {
      throw error;
    });
  }
}
