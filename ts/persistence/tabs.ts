/**
 * How the tabs that have one store open tell each other what they wrote: docs/persistence/indexeddb.md has the protocol. One of them leads, and
 * alone writes to the database; the others follow. Here are the steps of both; channel, locks and timers are those of tab-session.ts.
 */

import { NO_DOTS, SeenDots } from "../codec/dots.ts";
import { decodeHeader, KIND } from "../codec/header.ts";
import { compareVersions, decodeVersion, encodeVersion } from "../codec/version.ts";
import { type ErrorCode, LastwriteError } from "../errors.ts";
import type { SharedReplica } from "./contract.ts";
import { asStoreError } from "./failure.ts";
import type { FollowerMessage, LeaderMessage, Message, Told } from "./tab-messages.ts";

/** Of a replica, what tabs need at any moment. */
export type TabReplica = Pick<
  SharedReplica,
  "version" | "deltaSince" | "merge" | "snapshot" | "reread" | "flush"
>;

/** Frames on their way to the medium. */
export interface Written {
  readonly frames: Iterable<Uint8Array>;
  /** Instead of all that is there, not after it. */
  readonly isWhole: boolean;
  /** Whether it survives a loss of power from then on. */
  readonly sync: boolean;
}

/** What a medium has that has these frames after those of version `before`: they may have been taken long ago, and lack what the replica holds by now. */
export function versionOf(frames: Iterable<Uint8Array>, before?: Uint8Array): Uint8Array {
  const version = new SeenDots(before && decodeVersion(before));
  for (const frame of frames) {
    const { vector, end = NO_DOTS.exceptions } = decodeHeader(frame, [KIND.entries, KIND.journal]);
    version.adopt({ vector, exceptions: end }, "");
  }
  return encodeVersion(version);
}

/** The leader's part: hands out what it keeps, and keeps what the others write. */
export class Leader {
  readonly #term: number;
  readonly #replica: TabReplica;
  readonly #send: (message: LeaderMessage) => void;
  /** Those that said hello: without any nothing has to be told. */
  readonly #followers = new Set<string>();
  /** What the medium has. */
  #kept: Uint8Array;
  #hasEnded = false;

  /** `kept`: the version that is on the medium. */
  constructor(
    term: number,
    replica: TabReplica,
    kept: Uint8Array,
    send: (message: LeaderMessage) => void,
  ) {
    this.#term = term;
    this.#replica = replica;
    this.#kept = kept;
    this.#send = send;
    send({ type: "leader", term, version: kept });
  }

  receive(message: Message): void {
    switch (message.type) {
      case "hello":
        this.#welcome(message);
        return;
      case "write":
        void this.#keep(message);
        return;
      case "bye":
        this.#followers.delete(message.from);
        return;
      default:
      // Those of leaders.
    }
  }

  /** Runs `write`, which keeps these frames, and tells the others when it has. */
  async keeping({ frames, isWhole, sync }: Written, write: () => Promise<void>): Promise<void> {
    const base = this.#kept;
    const version = versionOf(frames, isWhole ? undefined : base);
    const delta = this.#followers.size > 0 ? this.#replica.deltaSince(base) : undefined;
    await write();
    this.#kept = version;
    if (delta === undefined || this.#hasEnded) return;
    this.#send({ type: "news", term: this.#term, delta, version, sync });
  }

  /** Nothing is answered any more: the next leader will. */
  end(): void {
    this.#hasEnded = true;
  }

  #welcome({ from: to, version: base, wantsWhole }: FollowerMessage & { type: "hello" }): void {
    let parts: readonly Uint8Array[];
    try {
      parts = wantsWhole ? this.#replica.snapshot() : [this.#replica.deltaSince(base)];
    } catch {
      return;
    }
    this.#followers.add(to);
    const [term, version] = [this.#term, this.#kept];
    this.#send({ type: "welcome", term, to, version, parts, isWhole: wantsWhole });
  }

  async #keep(message: FollowerMessage & { type: "write" }): Promise<void> {
    const { from: to, number, sync } = message;
    const term = this.#term;
    try {
      take(this.#replica, message);
      await this.#replica.flush({ sync });
    } catch (error) {
      const { code, message: reason, side } = asStoreError(error, "the leading tab");
      if (this.#hasEnded || code === "store-closed" || code === "closed") return;
      if (code === "below-horizon" && !message.isWhole) {
        const behind = side === "sender" ? "follower" : "leader";
        this.#send({ type: "behind", term, to, number, side: behind });
        return;
      }
      this.#send({ type: "refused", term, to, number, code, reason });
      return;
    }
    if (this.#hasEnded) return;
    this.#send({ type: "kept", term, to, number, version: this.#kept, sync });
  }
}

/** A write that waits for the leader's word. */
interface PendingWrite {
  readonly sync: boolean;
  /** What has to be kept. */
  readonly version: Uint8Array;
  readonly resolve: () => void;
  readonly reject: (error: LastwriteError) => void;
  /** Of the message that asked for it; undefined until the leader is known. */
  number: number | undefined;
  /** How often it was sent in vain. */
  missCount: number;
}

const MISSES_MAX = 3;
const PATIENCE = 4;

/** A follower's part: gives the leader what it lacks, and takes what the leader keeps. */
export class Follower {
  readonly #id: string;
  readonly #replica: TabReplica;
  readonly #send: (message: FollowerMessage) => void;
  /** 0 before any leader was heard. */
  #term = 0;
  /** What the leader's medium has, as last told; undefined until it told. */
  #kept: Uint8Array | undefined;
  /** What of it survives a loss of power. */
  #synced: Uint8Array | undefined;
  #pending: PendingWrite | undefined;
  #lastNumber = 0;
  /** Said hello, and waits for the answer. */
  #isAsking = false;
  /** How often it may want to ask before it does so again: a leader that was stopped may have missed it. */
  #patience = PATIENCE;
  /** The leader has collected what this replica has not seen. */
  #mustReread = false;
  /** This replica has collected what the leader has not seen. */
  #mustSendWhole = false;
  readonly #onCaughtUp: () => void;

  /** `onCaughtUp` is called each time that this replica has all that the leader has kept. */
  constructor(
    id: string,
    replica: TabReplica,
    send: (message: FollowerMessage) => void,
    onCaughtUp: () => void,
  ) {
    this.#id = id;
    this.#replica = replica;
    this.#send = send;
    this.#onCaughtUp = onCaughtUp;
    this.#ask();
  }

  receive(message: Message): void {
    if (!("term" in message) || message.term < this.#term) return;
    if (message.term > this.#term) {
      // A new leader may lack what the one before was only given.
      this.#term = message.term;
      this.#kept = undefined;
      this.#synced = undefined;
      if (this.#pending !== undefined) this.#pending.number = undefined;
      if (message.type !== "welcome") this.#ask();
    }
    if ("to" in message && message.to !== this.#id) return;
    switch (message.type) {
      case "welcome":
        this.#isAsking = false;
        this.#take(message);
        this.#heed(message.version, false);
        if (covers(this.#replica.version(), message.version)) this.#onCaughtUp();
        if (this.#mustReread && !message.isWhole) this.#ask();
        else this.#write();
        return;
      case "news":
        this.#take({ parts: [message.delta], isWhole: false });
        this.#heed(message.version, message.sync);
        // Some news did not come, or came too early.
        if (!covers(this.#replica.version(), message.version)) this.#ask();
        return;
      case "kept":
        this.#heed(message.version, message.sync);
        this.#settle(message.number);
        return;
      case "behind":
        this.#catchUp(message.number, message.side);
        return;
      case "refused":
        if (this.#pending?.number === message.number) {
          this.fail(new LastwriteError(storeCode(message.code), message.reason));
        }
        return;
      default:
      // The leader's announcement, and those of followers.
    }
  }

  /** Resolves when the leader has kept all that this replica holds now. */
  append(sync: boolean): Promise<void> {
    const version = this.#replica.version();
    const told = sync ? this.#synced : this.#kept;
    if (told !== undefined && covers(told, version)) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#pending = { sync, version, resolve, reject, number: undefined, missCount: 0 };
      // A leader that was stopped may have missed what it was asked.
      if (this.#kept === undefined || this.#mustReread) this.#ask();
      this.#write();
    });
  }

  /** This tab leads now, and has kept all: nobody else will say so. */
  succeed(): void {
    const pending = this.#pending;
    this.#pending = undefined;
    pending?.resolve();
  }

  /** The write that waits, if any, is given up. */
  fail(error: LastwriteError): void {
    const pending = this.#pending;
    this.#pending = undefined;
    pending?.reject(error);
  }

  #ask(): void {
    const isUrgent = this.#kept === undefined || this.#mustReread;
    if (this.#isAsking && !isUrgent && this.#patience > 0) {
      this.#patience -= 1;
      return;
    }
    this.#patience = PATIENCE;
    this.#isAsking = true;
    this.#send({
      type: "hello",
      from: this.#id,
      version: this.#replica.version(),
      wantsWhole: this.#mustReread,
    });
  }

  /** Sends what waits to a leader that is known. */
  #write(): void {
    if (this.#pending === undefined || this.#pending.number !== undefined) return;
    if (this.#kept === undefined) return;
    this.#lastNumber += 1;
    this.#pending.number = this.#lastNumber;
    const isWhole = this.#mustSendWhole;
    const parts = isWhole ? this.#replica.snapshot() : [this.#replica.deltaSince(this.#kept)];
    const { sync } = this.#pending;
    this.#send({ type: "write", from: this.#id, number: this.#lastNumber, sync, parts, isWhole });
  }

  #heed(version: Uint8Array, sync: boolean): void {
    // What is no version has not even itself.
    if (!covers(version, version)) return;
    this.#kept = version;
    if (sync) this.#synced = version;
  }

  #settle(number: number): void {
    const pending = this.#pending;
    if (pending?.number !== number || this.#kept === undefined) return;
    if (covers(this.#kept, pending.version)) {
      this.#pending = undefined;
      this.#mustSendWhole = false;
      pending.resolve();
      return;
    }
    if (this.#isMissed(pending)) this.#write();
  }

  /** One more try, if it is not one too many. */
  #isMissed(pending: PendingWrite): boolean {
    pending.missCount += 1;
    pending.number = undefined;
    if (pending.missCount < MISSES_MAX) return true;
    this.fail(
      new LastwriteError("storage-unavailable", "the leading tab does not take all that this has"),
    );
    return false;
  }

  #catchUp(number: number, side: "leader" | "follower"): void {
    const pending = this.#pending;
    if (pending?.number !== number || !this.#isMissed(pending)) return;
    if (side === "leader") {
      this.#mustSendWhole = true;
      this.#write();
      return;
    }
    this.#mustReread = true;
    this.#isAsking = false;
    this.#ask();
  }

  #take(told: Told): void {
    try {
      take(this.#replica, told);
      if (told.isWhole) this.#mustReread = false;
    } catch (error) {
      // It will be asked for again.
      if (error instanceof LastwriteError && error.code === "below-horizon") {
        this.#mustReread = !told.isWhole;
      }
    }
  }
}

function take(replica: TabReplica, { parts, isWhole }: Told): void {
  if (isWhole) replica.reread(parts);
  else for (const part of parts) replica.merge(part);
}

/** Whether `version` has all that `other` has. Bytes that are no version have nothing, and are had by none. */
function covers(version: Uint8Array, other: Uint8Array): boolean {
  try {
    const order = compareVersions(other, version);
    return order === "equal" || order === "before";
  } catch {
    return false;
  }
}

/** A leader's reason as one of a store: what is final for the leader's medium is for the followers' too. */
function storeCode(code: string): ErrorCode {
  switch (code) {
    case "store-full":
    case "store-corrupt":
    case "store-poisoned":
    case "store-locked":
    case "store-newer":
      return code;
    default:
      return "storage-unavailable";
  }
}
