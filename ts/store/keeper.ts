/**
 * Brings what changed to the medium: one frame at a time, which holds all that changed since the one before, so that many writes share it.
 * When the frames outgrow the state they are replaced by it.
 */

import type { EngineDictionary } from "../engine/contract.ts";
import { LastwriteError } from "../errors.ts";
import { ATTRIBUTE, type Attributes, OPEN } from "../persistence/attributes.ts";
import type { Persistence } from "../persistence/contract.ts";
import { asStoreError, isTriedAgain } from "../persistence/failure.ts";
import { encodeAttributes } from "../persistence/journal.ts";
import { heldTimers, systemTimers, type Timers } from "../transport/timers.ts";

export interface KeeperOptions {
  readonly persistence: Persistence;
  readonly entries: EngineDictionary;
  readonly attributes: Attributes;
  /** Every frame is synced; else only the first one, and the last one. */
  readonly isStrict: boolean;
  readonly flushIntervalMs: number;
  readonly listener: KeeperListener;
}

export interface KeeperListener {
  /** `startsAnew`: it takes the place of all frames before it. */
  appended(frame: Uint8Array, startsAnew: boolean): void;
  compacted(byteCountBefore: number, byteCount: number): void;
  /** `isFinal`: nothing can be kept any more. */
  failed(error: LastwriteError, isFinal: boolean): void;
  flushed(changeCount: number): void;
}

/** Somebody waits for what was written before he asked. */
interface Waiter {
  readonly sync: boolean;
  readonly resolve: () => void;
  readonly reject: (error: LastwriteError) => void;
}

/** A frame on its way, kept until it has arrived: its changes are in no later one. */
interface Journal {
  readonly frame: Uint8Array;
  readonly head: number;
}

/** All of the state at one moment. */
interface Whole {
  readonly frames: readonly Uint8Array[];
  readonly head: number;
}

/** Below this a log is not worth folding. */
const FOLD_BYTES_MIN = 256 * 1024;
/** A log is folded when it is so many times as long as the state was; then folding writes at most half as much again as the log where keys are overwritten, and one and a half times as much where all are new. */
const FOLD_FACTOR = 2;
const WHOLE_PART_BYTES = 1024 * 1024;
const RETRY_MS = 1000;
/** Turns given to those whose flush was done, so that what they write next shares one frame. */
const SHARED_TURNS = 8;

export class Keeper {
  readonly #persistence: Persistence;
  readonly #entries: EngineDictionary;
  readonly #attributes: Attributes;
  readonly #isStrict: boolean;
  readonly #flushIntervalMs: number;
  readonly #listener: KeeperListener;
  /** Takes back the next waking; undefined when none is to come. */
  #cancelWaking: (() => void) | undefined;
  /** The interval is over for something that changed. */
  #isDue = false;
  #waiters: Waiter[] = [];
  #pending: Journal | undefined;
  /** Resolves when nothing is being written any more. */
  #running: Promise<void> | undefined;
  #folding: Promise<void> | undefined;
  /** The next journal has to be whole, whatever the engine says: one that was never arrived. */
  #needsWhole = false;
  #failure: LastwriteError | undefined;
  #keptHead: number;
  /** Whether the medium knows that the store is open. */
  #isMarked = false;
  #isClosing = false;
  /** Whether all that was appended survives a loss of power. */
  #isSynced = true;
  #wholeBytes: number;
  #logBytes: number;
  /** From how long a log on it is folded, if that is later than it would be; after a fold that failed. */
  #foldBytesMin = FOLD_BYTES_MIN;

  /** `loaded`: how long the frames are that the medium holds. */
  constructor(
    options: KeeperOptions,
    loaded: { readonly wholeBytes: number; readonly logBytes: number },
  ) {
    this.#persistence = options.persistence;
    this.#entries = options.entries;
    this.#attributes = options.attributes;
    this.#isStrict = options.isStrict;
    this.#flushIntervalMs = options.flushIntervalMs;
    this.#listener = options.listener;
    this.#keptHead = options.entries.head();
    this.#wholeBytes = loaded.wholeBytes;
    this.#logBytes = loaded.logBytes;
  }

  get unflushedCount(): number {
    return this.#entries.head() - this.#keptHead;
  }

  /** Something may have changed: it is kept soon. */
  touch(): void {
    if (this.#cancelWaking !== undefined || this.#failure !== undefined) return;
    this.#wake(heldTimers, this.#flushIntervalMs);
  }

  /** Resolves when all that changed so far is kept, and survives a loss of power if `sync` says so. */
  flush(sync: boolean): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#waiters.push({ sync, resolve, reject });
      this.#run();
    });
  }

  /** Puts the whole state in the place of all that is kept, whatever else is under way. */
  async replace(): Promise<void> {
    const whole = this.#takeWhole();
    this.#needsWhole = true;
    await this.#install(whole);
    this.#needsWhole = false;
    this.#pending = undefined;
    this.#isMarked = true;
    this.#isSynced = true;
    // It is the only one that tells what changed since the last frame.
    for (const [at, frame] of whole.frames.entries()) this.#listener.appended(frame, at === 0);
    this.#kept(whole.head);
  }

  /** Says on the medium, before anything else, that the store is open. */
  async mark(): Promise<void> {
    this.#attributes.touch(ATTRIBUTE.epoch);
    await this.flush(true);
  }

  /** Keeps what is left, synced, and stops. */
  async close(): Promise<void> {
    try {
      // A frame that failed before may say that the store is open: it comes first.
      if (this.#pending !== undefined) await this.flush(false);
      this.#isClosing = true;
      await this.flush(true);
    } finally {
      this.#sleep();
      this.#failure = storeClosed();
      await this.#running;
      await this.#folding;
    }
  }

  #wake(timers: Timers, afterMs: number): void {
    this.#cancelWaking = timers.after(afterMs, () => {
      this.#cancelWaking = undefined;
      this.#isDue = true;
      this.#run();
    });
  }

  #sleep(): void {
    this.#cancelWaking?.();
    this.#cancelWaking = undefined;
  }

  #run(): void {
    if (this.#failure !== undefined) return;
    this.#running ??= this.#write().finally(() => {
      this.#running = undefined;
      if (this.#hasWork) this.#run();
    });
  }

  get #hasWork(): boolean {
    return this.#isDue || this.#waiters.length > 0;
  }

  /** Writes until nobody waits any more. */
  async #write(): Promise<void> {
    // What is written and asked for at this same moment goes along.
    await nextTurn();
    while (this.#hasWork && this.#failure === undefined) {
      this.#sleep();
      this.#isDue = false;
      const waiters = this.#waiters;
      this.#waiters = [];
      try {
        await this.#writeOnce(waiters.some(({ sync }) => sync));
        for (const { resolve } of waiters) resolve();
        // Nobody who was told that his changes are kept has to hear of it when this fails.
        waiters.length = 0;
        if (this.#isFoldDue()) await this.#fold();
      } catch (error) {
        this.#fail(asStoreError(error, this.#persistence.name), waiters);
      }
      for (let turn = 0; turn < SHARED_TURNS; turn++) await nextTurn();
    }
  }

  async #writeOnce(sync: boolean): Promise<void> {
    // One that failed before comes first: what it tells is in no other one.
    if (this.#pending !== undefined && !this.#isBroken) await this.#append(sync);
    if (this.#isBroken) {
      await this.#folding;
      await this.replace();
    } else {
      await this.#append(sync);
    }
  }

  async #append(sync: boolean): Promise<void> {
    // There has to be a frame to be synced with what is before it.
    if (sync && !this.#isSynced) this.#attributes.touch(ATTRIBUTE.epoch);
    this.#pending ??= this.#takeJournal();
    if (this.#pending === undefined) return;
    const { frame, head } = this.#pending;
    // The first one says that the store is open, which has to be known before any later frame is lost.
    const isSynced = sync || this.#isStrict || !this.#isMarked;
    await this.#persistence.append(frame, { sync: isSynced });
    this.#pending = undefined;
    this.#isMarked = true;
    this.#isSynced = isSynced;
    this.#logBytes += frame.length;
    this.#listener.appended(frame, false);
    this.#kept(head);
  }

  /** Whether what changed can only be told as a whole. */
  get #isBroken(): boolean {
    return this.#needsWhole || this.#entries.isJournalBroken();
  }

  #takeJournal(): Journal | undefined {
    this.#mark();
    // What was only noted is no reason to write.
    const isDue = this.#attributes.isChanged || this.#isClosing || this.unflushedCount > 0;
    const changed = isDue ? encodeAttributes(this.#attributes.takeChanged()) : new Uint8Array(0);
    const [frame] = this.#entries.journal(changed);
    return frame && { frame, head: this.#entries.head() };
  }

  #takeWhole(): Whole {
    this.#mark();
    this.#attributes.takeChanged();
    const frames = this.#entries.journal(encodeAttributes(this.#attributes.all), {
      whole: true,
      partBytesMax: WHOLE_PART_BYTES,
    });
    return { frames, head: this.#entries.head() };
  }

  /** Says in the next frame whether the store is open. */
  #mark(): void {
    if (!this.#isClosing) {
      const mode = this.#isStrict ? OPEN.strict : OPEN.relaxed;
      if (!this.#isMarked) this.#attributes.set(ATTRIBUTE.open, Uint8Array.of(mode));
    } else if (this.#attributes.get(ATTRIBUTE.open) !== undefined) {
      this.#attributes.set(ATTRIBUTE.open, undefined);
    }
  }

  #isFoldDue(): boolean {
    const { keepsRows = false } = this.#persistence;
    if (keepsRows || this.#folding !== undefined || this.#isBroken) return false;
    return this.#logBytes > Math.max(this.#foldBytesMin, FOLD_FACTOR * this.#wholeBytes);
  }

  async #fold(): Promise<void> {
    // One moment for both: what the last frame lacks, the whole state must not have.
    this.#pending = this.#takeJournal();
    const whole = this.#takeWhole();
    if (this.#pending !== undefined) await this.#append(false);
    const folding = this.#install(whole).catch((thrown: unknown) => {
      const error = asStoreError(thrown, this.#persistence.name);
      this.#foldBytesMin = FOLD_FACTOR * this.#logBytes;
      // The log goes on as it is, and is folded when it is longer.
      if (isTriedAgain(error)) this.#listener.failed(error, false);
      else this.#fail(error, []);
    });
    this.#folding = folding.finally(() => {
      this.#folding = undefined;
    });
    if (this.#persistence.replacesAside !== true) await this.#folding;
  }

  async #install({ frames }: Whole): Promise<void> {
    const logBytes = this.#logBytes;
    // What is appended from here on comes after it.
    this.#logBytes = 0;
    try {
      await this.#persistence.replace(frames);
    } catch (error) {
      this.#logBytes += logBytes;
      throw error;
    }
    const byteCountBefore = this.#wholeBytes + logBytes;
    this.#wholeBytes = lengthOf(frames);
    this.#foldBytesMin = FOLD_BYTES_MIN;
    this.#listener.compacted(byteCountBefore, this.#wholeBytes);
  }

  #kept(head: number): void {
    const changeCount = head - this.#keptHead;
    if (changeCount <= 0) return;
    this.#keptHead = head;
    this.#listener.flushed(changeCount);
  }

  /** Tells those who wait for it that something was not kept; all of them, when nothing ever will be. */
  #fail(error: LastwriteError, waiters: readonly Waiter[]): void {
    const isFinal = !isTriedAgain(error);
    for (const { reject } of waiters) reject(error);
    if (isFinal) {
      this.#failure ??= error;
      for (const { reject } of this.#waiters) reject(error);
      this.#waiters = [];
    } else if (this.#cancelWaking === undefined && !this.#isClosing) {
      // A full disk is no reason to keep a process alive that is done.
      this.#wake(systemTimers, RETRY_MS);
    }
    this.#listener.failed(error, isFinal);
  }
}

export function storeClosed(): LastwriteError {
  return new LastwriteError("store-closed", "the store is closed; open it again");
}

/** Resolves after what is waiting now. */
function nextTurn(): Promise<void> {
  return Promise.resolve();
}

function lengthOf(frames: readonly Uint8Array[]): number {
  let length = 0;
  for (const frame of frames) length += frame.length;
  return length;
}
