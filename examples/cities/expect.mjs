/** Comparisons whose failure says what differs. */
import { isDeepStrictEqual } from "node:util";

import { compareVersions } from "lastwrite";

/** Two things that had to be equal are not; the message names the first difference. */
export class Mismatch extends Error {}

export function expectEqual(what, found, expected) {
  if (isDeepStrictEqual(found, expected)) return;
  throw new Mismatch(`${what} is ${shown(found)} and should be ${shown(expected)}`);
}

/** Two replicas hold the same: by version, by digest, by each byte of their snapshots. */
export function expectSame(nameA, a, nameB, b) {
  const between = `of ${nameA} and ${nameB}`;
  if (a.digest() !== b.digest()) {
    throw new Mismatch(
      `the digests ${between} are ${a.digest()} and ${b.digest()}; ${firstDifference(a, b)}`,
    );
  }
  expectEqual(
    `the order of the versions ${between}`,
    compareVersions(a.version(), b.version()),
    "equal",
  );
  expectEqual(`the number of keys ${between}`, b.size, a.size);
  const [left, right] = [a.snapshot(), b.snapshot()];
  if (Buffer.compare(left, right) === 0) return;
  const at = left.findIndex((byte, index) => byte !== right[index]);
  throw new Mismatch(
    `the snapshots ${between} have ${left.length} and ${right.length} bytes, and differ from byte ${at} on; ${firstDifference(a, b)}`,
  );
}

/** A dictionary reads as if all writes had been made one after the other, in the order of their stamps, on `start`. */
export function expectReplay(dictionary, start, writes) {
  const expected = replayed(start, writes);
  for (const [key, value] of dictionary.entries()) {
    expectEqual(`${key}, after a replay of all writes,`, value, expected.get(key));
    expected.delete(key);
  }
  for (const [key, value] of expected) {
    throw new Mismatch(
      `${key} is absent and should be ${shown(value)}, after a replay of all writes`,
    );
  }
}

/** Takes `start` for its own. */
function replayed(start, writes) {
  const byStamp = writes.toSorted(
    (left, right) =>
      left.millis - right.millis ||
      left.counter - right.counter ||
      compareText(left.replicaId, right.replicaId),
  );
  for (const { key, value, prefix } of byStamp) {
    if (prefix !== undefined) deleteBelow(start, prefix);
    else if (value === undefined) start.delete(key);
    else start.set(key, value);
  }
  return start;
}

function deleteBelow(map, prefix) {
  for (const key of map.keys()) if (key.startsWith(prefix)) map.delete(key);
}

/** The first key, in order, under which two dictionaries differ in value or stamp. */
function firstDifference(a, b) {
  for (const key of new Set([...a.keys(), ...b.keys()])) {
    const [left, right] = [a, b].map((each) => ({
      value: each.get(key),
      stamp: each.stampOf(key),
    }));
    if (!isDeepStrictEqual(left, right)) return `${key} is ${shown(left)} and ${shown(right)}`;
  }
  return "their keys, values and stamps are equal";
}

function compareText(left, right) {
  if (left === right) return 0;
  return left < right ? -1 : 1;
}

function shown(value) {
  return value === undefined ? "absent" : JSON.stringify(value);
}
