/** Entries from columns, everything about them checked. */

import { DOT_COUNTER_END, type Entry, MILLIS_END, STAMP_COUNTER_END } from "../codec/entry.ts";
import { corrupt } from "../codec/numbers.ts";
import { TAG } from "../codec/tags.ts";
import { isKey, isPrefix } from "../codec/text.ts";
import { META, readColumns, VALUES } from "./columns.ts";

/** The entries in columns from outside, everything checked; the sections have to be values and meta. */
export function entriesOfColumns(bytes: Uint8Array): Entry[] {
  const columns = readColumns(bytes);
  if (columns.sections !== (VALUES | META))
    throw corrupt("columns lack values or meta, or have more than these");
  return Array.from({ length: columns.count }, (_, at) => {
    const entry = {
      key: columns.key(at),
      isPrefix: columns.tag(at) === TAG.prefix,
      value: columns.value(at),
      stamp: columns.stamp(at),
      dot: columns.dot(at),
      origin: columns.origin(at),
    };
    checkRanges(entry);
    return entry;
  });
}

function checkRanges({ key, isPrefix: isPrefixTombstone, stamp, dot, origin }: Entry): void {
  if (isPrefixTombstone ? !isPrefix(key) : !isKey(key))
    throw corrupt("a key or prefix in columns is not allowed");
  const isStamp =
    isWhole(stamp.millis, 0, MILLIS_END) && isWhole(stamp.counter, 0, STAMP_COUNTER_END);
  const isDot = isWhole(dot.counter, 1, DOT_COUNTER_END);
  const isOrigin = origin === undefined || isWhole(origin.counter, 1, DOT_COUNTER_END);
  if (!isStamp || !isDot || !isOrigin) throw corrupt("a stamp or dot in columns is out of range");
}

function isWhole(number: number, min: number, end: number): boolean {
  return Number.isInteger(number) && number >= min && number < end && !Object.is(number, -0);
}
