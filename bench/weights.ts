/** What is weighed: bytes in memory, in a process that did nothing else, and bytes written. */
import assert from "node:assert/strict";
import { deflateRawSync } from "node:zlib";
import type { Subject } from "./subjects.ts";
import { assertHolds, dataset, eachWrite, freshKey, snapshotOf } from "./workloads.ts";

const WRITER = 1;

/** Gives the number that stands in the table. */
export const WEIGHTS: Readonly<
  Record<string, (subject: Subject, size: number) => number | Promise<number>>
> = {
  "snapshot-bytes": (subject, size) => snapshotOf(subject, dataset(0, size)).length / size,
  "snapshot-deflated": (subject, size) =>
    deflateRawSync(snapshotOf(subject, dataset(0, size))).length / size,
  "version-bytes": versionBytes,
  memory: memoryPerKey,
  overwrites: growthByOverwrites,
};

/** One dictionary that has seen a write of each of `writerCount` others. */
function versionBytes(subject: Subject, writerCount: number): number {
  const reader = subject.create({ writer: WRITER });
  for (let index = 0; index < writerCount; index += 1) {
    const writer = subject.create({ writer: 100 + index });
    writer.set(freshKey(index), index);
    reader.merge(writer.deltaSince());
    subject.release(writer);
  }
  for (let index = 0; index < writerCount; index += 1)
    assert.equal(reader.get(freshKey(index)), index);
  const bytes = reader.version().length / writerCount;
  subject.release(reader);
  return bytes;
}

/** The growth of the whole process from before the first of `size` entries to after the last, a key. */
async function memoryPerKey(subject: Subject, size: number): Promise<number> {
  // The strings that are made and thrown away enlarge the heap; they shall have done so before.
  eachWrite(0, size, (entry) => void freshKey(entry));
  const rehearsal = subject.create({ writer: WRITER + 1 });
  rehearsal.set(freshKey(0), 0);
  const before = await residentBytes();

  const replica = subject.create({ writer: WRITER });
  eachWrite(0, size, (entry, value) => {
    if (value === undefined) replica.delete(freshKey(entry));
    else replica.set(freshKey(entry), value);
  });
  const bytes = (await residentBytes()) - before;
  assertHolds(replica, dataset(0, size));
  subject.release(rehearsal);
  subject.release(replica);
  return bytes / size;
}

async function growthByOverwrites(subject: Subject, count: number): Promise<number> {
  const replica = subject.create({ writer: WRITER });
  const overwrite = () => {
    for (let value = 0; value < count; value += 1) replica.set("key", value);
  };
  // Once before: what the compiler and the heap take for themselves is no growth.
  overwrite();
  const before = await residentBytes();
  overwrite();
  const bytes = (await residentBytes()) - before;
  assert.equal(replica.get("key"), count - 1);
  subject.release(replica);
  return bytes;
}

/** What the process holds once everything collectable is collected. */
async function residentBytes(): Promise<number> {
  for (let round = 0; round < 5; round += 1) {
    globalThis.gc?.();
    // Finalizers, and the heap's return of pages, wait for the event loop.
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return process.memoryUsage.rss();
}
