/**
 * The last-write-wins map that a good developer would write by hand: a `Map`, msgpackr, an afternoon.
 *
 * All engines are measured against it, so it takes no detour: one number as the stamp, one flat row an entry,
 * one scan for a delta. What it leaves out (refusal of wrong clocks, ties by value, exceptions in a version,
 * collection of tombstones, checksums, order of keys) is what makes it quick to write and quick to run.
 */
import { pack, unpack } from "msgpackr";

/** `undefined` as a value means removed. */
type Row = readonly [key: string, value: unknown, stamp: number, writer: number];
type Entry = { readonly value: unknown; readonly stamp: number; readonly writer: number };

export class LwwMap {
  readonly #entries = new Map<string, Entry>();
  /** The greatest stamp seen from each writer. */
  readonly #version = new Map<number, number>();
  readonly #writer: number;
  readonly #clock: () => number;
  #stamp = 0;

  /** `writer` is a random integer of 31 bits, as small as a name can be and still be drawn by everyone alone. */
  constructor(writer: number, clock: () => number = Date.now, snapshot?: Uint8Array) {
    this.#writer = writer;
    this.#clock = clock;
    if (snapshot) this.merge(snapshot);
  }

  get(key: string): unknown {
    return this.#entries.get(key)?.value;
  }

  set(key: string, value: unknown): void {
    // A hybrid clock in one number: milliseconds times 4,096, and 4,096 writes in each of them.
    this.#stamp = Math.max(this.#stamp + 1, this.#clock() * 4096);
    this.#entries.set(key, { value, stamp: this.#stamp, writer: this.#writer });
    this.#version.set(this.#writer, this.#stamp);
  }

  delete(key: string): boolean {
    if (this.get(key) === undefined) return false;
    this.set(key, undefined);
    return true;
  }

  version(): Uint8Array {
    return pack([...this.#version]);
  }

  /** Everything that a peer at `version` has not seen; without one, everything: also the snapshot. */
  deltaSince(version?: Uint8Array): Uint8Array {
    const pairs: readonly (readonly [number, number])[] = version ? unpack(version) : [];
    const seen = new Map(pairs);
    const rows: Row[] = [];
    for (const [key, { value, stamp, writer }] of this.#entries) {
      if (stamp > (seen.get(writer) ?? 0)) rows.push([key, value, stamp, writer]);
    }
    return pack(rows);
  }

  /** The one entry just written, to push without the scan. */
  deltaOf(key: string): Uint8Array {
    const entry = this.#entries.get(key);
    return pack(entry ? [[key, entry.value, entry.stamp, entry.writer] satisfies Row] : []);
  }

  merge(delta: Uint8Array): void {
    const rows: readonly Row[] = unpack(delta);
    for (const [key, value, stamp, writer] of rows) {
      const held = this.#entries.get(key);
      if (!held || stamp > held.stamp || (stamp === held.stamp && writer > held.writer)) {
        this.#entries.set(key, { value, stamp, writer });
      }
      if (stamp > (this.#version.get(writer) ?? 0)) this.#version.set(writer, stamp);
      if (stamp > this.#stamp) this.#stamp = stamp;
    }
  }
}
