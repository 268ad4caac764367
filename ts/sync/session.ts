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
import { deltaIdOf, DIFFERENCE, flagsOf, TAINTED } from "../codec/header.ts";
import { ByteWriter } from "../codec/numbers.ts";
import { decodeVersion } from "../codec/version.ts";
import type { MergeResult } from "../dictionary/contract.ts";
import type { EngineDictionary } from "../engine/contract.ts";
import { LastwriteError } from "../errors.ts";
import { Dues } from "./dues.ts";
import {
  type Ack,
  type Compared,
  type Delta,
  type Hashes,
  type Have,
  type Held,
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
import { Outbound, sizeOf, snapshotPartOf } from "./outbound.ts";
import { type Answer, Comparison, entriesOf } from "./repair.ts";
import type { SessionOptions, SessionProgress, SessionReplica, Step } from "./session-contract.ts";
import { VectorPieces, vectorPieces, type Vectors } from "./vectors.ts";

const WINDOW_BYTES = 1024 * 1024;
const SEND_ALL_MAX = 256;
/** So many entries that arrived are sent without a look at versions. */
const NEAR_COUNT = 1024;
/** What a version takes for each writer, about as much as an entry. */
const WRITER_BYTES = 20;
/** How often one side may ask for something in a session: each costs a version, or all entries. */
const NEEDS_MAX = 64;
const SNAPSHOT_BYTES_MAX: number = 2 ** 30;
/** Of a clock that is further away neither is believed: the owner has to look. */
const CLOCK_ERROR_MAX_MS = 86_400_000;
/** What may be said before both sides have told what they have. */
const EARLY_TYPES: ReadonlySet<string> = new Set(["hello", "clock", "have", "ping", "pong"]);
/** Each costs passes over all entries. */
const JOINED_COMPARISONS_MAX = 8;
/** Credit is given back in amounts like this. */
const CREDIT_BYTES = 128 * 1024;

export class Session {
  readonly #replica: SessionReplica;
  readonly #options: SessionOptions;
  readonly #outbound: Outbound;
  #out: SyncMessage[] = [];
  readonly #dues = new Dues();
  #peer: Hello | undefined;
  /** What this side said that it has: both sides decide by what both have heard. */
  #have: Have | undefined;
  #peerHave: Have | undefined;
  #vectors: VectorPieces | undefined;
  /** While it lasts nothing is sent of what arrives. */
  #comparison: Comparison | undefined;
  #isComparisonHeard = false;
  #joinedCount = 0;
  #creditDue = 0;
  /** What the other side sends cannot be adopted until it has sent its all anew. */
  #isBroken = false;
  #isDrifted = false;
  /** Both had seen the same and collected the same, and held something else. */
  #isRepair = false;
  #snapshot: Uint8Array[] = [];
  #isSnapshotDue = false;
  /** The other side was sent one in this session. */
  #isSnapshotSent = false;
  #isAgainDue = false;
  #isReceived = false;
  #remainingBytes = 0;
  /** How often the other side has asked for something. */
  #needCount = 0;
  /** How many versions of the other side are still to come. */
  #askedVersionCount = 0;
  /** Questions that wait to be answered. */
  #pongCount = 0;
  /** Frontier of this side when it said `have`. */
  #frontier: Uint8Array | undefined;
  /** Hash of the own horizon when it was last compared with the version of the other side. */
  #checkedHorizon: string | undefined;
  #horizonAtHave: string | undefined;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#replica = options.replica;
    this.#outbound = new Outbound(options.replica);
  }

  get progress(): SessionProgress {
    return {
      isReceived: this.#isReceived,
      ackedPlace: this.#outbound.ackedPlace,
      remainingBytes: this.#remainingBytes,
      peerEntryCount: this.#peerHave?.entryCount ?? 0,
      isDrifted: this.#isDrifted,
    };
  }

  /** The other side has said who it is. */
  get isGreeted(): boolean {
    return this.#peer !== undefined;
  }

  /** Both sides have said what they have. */
  get isIntroduced(): boolean {
    return this.#peerHave !== undefined;
  }

  /** As in `progress`. */
  get isDrifted(): boolean {
    return this.#isDrifted;
  }

  /** Both sides have everything, durably, as far as this one knows. */
  get isExchanged(): boolean {
    return this.#isReceived && !this.#dues.isAckDue && this.#outbound.isSettled;
  }

  /** The same, and the cursors for the next session are remembered. */
  get isSettled(): boolean {
    return this.#dues.isEmpty && this.isExchanged;
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
    if (this.#peerHave === undefined && !EARLY_TYPES.has(message.type)) {
      throw new LastwriteError("corrupt-bytes", "the other side did not say what it has first");
    }
    switch (message.type) {
      case "hello":
        this.#greet(message);
        break;
      case "clock":
        this.#outbound.setClock(message.millis);
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
      case "restart":
        this.#isAgainDue = false;
        this.#isBroken = false;
        this.#isDrifted = false;
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
        this.#outbound.addCredit(message.byteCount);
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
      case "ping":
        this.#pongCount++;
        break;
      default:
    }
    return this.#step();
  }

  /** Something was written here, or merged from elsewhere: it may have to be sent. */
  changed(): Step {
    return this.#step();
  }

  /** Time has passed: what was refused for its stamp may be taken by now. */
  retry(): Step {
    if (this.#isDrifted) this.#askAgain();
    return this.#step();
  }

  /** The link has ended: parts of a snapshot are held for the next session. */
  ended(): void {
    if (this.#snapshot.length === 0 || this.#peer === undefined) return;
    this.#replica.stage(this.#peer.storeId, this.#snapshot);
  }

  /** What a step asked to be flushed is kept. */
  kept(flush: number): Step {
    const { place, ackedPlace } = this.#dues.kept(flush);
    if (place !== undefined) this.#remember(place);
    if (ackedPlace !== undefined) {
      this.#out.push({ type: "ack", place: ackedPlace, reached: this.#outbound.reachedPlace });
    }
    return this.#step();
  }

  /** Takes up no entries to be sent until `release`: what was sent before is still on its way out. */
  hold(): void {
    this.#outbound.hold();
  }

  release(): Step {
    this.#outbound.release();
    return this.#step();
  }

  #step(): Step {
    if (this.#peer !== undefined) this.#out.push(...this.#outbound.take());
    // Who asks wants to have all that was here before he asked.
    for (; this.#pongCount > 0 && !this.#outbound.isHeld; this.#pongCount--) {
      this.#out.push({ type: "pong" });
    }
    const step = { messages: this.#out, ...this.#dues.takeFlush() };
    this.#out = [];
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
    this.#compareClocks(hello);
    this.#outbound.greet(hello);
    const { entries, epoch } = this.#replica;
    this.#frontier = this.#replica.frontier();
    this.#horizonAtHave = this.#horizonHash;
    this.#have = {
      type: "have",
      log: { epoch, place: entries.head() },
      versionHash: hashOf(entries.version()),
      horizonHash: hashOf(collectedBy(entries)),
      digest: hashOf(entries.digest()),
      entryCount: entries.size(),
      cursor: this.#replica.cursorOf(hello.storeId),
    };
    this.#out.push(this.#have);
  }

  /** Of two clocks that do not agree that of a server is right. */
  #compareClocks({ isServer, millis }: Hello): void {
    const aheadMs = millis - this.#replica.now();
    const { isServer: isOwnServer = false, isChosen = false } = this.#options;
    if (isServer && !isOwnServer && isChosen && Math.abs(aheadMs) <= CLOCK_ERROR_MAX_MS) {
      if (!this.#replica.followClock(millis)) return;
      this.#out.push({ type: "clock", millis: this.#replica.now() });
    } else if (isOwnServer && !isServer && aheadMs > this.#replica.driftMaxMs) {
      this.#tellDrift(`the clock of the client is ${aheadMs} ms ahead`);
    }
  }

  #tellDrift(what: string): void {
    const time = new Date(this.#replica.now()).toISOString();
    const message = `${what}; it is ${time} here`;
    this.#out.push({ type: "error", code: "clock-drift", message, final: false });
  }

  /** Decides from where on the other side is sent what it lacks. */
  #compare(have: Have): void {
    if (this.#peerHave !== undefined) throw new LastwriteError("corrupt-bytes", "a second have");
    this.#peerHave = have;
    const { epoch, storeId } = this.#replica;
    const own = this.#have as Have;
    const isSame = have.versionHash === own.versionHash && have.horizonHash === own.horizonHash;
    if (isSame && have.digest !== own.digest) {
      this.#isRepair = true;
      this.#replica.mismatched((this.#peer as Hello).storeId);
      // The other side sees it, too.
      if (this.#isSmall) this.#outbound.sendDelta(undefined);
      else if (storeId <= (this.#peer as Hello).storeId) this.#beginComparison();
    } else if (isSame) {
      this.#outbound.standAt({
        place: own.log.place,
        isFrameDue: false,
        frontier: this.#frontier,
      });
      this.#checkedHorizon = this.#horizonAtHave;
      this.#received(have.log.place);
    } else if (have.cursor?.epoch === epoch && this.#isNear(have.cursor.place)) {
      this.#outbound.standAt({
        place: have.cursor.place,
        isFrameDue: true,
        frontier: undefined,
      });
      this.#outbound.acked(have.cursor.place);
    } else {
      this.#ask("version");
    }
    // The session before this one broke off while it re-read.
    if (!isSame && this.#replica.hasStaged(this.#peer?.storeId ?? "")) this.#askForSnapshot();
  }

  /** Whether what arrived since costs less than to compare versions, by which nothing is sent that the other side has from elsewhere. */
  #isNear(place: number): boolean {
    const { entries } = this.#replica;
    const count = entries.head() - place;
    return count >= 0 && count <= Math.max(NEAR_COUNT, entries.version().length / WRITER_BYTES);
  }

  #answer({ what, held }: Need): void {
    const { entries } = this.#replica;
    if (what !== "again") this.#needCount++;
    if (this.#needCount > NEEDS_MAX) {
      throw new LastwriteError("corrupt-bytes", "the other side asks again and again");
    }
    if (what === "version") {
      this.#out.push(...vectorPieces({ version: entries.version(), horizon: entries.horizon() }));
    } else if (what === "entries") {
      this.#endComparison();
      // What waits is not needed beside all.
      this.#outbound.forget();
      this.#outbound.sendDelta(undefined);
    } else if (what === "again") {
      // A comparison, and a snapshot, tell everything anyway.
      if (this.#comparison === undefined && !this.#outbound.isSendingSnapshot) {
        this.#outbound.restart();
      }
    } else if (!this.#outbound.isSendingSnapshot) {
      this.#sendSnapshot(held);
    }
  }

  #takeVector(piece: VectorPiece): void {
    if (this.#askedVersionCount === 0) {
      throw new LastwriteError("corrupt-bytes", "a version that was not asked for");
    }
    this.#vectors ??= new VectorPieces();
    const vectors = this.#vectors.add(piece);
    if (vectors === undefined) return;
    this.#askedVersionCount--;
    this.#sendLacking(vectors);
  }

  /** Sends what a replica of that version lacks; a snapshot, if it has missed collected tombstones. */
  #sendLacking({ version, horizon }: Vectors): void {
    this.#vectors = undefined;
    const { entries } = this.#replica;
    const peerSaw = decodeVersion(version).vector;
    const collected = decodeVersion(entries.horizon()).vector;
    if (!vectorCovers(peerSaw, collected)) {
      if (!this.#isSnapshotSent) this.#sendSnapshot();
    } else if (
      vectorCovers(decodeVersion(entries.version()).vector, decodeVersion(horizon).vector)
    ) {
      // A comparison finds all that the other side lacks.
      if (this.#comparison === undefined) this.#outbound.sendDelta(version);
    } else {
      this.#askForSnapshot();
    }
  }

  #sendSnapshot(held?: Held): void {
    this.#endComparison();
    this.#isSnapshotSent = true;
    this.#outbound.sendSnapshot(held);
  }

  #askAgain(): void {
    if (this.#isAgainDue) return;
    this.#isAgainDue = true;
    this.#ask("again");
  }

  #askForSnapshot(): void {
    if (this.#isSnapshotDue) return;
    this.#isSnapshotDue = true;
    const { storeId } = this.#peer as Hello;
    this.#snapshot = this.#replica.takeStaged(storeId);
    const [first] = this.#snapshot;
    const id = first && snapshotPartOf(first)?.deltaId;
    this.#ask("snapshot", id === undefined ? undefined : { id, count: this.#snapshot.length });
  }

  #ask(what: Need["what"], held?: Held): void {
    if (what === "version") this.#askedVersionCount++;
    this.#out.push({ type: "need", what, held });
  }

  #takeDelta({ frame, place, isPartial, continues, remaining }: Delta): void {
    this.#consume(frame.length);
    this.#remainingBytes = remaining;
    const { entries } = this.#replica;
    const before = entries.head();
    let after = before;
    const idBefore = idText(entries.replicaId());
    const flags = flagsOf(frame);
    if ((flags & DIFFERENCE) !== 0 && this.#checkedHorizon !== this.#horizonHash) {
      // Whether the other side has seen all that was collected here since, only its whole version tells.
      this.#isBroken = true;
      this.#askAgain();
      return;
    }
    // What was withheld the version of a later frame may cover.
    if ((flags & TAINTED) !== 0) this.#noteDrift("entries were withheld for their stamps");
    let result: MergeResult;
    try {
      result = this.#replica.merge(frame, {
        adopt: continues && !this.#isBroken,
        repair: this.#isRepairing(continues),
        onMerged: () => {
          after = entries.head();
        },
      });
    } catch (error) {
      this.#isBroken = true;
      if (!(error instanceof LastwriteError) || error.code !== "below-horizon") throw error;
      if (error.side === "receiver") this.#askForSnapshot();
      else this.#sendSnapshot();
      return;
    }
    this.#checkedHorizon = this.#horizonHash;
    if (idText(entries.replicaId()) !== idBefore) {
      // Under the numbers of the old id the two may know different writes.
      if (this.#isSmall) this.#exchangeAll();
      else this.#beginComparison();
      return;
    }
    this.#outbound.skipEcho(before, after);
    if (result.refused.length > 0) this.#noteDrift("entries were refused for their stamps");
    if (place === undefined) {
      // So that the other side knows up to where it was sent its own back, should the link break.
      if (this.#comparison === undefined) this.#dues.add({ place, isAck: true, isLate: true });
      return;
    }
    if (isPartial) {
      // Should the link break, the next session goes on from there.
      if (!this.#isBroken) this.#dues.add({ place, isAck: true, isLate: true });
      return;
    }
    if (!result.complete) {
      // Entries were refused, or what the other side tells of who collects.
      if (!this.#isBroken) this.#noteDrift("something is stamped too far ahead");
      // All that came is kept all the same; what was refused comes again in another session.
      this.#isReceived = true;
      return;
    }
    if (!continues) this.#isBroken = false;
    this.#received(place);
  }

  /** Whether entries are exchanged whatever the versions say, between two that have collected the same. */
  #isRepairing(continues: boolean): boolean {
    const isRepair = this.#isRepair && !continues;
    return isRepair && this.#horizonHash === this.#horizonAtHave;
  }

  get #horizonHash(): string {
    return hashOf(this.#replica.entries.horizon());
  }

  /** Something lies too far ahead: the other side is told once. */
  #noteDrift(what: string): void {
    this.#isBroken = true;
    if (this.#isDrifted) return;
    this.#isDrifted = true;
    this.#tellDrift(what);
  }

  /** Versions do not tell what is missing on either side. */
  #exchangeAll(): void {
    this.#endComparison();
    this.#isBroken = true;
    this.#ask("entries");
    this.#outbound.forget();
    this.#outbound.sendDelta(undefined);
  }

  #takeSnapshot({ frame, place, remaining }: SnapshotPart): void {
    this.#consume(frame.length);
    this.#remainingBytes = remaining;
    this.#boundSnapshot(frame.length, remaining);
    this.#stage(frame);
    if (place === undefined) return;
    const parts = this.#snapshot;
    this.#snapshot = [];
    this.#isSnapshotDue = false;
    this.#isAgainDue = false;
    this.#endComparison();
    this.#replica.reread(parts);
    this.#checkedHorizon = this.#horizonHash;
    this.#isBroken = false;
    this.#received(place);
    // What was kept through it the other side has under no dot yet.
    this.#outbound.forget();
    this.#ask("version");
  }

  /** Parts are held until the last one is there, whatever the other side says of how many come. */
  #boundSnapshot(byteCount: number, remaining: number): void {
    let whole = byteCount + remaining;
    for (const part of this.#snapshot) whole += part.length;
    if (whole > (this.#replica.snapshotBytesMax ?? SNAPSHOT_BYTES_MAX)) {
      throw new LastwriteError("too-large", "a snapshot is longer than this side may hold");
    }
  }

  /** Adds a part to those of the same snapshot before it; others are of no use any more. */
  #stage(frame: Uint8Array): void {
    const part = snapshotPartOf(frame);
    const [first] = this.#snapshot;
    const isSame = first !== undefined && snapshotPartOf(first)?.deltaId === part?.deltaId;
    this.#snapshot = this.#snapshot.slice(0, isSame ? (part?.number ?? 0) : 0);
    this.#snapshot.push(frame);
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
    this.#outbound.push(question, { type: "compared", seed: comparison.seed });
  }

  /** From here on the comparison finds what was there before, and what arrives is sent once it is over. */
  #compareBy(comparison: Comparison): void {
    this.#comparison = comparison;
    this.#isComparisonHeard = false;
    this.#outbound.startComparison();
  }

  /** Gives it up. */
  #endComparison(): void {
    if (this.#comparison === undefined) return;
    this.#comparison = undefined;
    this.#outbound.dropComparison();
  }

  #finishComparison(): void {
    this.#comparison = undefined;
    this.#outbound.endComparison();
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
    if (isOwnFirst || this.#isSnapshotDue || this.#outbound.isSendingSnapshot) return;
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
    this.#outbound.push(
      ...questions,
      ...entriesOf(this.#replica.entries, comparison.seed, lacking, this.#outbound.limits),
    );
  }

  #takeTurn(message: Compared): void {
    this.#consume(sizeOf(message));
    const comparison = this.#comparisonOf(message.seed);
    if (comparison === undefined) return;
    if (comparison.takeTurn()) {
      this.#finishComparison();
      return;
    }
    this.#outbound.push({ type: "compared", seed: comparison.seed });
    if (comparison.endTurn()) this.#finishComparison();
  }

  /** The comparison that goes on, if it is that one: what is still on its way of another is of no use. */
  #comparisonOf(seed: Uint8Array): Comparison | undefined {
    const comparison = this.#comparison;
    if (comparison === undefined || idText(comparison.seed) !== idText(seed)) return undefined;
    // From here on the other side tells all that it holds anew, whatever was refused before.
    if (!this.#isComparisonHeard) {
      this.#isBroken = false;
      this.#isAgainDue = false;
    }
    this.#isComparisonHeard = true;
    return comparison;
  }

  /** Everything of the other side up to `place` is merged. */
  #received(place: number): void {
    // A server counts on nobody in particular.
    const isLate = this.#isReceived && (this.#peer as Hello).isServer;
    this.#isReceived = true;
    this.#dues.add({ place, isAck: true, isLate });
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
    const frontier = this.#outbound.acked(place);
    if (frontier !== undefined) {
      this.#replica.acknowledged((this.#peer as Hello).storeId, frontier);
    }
    // It has all that arrived here up to there, or sent it itself.
    if (reached === undefined || this.#isBroken || this.#peerHave === undefined) return;
    this.#dues.add({ place: reached, isAck: false, isLate: true });
  }

  /** Gives back credit for what was taken. */
  #consume(byteCount: number): void {
    this.#creditDue += byteCount;
    if (this.#creditDue < CREDIT_BYTES) return;
    this.#out.push({ type: "credit", byteCount: this.#creditDue });
    this.#creditDue = 0;
  }
}

/** The horizon, and who raises it. */
function collectedBy(entries: EngineDictionary): Uint8Array {
  const collector = entries.collector() ?? new Uint8Array(0);
  return new ByteWriter().bytes(entries.horizon()).bytes(collector).finish();
}

function hashOf(bytes: Uint8Array): string {
  return deltaIdOf(bytes);
}
