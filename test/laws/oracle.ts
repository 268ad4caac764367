/**
 * What the laws promise about a set of writes, decided without any engine: the order of entries, what a prefix
 * tombstone covers, and which write a key must show once all replicas have exchanged everything.
 */

import { toHex } from "../suites/bytes.ts";
import { TAG, type Dot, type FrameEntry, type ReplicaId } from "../suites/frames.ts";

/** One write that somebody made; known by its content, because its dot may change and be used again. */
export interface Write {
  readonly key: string;
  readonly tag: number;
  readonly payload: Uint8Array;
  readonly hlc: bigint;
  readonly stampReplica: ReplicaId;
  readonly author: string;
  /** What the author had seen when it wrote; asked of removals only. */
  readonly seen: ReadonlySet<Write>;
  /** All dots it was ever held under: a re-read gives a new one. */
  readonly dots: Dot[];
}

export type WriteContent = Pick<FrameEntry, "key" | "tag" | "payload" | "hlc" | "stampReplica">;

/** All writes of one history. */
export interface Oracle {
  readonly writes: readonly Write[];
  /** Remembers a write; of two with the same content only the first counts. */
  record(content: WriteContent, author: string, seen: ReadonlySet<Write>): Write;
  find(content: WriteContent): Write | undefined;
}

export function createOracle(): Oracle {
  const byContent = new Map<string, Write>();
  const writes: Write[] = [];
  return {
    writes,
    record(content, author, seen) {
      const known = byContent.get(contentText(content));
      if (known !== undefined) return known;
      const { key, tag, payload, hlc, stampReplica } = content;
      const write = { key, tag, payload, hlc, stampReplica, author, seen, dots: [] };
      byContent.set(contentText(content), write);
      writes.push(write);
      return write;
    },
    find: (content) => byContent.get(contentText(content)),
  };
}

export function isRemoval(write: WriteContent): boolean {
  return write.tag === TAG.tombstone || write.tag === TAG.prefixTombstone;
}

/** By stamp, value over tombstone, canonical bytes: law 1 without the dot, which decides nothing that is seen. */
export function compareRank(left: WriteContent, right: WriteContent): number {
  return (
    compareStamp(left, right) ||
    Number(!isRemoval(left)) - Number(!isRemoval(right)) ||
    left.tag - right.tag ||
    Buffer.compare(left.payload, right.payload)
  );
}

/** Whether `other` need not be held where `write` is: it lost to it, is covered by it, or is it. */
export function supersedes(write: WriteContent, other: WriteContent): boolean {
  const isPrefix = write.tag === TAG.prefixTombstone;
  const sameSlot = write.key === other.key && isPrefix === (other.tag === TAG.prefixTombstone);
  if (sameSlot) return compareRank(write, other) >= 0;
  return isPrefix && other.key.startsWith(write.key) && compareStamp(other, write) <= 0;
}

export interface FinalState {
  /** What all replicas hold after everything was exchanged. */
  readonly held: readonly FrameEntry[];
  /** The writes that reached a replica which did not lose them again. */
  readonly survivors: ReadonlySet<Write>;
  /** Whether a removal may be gone by collection. */
  readonly isCollected: (removal: Write) => boolean;
}

/** Says which promise the final state of `key` breaks, or undefined when it keeps all. */
export function brokenPromise(
  oracle: Oracle,
  key: string,
  { held, survivors, isCollected }: FinalState,
): string | undefined {
  const entry = held.find((candidate) => candidate.key === key && !isRemoval(candidate));
  const shown = entry === undefined ? undefined : oracle.find(entry);
  if (entry !== undefined && shown === undefined) return `${key} shows a value that nobody wrote`;

  const removals = [...survivors].filter((write) => isRemoval(write));
  const values = [...survivors].filter((write) => write.key === key && !isRemoval(write));
  const greatest = values.toSorted(compareRank).at(-1);
  if (shown === undefined) {
    if (greatest === undefined || removals.some((removal) => supersedes(removal, greatest)))
      return undefined;
    return `${describeWrite(greatest)} is lost: no greater write removed it`;
  }
  const isGone = (removal: Write): boolean =>
    removals.some((other) => isCollected(other) && supersedes(other, removal));
  // A removal that was collected no longer beats what its author had not seen.
  for (const removal of removals) {
    if (!supersedes(removal, shown)) continue;
    if (removal.seen.has(shown))
      return `${describeWrite(shown)} came back after ${describeWrite(removal)}, whose author had seen it`;
    if (!isGone(removal))
      return `${describeWrite(shown)} is shown though ${describeWrite(removal)} is greater`;
  }
  for (const value of values) {
    if (compareRank(value, shown) <= 0) continue;
    if (removals.some((removal) => isCollected(removal) && supersedes(removal, value))) continue;
    return `${describeWrite(shown)} is shown though ${describeWrite(value)} is greater`;
  }
  return undefined;
}

export function describeWrite({ key, tag, payload, hlc, stampReplica, author }: Write): string {
  const what =
    tag === TAG.prefixTombstone
      ? `CLEAR ${key}`
      : tag === TAG.tombstone
        ? `DEL ${key}`
        : `${key}=${tag}:${toHex(payload)}`;
  return `${what}@${hlc >> 16n}.${hlc & 0xffffn}.${stampReplica.slice(0, 4)} of ${author}`;
}

function compareStamp(left: WriteContent, right: WriteContent): number {
  if (left.hlc !== right.hlc) return left.hlc < right.hlc ? -1 : 1;
  if (left.stampReplica !== right.stampReplica)
    return left.stampReplica < right.stampReplica ? -1 : 1;
  return 0;
}

function contentText({ key, tag, payload, hlc, stampReplica }: WriteContent): string {
  return `${key}|${tag}|${toHex(payload)}|${hlc}|${stampReplica}`;
}
