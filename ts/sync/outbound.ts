/** What a session sends: parts that wait for credit, and after them what arrives, in the order of arrival. */

import { decodeHeader, KIND, type Part as FramePart } from "../codec/header.ts";
import type {
  Changes,
  ChangesOptions,
  EngineDictionary,
  ExportOptions,
} from "../engine/contract.ts";
import type {
  Compared,
  Delta,
  Hashes,
  Held,
  Hello,
  Ranges,
  Restart,
  SnapshotPart,
  SyncMessage,
  Wanted,
} from "./messages.ts";

/** What a session needs of a replica to send what it holds. */
export interface OutboundReplica {
  /** To read and to export. */
  readonly entries: EngineDictionary;
  now(): number;
  /** As of `entries`; what many sessions ask for at one moment is made once. */
  changesSince(place: number, options: ChangesOptions): Changes;
  /** As of `entries`; the same array as long as nothing changes. */
  frontier(): Uint8Array;
  /** As of `entries`. */
  head(): number;
}

export type Question = Ranges | Hashes | Wanted | Compared;
export type Part = Delta | SnapshotPart | Restart | Question;

/** Where the other side stands. */
export interface Standing {
  /** All that arrived here before this place it has, or will have by the parts that wait. */
  readonly place: number;
  /** Versions differ, though nothing may have arrived since: there has to be a frame that brings them together. */
  readonly isFrameDue: boolean;
  /** What the other side has of the state beside the entries, or will have by the parts that wait; undefined where that is not known. */
  readonly frontier: Uint8Array | undefined;
}

/** Something was sent up to where the state was that. */
interface Told {
  readonly place: number;
  readonly frontier: Uint8Array;
}

export const PART_BYTES: number = 256 * 1024;
/** Of a side that acknowledges late only the last ones are of interest. */
const TOLD_MAX = 16;

export class Outbound {
  readonly #replica: OutboundReplica;
  #parts: Part[] = [];
  #credit = 0;
  #peerMillis = 0;
  #peerDriftMaxMs = 0;
  /** When the other side told its time. */
  #greetedAt = 0;
  /** Undefined until it is known where the other side stands. */
  #sentPlace: number | undefined;
  #frontier: Uint8Array | undefined;
  #isFrameDue = false;
  /** While it lasts nothing is sent of what arrives. */
  #isComparing = false;
  #isHeld = false;
  #ackedPlace = 0;
  /** Places that the other side need not be sent, for it sent them itself. */
  readonly #skips: { readonly before: number; readonly after: number }[] = [];
  /** What was sent and not acknowledged yet. */
  #told: Told[] = [];

  constructor(replica: OutboundReplica) {
    this.#replica = replica;
  }

  /** The place up to which the other side has everything, durably. */
  get ackedPlace(): number {
    return this.#ackedPlace;
  }

  /** The place up to which the other side was sent everything; undefined while parts wait. */
  get reachedPlace(): number | undefined {
    return this.#parts.length === 0 && !this.#isFrameDue ? this.#sentPlace : undefined;
  }

  /** Between `hold` and `release`. */
  get isHeld(): boolean {
    return this.#isHeld;
  }

  get isSendingSnapshot(): boolean {
    return this.#parts.some(({ type }) => type === "snapshot");
  }

  /** All that is here the other side has, durably. */
  get isSettled(): boolean {
    const reached = this.reachedPlace;
    const isAcked = this.#told.length === 0 && this.#ackedPlace >= (reached ?? Infinity);
    return isAcked && reached === this.#replica.head();
  }

  greet({ windowBytes, driftMaxMs, millis }: Hello): void {
    this.#credit = windowBytes;
    this.#peerDriftMaxMs = driftMaxMs;
    this.setClock(millis);
  }

  /** The other side tells its time anew. */
  setClock(millis: number): void {
    this.#peerMillis = millis;
    this.#greetedAt = this.#replica.now();
  }

  addCredit(byteCount: number): void {
    this.#credit += byteCount;
  }

  /** Goes on from there. What waits is not sent any more. */
  standAt({ place, isFrameDue, frontier }: Standing): void {
    this.#parts = [];
    this.#sentPlace = place;
    this.#isFrameDue = isFrameDue;
    this.#frontier = frontier;
    this.#told = [];
    if (frontier !== undefined) this.#tell(place, frontier);
  }

  /** It is to be learnt anew where the other side stands. */
  forget(): void {
    this.#parts = [];
    this.#sentPlace = undefined;
  }

  /** Sends everything anew that the other side has not acknowledged. */
  restart(): void {
    const place = this.#ackedPlace;
    this.standAt({ place, isFrameDue: true, frontier: undefined });
    this.#parts.push({ type: "restart", place });
  }

  /** Until the end of a comparison nothing is sent of what arrives. */
  startComparison(): void {
    const place = this.#replica.head();
    this.standAt({ place, isFrameDue: true, frontier: undefined });
    this.#isComparing = true;
  }

  /** Goes on with what arrived since it began. */
  endComparison(): void {
    this.#isComparing = false;
  }

  /** Gives it up: what waits is of no use. */
  dropComparison(): void {
    this.#isComparing = false;
    this.#parts = [];
  }

  /** Nothing is taken up to be sent, until `release`. */
  hold(): void {
    this.#isHeld = true;
  }

  release(): void {
    this.#isHeld = false;
  }

  /** Sends all that a replica of that version lacks. */
  sendDelta(version: Uint8Array | undefined): void {
    const { entries } = this.#replica;
    this.#sentPlace = entries.head();
    this.#isFrameDue = false;
    this.#frontier = this.#replica.frontier();
    this.#tell(this.#sentPlace, this.#frontier);
    for (const part of this.#partsOf(entries.delta(version, this.limits))) {
      this.#parts.push({ type: "delta", isPartial: false, continues: false, ...part });
    }
  }

  /** Sends the whole state, to be re-read, but what the other side holds of it. Parts of a delta that were not sent yet the other side could not take. */
  sendSnapshot(held: Held | undefined): void {
    const { entries } = this.#replica;
    const frontier = this.#replica.frontier();
    this.standAt({ place: entries.head(), isFrameDue: false, frontier });
    const parts = this.#partsOf(entries.snapshot(this.limits));
    for (const part of parts.slice(heldCount(parts, held))) {
      this.#parts.push({ type: "snapshot", ...part });
    }
  }

  push(...parts: readonly Part[]): void {
    this.#parts.push(...parts);
  }

  /** The other side has everything up to there, durably. Answers the last frontier of which that is now known for the first time. */
  acked(place: number): Uint8Array | undefined {
    this.#ackedPlace = Math.max(this.#ackedPlace, place);
    this.#skipAcked();
    const last = this.#told.findLast((told) => told.place <= place);
    if (last !== undefined) this.#told = this.#told.filter((told) => told.place > place);
    return last?.frontier;
  }

  /** What was merged from the other side, by which the head went from `before` to `after`, need not be sent back to it. */
  skipEcho(before: number, after: number): void {
    if (this.#sentPlace !== before || after === before) return;
    this.#sentPlace = after;
    this.#skips.push({ before, after });
    this.#skipAcked();
  }

  /** What can be sent now: what waits, then what arrived since, as far as credit goes. */
  take(): SyncMessage[] {
    const taken: SyncMessage[] = [];
    while (this.#credit > 0 && !this.#isHeld) {
      const part = this.#parts.shift() ?? this.#nextChanges();
      if (part === undefined) break;
      this.#credit -= sizeOf(part);
      taken.push(part);
    }
    return taken;
  }

  /** Parts that fit into messages, without what the other side would refuse for its clock. */
  get limits(): ExportOptions {
    const offset = this.#peerMillis - this.#greetedAt;
    const limit = this.#replica.now() + offset + this.#peerDriftMaxMs;
    // Rounded down, so that all whose clocks are about the same are sent the same.
    const step = Math.max(1, Math.floor(this.#peerDriftMaxMs / 4));
    return { partBytesMax: PART_BYTES, stampLimitMs: Math.max(0, limit - (limit % step)) };
  }

  #nextChanges(): Delta | undefined {
    const from = this.#sentPlace;
    if (this.#isComparing || from === undefined) return undefined;
    if (from === this.#replica.head() && !this.#isFrameDue) return undefined;
    const since = this.#frontier;
    const limits = since === undefined ? this.limits : { ...this.limits, since };
    const { frame, next, atHead } = this.#replica.changesSince(from, limits);
    this.#sentPlace = next;
    const delta = { type: "delta", frame, continues: true, remaining: 0, place: next } as const;
    if (!atHead) return { ...delta, isPartial: true };
    this.#isFrameDue = false;
    this.#frontier = this.#replica.frontier();
    this.#tell(next, this.#frontier);
    return { ...delta, isPartial: false };
  }

  #tell(place: number, frontier: Uint8Array): void {
    // What is acknowledged may be the first that was told of a place.
    if (this.#told.at(-1)?.place === place) return;
    this.#told.push({ place, frontier });
    // Those before it come first, and the last one at last.
    if (this.#told.length > TOLD_MAX) this.#told.splice(-2, 1);
  }

  /** Frames with what a receiver has to know of each: how much comes after it, and where it ends. */
  #partsOf(frames: readonly Uint8Array[]): Pick<Delta, "frame" | "remaining" | "place">[] {
    let remaining = frames.reduce((sum, frame) => sum + frame.length, 0);
    return frames.map((frame, at) => {
      remaining -= frame.length;
      return { frame, remaining, place: at === frames.length - 1 ? this.#sentPlace : undefined };
    });
  }

  /** What was skipped as an echo, the other side has, once it has what came before. */
  #skipAcked(): void {
    for (let next = this.#skips[0]; next !== undefined; next = this.#skips[0]) {
      if (this.#ackedPlace < next.before) return;
      this.#ackedPlace = Math.max(this.#ackedPlace, next.after);
      this.#skips.shift();
    }
  }
}

/** How many of these parts the other side has. */
function heldCount(parts: readonly Pick<SnapshotPart, "frame">[], held: Held | undefined): number {
  const [first] = parts;
  const isSame = first !== undefined && held?.id === snapshotPartOf(first.frame)?.deltaId;
  // The last one says that all is there.
  return isSame ? Math.min(held?.count ?? 0, parts.length - 1) : 0;
}

/** Which part of which snapshot it is; undefined for one that is not in parts. */
export function snapshotPartOf(frame: Uint8Array): FramePart | undefined {
  return decodeHeader(frame, [KIND.snapshot]).part;
}

/** What counts against the credit. */
export function sizeOf(part: Part): number {
  switch (part.type) {
    case "ranges":
      return part.prefixes.length + part.fingerprints.length;
    case "hashes":
      return part.prefixes.length + part.hashes.length;
    case "wanted":
      return part.hashes.length;
    case "compared":
    case "restart":
      return 0;
    default:
      return part.frame.length;
  }
}
