/** Frames as rows and back, for storage that keeps rows instead of frames. */

import { type Entry, idText } from "../codec/entry.ts";
import { payloadOf, type PlainValue, plainValue, tagOf } from "../codec/plain.ts";
import { decodeValue } from "../codec/read-value.ts";
import { isBytes, type Value } from "../codec/value.ts";
import { columnsOfEntries, readColumns } from "../engine/columns.ts";
import type { Engine } from "../engine/contract.ts";
import { checkReplicaId, invalid } from "./arguments.ts";
import type { Dot, EntryKind, Stamp } from "./contract.ts";
import { kindAt } from "./patch.ts";

/** One entry of a frame, with all that has to be kept for it. */
export interface EntryRow {
  /** The key, or the prefix of a prefix tombstone. */
  readonly key: string;
  readonly kind: EntryKind;
  /** For reading only, as in a column that people query; undefined but for a value. `bytes` are what counts. */
  readonly value?: Value | undefined;
  /** The canonical bytes of the value (docs/format.md), empty but for a value. */
  readonly bytes: Uint8Array;
  readonly stamp: Stamp;
  readonly dot: Dot;
  /** The first dot of an entry that a re-read gave another one. */
  readonly origin: Dot | null;
}

/**
 * Returns the entries of a delta, snapshot or other frame as rows, in its order. Throws `corrupt-bytes`, `unsupported-format` or `too-large`.
 *
 * @example
 * ```ts
 * import { createDictionary, decodeEntries, encodeEntries, loadEngine } from "lastwrite";
 *
 * const engine = await loadEngine();
 * const dictionary = createDictionary({ engine });
 * dictionary.set("tasks/1", "write");
 *
 * const rows = decodeEntries(engine, dictionary.snapshot());
 * console.log(rows[0]?.key, rows[0]?.kind, rows[0]?.value); // tasks/1 value write
 * const frame = encodeEntries(engine, rows);
 * console.log(decodeEntries(engine, frame).length); // 1
 * dictionary.close();
 * ```
 */
export function decodeEntries(engine: Engine, frame: Uint8Array): EntryRow[] {
  if (!isBytes(frame)) throw invalid(`a frame must be a Uint8Array, not ${typeof frame}`);
  const columns = readColumns(engine.decodeEntries(frame));
  return Array.from({ length: columns.count }, (_, at) => {
    const value = columns.value(at);
    return {
      key: columns.key(at),
      kind: kindAt(columns, at),
      value: value === undefined ? undefined : decodeValue(value),
      bytes: value === undefined ? new Uint8Array(0) : canonicalBytes(value),
      stamp: columns.stamp(at),
      dot: columns.dot(at),
      origin: columns.origin(at) ?? null,
    };
  });
}

/**
 * Returns a frame of these rows, in their order. It holds entries only, no version: `decodeEntries` takes it, `merge` does not.
 *
 * `value` is not looked at. Throws `corrupt-bytes` for bytes that are not canonical and for keys, stamps and dots out of range,
 * `invalid-argument` for rows of another shape.
 */
export function encodeEntries(engine: Engine, rows: Iterable<EntryRow>): Uint8Array {
  // A string can be iterated, too, but is refused as its first row.
  if (typeof (rows as Iterable<EntryRow> | null)?.[Symbol.iterator] !== "function") {
    throw invalid(`rows are an array or another iterable, not ${kindOf(rows)}`);
  }
  return engine.encodeEntries(columnsOfEntries(Array.from(rows, entryOf)));
}

function entryOf(row: EntryRow): Entry {
  if (!isObject(row)) throw invalid(`a row is an object, not ${kindOf(row)}`);
  const { key, kind, bytes, stamp, dot } = row;
  // Databases leave an empty column out.
  const origin = row.origin ?? undefined;
  if (typeof key !== "string" || !isBytes(bytes)) {
    throw invalid("a row has a key, which is a string, and bytes, which are a Uint8Array");
  }
  if (kind !== "value" && kind !== "tombstone" && kind !== "prefix") {
    throw invalid(`the kind of a row is value, tombstone or prefix, not ${String(kind)}`);
  }
  if (bytes.length > 0 !== (kind === "value")) {
    throw invalid(
      `the row of ${JSON.stringify(key)} has the kind ${kind}, but ${bytes.length} bytes`,
    );
  }
  if (!isObject(stamp) || !isObject(dot) || (origin !== undefined && !isObject(origin))) {
    throw invalid(
      `the row of ${JSON.stringify(key)} needs a stamp and a dot, and an origin or null; see EntryRow`,
    );
  }
  return {
    key,
    isPrefix: kind === "prefix",
    value: kind === "value" ? plainValue(bytes[0] as number, bytes.subarray(1)) : undefined,
    stamp: { ...stamp, replicaId: lowerCase(stamp.replicaId) },
    dot: { ...dot, replicaId: lowerCase(dot.replicaId) },
    origin: origin && { ...origin, replicaId: lowerCase(origin.replicaId) },
  };
}

function isObject(given: unknown): boolean {
  return typeof given === "object" && given !== null;
}

function kindOf(given: unknown): string {
  return given === null ? "null" : typeof given;
}

/** Databases give hex digits in either case. */
function lowerCase(replicaId: string): string {
  return idText(checkReplicaId(replicaId));
}

function canonicalBytes(value: PlainValue): Uint8Array {
  if (value instanceof Uint8Array) return new Uint8Array(value);
  const payload = payloadOf(value);
  const bytes = new Uint8Array(1 + payload.length);
  bytes[0] = tagOf(value);
  bytes.set(payload, 1);
  return bytes;
}
