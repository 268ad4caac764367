/** Frames: a header of fields, blocks of entries, a checksum (docs/format.md, Frame). */

import {
  BLOCK_ENTRIES_MAX,
  encodedEntry,
  type EncodedEntry,
  readBlock,
  writeBlock,
} from "./block.ts";
import type { Entry } from "./entry.ts";
import { compareByDot, compareKeys } from "./order.ts";
import {
  finishFrame,
  type FrameHeader,
  type Header,
  KIND,
  type Kind,
  misplacedBlock,
  openHeader,
  type OpenHeader,
  startFrame,
} from "./header.ts";
import { corrupt } from "./numbers.ts";

export interface Frame extends FrameHeader {
  readonly entries: readonly Entry[];
}

/** A frame of which the header has been read, and the entries have not. */
export interface OpenFrame {
  readonly header: FrameHeader;
  /** Reads them all; once only. */
  readonly readEntries: () => Entry[];
}

/**
 * Reads a frame of one of `kinds`.
 *
 * Throws `corrupt-bytes`, `unsupported-format` for another version or kind, and `too-large` where the entries would
 * take more than 64 times the bytes of the frame.
 */
export function decodeFrame(bytes: Uint8Array, kinds: readonly Kind[]): Frame {
  const { header, readEntries } = openFrame(bytes, kinds);
  return { ...header, entries: readEntries() };
}

/** As `decodeFrame`, for callers that judge the header before they read on. */
export function openFrame(bytes: Uint8Array, kinds: readonly Kind[]): OpenFrame {
  const opened = openHeader(bytes, kinds);
  return {
    header: opened.header,
    readEntries: () => readBlocks(opened, EXPANSION_MAX * bytes.length),
  };
}

export function encodeFrame(header: Header, entries: readonly EncodedEntry[] = []): Uint8Array {
  const { writer, indexes } = startFrame(header, idsOf(entries));
  for (let at = 0; at < entries.length; at += BLOCK_ENTRIES_MAX) {
    writeBlock(writer, entries.slice(at, at + BLOCK_ENTRIES_MAX), indexes);
  }
  return finishFrame(writer);
}

/** A frame of entries without any version. */
export function encodeEntriesFrame(entries: readonly Entry[]): Uint8Array {
  return encodeFrame({ kind: KIND.entries }, entries.map(encodedEntry));
}

/** Refuses entries that do not strictly ascend. */
export function checkAscending(
  entries: readonly Entry[],
  compare: (a: Entry, b: Entry) => number,
): void {
  const isOrdered = entries.every(
    (entry, at) => at === 0 || compare(entries[at - 1] as Entry, entry) < 0,
  );
  if (!isOrdered) throw corrupt("the entries of a frame do not ascend");
}

const EXPANSION_MAX = 64;

const KINDS_WITHOUT_ENTRIES: ReadonlySet<Kind> = new Set([KIND.version, KIND.frontier]);

function readBlocks({ header: { kind }, ids, content }: OpenHeader, bytesMax: number): Entry[] {
  const entries: Entry[] = [];
  const budget = { left: bytesMax };
  while (content.remaining > 0) {
    if (KINDS_WITHOUT_ENTRIES.has(kind) || entries.length % BLOCK_ENTRIES_MAX !== 0) {
      throw misplacedBlock();
    }
    // No spread: 4,096 arguments a block add up on the stack of small devices.
    for (const entry of readBlock(content, ids, budget)) entries.push(entry);
  }
  checkOrder(kind, entries);
  return entries;
}

function checkOrder(kind: Kind, entries: readonly Entry[]): void {
  if (kind !== KIND.delta && kind !== KIND.snapshot) return;
  checkAscending(entries, kind === KIND.delta ? compareByDot : compareKeys);
}

function idsOf(entries: readonly EncodedEntry[]): Set<string> {
  const ids = new Set<string>();
  for (const { entry } of entries) {
    ids.add(entry.dot.replicaId).add(entry.stamp.replicaId);
    if (entry.origin !== undefined) ids.add(entry.origin.replicaId);
  }
  return ids;
}
