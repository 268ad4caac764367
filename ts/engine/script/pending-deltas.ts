/** Deltas of which some parts have come and others have not. Forgotten on a crash, which costs sending them again. */

import { type Run, unionRuns, type Version } from "../../codec/dots.ts";
import type { Part } from "../../codec/header.ts";

/** What a part brings beside its entries. */
export interface PartReport {
  readonly isTainted: boolean;
  /** The sender's version, in the last part. */
  readonly version: Version | undefined;
}

/** A delta of which all parts have come. */
export interface CompleteDelta {
  readonly isTainted: boolean;
  readonly version: Version;
}

export class PendingDeltas {
  /** By delta id, the first remembered first. */
  readonly #deltas = new Map<string, PendingDelta>();

  /** Remembers a part, and returns the delta if it was the last one missing. */
  add({ deltaId, number }: Part, report: PartReport): CompleteDelta | undefined {
    const delta = this.#deltas.get(deltaId) ?? { numbers: [], isTainted: false, last: undefined };
    const numbers = unionRuns(delta.numbers, [{ first: number, last: number }]);
    if (numbers.length <= RUNS_MAX) delta.numbers = numbers;
    if (report.isTainted) delta.isTainted = true;
    if (report.version !== undefined) delta.last = { number, version: report.version };

    const { last } = delta;
    const whole = delta.numbers[0];
    if (
      last !== undefined &&
      whole !== undefined &&
      whole.first === 0 &&
      whole.last >= last.number
    ) {
      this.#deltas.delete(deltaId);
      return { isTainted: delta.isTainted, version: last.version };
    }
    this.#deltas.set(deltaId, delta);
    if (this.#deltas.size > DELTAS_MAX) this.#forgetOldest();
    return undefined;
  }

  forget(deltaId: string): void {
    this.#deltas.delete(deltaId);
  }

  clear(): void {
    this.#deltas.clear();
  }

  #forgetOldest(): void {
    for (const deltaId of this.#deltas.keys()) {
      this.#deltas.delete(deltaId);
      return;
    }
  }
}

const DELTAS_MAX = 64;
const RUNS_MAX = 1024;

interface PendingDelta {
  numbers: readonly Run[];
  isTainted: boolean;
  last: { readonly number: number; readonly version: Version } | undefined;
}
