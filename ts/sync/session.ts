/**
 * One side of an exchange between two replicas: told what happened, it answers what is to be sent. No sockets, no timers, no clock; both sides run the same.
 *
 * Each side says what it holds, in a few bytes. Where that differs it sends what the other lacks: from a place in its order of arrival that the other has
 * reached before, else from the other's version; or a snapshot, when the other has missed collected tombstones. Where versions do not tell what is missing the
 * two compare their entries by ranges. From then on it sends what arrives.
 * docs/protocol.md, What is said when.
 */

import { vectorCovers } from "../codec/dots.ts";
import { idText } from "../codec/entry.ts";
import { deltaIdOf, FIELD, KIND, peekHeader } from "../codec/frame.ts";
import { decodeVersion } from "../codec/version.ts";
import type { MergeResult } from "../dictionary/contract.ts";
import type { EngineDictionary, ExportOptions } from "../engine/contract.ts";
import { LastwriteError } from "../errors.ts";
import { FRAME_BYTES_MAX } from "./codec.ts";
import {
  type Ack,
  type Compared,
  type Cursor,
  type Delta,
  type Hashes,
  type Have,
  type Hello,
  type Need,
  PROTOCOL_MAX,
  PROTOCOL_MIN,
  type Ranges,
  type SnapshotPart,
  type SyncMessage,
  type VectorPiece,
  type Wanted,
} from "./messages.ts";
import { checkPresence, Present, type PresenceChange } from "./presence.ts";
import { type Answer, Comparison } from "./repair.ts";
import { VectorPieces, vectorPieces, type Vectors } from "./vectors.ts";

/** What a session needs of the replica that it is for. */
export interface SessionReplica {
  /** To read and to export; what is merged goes through `merge`. */
  readonly entries: EngineDictionary;
  /** 32 hex digits. */
  readonly storeId: string;
  /** 16 hex digits: names the order of arrival. */
  readonly epoch: string;
  readonly driftMaxMs: number;
  now(): number;
  merge(frame: Uint8Array, adopt: boolean): MergeResult;
  reread(parts: readonly Uint8Array[]): MergeResult;
  /** Up to where the order of arrival of another store has been merged, durably and without a gap. */
  cursorOf(storeId: string): Cursor | undefined;
  /** Keeps that with the next flush. */
  rememberCursor(storeId: string, cursor: Cursor): void;
}

export interface SessionOptions {
  readonly replica: SessionReplica;
  /** 16 hex digits that no other session has: names it to those who see its presence. */
  readonly id: string;
  /** 16 bytes that nobody can guess: keys are hashed with them, should this side begin a comparison by ranges. */
  readonly seed: Uint8Array;
  /** Replicas of at most so many entries send all of them instead of comparing by ranges. Default: 256. */
  readonly sendAllMax?: number;
  /** Default: false. */
  readonly isServer?: boolean;
  /** Default: empty. */
  readonly room?: string;
  /** Default: empty. */
  readonly token?: string;
}

/** What is to be done after a step. */
export interface Step {
  /** In this order. */
  readonly messages: readonly SyncMessage[];
  /** What was merged has to be kept; `kept` is to be called with this number when it is. */
  readonly flush: number | undefined;
  /** Who is there on the other side, and what of it has changed. */
  readonly presence: readonly PresenceChange[];
}

/** How far a session is. */
export interface SessionProgress {
  /** The other side has said who it is. */
  readonly isGreeted: boolean;
  /** All that the other side had when it came has been merged. */
  readonly isReceived: boolean;
  /** The place up to which the other side has everything, durably. */
  readonly ackedPlace: number;
  /** Bytes of parts that are still to come, as far as the other side told. */
  readonly remainingBytes: number;
  /** How many entries the other side holds. */
  readonly peerEntryCount: number;
}

const PART_BYTES = 256 * 1024;
const WINDOW_BYTES = 1024 * 1024;
/** Entries in a frame that answers a comparison, unless they are long. */
const FRAME_ENTRIES_MAX = 8192;
const SEND_ALL_MAX = 256;
/** Each costs passes over all entries. */
const JOINED_COMPARISONS_MAX = 8;
/** Credit is given back in amounts like this. */
const CREDIT_BYTES = 128 * 1024;

export class Session {
  readonly #replica: SessionReplica;
  readonly #options: SessionOptions;
  #out: SyncMessage[] = [];
  #flush: number | undefined;
  #presence: PresenceChange[] = [];
  readonly #present = new Present();
  #peer: Hello | undefined;
  /** What this side said that it has: both sides decide by what both have heard. */
  #have: Have | undefined;
  #peerHave: Have | undefined;
  readonly #vectors = new VectorPieces();
  /** Parts that wait for credit. */
  #parts: (Delta | SnapshotPart | Question)[] = [];
  /** While it lasts nothing is sent of what arrives. */
  #comparison: Comparison | undefined;
  #isComparisonHeard = false;
  #joinedCount = 0;
  #credit = 0;
  #creditDue = 0;
  /** The place up to which the other side was sent everything, or will be by `#parts`; undefined until that is known. */
  #sentPlace: number | undefined;
  /** Versions differ, though nothing may have arrived since: there has to be a frame that brings them together. */
  #isFrameDue = false;
  /** When the other side told its time. */
  #greetedAt = 0;
  /** What the other side sends cannot be adopted until it has sent its all anew. */
  #isBroken = false;
  #snapshot: Uint8Array[] = [];
  #isSnapshotDue = false;
  #isReceived = false;
  #ackedPlace = 0;
  /** Places that the other side need not be sent, for it sent them itself. */
  readonly #skips: { readonly before: number; readonly after: number }[] = [];
  #remainingBytes = 0;
  /** What is to be acknowledged once it is kept. */
  #toAck: { readonly flush: number; readonly place: number }[] = [];
  #flushCount = 0;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#replica = options.replica;
  }

  get progress(): SessionProgress {
    return {
      isGreeted: this.#peer !== undefined,
      isReceived: this.#isReceived,
      ackedPlace: this.#ackedPlace,
      remainingBytes: this.#remainingBytes,
      peerEntryCount: this.#peerHave?.entryCount ?? 0,
    };
  }

  /** Both sides have everything, durably, as far as this one knows. */
  get isSettled(): boolean {
    return (
      this.#isReceived &&
      this.#toAck.length === 0 &&
      this.#parts.length === 0 &&
      !this.#isFrameDue &&
      this.#sentPlace === this.#replica.entries.head() &&
      this.#ackedPlace >= this.#sentPlace
    );
  }

  /** Begins. */
  open(): Step {
    const { replica, isServer = false, room = "", token = "" } = this.#options;
    this.#out.push({
      type: "hello",
      protocolMin: PROTOCOL_MIN,
      protocolMax: PROTOCOL_MAX,
      storeId: replica.storeId,
      millis: replica.now(),
      driftMaxMs: replica.driftMaxMs,
      windowBytes: WINDOW_BYTES,
      isServer,
      room,
      token,
    });
    return this.#step();
  }

  /** Takes a message of the other side. Throws what `merge` throws for a frame that cannot be read; the session can go on after that. */
  receive(message: SyncMessage): Step {
    if (this.#peer === undefined && message.type !== "hello") {
      throw new LastwriteError("corrupt-bytes", "the other side did not say hello first");
    }
    switch (message.type) {
      case "hello":
        this.#greet(message);
        break;
      case "have":
        this.#compare(message);
        break;
      case "need":
        this.#answer(message);
        break;
      case "vector":
        this.#takeVector(message);
        break;
      case "delta":
        this.#takeDelta(message);
        break;
      case "snapshot":
        this.#takeSnapshot(message);
        break;
      case "ack":
        this.#takeAck(message);
        break;
      case "credit":
        this.#credit += message.byteCount;
        break;
      case "ranges":
        this.#takeRanges(message);
        break;
      case "hashes":
        this.#takeQuestion(message, (comparison) => comparison.takeHashes(message));
        break;
      case "wanted":
        this.#takeQuestion(message, (comparison) => comparison.takeWanted(message));
        break;
      case "compared":
        this.#takeTurn(message);
        break;
      case "presence":
        this.#presence.push(this.#present.take(message));
        break;
      case "ping":
        this.#out.push({ type: "pong" });
        break;
      default:
    }
    return this.#step();
  }

  /** Something was written here, or merged from elsewhere: it may have to be sent. */
  changed(): Step {
    return this.#step();
  }

  /**
   * Tells the other side a small value of this session; undefined takes it back.
   *
   * Throws `invalid-argument` unless `state` is JSON of at most 4 KiB. To be called once the other side is greeted.
   */
  present(state: string | undefined): Step {
    checkPresence(state);
    this.#out.push({ type: "presence", from: this.#options.id, state });
    return this.#step();
  }

  /** The link has ended: all who were there behind it are gone. */
  ended(): readonly PresenceChange[] {
    return this.#present.clear();
  }

  /** What a step asked to be flushed is kept. */
  kept(flush: number): Step {
    const done = this.#toAck.filter((due) => due.flush <= flush);
    this.#toAck = this.#toAck.filter((due) => due.flush > flush);
    const place = done.at(-1)?.place;
    if (place !== undefined) {
      const isAllSent = this.#parts.length === 0 && !this.#isFrameDue;
      const reached = isAllSent ? this.#sentPlace : undefined;
      this.#out.push({ type: "ack", place, reached });
    }
    return this.#step();
  }

  #step(): Step {
    this.#sendParts();
    const step = { messages: this.#out, flush: this.#flush, presence: this.#presence };
    this.#out = [];
    this.#flush = undefined;
    this.#presence = [];
    return step;
  }

  #greet(hello: Hello): void {
    if (this.#peer !== undefined) throw new LastwriteError("corrupt-bytes", "a second hello");
    if (hello.protocolMin > PROTOCOL_MAX || hello.protocolMax < PROTOCOL_MIN) {
      throw new LastwriteError(
        "unsupported-protocol",
        `the other side speaks protocol ${hello.protocolMin} to ${hello.protocolMax}, this one ${PROTOCOL_MIN} to ${PROTOCOL_MAX}; update the older one`,
      );
    }
    this.#peer = hello;
    this.#credit = hello.windowBytes;
    this.#greetedAt = this.#replica.now();
    const { entries, epoch } = this.#replica;
    this.#have = {
      type: "have",
      log: { epoch, place: entries.head() },
      versionHash: hashOf(entries.version()),
      horizonHash: hashOf(entries.horizon()),
      digest: hashOf(entries.digest()),
      entryCount: entries.size(),
      cursor: this.#replica.cursorOf(hello.storeId),
    };
    this.#out.push(this.#have);
  }

  /** Decides from where on the other side is sent what it lacks. */
  #compare(have: Have): void {
    if (this.#peerHave !== undefined) throw new LastwriteError("corrupt-bytes", "a second have");
    this.#peerHave = have;
    const { entries, epoch, storeId } = this.#replica;
    const head = entries.head();
    const own = this.#have as Have;
    const isSame = have.versionHash === own.versionHash && have.horizonHash === own.horizonHash;
    if (isSame && have.digest !== own.digest) {
      // The other side sees it, too.
      if (this.#isSmall) this.#sendDelta(undefined);
      else if (storeId <= (this.#peer as Hello).storeId) this.#beginComparison();
    } else if (isSame) {
      this.#sentPlace = own.log.place;
      this.#isFrameDue = false;
      this.#received(have.log.place);
    } else if (have.cursor?.epoch === epoch && have.cursor.place <= head) {
      this.#sentPlace = have.cursor.place;
      this.#ackedPlace = have.cursor.place;
      this.#isFrameDue = true;
    } else {
      this.#out.push({ type: "need", what: "version" });
    }
  }

  #answer({ what }: Need): void {
    const { entries } = this.#replica;
    if (what === "version") {
      this.#out.push(...vectorPieces({ version: entries.version(), horizon: entries.horizon() }));
    } else if (what === "entries") {
      this.#endComparison();
      this.#sendDelta(undefined);
    } else if (!this.#parts.some(({ type }) => type === "snapshot")) {
      this.#sendSnapshot();
    }
  }

  #takeVector(piece: VectorPiece): void {
    const vectors = this.#vectors.add(piece);
    if (vectors !== undefined) this.#sendLacking(vectors);
  }

  /** Sends what a replica of that version lacks; a snapshot, if it has missed collected tombstones. */
  #sendLacking({ version, horizon }: Vectors): void {
    const { entries } = this.#replica;
    const peerSaw = decodeVersion(version).vector;
    const collected = decodeVersion(entries.horizon()).vector;
    if (!vectorCovers(peerSaw, collected)) {
      this.#sendSnapshot();
    } else if (
      vectorCovers(decodeVersion(entries.version()).vector, decodeVersion(horizon).vector)
    ) {
      // A comparison finds all that the other side lacks.
      if (this.#comparison === undefined) this.#sendDelta(version);
    } else {
      this.#askForSnapshot();
    }
  }

  #sendDelta(version: Uint8Array | undefined): void {
    const { entries } = this.#replica;
    this.#sentPlace = entries.head();
    this.#isFrameDue = false;
    const frames = entries.delta(version, this.#limits());
    for (const part of this.#partsOf(frames)) {
      this.#parts.push({ type: "delta", continues: false, ...part });
    }
  }

  #sendSnapshot(): void {
    this.#endComparison();
    const { entries } = this.#replica;
    this.#sentPlace = entries.head();
    this.#isFrameDue = false;
    const frames = entries.snapshot(this.#limits());
    // Parts of a delta that were not sent yet it could not take.
    this.#parts = [];
    for (const part of this.#partsOf(frames)) this.#parts.push({ type: "snapshot", ...part });
  }

  /** Frames with what a receiver has to know of each: how much comes after it, and where it ends. */
  #partsOf(frames: readonly Uint8Array[]): Pick<Delta, "frame" | "remaining" | "place">[] {
    let remaining = frames.reduce((sum, frame) => sum + frame.length, 0);
    return frames.map((frame, at) => {
      remaining -= frame.length;
      return { frame, remaining, place: at === frames.length - 1 ? this.#sentPlace : undefined };
    });
  }

  #askForSnapshot(): void {
    if (this.#isSnapshotDue) return;
    this.#isSnapshotDue = true;
    this.#out.push({ type: "need", what: "snapshot" });
  }

  #takeDelta({ frame, place, continues, remaining }: Delta): void {
    this.#consume(frame.length);
    this.#remainingBytes = remaining;
    const { entries } = this.#replica;
    const before = entries.head();
    const idBefore = idText(entries.replicaId());
    // What was withheld the version of a later frame may cover.
    if (isTainted(frame)) this.#isBroken = true;
    let result: MergeResult;
    try {
      result = this.#replica.merge(frame, continues && !this.#isBroken);
    } catch (error) {
      this.#isBroken = true;
      if (!(error instanceof LastwriteError) || error.code !== "below-horizon") throw error;
      if (error.side === "receiver") this.#askForSnapshot();
      else this.#sendSnapshot();
      return;
    }
    if (idText(entries.replicaId()) !== idBefore) {
      // Under the numbers of the old id the two may know different writes.
      if (this.#isSmall) this.#exchangeAll();
      else this.#beginComparison();
      return;
    }
    this.#skipEcho(before);
    if (result.refused.length > 0) this.#isBroken = true;
    if (place === undefined) return;
    if (!result.complete) {
      this.#isBroken = true;
      // All that came is kept all the same; what was refused comes again in another session.
      this.#isReceived = true;
      return;
    }
    if (!continues) this.#isBroken = false;
    this.#received(place);
  }

  /** Versions do not tell what is missing on either side. */
  #exchangeAll(): void {
    this.#endComparison();
    this.#isBroken = true;
    this.#out.push({ type: "need", what: "entries" });
    this.#parts = [];
    this.#sendDelta(undefined);
  }

  #takeSnapshot({ frame, place, remaining }: SnapshotPart): void {
    this.#consume(frame.length);
    this.#remainingBytes = remaining;
    this.#snapshot.push(frame);
    if (place === undefined) return;
    const parts = this.#snapshot;
    this.#snapshot = [];
    this.#isSnapshotDue = false;
    this.#endComparison();
    this.#replica.reread(parts);
    this.#isBroken = false;
    this.#received(place);
    // What was kept through it the other side has under no dot yet.
    this.#sentPlace = undefined;
    this.#parts = [];
    this.#out.push({ type: "need", what: "version" });
  }

  /** Both replicas are so small that all of their entries cost less than to compare them. */
  get #isSmall(): boolean {
    const counts = [this.#have?.entryCount ?? 0, this.#peerHave?.entryCount ?? 0];
    return Math.max(...counts) <= (this.#options.sendAllMax ?? SEND_ALL_MAX);
  }

  #beginComparison(): void {
    this.#isBroken = true;
    const { comparison, question } = Comparison.begin(this.#replica.entries, this.#options.seed);
    this.#compareBy(comparison);
    this.#parts.push(question, { type: "compared", seed: comparison.seed });
  }

  /** From here on the comparison finds what was there before, and what arrives is sent once it is over. */
  #compareBy(comparison: Comparison): void {
    this.#comparison = comparison;
    this.#isComparisonHeard = false;
    this.#sentPlace = this.#replica.entries.head();
    this.#isFrameDue = true;
    this.#parts = [];
  }

  #endComparison(): void {
    if (this.#comparison === undefined) return;
    this.#comparison = undefined;
    this.#parts = [];
  }

  #takeRanges(message: Ranges): void {
    if (message.depth === 0) this.#joinComparison(message.seed);
    this.#takeQuestion(message, (comparison) => comparison.takeRanges(message));
  }

  /** Takes part in a comparison of the other side; of two that were begun at once the one with the smaller seed goes on. */
  #joinComparison(seed: Uint8Array): void {
    const own = this.#comparison?.seed;
    const isOwnFirst =
      own === this.#options.seed && !this.#isComparisonHeard && idText(own) <= idText(seed);
    const isReread = this.#isSnapshotDue || this.#parts.some(({ type }) => type === "snapshot");
    if (isOwnFirst || isReread) return;
    this.#joinedCount++;
    if (this.#joinedCount > JOINED_COMPARISONS_MAX) {
      throw new LastwriteError(
        "corrupt-bytes",
        "the other side compares by ranges again and again",
      );
    }
    this.#compareBy(Comparison.join(this.#replica.entries, seed));
  }

  #takeQuestion(
    message: Ranges | Hashes | Wanted,
    answer: (comparison: Comparison) => Answer,
  ): void {
    this.#consume(sizeOf(message));
    const comparison = this.#comparisonOf(message.seed);
    if (comparison === undefined) return;
    const { questions, lacking, isHopeless } = answer(comparison);
    if (isHopeless) {
      this.#exchangeAll();
      return;
    }
    this.#parts.push(...questions, ...this.#entriesOf(comparison.seed, lacking));
  }

  #takeTurn(message: Compared): void {
    this.#consume(sizeOf(message));
    const comparison = this.#comparisonOf(message.seed);
    if (comparison === undefined) return;
    if (comparison.takeTurn()) {
      this.#comparison = undefined;
      return;
    }
    this.#parts.push({ type: "compared", seed: comparison.seed });
    if (comparison.endTurn()) this.#comparison = undefined;
  }

  /** The comparison that goes on, if it is that one: what is still on its way of another is of no use. */
  #comparisonOf(seed: Uint8Array): Comparison | undefined {
    const comparison = this.#comparison;
    if (comparison === undefined || idText(comparison.seed) !== idText(seed)) return undefined;
    // From here on the other side tells all that it holds anew, whatever was refused before.
    if (!this.#isComparisonHeard) this.#isBroken = false;
    this.#isComparisonHeard = true;
    return comparison;
  }

  #entriesOf(seed: Uint8Array, hashes: Uint8Array): Delta[] {
    const { entries } = this.#replica;
    const deltas: Delta[] = [];
    let count = FRAME_ENTRIES_MAX;
    for (let at = 0; at < hashes.length;) {
      const frame = entries.entriesByHash(
        seed,
        hashes.subarray(at, at + HASH_BYTES * count),
        this.#limits(),
      );
      if (frame.length > FRAME_BYTES_MAX && count > 1) {
        count = Math.max(1, Math.floor((count * PART_BYTES) / frame.length));
        continue;
      }
      at += HASH_BYTES * count;
      deltas.push({ type: "delta", place: undefined, continues: false, remaining: 0, frame });
    }
    return deltas;
  }

  /** Everything of the other side up to `place` is merged. */
  #received(place: number): void {
    this.#isReceived = true;
    this.#remember(place);
    this.#flushCount++;
    this.#flush = this.#flushCount;
    this.#toAck.push({ flush: this.#flushCount, place });
  }

  #remember(place: number): void {
    const { storeId } = this.#peer as Hello;
    const { epoch } = (this.#peerHave as Have).log;
    this.#replica.rememberCursor(storeId, { epoch, place });
  }

  #takeAck({ place, reached }: Ack): void {
    if (place > this.#replica.entries.head()) {
      throw new LastwriteError("corrupt-bytes", "the other side acknowledges what was never sent");
    }
    this.#ackedPlace = Math.max(this.#ackedPlace, place);
    this.#skipAcked();
    // It has all that arrived here up to there, or sent it itself.
    if (reached !== undefined && !this.#isBroken) this.#remember(reached);
  }

  /** What was skipped as an echo, the other side has, once it has what came before. */
  #skipAcked(): void {
    for (let next = this.#skips[0]; next !== undefined; next = this.#skips[0]) {
      if (this.#ackedPlace < next.before) return;
      this.#ackedPlace = Math.max(this.#ackedPlace, next.after);
      this.#skips.shift();
    }
  }

  /** What was just merged from the other side need not be sent back to it. */
  #skipEcho(before: number): void {
    const after = this.#replica.entries.head();
    if (this.#sentPlace !== before || after === before) return;
    this.#sentPlace = after;
    this.#skips.push({ before, after });
    this.#skipAcked();
  }

  /** Gives back credit for what was taken. */
  #consume(byteCount: number): void {
    this.#creditDue += byteCount;
    if (this.#creditDue < CREDIT_BYTES) return;
    this.#out.push({ type: "credit", byteCount: this.#creditDue });
    this.#creditDue = 0;
  }

  /** Sends what waits, then what arrived since, as far as credit goes. */
  #sendParts(): void {
    while (this.#credit > 0) {
      const part = this.#parts.shift() ?? this.#nextChanges();
      if (part === undefined) return;
      this.#credit -= sizeOf(part);
      this.#out.push(part);
    }
  }

  #nextChanges(): Delta | undefined {
    const { entries } = this.#replica;
    const from = this.#sentPlace;
    if (this.#comparison !== undefined || from === undefined) return undefined;
    if (from === entries.head() && !this.#isFrameDue) return undefined;
    const { frame, next, atHead } = entries.changesSince(from, this.#limits());
    this.#sentPlace = next;
    if (atHead) this.#isFrameDue = false;
    return {
      type: "delta",
      frame,
      continues: true,
      remaining: 0,
      place: atHead ? next : undefined,
    };
  }

  /** Parts that fit into messages, without what the other side would refuse for its clock. */
  #limits(): ExportOptions {
    const { millis, driftMaxMs } = this.#peer as Hello;
    const offset = millis - this.#greetedAt;
    return {
      partBytesMax: PART_BYTES,
      stampLimitMs: Math.max(0, this.#replica.now() + offset + driftMaxMs),
    };
  }
}

type Question = Ranges | Hashes | Wanted | Compared;

const HASH_BYTES = 8;

/** What counts against the credit. */
function sizeOf(part: Delta | SnapshotPart | Question): number {
  switch (part.type) {
    case "ranges":
      return part.prefixes.length + part.fingerprints.length;
    case "hashes":
      return part.prefixes.length + part.hashes.length;
    case "wanted":
      return part.hashes.length;
    case "compared":
      return 0;
    default:
      return part.frame.length;
  }
}

/** Whether entries were withheld. */
function isTainted(frame: Uint8Array): boolean {
  return peekHeader(frame, [KIND.delta, KIND.changes]).fields.has(FIELD.flags);
}

function hashOf(bytes: Uint8Array): string {
  return deltaIdOf(bytes);
}
