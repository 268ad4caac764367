/** What decides between two entries, and the hash of one: what engines do, and the layers over them do not. */

import {
  compareIds,
  compareStamps,
  type Dot,
  type Entry,
  idBytes,
  STAMP_COUNTER_END,
  type Write,
} from "./entry.ts";
import { type Lanes, Mix } from "./hash.ts";
import { payloadOf, type PlainValue, samePlain, tagOf } from "./plain.ts";
import { TAG } from "./tags.ts";
import { compareText, encodeText } from "./text.ts";

/** Which of two entries of one key stays: the one of greater rank. */
export function compareRank(a: Entry, b: Entry): number {
  // A dot that a re-read gave is new to all, so it has to win over the first one, whatever the ids.
  const isNewer = Number(a.origin !== undefined) - Number(b.origin !== undefined);
  return (
    compareBeforeDot(a, b) ||
    isNewer ||
    compareDots(a.dot, b.dot) ||
    compareOrigins(a.origin, b.origin)
  );
}

/** As `compareRank`, but for dot and origin. */
export function compareBeforeDot(a: Write, b: Write): number {
  return (
    compareStamps(a.stamp, b.stamp) ||
    Number(a.value !== undefined) - Number(b.value !== undefined) ||
    compareValues(a.value, b.value)
  );
}

export function compareDots(a: Dot, b: Dot): number {
  return compareIds(a.replicaId, b.replicaId) || a.counter - b.counter;
}

/** By dot; clones give one dot to several writes, so then by key bytes, a prefix tombstone before an entry. */
export function compareByDot(a: Entry, b: Entry): number {
  return compareDots(a.dot, b.dot) || compareKeys(a, b);
}

/** By key bytes, a prefix tombstone before an entry. */
export function compareKeys(a: Write, b: Write): number {
  return compareText(a.key, b.key) || Number(b.isPrefix) - Number(a.isPrefix);
}

/** Whether both are the same write: key, kind, stamp and value. */
export function sameWrite(a: Write, b: Write): boolean {
  return (
    a.key === b.key &&
    a.isPrefix === b.isPrefix &&
    compareStamps(a.stamp, b.stamp) === 0 &&
    samePlain(a.value, b.value)
  );
}

export function entryTag(entry: Write): number {
  return entry.isPrefix ? TAG.prefix : tagOf(entry.value);
}

export function entryHash(entry: Write): Lanes {
  const { millis, counter, replicaId } = entry.stamp;
  const key = encodeText(entry.key);
  const payload = payloadOf(entry.value);
  return new Mix(idLanes(replicaId))
    .block(
      key.length | (entryTag(entry) << 16),
      payload.length,
      ((millis % STAMP_COUNTER_END) << 16) | counter,
      Math.floor(millis / STAMP_COUNTER_END),
    )
    .bytes(key)
    .bytes(payload)
    .finish();
}

// Entries of one writer come in rows, so the last id is asked for again.
let lastId = "";
let lastLanes: Lanes = [0, 0, 0, 0];

function idLanes(id: string): Lanes {
  if (id !== lastId) {
    const view = new DataView(idBytes(id).buffer);
    const lane = (at: number): number => view.getUint32(at, true);
    [lastId, lastLanes] = [id, [lane(0), lane(4), lane(8), lane(12)]];
  }
  return lastLanes;
}

function compareOrigins(a: Dot | undefined, b: Dot | undefined): number {
  if (a === undefined || b === undefined) return Number(a !== undefined) - Number(b !== undefined);
  return compareDots(a, b);
}

/** Orders values as their canonical bytes; no value comes first. */
function compareValues(a: PlainValue | undefined, b: PlainValue | undefined): number {
  return tagOf(a) - tagOf(b) || compareBytes(payloadOf(a), payloadOf(b));
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at++) {
    const difference = (a[at] as number) - (b[at] as number);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}
