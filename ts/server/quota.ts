/** How much a room may hold. One that is full takes no new keys, and no values longer than what they replace; what removes, and what replaces, goes on. */

import { readColumns } from "../engine/columns.ts";
import type { Engine, EngineDictionary, EngineValue } from "../engine/contract.ts";
import { LastwriteError } from "../errors.ts";
import type { ServerLimits } from "./limits.ts";

/** What somebody wants to write, with its value as an engine carries it; undefined removes it. */
export interface Write {
  readonly key: string;
  readonly value: EngineValue | undefined;
}

export interface QuotaOptions {
  readonly engine: Engine;
  readonly entries: EngineDictionary;
  readonly limits: ServerLimits;
  /** How long that is which was read from the medium. */
  readonly byteCount: number;
  /** Milliseconds that never go back. */
  readonly now: () => number;
}

/** No entry takes less of a frame than half a byte: docs/format.md, Limits, expansion. */
const ENTRIES_A_BYTE_MAX = 2;
/** To measure costs a pass over all entries: it may take so much of the time. */
const MEASURING_PART = 1 / 20;
const MEASURED_AGAIN_MS = 1000;

export class Quota {
  readonly #options: QuotaOptions;
  /** Not less than what it holds: what it held when it was measured, and all that came since. */
  #byteCount: number;
  #isMeasured = false;
  #measuredAgainAt = 0;

  constructor(options: QuotaOptions) {
    this.#options = options;
    this.#byteCount = options.byteCount;
  }

  /** Throws `too-large` for a frame that a full room does not take, `corrupt-bytes` for one that cannot be read. Costs nothing while there is much room. */
  admitFrame(frame: Uint8Array): void {
    const { engine, entries, limits } = this.#options;
    const keyCountMax = entries.size() + ENTRIES_A_BYTE_MAX * frame.length;
    if (keyCountMax > limits.roomKeysMax || !this.#hasRoom(frame.length)) {
      this.#admit(writesOf(engine, frame));
    }
    this.#note(frame.length);
  }

  /** As `admitFrame`, for one write. */
  admitWrite(write: Write): void {
    const { entries, limits } = this.#options;
    const byteCount = write.key.length + lengthOf(write.value);
    if (entries.size() >= limits.roomKeysMax || !this.#hasRoom(byteCount)) this.#admit([write]);
    this.#note(byteCount);
  }

  /** All of it was replaced, by what passed no `admitFrame`: it is measured before the next write. */
  replaced(): void {
    this.#byteCount = Infinity;
    this.#isMeasured = false;
    this.#measuredAgainAt = 0;
  }

  #admit(writes: readonly Write[]): void {
    const { entries, limits } = this.#options;
    const hasBytes = this.#byteCount < limits.roomBytesMax;
    const added = new Set<string>();
    for (const { key, value } of writes) {
      if (value === undefined) continue;
      const held = entries.get(key);
      if (held === undefined) added.add(key);
      if (!hasBytes && (held === undefined || lengthOf(value) > lengthOf(held))) {
        throw full(`it may hold ${limits.roomBytesMax} bytes`);
      }
    }
    if (added.size > 0 && entries.size() + added.size > limits.roomKeysMax) {
      throw full(`it may hold ${limits.roomKeysMax} keys`);
    }
  }

  /** Whether so many bytes fit in; measures what is there when that is in doubt. */
  #hasRoom(byteCount: number): boolean {
    const { roomBytesMax } = this.#options.limits;
    if (this.#byteCount + byteCount > roomBytesMax && !this.#isMeasured) this.#measure();
    return this.#byteCount + byteCount <= roomBytesMax;
  }

  #measure(): void {
    const { entries, now } = this.#options;
    const startedAt = now();
    if (startedAt < this.#measuredAgainAt) return;
    this.#byteCount = 0;
    for (const part of entries.snapshot()) this.#byteCount += part.length;
    this.#isMeasured = true;
    const tookMs = now() - startedAt;
    this.#measuredAgainAt = now() + Math.max(MEASURED_AGAIN_MS, tookMs / MEASURING_PART);
  }

  #note(byteCount: number): void {
    this.#byteCount += byteCount;
    this.#isMeasured = false;
  }
}

/** What a frame wants to write. */
function writesOf(engine: Engine, frame: Uint8Array): Write[] {
  const columns = readColumns(engine.decodeEntries(frame));
  return Array.from({ length: columns.count }, (_, at) => ({
    key: columns.key(at),
    value: columns.value(at),
  }));
}

/** About how many bytes it takes. */
function lengthOf(value: EngineValue | undefined): number {
  return typeof value === "string" || value instanceof Uint8Array ? value.length : 8;
}

function full(why: string): LastwriteError {
  return new LastwriteError(
    "too-large",
    `the room is full: ${why}; remove some keys, or make values shorter, before you write new ones`,
  );
}
