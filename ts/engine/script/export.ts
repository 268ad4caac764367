/** Handing out entries: deltas and snapshots in parts, changes by arrival, entries by hash. */

import { LastwriteError } from "../../errors.ts";
import {
  BLOCK_ENTRIES_MAX,
  encodedEntry,
  type EncodedEntry,
  sharedLength,
} from "../../codec/block.ts";
import { hasDot, NO_DOTS, type Version } from "../../codec/dots.ts";
import { idBytes } from "../../codec/entry.ts";
import { compareByDot, compareKeys } from "../../codec/order.ts";
import { decodeFrame, encodeFrame } from "../../codec/frame.ts";
import { deltaIdOf, type Header, KIND } from "../../codec/header.ts";
import { ByteWriter } from "../../codec/numbers.ts";
import { encodeVersion } from "../../codec/version.ts";
import type { Changes, ExportOptions } from "../contract.ts";
import type { HeldEntry, State } from "./state.ts";
import { stateOf, stateSince } from "./told.ts";

/** `ExportOptions`, checked and whole. */
export interface ExportLimits {
  readonly partBytesMax: number;
  readonly stampLimitMs: number;
}

export function exportLimits({
  partBytesMax = Infinity,
  stampLimitMs = Infinity,
}: ExportOptions = {}): ExportLimits {
  checkLimit("partBytesMax", partBytesMax, 1);
  checkLimit("stampLimitMs", stampLimitMs, 0);
  return { partBytesMax, stampLimitMs };
}

/** The parts of a delta since `base`. */
export function exportDelta(state: State, base: Version, limits: ExportLimits): Uint8Array[] {
  const entries = [...state.holdings.all()].filter((held) => !hasDot(base, held.dot));
  return exportParts(state, { kind: KIND.delta, base }, entries.toSorted(compareByDot), limits);
}

/** The parts of a snapshot. */
export function exportSnapshot(state: State, limits: ExportLimits): Uint8Array[] {
  const { entries, prefixes } = state.holdings;
  const inOrder = state.keys.all().map((key) => entries.get(key) as HeldEntry);
  const all =
    prefixes.size === 0 ? inOrder : [...prefixes.values(), ...inOrder].toSorted(compareKeys);
  return exportParts(state, { kind: KIND.snapshot }, all, limits);
}

/** All of the state but the entries. */
export function exportFrontier(state: State): Uint8Array {
  return encodeFrame({ kind: KIND.frontier, ...stateOf(state) });
}

/** The entries that arrived at `seq` or later, as many as fit into one frame; its header has what is not as in the frontier `since`. */
export function exportChanges(
  state: State,
  seq: number,
  limits: ExportLimits,
  since?: Uint8Array,
): Changes {
  const { head } = state.log;
  if (!Number.isInteger(seq) || seq < 0 || seq > head) {
    throw new LastwriteError(
      "invalid-argument",
      `no change has the number ${seq}; numbers go from 0 to ${head}`,
    );
  }
  const told =
    since === undefined ? stateOf(state) : stateSince(state, decodeFrame(since, [KIND.frontier]));
  const weight = new PartWeight(limits.partBytesMax);
  const taken: HeldEntry[] = [];
  let next = head;
  let isTainted = false;
  for (const held of state.log.since(seq)) {
    if (held.stamp.millis > limits.stampLimitMs) {
      isTainted = true;
    } else if (weight.take(encodedEntry(held))) {
      taken.push(held);
    } else {
      next = held.place;
      break;
    }
  }
  const atHead = next === head;
  const header: Header = {
    kind: KIND.changes,
    ...told,
    end: atHead ? told.end : undefined,
    isTainted,
    isDifference: since !== undefined,
  };
  const frame = encodeFrame(header, taken.map(encodedEntry));
  raiseFloor(state, taken);
  return { frame, next, atHead };
}

/** Entries as they come, in a frame of kind 4 that does not tell where they end. */
export function exportEntries(
  state: State,
  entries: readonly HeldEntry[],
  limits: ExportLimits,
): Uint8Array {
  const taken = entries.filter((held) => held.stamp.millis <= limits.stampLimitMs);
  const isTainted = taken.length < entries.length;
  const frame = encodeFrame(
    { kind: KIND.changes, ...stateOf(state), end: undefined, isTainted },
    taken.map(encodedEntry),
  );
  raiseFloor(state, taken);
  return frame;
}

function exportParts(
  state: State,
  start: Pick<Header, "kind" | "base">,
  entries: readonly HeldEntry[],
  limits: ExportLimits,
): Uint8Array[] {
  const taken = entries.filter((held) => held.stamp.millis <= limits.stampLimitMs);
  const header: Header = {
    ...start,
    ...stateOf(state),
    isTainted: taken.length < entries.length,
  };
  const parts = splitParts(taken.map(encodedEntry), limits.partBytesMax);
  const deltaId = parts.length > 1 ? deltaIdOf(exportDescription(state, start, limits)) : undefined;
  raiseFloor(state, taken);
  return parts.map((part, number) =>
    encodeFrame(
      {
        ...header,
        part: deltaId === undefined ? undefined : { deltaId, number },
        end: number === parts.length - 1 ? header.end : undefined,
      },
      part,
    ),
  );
}

/** Entries in parts of at most so many bytes; at least one part. */
export function splitParts(
  entries: readonly EncodedEntry[],
  partBytesMax: number,
): EncodedEntry[][] {
  const first: EncodedEntry[] = [];
  const parts = [first];
  let part = first;
  let weight = new PartWeight(partBytesMax);
  for (const entry of entries) {
    if (!weight.take(entry)) {
      part = [];
      parts.push(part);
      weight = new PartWeight(partBytesMax);
      weight.take(entry);
    }
    part.push(entry);
  }
  return parts;
}

/** Reckons what a part weighs while entries are put into it. */
class PartWeight {
  readonly #max: number;
  #weight = 0;
  #count = 0;
  #keyBefore: Uint8Array | undefined;

  constructor(max: number) {
    this.#max = max;
  }

  /** Whether the entry still has its place in the part; the first one always has. */
  take({ keyBytes, payload }: EncodedEntry): boolean {
    const isFirstOfBlock = this.#count % BLOCK_ENTRIES_MAX === 0;
    const shared = sharedLength(isFirstOfBlock ? undefined : this.#keyBefore, keyBytes);
    const weight = this.#weight + keyBytes.length - shared + payload.length + ENTRY_WEIGHT;
    if (this.#count > 0 && weight > this.#max) return false;
    this.#weight = weight;
    this.#count++;
    this.#keyBefore = keyBytes;
    return true;
  }
}

const ENTRY_WEIGHT = 16;

/** What two exports have in common if and only if their parts are the same. */
function exportDescription(
  state: State,
  { kind, base }: Pick<Header, "kind" | "base">,
  limits: ExportLimits,
): Uint8Array {
  return new ByteWriter()
    .u8(kind)
    .bytes(idBytes(state.replicaId))
    .u64(state.log.head)
    .u64(limits.partBytesMax)
    .u64(limits.stampLimitMs)
    .bytes(base === undefined ? new Uint8Array(0) : encodeVersion(base))
    .bytes(encodeVersion(state.version))
    .bytes(encodeVersion({ ...NO_DOTS, vector: state.horizon }))
    .finish();
}

/** What is handed out is known elsewhere. */
function raiseFloor(state: State, entries: readonly HeldEntry[]): void {
  for (const { stamp, dot } of entries) {
    if (dot.replicaId === state.replicaId) state.raiseFloor(stamp);
  }
}

function checkLimit(name: string, limit: number, min: number): void {
  if (limit >= min && (Number.isInteger(limit) || limit === Infinity)) return;
  throw new LastwriteError(
    "invalid-argument",
    `${name} is ${limit}; give an integer from ${min} on, or Infinity`,
  );
}
