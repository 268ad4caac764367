/** Each byte of a store is damaged: an error that says where, or a torn end that is cut off; never another value. */

import { createDictionary, open } from "lastwrite";
import { beforeAll, describe, expect, test } from "vitest";

import type { LostBytes } from "../../ts/persistence/contract.ts";
import { openLogFile } from "../../ts/persistence/log-file.ts";
import { logPersistence } from "../../ts/persistence/log-persistence.ts";
import { internalsOf } from "../../ts/dictionary/internals.ts";
import { LastwriteError } from "../../ts/errors.ts";
import { fastestEngine } from "../suites/engines.ts";
import { type Random, seededRandom } from "../suites/random.ts";
import { CrashDisk } from "./crash-disk.ts";

const NAME = "store.lw";

/** Each byte is many files to read. */
const PATIENCE = { timeout: 600_000 };

const engine = fastestEngine();

/** A store that was closed, and one that was left as it was. */
let closed: Uint8Array;
let left: Uint8Array;
let frames: readonly Uint8Array[];

beforeAll(async () => {
  const disk = new CrashDisk();
  const random = seededRandom(1);
  let now = 1_000_000_000_000;
  const persistence = logPersistence(NAME, () => ({ disk, path: NAME, release: () => {} }));
  const store = await open({ persistence, engine, durability: "strict", clock: () => now++ });
  for (let at = 0; disk.contentOf(NAME).length < 64 * 1024; at++) {
    store.set(`key/${random.below(500)}`, random.bytes(random.below(random.once(20) ? 4000 : 300)));
    if (random.once(5)) store.delete(`key/${random.below(500)}`);
    if (at % 8 === 7) await store.flush();
  }
  left = disk.contentOf(NAME).slice();
  await store.close();
  closed = disk.contentOf(NAME).slice();
  frames = (await loaded(closed)).frames;
});

describe("one flipped bit in a store of 64 KiB", () => {
  test(
    "is found in each byte, and nothing is changed, when the store was closed",
    PATIENCE,
    async () => {
      let cutCount = 0;
      const random = seededRandom(2);
      for (let at = 0; at < closed.length; at++) {
        const result = await loaded(withFlip(closed, at, random.below(8)));
        if (result.error === undefined) cutCount++;
        assertNoOtherValue(result, at);
      }
      // The record that `close` sets behind the last frame may go.
      expect(cutCount).toBeGreaterThan(0);
      expect(cutCount).toBeLessThan(64);
    },
  );

  test("costs no frame but the last one, when the store was not closed", PATIENCE, async () => {
    const random = seededRandom(3);
    // Closing adds one that says so.
    const { frames: leftFrames } = await loaded(left);
    assertSameFrames(leftFrames, frames.slice(0, -1));
    let cutCount = 0;
    for (let at = 0; at < left.length; at += at < left.length - 6000 ? 31 : 1) {
      const result = await loaded(withFlip(left, at, random.below(8)));
      if (result.error !== undefined) {
        assertNoOtherValue(result, at);
        continue;
      }
      cutCount++;
      expect(at).toBeGreaterThan(left.length - 5000);
      assertSameFrames(result.frames, leftFrames.slice(0, -1));
    }
    expect(cutCount).toBeGreaterThan(0);
  });

  test("is found whichever bit it is", async () => {
    const random = seededRandom(4);
    const places = Array.from({ length: 300 }, () => random.below(closed.length));
    for (const at of [...Array(64).keys(), ...places]) {
      for (let bit = 0; bit < 8; bit++) {
        assertNoOtherValue(await loaded(withFlip(closed, at, bit)), at);
      }
    }
  });

  test("leaves each other frame to salvage()", async () => {
    const random = seededRandom(5);
    for (let at = 0; at < closed.length; at += at < 200 ? 1 : 41) {
      const { found, lost } = await salvaged(withFlip(closed, at, random.below(8)));
      expect(lost).toHaveLength(1);
      const [{ offset, byteCount }] = lost as [LostBytes];
      expect(at).toBeGreaterThanOrEqual(offset);
      expect(at).toBeLessThan(offset + byteCount);
      const isFrameLost = found.length < frames.length;
      expect(found.length).toBeGreaterThanOrEqual(frames.length - 1);
      const missing = frames.findIndex((frame, index) => !equal(frame, found[index]));
      assertSameFrames(
        found,
        isFrameLost ? frames.filter((_, index) => index !== missing) : frames,
      );
    }
  });
});

describe("worse damage", () => {
  test("by many flips, cuts, holes and strange bytes, is found or is a torn end", async () => {
    const random = seededRandom(6);
    const counts = { found: 0, torn: 0 };
    for (let round = 0; round < 2000; round++) {
      const bytes = mangled(random.once(2) ? closed : left, random);
      const { error, frames: some } = await loaded(bytes);
      counts[error === undefined ? "torn" : "found"]++;
      assertSameFrames(some, frames.slice(0, some.length));
      if (error !== undefined) assertNames(error, bytes.length);
    }
    expect(counts.found).toBeGreaterThan(500);
    expect(counts.torn).toBeGreaterThan(150);
  });

  test("leaves what is whole to salvage(), in order", async () => {
    const random = seededRandom(7);
    for (let round = 0; round < 200; round++) {
      const { found } = await salvaged(mangled(closed, random));
      let next = 0;
      for (const frame of found) {
        const at = frames.findIndex((one, index) => index >= next && equal(one, frame));
        expect(at).toBeGreaterThanOrEqual(next);
        next = at + 1;
      }
    }
  });

  test("does not let a store open with other values", async () => {
    const random = seededRandom(8);
    const states = stateAfterEachFrame();
    for (let round = 0; round < 200; round++) {
      const disk = new CrashDisk();
      const bytes = mangled(random.once(2) ? closed : left, random);
      disk.put(NAME, bytes);
      const persistence = logPersistence(NAME, () => ({ disk, path: NAME, release: () => {} }));
      try {
        const store = await open({ persistence, engine, readOnly: true });
        expect(states).toContain(store.digest());
        await store.close();
      } catch (error) {
        expect(error).toMatchObject({ code: "store-corrupt", damage: { file: NAME } });
      }
      expect(equal(disk.contentOf(NAME), bytes)).toBe(true);
    }
  });
});

interface Loaded {
  readonly frames: readonly Uint8Array[];
  readonly error?: LastwriteError;
}

/** Opens a file of these bytes for writing, and reads it; what is refused has to stay as it is. */
async function loaded(bytes: Uint8Array): Promise<Loaded> {
  const disk = new CrashDisk();
  disk.put(NAME, bytes);
  const log = await openLogFile(disk, NAME, { access: "write" });
  const some: Uint8Array[] = [];
  try {
    for await (const frame of log.load()) some.push(frame);
  } catch (error) {
    if (!(error instanceof LastwriteError)) throw error;
    await log.close();
    if (!equal(disk.contentOf(NAME), bytes)) {
      throw new Error("the damaged file was changed", { cause: error });
    }
    return { frames: some, error };
  }
  await log.close();
  return { frames: some };
}

async function salvaged(bytes: Uint8Array): Promise<{ found: Uint8Array[]; lost: LostBytes[] }> {
  const disk = new CrashDisk();
  disk.put(NAME, bytes);
  const log = await openLogFile(disk, NAME, { access: "read" });
  const [found, lost]: [Uint8Array[], LostBytes[]] = [[], []];
  for await (const part of log.salvage()) {
    if (part instanceof Uint8Array) found.push(part);
    else lost.push(part);
  }
  await log.close();
  return { found, lost };
}

function assertNoOtherValue({ frames: some, error }: Loaded, at: number): void {
  assertSameFrames(some, frames.slice(0, some.length));
  if (error === undefined) {
    if (some.length !== frames.length) throw new Error(`byte ${at}: a frame was cut off`);
    return;
  }
  assertNames(error, closed.length);
  const { offset = 0 } = error.damage ?? {};
  if (offset > at) throw new Error(`byte ${at} is damaged, not ${offset}`);
}

function assertNames({ code, damage, message }: LastwriteError, length: number): void {
  if (code !== "store-corrupt" || damage === undefined) throw new Error(`${code}: ${message}`);
  if (damage.file !== NAME || damage.reason === "" || damage.offset > length) {
    throw new Error(`${JSON.stringify(damage)} names no place in ${NAME}`);
  }
}

function assertSameFrames(a: readonly Uint8Array[], b: readonly Uint8Array[]): void {
  if (a.length !== b.length) throw new Error(`${a.length} frames instead of ${b.length}`);
  for (const [at, frame] of a.entries()) {
    if (!equal(frame, b[at])) throw new Error(`frame ${at} is another one`);
  }
}

function withFlip(bytes: Uint8Array, at: number, bit: number): Uint8Array {
  const copy = bytes.slice();
  copy[at] = (copy[at] as number) ^ (1 << bit);
  return copy;
}

function mangled(bytes: Uint8Array, random: Random): Uint8Array {
  const at = random.below(bytes.length);
  const length = 1 + random.below(random.once(2) ? 20 : 5000);
  switch (random.below(6)) {
    case 0:
      return bytes.slice(0, at);
    case 1:
      return bytes.slice().fill(0, at, at + length);
    case 2:
      return joined(bytes.subarray(0, at), bytes.subarray(at + length));
    case 3:
      return joined(bytes.subarray(0, at), random.bytes(length), bytes.subarray(at));
    case 4:
      return joined(bytes.subarray(0, at), bytes.subarray(random.below(bytes.length)));
    default: {
      let copy = bytes;
      for (let count = 1 + random.below(20); count > 0; count--) {
        copy = withFlip(copy, random.below(bytes.length), random.below(8));
      }
      return copy;
    }
  }
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

function stateAfterEachFrame(): readonly string[] {
  const dictionary = createDictionary({ engine });
  const digests = [dictionary.digest()];
  for (const frame of frames) {
    internalsOf(dictionary).entries.replay(frame);
    digests.push(dictionary.digest());
  }
  dictionary.close();
  return digests;
}

function equal(a: Uint8Array, b: Uint8Array | undefined): boolean {
  return b !== undefined && Buffer.compare(a, b) === 0;
}
