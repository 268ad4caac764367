/** The replicas that a collector knows, and how far each has come: tombstones that all of them have seen can go. */

import type { Vector } from "../codec/dots.ts";
import { decodeHeader, KIND } from "../codec/header.ts";
import { ByteReader, ByteWriter } from "../codec/numbers.ts";
import { encodeVersion } from "../codec/version.ts";
import type { Attributes } from "../persistence/attributes.ts";

/** What was acknowledged last by one of them. */
interface Known {
  /** A frontier, or a version: all of it is there, durably. */
  readonly frontier: Uint8Array;
  readonly lastSeenMs: number;
  /** When that was last written down. */
  readonly savedMs: number;
}

/** Kept under this and the id of a store. */
const KNOWN = "known/";
/** How old what is written down may be: a crash only takes back what was acknowledged since. */
const SAVE_MS = 60_000;
/** Of more, the one of whom nothing was heard for the longest is not waited for; should he come back, he reads everything anew. */
const KNOWN_MAX = 4096;

export class KnownReplicas {
  readonly #attributes: Attributes;
  readonly #retentionMs: number;
  readonly #known = new Map<string, Known>();

  /** Reads what was kept. One of whom nothing was heard for `retentionMs` is forgotten. */
  constructor(attributes: Attributes, retentionMs: number) {
    this.#attributes = attributes;
    this.#retentionMs = retentionMs;
    for (const [name, value] of attributes.all) {
      if (!name.startsWith(KNOWN)) continue;
      const reader = new ByteReader(value);
      const lastSeenMs = reader.varint();
      const frontier = reader.rest();
      this.#known.set(name.slice(KNOWN.length), { frontier, lastSeenMs, savedMs: lastSeenMs });
    }
  }

  /** That store has everything up to `frontier`, durably. Answers whether it was unknown before. */
  acknowledged(storeId: string, frontier: Uint8Array, nowMs: number): boolean {
    const before = this.#known.get(storeId);
    const isDue = before === undefined || nowMs - before.savedMs >= SAVE_MS;
    const savedMs = isDue ? nowMs : before.savedMs;
    this.#known.set(storeId, { frontier, lastSeenMs: nowMs, savedMs });
    if (isDue) this.#save(storeId, frontier, nowMs);
    if (this.#known.size > KNOWN_MAX) this.#forgetOldest();
    return before === undefined;
  }

  /**
   * What all have seen, `own` (a version frame) included, as a version frame. Undefined when nobody is known. Costs a pass over the writers for each that is not
   * where another one is.
   */
  meet(own: Uint8Array, nowMs: number): Uint8Array | undefined {
    this.#forgetSilent(nowMs);
    if (this.#known.size === 0) return undefined;
    // Many stand where others do, by the same bytes.
    const frames = new Set([own, ...Array.from(this.#known.values(), ({ frontier }) => frontier)]);
    const vector = Array.from(frames, vectorOf).reduce(lesser);
    return encodeVersion({ vector, exceptions: new Map() });
  }

  #forgetOldest(): void {
    let oldest: readonly [string, Known] | undefined;
    for (const each of this.#known) {
      if (oldest === undefined || each[1].lastSeenMs < oldest[1].lastSeenMs) oldest = each;
    }
    if (oldest !== undefined) this.#forget(oldest[0]);
  }

  #forget(storeId: string): void {
    this.#known.delete(storeId);
    this.#attributes.set(KNOWN + storeId, undefined);
  }

  #forgetSilent(nowMs: number): void {
    for (const [storeId, { lastSeenMs }] of this.#known) {
      if (nowMs - lastSeenMs <= this.#retentionMs) continue;
      this.#forget(storeId);
    }
  }

  #save(storeId: string, frontier: Uint8Array, nowMs: number): void {
    const version = encodeVersion({ vector: vectorOf(frontier), exceptions: new Map() });
    const value = new ByteWriter().varint(Math.floor(nowMs)).bytes(version).finish();
    this.#attributes.set(KNOWN + storeId, value);
  }
}

function vectorOf(frame: Uint8Array): Vector {
  return decodeHeader(frame, [KIND.version, KIND.frontier]).vector;
}

function lesser(a: Vector, b: Vector): Vector {
  const meet = new Map<string, number>();
  for (const [id, counter] of a) {
    const both = Math.min(counter, b.get(id) ?? 0);
    if (both > 0) meet.set(id, both);
  }
  return meet;
}
