/** What a merge left to be read: changes of watched keys, and refused entries. */

import { type PlainValue, samePlain } from "../codec/plain.ts";
import { decodeValue } from "../codec/read-value.ts";
import { TAG } from "../codec/tags.ts";
import { type Columns, readColumns } from "../engine/columns.ts";
import type { Change, EntryKind, Refusal } from "./contract.ts";
import type { Watchers } from "./watch.ts";

/** A watched key that was written: what it held before the first write, and after the last. */
export interface Written {
  readonly previous: PlainValue | undefined;
  readonly value: PlainValue | undefined;
}

/** The net changes of a patch, for keys that somebody watches, in the order of their first rows. */
export function readPatch(patch: Uint8Array, watchers: Watchers): Change[] {
  const rows = readColumns(patch);
  const written = new Map<string, Written>();
  for (let at = 0; at < rows.count; at += 1) {
    const key = rows.key(at);
    const earlier = written.get(key);
    // The engine knows prefixes only, not the other bounds.
    if (earlier === undefined && !watchers.has(key)) continue;
    const previous = earlier === undefined ? rows.previous(at) : earlier.previous;
    written.set(key, { previous, value: rows.value(at) });
  }
  return changesOf(written);
}

/** The changes among what was written: not those to an equal value. */
export function changesOf(written: Iterable<readonly [key: string, Written]>): Change[] {
  const changes: Change[] = [];
  for (const [key, { previous, value }] of written) {
    if (samePlain(previous, value)) continue;
    changes.push({
      key,
      value: value === undefined ? undefined : decodeValue(value),
      previous: previous === undefined ? undefined : decodeValue(previous),
    });
  }
  return changes;
}

export function readRefusals(refusals: Uint8Array): Refusal[] {
  const rows = readColumns(refusals);
  return Array.from({ length: rows.count }, (_, at) => ({
    key: rows.key(at),
    kind: kindAt(rows, at),
    stamp: rows.stamp(at),
    reason: "clock-drift" as const,
  }));
}

export function kindAt(rows: Columns, at: number): EntryKind {
  switch (rows.tag(at)) {
    case TAG.tombstone:
      return "tombstone";
    case TAG.prefix:
      return "prefix";
    default:
      return "value";
  }
}
