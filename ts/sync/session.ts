/**
 * One side of an exchange between two replicas: told what happened, it answers what is to be sent. No sockets, no timers, no clock; both sides run the same.
 *
 * Each side says what it holds, in a few bytes. Where that differs it sends what the other lacks: from a place in its order of arrival that the other has
 * reached before, else from the other's version; or a snapshot, when the other has missed collected tombstones. From then on it sends what arrives.
 * docs/protocol.md, What is said when.
 */

import { vectorCovers } from "../codec/dots.ts";
import { idText } from "../codec/entry.ts";
import { deltaIdOf } from "../codec/frame.ts";
import { decodeVersion } from "../codec/version.ts";
import type { MergeResult } from "../dictionary/contract.ts";
import type { EngineDictionary, ExportOptions } from "../engine/contract.ts";
import { LastwriteError } from "../errors.ts";
import {
  type Ack,
  type Cursor,
  type Delta,
  type Have,
  type Hello,
  type Need,
  PROTOCOL_MAX,
  PROTOCOL_MIN,
  type SnapshotPart,
  type SyncMessage,
  type VectorPiece,
} from "./messages.ts";
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
/** Credit is given back in amounts like this. */
const CREDIT_BYTES = 128 * 1024;

export class Session {
  readonly #replica: SessionReplica;
  readonly #options: SessionOptions;
  #out: SyncMessage[] = [];
  #flush: number | undefined;
  #peer: Hello | undefined;
  #peerHave: Have | undefined;
  readonly #vectors = new VectorPieces();
  /** Parts that wait for credit. */
  #parts: (Delta | SnapshotPart)[] = [];
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
    const step = { messages: this.#out, flush: this.#flush };
    this.#out = [];
    this.#flush = undefined;
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
    this.#out.push({
      type: "have",
      log: { epoch, place: entries.head() },
      versionHash: hashOf(entries.version()),
      horizonHash: hashOf(entries.horizon()),
      digest: hashOf(entries.digest()),
      entryCount: entries.size(),
      cursor: this.#replica.cursorOf(hello.storeId),
    });
  }

  /** Decides from where on the other side is sent what it lacks. */
  #compare(have: Have): void {
    this.#peerHave = have;
    const { entries, epoch } = this.#replica;
    const head = entries.head();
    const isSame =
      have.versionHash === hashOf(entries.version()) &&
      have.horizonHash === hashOf(entries.horizon());
    if (isSame && have.digest !== hashOf(entries.digest())) {
      // The other side sees it, too, and does the same.
      this.#sendDelta(undefined);
    } else if (isSame) {
      this.#sentPlace = head;
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
      this.#sendDelta(version);
    } else {
      this.#askForSnapshot();
    }
  }

  #sendDelta(version: Uint8Array | undefined): void {
    const { entries } = this.#replica;
    this.#sentPlace = entries.head();
    this.#isFrameDue = false;
    const frames = entries.delta(version, this.#limits());
    this.#parts.push(
      ...this.#partsOf(frames).map(
        (part) => ({ type: "delta", continues: false, ...part }) as const,
      ),
    );
  }

  #sendSnapshot(): void {
    const { entries } = this.#replica;
    this.#sentPlace = entries.head();
    this.#isFrameDue = false;
    const frames = entries.snapshot(this.#limits());
    // Parts of a delta that were not sent yet it could not take.
    this.#parts = this.#partsOf(frames).map((part) => ({ type: "snapshot", ...part }) as const);
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
    this.#consume(frame);
    this.#remainingBytes = remaining;
    const { entries } = this.#replica;
    const before = entries.head();
    const idBefore = idText(entries.replicaId());
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
      this.#exchangeAll();
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

  /** After a clone was found: under the numbers of the old id the two may know different writes. */
  #exchangeAll(): void {
    this.#isBroken = true;
    this.#out.push({ type: "need", what: "entries" });
    this.#parts = [];
    this.#sendDelta(undefined);
  }

  #takeSnapshot({ frame, place, remaining }: SnapshotPart): void {
    this.#consume(frame);
    this.#remainingBytes = remaining;
    this.#snapshot.push(frame);
    if (place === undefined) return;
    const parts = this.#snapshot;
    this.#snapshot = [];
    this.#isSnapshotDue = false;
    this.#replica.reread(parts);
    this.#isBroken = false;
    this.#received(place);
    // What was kept through it the other side has under no dot yet.
    this.#sentPlace = undefined;
    this.#parts = [];
    this.#out.push({ type: "need", what: "version" });
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
  #consume(frame: Uint8Array): void {
    this.#creditDue += frame.length;
    if (this.#creditDue < CREDIT_BYTES) return;
    this.#out.push({ type: "credit", byteCount: this.#creditDue });
    this.#creditDue = 0;
  }

  /** Sends what waits, then what arrived since, as far as credit goes. */
  #sendParts(): void {
    while (this.#credit > 0) {
      const part = this.#parts.shift() ?? this.#nextChanges();
      if (part === undefined) return;
      this.#credit -= part.frame.length;
      this.#out.push(part);
    }
  }

  #nextChanges(): Delta | undefined {
    const { entries } = this.#replica;
    const from = this.#sentPlace;
    if (from === undefined || (from === entries.head() && !this.#isFrameDue)) return undefined;
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

function hashOf(bytes: Uint8Array): string {
  return deltaIdOf(bytes);
}
