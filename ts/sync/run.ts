/** The shell of a session: carries its messages over a link, has what was merged kept, and sees to it that nobody waits for ever. */

import { idText } from "../codec/entry.ts";
import { type ErrorCode, LastwriteError } from "../errors.ts";
import type { Link, LinkEnd } from "../transport/contract.ts";
import { heldTimers, systemTimers, type Timers } from "../transport/timers.ts";
import { decodeMessage, encodeMessage, encodeText, FAILURE_MESSAGE_BYTES_MAX } from "./codec.ts";
import type { Failure, SyncMessage } from "./messages.ts";
import { Session, type SessionProgress, type SessionReplica, type Step } from "./session.ts";

/** A replica that can be synchronised. */
export interface SyncHost {
  readonly replica: SessionReplica;
  /** Resolves when all that was merged, written or exported so far is kept; with `sync` so that it survives a loss of power. */
  keep(sync: boolean): Promise<void>;
  /** Calls `listener` after every call that may have changed something; returns a function that ends it. */
  onChange(listener: () => void): () => void;
}

export interface RunOptions {
  readonly host: SyncHost;
  readonly link: Link;
  /** Ends when both sides have everything, instead of staying. */
  readonly once: boolean;
  /** Default: `"binary"`. The other side is answered in the form that it speaks. */
  readonly form?: "binary" | "text";
  readonly isServer?: boolean;
  readonly room?: string;
  readonly token?: string;
  readonly signal?: AbortSignal;
  /** How far it is, after each step. */
  readonly onProgress?: (progress: RunProgress) => void;
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
  /** Whether it ended in a way in which the next one would end, too: with a close code 44xx, or one of `FINAL_CODES`. */
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
/** Final: the other side sends what cannot be read. */
const CLOSE_MALFORMED = 4400;
const CLOSE_REGULAR = 1000;
/** What the other side says before it gives up and is about the two of them; the rest is its own affair. */
const SHARED_CODES: ReadonlySet<string> = new Set<ErrorCode>([
  "unsupported-protocol",
  "unauthorized",
  "room-invalid",
  "rate-limited",
  "server-closed",
]);
/** Trying again leads to the same. */
const FINAL_CODES: ReadonlySet<string> = new Set<ErrorCode>([
  "invalid-argument",
  "corrupt-bytes",
  "unsupported-protocol",
  "unauthorized",
  "room-invalid",
  "engine-poisoned",
  "closed",
  "store-closed",
  "store-corrupt",
  "store-locked",
  "store-poisoned",
  "store-read-only",
]);

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

/** Whether what was met on the way to a session would be met again. */
export function isFinalError(error: unknown): boolean {
  return error instanceof LastwriteError && FINAL_CODES.has(error.code);
}

class SessionRun implements RunningSession {
  readonly ended: Promise<void>;
  readonly #options: RunOptions;
  readonly #session: Session;
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
  #isFinal = false;
  #isChangeDue = false;
  /** Resolves when what waits to be kept has been sent. */
  #outbox: Promise<void> | undefined;
  #cancelTimer = (): void => {};
  #stopListening = (): void => {};
  /** Undefined while it runs. */
  #outcome: { readonly error: unknown } | "done" | undefined;

  constructor(options: RunOptions) {
    const {
      host,
      isServer,
      room,
      token,
      form = "binary",
      timers = options.once ? heldTimers : systemTimers,
    } = options;
    this.#options = options;
    this.ended = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#timers = timers;
    this.#form = form;
    this.#session = new Session({
      replica: host.replica,
      id: idText(globalThis.crypto.getRandomValues(new Uint8Array(8))),
      seed: globalThis.crypto.getRandomValues(new Uint8Array(16)),
      ...(isServer !== undefined && { isServer }),
      ...(room !== undefined && { room }),
      ...(token !== undefined && { token }),
    });
  }

  get isFinal(): boolean {
    return this.#isFinal;
  }

  ask(): number {
    this.#ping();
    return this.#pingCount;
  }

  start(): void {
    const { link, host, signal } = this.#options;
    if (signal?.aborted === true) {
      this.#end({ error: signal.reason });
      return;
    }
    const abort = (): void => this.#end({ error: signal?.reason });
    signal?.addEventListener("abort", abort, { once: true });
    const stop = host.onChange(() => this.#noteChange());
    this.#stopListening = () => {
      stop();
      signal?.removeEventListener("abort", abort);
    };
    try {
      link.start({
        message: (message) => this.#receive(message),
        drained: () => {},
        closed: (end) => this.#closed(end),
      });
    } catch (error) {
      // A link that somebody else uses is his to close.
      this.#finish({ error });
      return;
    }
    this.#listenOn();
    this.#take(() => this.#session.open());
  }

  #receive(message: Uint8Array | string): void {
    if (this.#outcome !== undefined) return;
    this.#listenOn();
    if (typeof message === "string") this.#form = "text";
    this.#take(() => {
      const decoded = this.#decode(message);
      if (decoded === undefined) return undefined;
      if (decoded.type === "error" && decoded.final) {
        this.#givenUp(decoded);
        return undefined;
      }
      if (decoded.type === "pong") this.#answerCount++;
      if (decoded.type === "hello") this.#peerStoreId = decoded.storeId;
      return this.#session.receive(decoded);
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
      this.#malformedCount++;
      if (this.#malformedCount >= MALFORMED_MAX) throw error;
      this.#send(failureOf(error, false));
      return undefined;
    }
  }

  /** Makes a step, and what has to be done after it. */
  #take(step: () => Step | undefined): void {
    if (this.#outcome !== undefined) return;
    let taken: Step | undefined;
    try {
      taken = step();
    } catch (error) {
      this.#fail(error);
      return;
    }
    if (this.#outcome !== undefined) return;
    if (taken !== undefined && taken.messages.length > 0) this.#post(taken.messages);
    const flush = taken?.flush;
    if (flush !== undefined) this.#keep(flush);
    this.#options.onProgress?.({
      ...this.#session.progress,
      isSettled: this.#isSettled,
      peerStoreId: this.#peerStoreId,
      answerCount: this.#answerCount,
    });
    if (this.#options.once && this.#isSettled) this.#end("done");
  }

  #keep(flush: number): void {
    this.#options.host.keep(true).then(
      () => this.#take(() => this.#session.kept(flush)),
      (error: unknown) => this.#fail(error),
    );
  }

  /** Sends in order; entries not before they are kept here, or a crash could take back what others know. */
  #post(messages: readonly SyncMessage[]): void {
    const hasEntries = messages.some(({ type }) => type === "delta" || type === "snapshot");
    if (!hasEntries && this.#outbox === undefined) {
      for (const message of messages) this.#send(message);
      return;
    }
    const kept = hasEntries ? this.#options.host.keep(false) : undefined;
    const outbox: Promise<void> = Promise.all([this.#outbox, kept]).then(
      () => this.#sendKept(messages, outbox),
      (error: unknown) => this.#fail(error),
    );
    this.#outbox = outbox;
  }

  #sendKept(messages: readonly SyncMessage[], outbox: Promise<void>): void {
    if (this.#outbox === outbox) this.#outbox = undefined;
    if (this.#outcome !== undefined) return;
    for (const message of messages) this.#send(message);
    if (this.#options.once && this.#isSettled) this.#end("done");
  }

  /** Both sides have everything, and nothing waits to be said. */
  get #isSettled(): boolean {
    return this.#outbox === undefined && this.#session.isSettled;
  }

  #noteChange(): void {
    if (this.#isChangeDue) return;
    // All that is written at this moment goes into one message.
    this.#isChangeDue = true;
    queueMicrotask(() => {
      this.#isChangeDue = false;
      this.#take(() => this.#session.changed());
    });
  }

  #send(message: SyncMessage): void {
    const encode = this.#form === "binary" ? encodeMessage : encodeText;
    this.#options.link.send(encode(message, this.#sentCount));
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
      this.#ping();
      this.#cancelTimer = this.#timers.after(SILENCE_MAX_MS - PING_AFTER_MS, () => {
        const silence = `nothing was heard of ${this.#options.link.name} for 30 s`;
        this.#end({ error: new LastwriteError("link-timeout", silence) });
      });
    });
  }

  /** The other side said why it ends: there is nobody left to be told. */
  #givenUp({ code, message }: Failure): void {
    // `corrupt-bytes` is what it read, not what was read here.
    this.#isFinal = FINAL_CODES.has(code);
    const known = SHARED_CODES.has(code) ? (code as ErrorCode) : "link-failed";
    this.#end({ error: new LastwriteError(known, `the other side gave up: ${message}`) });
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
    this.#end(
      { error },
      isOurs && error.code === "corrupt-bytes" ? CLOSE_MALFORMED : CLOSE_REGULAR,
    );
  }

  #closed({ error, code }: LinkEnd): void {
    if (this.#outcome !== undefined) return;
    this.#isFinal = code !== undefined && code >= 4400 && code <= 4499;
    const isRegular = error === undefined && !this.#isFinal;
    const isDone = this.#options.once ? this.#session.isSettled : isRegular;
    if (isDone) {
      this.#end("done");
      return;
    }
    const { name } = this.#options.link;
    const why = code === undefined ? "" : ` (${code})`;
    const message = `the link to ${name} ended before everything was exchanged${why}`;
    this.#end({ error: new LastwriteError("link-failed", message, { cause: error }) });
  }

  #end(outcome: { readonly error: unknown } | "done", code = CLOSE_REGULAR): void {
    if (this.#outcome !== undefined) return;
    this.#options.link.close(code);
    this.#finish(outcome);
  }

  #finish(outcome: { readonly error: unknown } | "done"): void {
    this.#outcome = outcome;
    this.#cancelTimer();
    this.#stopListening();
    if (outcome === "done") this.#resolve();
    else this.#reject(outcome.error);
  }
}

/** What the other side is told. */
function failureOf({ code, message }: LastwriteError, final: boolean): SyncMessage {
  // Four bytes at most for each unit of it.
  return {
    type: "error",
    code,
    message: message.slice(0, FAILURE_MESSAGE_BYTES_MAX / 4).toWellFormed(),
    final,
  };
}
