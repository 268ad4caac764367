/** The engine in plain TypeScript: what the others are tested against, and what runs where neither of them loads. */

import { decodeFrame, encodeEntriesFrame, openFrame } from "../codec/frame.ts";
import { KIND } from "../codec/header.ts";
import { columnsOfEntries } from "./columns.ts";
import { entriesOfColumns } from "./entry-columns.ts";
import type { Engine, ScratchMerge } from "./contract.ts";
import { createScriptDictionary, lanesBytes } from "./script/dictionary.ts";
import { checkNoDifference } from "./script/merge.ts";
import { mergeEntries, scratchTarget, subtractLanes } from "./script/holdings.ts";

/** An engine that needs nothing but the language. All its dictionaries live in the heap of the caller. */
export function scriptEngine(): Engine {
  return {
    backend: "script",
    create: createScriptDictionary,
    decodeEntries: (frame) => columnsOfEntries(decodeFrame(frame, KINDS_WITH_ENTRIES).entries),
    encodeEntries: (columns) => encodeEntriesFrame(entriesOfColumns(columns)),
    scratchMerge,
  };
}

const MERGED_KINDS = [KIND.delta, KIND.snapshot, KIND.changes, KIND.entries];
const KINDS_WITH_ENTRIES = [...MERGED_KINDS, KIND.journal];

function scratchMerge(
  held: Uint8Array,
  frame: Uint8Array,
  now: number,
  driftMaxMs: number,
): ScratchMerge {
  const heldEntries = decodeFrame(held, [KIND.entries]).entries;
  const { header, readEntries } = openFrame(frame, MERGED_KINDS);
  checkNoDifference(header);
  const incoming = readEntries();
  const accepted = incoming.filter(({ stamp }) => stamp.millis <= now + driftMaxMs);

  const target = scratchTarget();
  mergeEntries(target, heldEntries);
  const digestBefore = target.holdings.digest;
  const winners = mergeEntries(target, accepted);
  return {
    winners: columnsOfEntries(accepted.filter((entry) => winners.has(entry))),
    digestDifference: lanesBytes(subtractLanes(target.holdings.digest, digestBefore)),
    refusedCount: incoming.length - accepted.length,
  };
}
