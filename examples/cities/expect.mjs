/** Comparisons whose failure says what differs. */
import { isDeepStrictEqual } from "node:util";

import { compareVersions } from "lastwrite";

/** Two things that had to be equal are not; the message names the first difference. */
export class Mismatch extends Error {}

export function expectEqual(what, found, expected) {
  // Most are the same number or string, which is quicker to see.
  if (Object.is(found, expected) || isDeepStrictEqual(found, expected)) return;
  throw new Mismatch(`${what} is ${shown(found)} and should be ${shown(expected)}`);
}

/** Two replicas hold the same: by version, by digest, by each byte of their snapshots. Answers the digest. */
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
  if (Buffer.compare(left, right) === 0) return a.digest();
  const at = left.findIndex((byte, index) => byte !== right[index]);
  throw new Mismatch(
    `the snapshots ${between} have ${left.length} and ${right.length} bytes, and differ from byte ${at} on; ${firstDifference(a, b)}`,
  );
}

/** A dictionary reads as if all writes had been made one after the other, in the order of their stamps, on `start`. */
export function expectReplay(dictionary, start, writes) {
  const expected = replayed(start, writes);
  for (const [key, value] of dictionary.entries()) {
    expectEqual(key, value, expected.get(key));
    expected.delete(key);
  }
  for (const [key, value] of expected) {
    throw new Mismatch(`${key} is absent and should be ${shown(value)}`);
  }
}

/** What `start` and the writes leave, where prefix deletes are looked up by the path of a key instead of carried out. */
function replayed(start, writes) {
  const byStamp = writes.toSorted(
    (left, right) =>
      left.millis - right.millis ||
      left.counter - right.counter ||
      compareText(left.replicaId, right.replicaId),
  );
  const values = new Map(start);
  const writtenAt = new Map();
  const deletedAt = new Map();
  for (const [at, { key, value, prefix }] of byStamp.entries()) {
    if (prefix === undefined) {
      values.set(key, value);
      writtenAt.set(key, at);
    } else {
      deletedAt.set(prefix, at);
    }
  }
  for (const [key, value] of values) {
    const deleted = Math.max(...prefixesOf(key).map((prefix) => deletedAt.get(prefix) ?? -1));
    if (value === undefined || deleted > (writtenAt.get(key) ?? -1)) values.delete(key);
  }
  return values;
}

/** `city/`, `city/IS/`, `city/IS/3413829/` for `city/IS/3413829/name`. */
function prefixesOf(key) {
  const segments = key.split("/");
  return segments.slice(1).map((_, index) => `${segments.slice(0, index + 1).join("/")}/`);
}

/** The first key under which two dictionaries differ in value or stamp. */
function firstDifference(a, b) {
  for (const key of new Set([...a.keys(), ...b.keys()])) {
    const [left, right] = [a, b].map((dictionary) => entryOf(dictionary, key));
    if (left !== right) return `${key} is ${left} and ${right}`;
  }
  return "their keys, values and stamps are equal";
}

function entryOf(dictionary, key) {
  const { millis, counter, replicaId } = dictionary.stampOf(key) ?? {};
  const value = shown(dictionary.get(key));
  return millis === undefined ? value : `${value} (${millis}.${counter} by ${replicaId})`;
}

function compareText(left, right) {
  if (left === right) return 0;
  return left < right ? -1 : 1;
}

function shown(value) {
  return value === undefined ? "absent" : JSON.stringify(value);
}
