import fc from "fast-check";
import { describe, expect, test } from "vitest";

import {
  hasDot,
  hasVersion,
  lastCounter,
  NO_DOTS,
  SeenDots,
  type Version,
} from "../../ts/codec/dots.ts";
import { compareVersions, decodeVersion, encodeVersion } from "../../ts/codec/version.ts";
import { dot, version } from "./arbitraries.ts";

const OWN = "fedcba98765432100123456789abcdef";

/** Every dot of a version, as text. */
function dotsOf({ vector, exceptions }: Version): Set<string> {
  const dots = new Set<string>();
  for (const [id, last] of vector)
    for (let counter = 1; counter <= last; counter++) dots.add(`${id}:${counter}`);
  for (const [id, runs] of exceptions) {
    for (const { first, last } of runs)
      for (let counter = first; counter <= last; counter++) dots.add(`${id}:${counter}`);
  }
  return dots;
}

const smallDot = dot.map(({ replicaId, counter }) => ({
  replicaId,
  counter: Math.min(counter, 25),
}));

describe("versions", () => {
  test("come back from their frames", () => {
    fc.assert(
      fc.property(version, (original) => {
        expect(decodeVersion(encodeVersion(original))).toEqual(original);
      }),
    );
  });

  test("compare as sets of dots, wherever the vector ends", () => {
    fc.assert(
      fc.property(version, version, (a, b) => {
        const [left, right] = [dotsOf(a), dotsOf(b)];
        const isBefore = [...left].every((item) => right.has(item));
        const isAfter = [...right].every((item) => left.has(item));
        const order = isBefore ? (isAfter ? "equal" : "before") : isAfter ? "after" : "concurrent";
        expect(compareVersions(encodeVersion(a), encodeVersion(b))).toBe(order);
        expect(hasVersion(a, b)).toBe(isAfter);
      }),
    );
    const closed = encodeVersion({ ...NO_DOTS, vector: new Map([[OWN, 3]]) });
    const open = encodeVersion({
      vector: new Map([[OWN, 1]]),
      exceptions: new Map([[OWN, [{ first: 2, last: 3 }]]]),
    });
    expect(compareVersions(closed, open)).toBe("equal");
  });

  test("grow to the union of the dots", () => {
    fc.assert(
      fc.property(version, version, fc.array(smallDot), (start, other, dots) => {
        const seen = new SeenDots(start);
        // Of an own id that is nowhere, so that no exceptions join the vector.
        seen.add(dots, "");
        seen.adopt(other, "");
        const all = new Set([
          ...dotsOf(start),
          ...dotsOf(other),
          ...dots.map(({ replicaId, counter }) => `${replicaId}:${counter}`),
        ]);
        expect(dotsOf(seen)).toEqual(all);
        expect(dots.every((item) => hasDot(seen, item))).toBe(true);
        expect(decodeVersion(encodeVersion(seen))).toEqual({
          vector: seen.vector,
          exceptions: seen.exceptions,
        });
      }),
    );
  });

  test("keep own dots out of the vector while there are others beyond it", () => {
    const other = "00000000000000000000000000000001";
    const seen = new SeenDots();
    seen.addOwn(OWN);
    expect([...seen.vector]).toEqual([[OWN, 1]]);
    seen.add([{ replicaId: other, counter: 2 }], OWN);
    seen.addOwn(OWN);
    expect([seen.vector.get(OWN), lastCounter(seen, OWN), seen.exceptions.size]).toEqual([1, 2, 2]);
    seen.adopt({ ...NO_DOTS, vector: new Map([[other, 2]]) }, OWN);
    expect([seen.vector.get(OWN), seen.exceptions.size]).toEqual([2, 0]);
  });
});

test("bytes that are no version are refused", () => {
  expect(() => compareVersions(encodeVersion(NO_DOTS), new Uint8Array(20))).toThrow(
    expect.objectContaining({ code: "corrupt-bytes" }),
  );
});
