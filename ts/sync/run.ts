/** The shell of a session: carries its messages over a link, has what was merged kept, and sees to it that nobody waits for ever. */

import { randomBytes } from "../codec/random.ts";
import { LastwriteError } from "../errors.ts";
import type { Link, LinkEnd } from "../transport/contract.ts";
import { packedLink } from "../transport/packed-link.ts";
import { heldTimers, systemTimers, type Timers } from "../transport/timers.ts";
import { decodeMessage, encodeMessage, encodeText } from "./codec.ts";
import {
  CLOSE_REGULAR,
  closeCodeOf,
  driftedOnce,
  failureOf,
  isFinalCode,
  isFinalError,
  isUnreadable,
  noHello,
  sharedError,
} from "./endings.ts";
import type { Failure, Hello, Presence, SyncMessage } from "./messages.ts";
import type { PeerExchange, PeerMember } from "./peer-exchange.ts";
import type { PresenceHub, PresenceMember } from "./presence.ts";
import { Session } from "./session.ts";
import type { SessionProgress, SessionReplica, Step } from "./session-contract.ts";

/** A replica that can be synchronised. */
export interface SyncHost {
  readonly replica: SessionReplica;
  readonly presence: PresenceHub;
  /** Undefined for one that does not look for others. */
  readonly peers?: PeerExchange | undefined;
  /** Resolves when all that was merged, written or exported so far is kept; with `sync` so that it survives a loss of power. */
  keep(sync: boolean): Promise<void>;
  /** Calls `listener` after calls that may have changed something, once for all of a moment; returns a function that ends it. */
  onChange(listener: () => void): () => void;
}

export interface RunOptions {
  /**
   * Whose session it is; or who finds that out by what the other side says of itself, before anything is said here. One that rejects ends the session; the other side is told why when
   * that is a `LastwriteError`.
   */
  readonly host: SyncHost | ((hello: Hello) => Promise<SyncHost>);
  readonly link: Link;
  /** Ends when both sides have everything, instead of staying. */
  readonly once: boolean;
  /** Default: `"binary"`. The other side is answered in the form that it speaks. */
  readonly form?: "binary" | "text";
  readonly isServer?: boolean;
  /** This side made the link: to an address that another store told, where there is one. */
  readonly opened?: { readonly address: string | undefined };
  readonly room?: string;
  readonly token?: string;
  readonly signal?: AbortSignal;
  /** How far it is, after each step. */
  readonly onProgress?: (progress: RunProgress) => void;
  /** The other side says that something is wrong, and goes on. */
  readonly onComplaint?: (error: LastwriteError) => void;
  /** Default: those of the platform. */
  readonly timers?: Timers;
}

export interface RunProgress extends SessionProgress {
  /** Both sides have everything, and nothing waits to be said. */
  readonly isSettled: boolean;
  /** Names the store of the other side, once it has said hello. */
  readonly peerStoreId: string | undefined;
  /** How many questions of `ask` were answered. */
  readonly answerCount: number;
}

export interface RunningSession {
  /** As `runSession`. */
  readonly ended: Promise<void>;
  /** Whether it ended in a way in which the next one would end, too: with a close code 44xx, or for a reason that stays. */
  readonly isFinal: boolean;
  /** Asks the other side for a sign, and answers which question it is, from 1: when it is answered, all that the other side had sent before has been merged. */
  ask(): number;
}

/** Whom nothing was heard of for so long is asked whether he is there. */
const PING_AFTER_MS = 15_000;
/** And given up, when he does not answer for as long again. */
const SILENCE_MAX_MS = 30_000;
/** Messages that cannot be read, after which a link is given up. */
const MALFORMED_MAX = 3;
/** How long an acknowledgement waits that nobody waits for, so that one does for many. */
const LATE_MS = 1000;
/** After how long what was refused for its stamp is asked for again. */
const DRIFT_RETRY_MS = 60_000;
/** How many messages may come before the other side is admitted, and how long each may be. */
const EARLY_MAX = 16;
const EARLY_LENGTH_MAX: number = 2 ** 16;
/** What nobody waits for who exchanges once. */
const IDLE_TYPES: ReadonlySet<string> = new Set(["ping", "pong", "presence", "peers", "error"]);
/**
 * Runs a session over a link. Resolves with `once` when both sides have everything, else when the link ends in the regular way.
 *
 * Rejects with `link-failed` when the link broke before, `link-timeout` when nothing is heard of the other side for 30 s, with what the other side said before it
 * gave up, with `store-…` when what came could not be kept, and with the reason of the signal. The link is closed in any case.
 */
export function runSession(options: RunOptions): Promise<void> {
  return startSession(options).ended;
}

/** As `runSession`, for who has to do with it while it runs. */
export function startSession(options: RunOptions): RunningSession {
  const run = new SessionRun(options);
  run.start();
  return run;
}

class SessionRun implements RunningSession {
  readonly ended: Promise<void>;
  readonly #options: RunOptions;
  readonly #link: Link;
  /** Both undefined until the other side is admitted. */
  #host: SyncHost | undefined;
  #session: Session | undefined;
  /** What came before that. */
  #early: SyncMessage[] | undefined;
  #resolve: () => void = () => {};
  #reject: (reason: unknown) => void = () => {};
  readonly #timers: Timers;
  #form: "binary" | "text";
  #sentCount = 0;
  #receivedCount = 0;
  #malformedCount = 0;
  #pingCount = 0;
  #answerCount = 0;
  #peerStoreId: string | undefined;
  #presence: PresenceMember | undefined;
  #peers: PeerMember | undefined;
  #isFinal = false;
  /** Messages that wait until what they tell of is kept here. */
  #outbox: SyncMessage[] | undefined;
  #isCongested = false;
  /** What is to be flushed a little later. */
  #lateFlush: number | undefined;
  #cancelLate = (): void => {};
  #cancelRetry: (() => void) | undefined;
  #cancelTimer = (): void => {};
  #stopListening = (): void => {};
  /** Undefined while it runs. */
  #outcome: { readonly error: unknown } | "done" | undefined;

  constructor(options: RunOptions) {
    const { form = "binary", timers = options.once ? heldTimers : systemTimers } = options;
    this.#options = options;
    this.#link = packedLink(options.link);
    this.ended = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#timers = timers;
    this.#form = form;
  }

  get isFinal(): boolean {
    return this.#isFinal;
  }

  ask(): number {
    this.#ping();
    return this.#pingCount;
  }

  start(): void {
    const { host, signal } = this.#options;
    if (signal?.aborted === true) {
      this.#end({ error: signal.reason });
      return;
    }
    const abort = (): void => this.#end({ error: signal?.reason });
    signal?.addEventListener("abort", abort, { once: true });
    this.#stopListening = () => signal?.removeEventListener("abort", abort);
    try {
      this.#link.start({
        message: (message) => this.#receive(message),
        drained: () => this.#drained(),
        closed: (end) => this.#closed(end),
      });
    } catch (error) {
      // A link that somebody else uses is his to close.
      this.#finish({ error });
      return;
    }
    this.#listenOn();
    if (typeof host !== "function") this.#begin(host);
  }

  /** From here on the two talk. */
  #begin(host: SyncHost): void {
    const { isServer, room, token, opened } = this.#options;
    this.#host = host;
    this.#session = new Session({
      replica: host.replica,
      seed: randomBytes(16),
      ...(isServer !== undefined && { isServer }),
      isChosen: opened !== undefined && opened.address === undefined,
      ...(room !== undefined && { room }),
      ...(token !== undefined && { token }),
    });
    const stopWaiting = this.#stopListening;
    const stop = host.onChange(() => this.#take((session) => session.changed()));
    this.#stopListening = () => {
      stop();
      stopWaiting();
    };
    this.#take((session) => session.open());
  }

  #receive(message: Uint8Array | string): void {
    if (this.#outcome !== undefined) return;
    if (typeof message === "string") this.#form = "text";
    if (this.#session === undefined && message.length > EARLY_LENGTH_MAX) {
      this.#fail(new LastwriteError("corrupt-bytes", "that is too long for a hello"));
      return;
    }
    let decoded: SyncMessage | undefined;
    try {
      decoded = this.#decode(message);
    } catch (error) {
      this.#fail(error);
      return;
    }
    if (decoded === undefined) return;
    // Who only answers that he is there brings an exchange no further.
    if (!this.#options.once || !IDLE_TYPES.has(decoded.type)) this.#listenOn();
    if (this.#early !== undefined) this.#wait(decoded);
    else if (this.#session === undefined) this.#admit(decoded);
    else this.#hear(decoded);
  }

  /** The first message tells who it is. */
  #admit(message: SyncMessage): void {
    if (message.type !== "hello") {
      this.#fail(noHello());
      return;
    }
    this.#early = [message];
    const { host } = this.#options;
    (host as (hello: Hello) => Promise<SyncHost>)(message).then(
      (found) => this.#admitted(found),
      (error: unknown) => this.#fail(error),
    );
  }

  #admitted(host: SyncHost): void {
    const early = this.#early ?? [];
    this.#early = undefined;
    if (this.#outcome !== undefined) return;
    this.#begin(host);
    for (const message of early) this.#hear(message);
  }

  #wait(message: SyncMessage): void {
    this.#early?.push(message);
    if ((this.#early?.length ?? 0) > EARLY_MAX) {
      this.#fail(new LastwriteError("corrupt-bytes", "the other side did not wait for a hello"));
    }
  }

  #hear(message: SyncMessage): void {
    this.#take((session) => {
      switch (message.type) {
        case "error":
          this.#complained(message);
          return undefined;
        case "presence":
          this.#takePresence(message);
          return undefined;
        case "peers":
          this.#peers?.heard(message);
          return undefined;
        case "pong":
          this.#answerCount++;
          break;
        case "hello":
          this.#peerStoreId = message.storeId;
          break;
        default:
      }
      try {
        return session.receive(message);
      } catch (error) {
        if (message.type !== "delta" || !isUnreadable(error)) throw error;
        this.#refuse(error);
        return undefined;
      }
    });
  }

  #decode(message: Uint8Array | string): SyncMessage | undefined {
    try {
      const decoded = decodeMessage(message);
      if (decoded.number !== this.#receivedCount) {
        // Something before it got lost, or came twice: what the session believes of the other side may be wrong.
        throw new LastwriteError("link-failed", "messages got lost, or came twice");
      }
      this.#receivedCount++;
      return decoded.message;
    } catch (error) {
      if (!(error instanceof LastwriteError) || error.code === "link-failed") throw error;
      this.#receivedCount++;
      this.#refuse(error);
      return undefined;
    }
  }

  /** What cannot be read is left out, but not for ever. */
  #refuse(error: LastwriteError): void {
    this.#malformedCount++;
    if (this.#malformedCount >= MALFORMED_MAX) throw error;
    this.#send(failureOf(error, false));
  }

  #complained(failure: Failure): void {
    if (failure.final) {
      this.#givenUp(failure);
      return;
    }
    const error = sharedError(failure);
    if (error !== undefined) this.#options.onComplaint?.(error);
  }

  /** Makes a step, and what has to be done after it. */
  #take(step: (session: Session) => Step | undefined): void {
    const session = this.#session;
    if (this.#outcome !== undefined || session === undefined) return;
    let taken: Step | undefined;
    try {
      taken = step(session);
    } catch (error) {
      this.#fail(error);
      return;
    }
    if (this.#outcome !== undefined) return;
    try {
      if (taken !== undefined && taken.messages.length > 0) this.#post(taken.messages);
      if (taken?.flush !== undefined) this.#keep(taken.flush, taken.isFlushLate);
      this.#stepped();
    } catch (error) {
      this.#fail(error);
    }
  }

  #stepped(): void {
    const { onProgress, once } = this.#options;
    const session = this.#session;
    if (session === undefined || this.#outcome !== undefined) return;
    if (this.#presence === undefined && session.isGreeted) this.#joinPresence();
    if (this.#peers === undefined && session.isIntroduced) this.#joinPeers();
    if (session.isDrifted && !once) this.#retryLater();
    onProgress?.({
      ...session.progress,
      isSettled: this.#isSettled,
      peerStoreId: this.#peerStoreId,
      answerCount: this.#answerCount,
    });
    if (!once) return;
    if (session.isDrifted && session.progress.isReceived) this.#fail(driftedOnce());
    else if (this.#isSettled) this.#end("done");
  }

  #retryLater(): void {
    this.#cancelRetry ??= this.#timers.after(DRIFT_RETRY_MS, () => {
      this.#cancelRetry = undefined;
      this.#take((session) => session.retry());
    });
  }

  #keep(flush: number, isLate: boolean): void {
    if (isLate && !this.#options.once) {
      const isWaiting = this.#lateFlush !== undefined;
      this.#lateFlush = flush;
      if (!isWaiting) this.#cancelLate = this.#timers.after(LATE_MS, () => this.#flush(flush));
      return;
    }
    this.#cancelLate();
    this.#flush(flush);
  }

  #flush(flush: number): void {
    const last = Math.max(flush, this.#lateFlush ?? 0);
    this.#lateFlush = undefined;
    this.#host?.keep(true).then(
      () => this.#take((session) => session.kept(last)),
      (error: unknown) => this.#fail(error),
    );
  }

  /** Sends in order; entries not before they are kept here, or a crash could take back what others know. */
  #post(messages: readonly SyncMessage[]): void {
    if (this.#outbox !== undefined) {
      this.#outbox.push(...messages);
      return;
    }
    if (!messages.some(({ type }) => type === "delta" || type === "snapshot")) {
      for (const message of messages) this.#send(message);
      return;
    }
    this.#outbox = [...messages];
    // What arrives meanwhile goes together.
    this.#session?.hold();
    this.#host
      ?.keep(false)
      .then(() => this.#sendKept())
      .catch((error: unknown) => this.#fail(error));
  }

  #sendKept(): void {
    const messages = this.#outbox ?? [];
    this.#outbox = undefined;
    if (this.#outcome !== undefined) return;
    for (const message of messages) this.#send(message);
    this.#isCongested = this.#isLinkFull;
    if (!this.#isCongested) this.#take((session) => session.release());
  }

  get #isLinkFull(): boolean {
    return this.#link.isFull === true;
  }

  #drained(): void {
    if (!this.#isCongested || this.#outcome !== undefined) return;
    this.#isCongested = false;
    this.#take((session) => session.release());
    this.#tellPresence();
  }

  /** Both sides have everything, and nothing waits to be said. */
  get #isSettled(): boolean {
    return this.#outbox === undefined && this.#session?.isSettled === true;
  }

  #joinPresence(): void {
    let isDue = false;
    this.#presence = this.#host?.presence.join({
      isClient: this.#options.isServer === true,
      wake: () => {
        if (isDue) return;
        isDue = true;
        queueMicrotask(() => {
          isDue = false;
          this.#tellPresence();
        });
      },
    });
  }

  #joinPeers(): void {
    const { opened } = this.#options;
    const peers = this.#host?.peers;
    const storeId = this.#peerStoreId;
    if (peers === undefined || storeId === undefined) return;
    const session = { storeId, address: opened?.address, isOpener: opened !== undefined };
    this.#peers = peers.join(session, ({ address, others }) =>
      this.#send({ type: "peers", address, others }),
    );
    if (opened?.address === undefined || storeId !== this.#host?.replica.storeId) return;
    // Another name for this store.
    this.#end({ error: new LastwriteError("link-failed", `${this.#link.name} is this store`) });
  }

  #takePresence(presence: Presence): void {
    if (this.#presence === undefined) throw noHello();
    this.#presence.take(presence);
  }

  /** A link that is full is told the last word of each later. */
  #tellPresence(): void {
    while (this.#outcome === undefined && !this.#isCongested) {
      const presence = this.#presence?.next();
      if (presence === undefined) return;
      this.#send(presence);
      this.#isCongested ||= this.#isLinkFull;
    }
  }

  #send(message: SyncMessage): void {
    const encode = this.#form === "binary" ? encodeMessage : encodeText;
    let encoded: Uint8Array | string;
    try {
      encoded = encode(message, this.#sentCount);
    } catch (error) {
      throw new LastwriteError(
        "too-large",
        "what has to be sent is longer than a message may be: a value of a megabyte, or too many who have written here",
        { cause: error },
      );
    }
    this.#link.send(encoded);
    this.#sentCount++;
  }

  #ping(): void {
    this.#send({ type: "ping" });
    this.#pingCount++;
  }

  /** Waits anew for the other side. */
  #listenOn(): void {
    this.#cancelTimer();
    this.#cancelTimer = this.#timers.after(PING_AFTER_MS, () => {
      if (this.#session !== undefined) this.#ping();
      this.#cancelTimer = this.#timers.after(SILENCE_MAX_MS - PING_AFTER_MS, () => {
        const silence = `nothing was heard of ${this.#link.name} for 30 s`;
        this.#end({ error: new LastwriteError("link-timeout", silence) });
      });
    });
  }

  /** The other side said why it ends: there is nobody left to be told. */
  #givenUp(failure: Failure): void {
    // `corrupt-bytes` is what it read, not what was read here.
    this.#isFinal = isFinalCode(failure.code);
    const code = sharedError(failure)?.code ?? "link-failed";
    this.#end({ error: new LastwriteError(code, `the other side gave up: ${failure.message}`) });
  }

  /** Tells the other side why, and ends. */
  #fail(error: unknown): void {
    if (this.#outcome !== undefined) return;
    const isOurs = error instanceof LastwriteError;
    this.#isFinal = isFinalError(error);
    this.#send(
      isOurs
        ? failureOf(error, true)
        : { type: "error", code: "engine-poisoned", message: "something went wrong", final: true },
    );
    this.#end({ error }, isOurs ? closeCodeOf(error) : CLOSE_REGULAR);
  }

  #closed({ error, code }: LinkEnd): void {
    if (this.#outcome !== undefined) return;
    this.#isFinal = code !== undefined && code >= 4400 && code <= 4499;
    const isRegular = error === undefined && !this.#isFinal;
    const isDone = this.#options.once ? this.#session?.isExchanged === true : isRegular;
    if (isDone) {
      this.#end("done");
      return;
    }
    const { name } = this.#link;
    const why = code === undefined ? "" : ` (${code})`;
    const message = `the link to ${name} ended before everything was exchanged${why}`;
    this.#end({ error: new LastwriteError("link-failed", message, { cause: error }) });
  }

  #end(outcome: { readonly error: unknown } | "done", code = CLOSE_REGULAR): void {
    if (this.#outcome !== undefined) return;
    this.#link.close(code);
    this.#finish(outcome);
  }

  #finish(outcome: { readonly error: unknown } | "done"): void {
    this.#outcome = outcome;
    this.#cancelTimer();
    this.#cancelLate();
    this.#cancelRetry?.();
    this.#stopListening();
    this.#session?.ended();
    this.#presence?.leave();
    this.#peers?.leave();
    if (outcome === "done") this.#resolve();
    else this.#reject(outcome.error);
  }
}
