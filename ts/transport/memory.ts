/** A link inside one process: for tests, also of what a bad network does, and for two stores side by side. */

import { LastwriteError } from "../errors.ts";
import type { Link, LinkEnd, LinkHandler, Message } from "./contract.ts";
import { linkFailed, sizeOf } from "./deliveries.ts";

/** What a bad network does, by chance: each a share of the messages, from 0 to 1. */
export interface MemoryFaults {
  /** From 0 up to, but not, 1; with a seed, the same faults come each time. */
  readonly random: () => number;
  /** Never arrive. Default: 0. */
  readonly lossShare?: number;
  /** Arrive twice. Default: 0. */
  readonly duplicateShare?: number;
  /** May be overtaken by those sent later. Default: 0. */
  readonly reorderShare?: number;
  /** The most steps that a message takes beyond one. Default: 0. */
  readonly delaySteps?: number;
}

/** How messages go through this process. */
export interface MemoryLinkOptions {
  /** Names both ends in messages. Default: "memory". */
  readonly name?: string;
  /**
   * Called when something is under way; has to see that `deliver` is called, later, once. Default: in a microtask. With one that does nothing, the
   * user calls `deliver()` when he likes.
   */
  readonly schedule?: (deliver: () => void) => void;
  /** Bytes that may be under way in each direction; what is beyond waits at the sender. One message is always let go. Default: no limit. */
  readonly bufferBytesMax?: number;
  /** Default: none. */
  readonly faults?: MemoryFaults;
}

/** A link of which both ends are here. */
export interface MemoryLink {
  readonly left: Link;
  readonly right: Link;
  /** Whether anything is still to be told to an end that was started. */
  readonly isBusy: boolean;
  /** One step: tells both ends what is due. What they send meanwhile is due in the next step at the earliest. */
  deliver(): void;
  /** Breaks the link: what is under way is lost, and both ends are told `link-failed`. */
  cut(): void;
}

/** Returns the two ends of a link. Messages are not copied: change no bytes that were sent. */
export function memoryLink(options: MemoryLinkOptions = {}): MemoryLink {
  const { bufferBytesMax = Infinity } = options;
  if (!(bufferBytesMax > 0)) {
    throw new LastwriteError("invalid-argument", "`bufferBytesMax` must be greater than 0");
  }
  return new Way(options, bufferBytesMax);
}

/** Something under way, and the step in which it is due. */
interface Parcel {
  readonly dueStep: number;
  readonly size: number;
  readonly tell: (handler: LinkHandler) => void;
}

class Way implements MemoryLink {
  readonly left: End;
  readonly right: End;
  readonly #schedule: (deliver: () => void) => void;
  readonly #faults: MemoryFaults | undefined;
  #isScheduled = false;
  step = 0;

  constructor(options: MemoryLinkOptions, bufferBytesMax: number) {
    // Browsers refuse `queueMicrotask` as a method of something.
    const { name = "memory", schedule = (deliver) => queueMicrotask(deliver), faults } = options;
    this.#schedule = schedule;
    this.#faults = faults;
    this.left = new End(`${name}, left`, this, bufferBytesMax);
    this.right = new End(`${name}, right`, this, bufferBytesMax);
  }

  get isBusy(): boolean {
    return this.left.isBusy || this.right.isBusy;
  }

  deliver(): void {
    this.#isScheduled = false;
    this.step += 1;
    // Taken first, so that an answer takes a step.
    const due = [this.left.takeDue(), this.right.takeDue()];
    for (const tell of due.flat()) tell();
    this.wake();
  }

  cut(): void {
    const error = linkFailed(`${this.left.name.replace(/, left$/u, "")} was cut`);
    for (const end of [this.left, this.right]) end.cut({ error });
  }

  otherOf(end: End): End {
    return end === this.left ? this.right : this.left;
  }

  wake(): void {
    if (this.#isScheduled || !this.isBusy) return;
    this.#isScheduled = true;
    this.#schedule(() => this.deliver());
  }

  /** In how many steps copies of a message arrive, and which of them may be overtaken. */
  fates(): readonly { readonly steps: number; readonly isLoose: boolean }[] {
    if (this.#faults === undefined) return [{ steps: 1, isLoose: false }];
    const {
      random,
      lossShare = 0,
      duplicateShare = 0,
      reorderShare = 0,
      delaySteps = 0,
    } = this.#faults;
    if (random() < lossShare) return [];
    const delay = (most: number): number => 1 + Math.floor(random() * (most + 1));
    const isLoose = random() < reorderShare;
    // Where nothing is delayed, three steps are enough to be overtaken.
    const most = isLoose ? Math.max(delaySteps, 3) : delaySteps;
    const first = { steps: delay(most), isLoose };
    if (random() >= duplicateShare) return [first];
    return [first, { steps: delay(Math.max(delaySteps, 3)), isLoose: true }];
  }
}

class End implements Link {
  readonly name: string;
  readonly #way: Way;
  readonly #bufferBytesMax: number;
  #handler: LinkHandler | undefined;
  /** What comes to this end, by the step in which it is due. */
  #incoming: Parcel[] = [];
  #incomingBytes = 0;
  #lastDueStep = 0;
  /** What waits here until there is room on the way. */
  #outbox: Message[] = [];
  #outboxBytes = 0;
  #isWaiting = false;
  /** The other side is told of the end when the outbox is empty. */
  #farewell: LinkEnd | undefined;
  #hasClosed = false;
  #isEnding = false;

  constructor(name: string, way: Way, bufferBytesMax: number) {
    this.name = name;
    this.#way = way;
    this.#bufferBytesMax = bufferBytesMax;
  }

  get bufferedBytes(): number {
    return this.#outboxBytes;
  }

  get isBusy(): boolean {
    return this.#handler !== undefined && this.#incoming.length > 0;
  }

  start(handler: LinkHandler): void {
    if (this.#handler !== undefined) {
      throw new LastwriteError("invalid-argument", "a link has one user: start() is called once");
    }
    this.#handler = handler;
    this.#way.wake();
  }

  send(message: Message): void {
    if (this.#isEnding) return;
    this.#outbox.push(message);
    this.#outboxBytes += sizeOf(message);
    this.#sendOn();
    this.#way.wake();
  }

  close(code?: number): void {
    if (this.#isEnding) return;
    this.#isEnding = true;
    const end: LinkEnd = code === undefined ? {} : { code };
    this.#forgetIncoming();
    this.#tellSoon(() => this.#tellEnd(end));
    this.#farewell = end;
    this.#sendOn();
    this.#way.wake();
  }

  cut(end: LinkEnd): void {
    if (this.#hasClosed) return;
    this.#isEnding = true;
    this.#farewell = undefined;
    this.#forgetOutgoing();
    this.#forgetIncoming();
    this.#tellSoon(() => this.#tellEnd(end));
    this.#way.wake();
  }

  takeDue(): readonly (() => void)[] {
    const handler = this.#handler;
    if (handler === undefined) return [];
    const count = this.#incoming.findIndex(({ dueStep }) => dueStep > this.#way.step);
    const due = this.#incoming.splice(0, count === -1 ? this.#incoming.length : count);
    if (due.length === 0) return [];
    for (const { size } of due) this.#incomingBytes -= size;
    this.#way.otherOf(this).#sendOn();
    return due.map(
      ({ tell }) =>
        () =>
          tell(handler),
    );
  }

  /** Puts on the way what has room there. */
  #sendOn(): void {
    const other = this.#way.otherOf(this);
    let sent = 0;
    for (const message of this.#outbox) {
      const size = sizeOf(message);
      if (other.#incomingBytes > 0 && other.#incomingBytes + size > this.#bufferBytesMax) break;
      sent += 1;
      this.#outboxBytes -= size;
      for (const fate of this.#way.fates()) other.#expect(message, fate.steps, fate.isLoose);
    }
    this.#outbox.splice(0, sent);
    const hadToWait = this.#isWaiting;
    this.#isWaiting = this.#outbox.length > 0;
    if (this.#isWaiting) return;
    if (hadToWait && !this.#isEnding) this.#tellSoon((handler) => handler.drained());
    if (this.#farewell === undefined) return;
    other.#leave(this.#farewell);
    this.#farewell = undefined;
  }

  #expect(message: Message, steps: number, isLoose: boolean): void {
    if (this.#isEnding) return;
    const soonest = this.#way.step + steps;
    const dueStep = isLoose ? soonest : Math.max(this.#lastDueStep, soonest);
    if (!isLoose) this.#lastDueStep = dueStep;
    const size = sizeOf(message);
    this.#incomingBytes += size;
    this.#add({
      dueStep,
      size,
      tell: (handler) => {
        if (!this.#isEnding) handler.message(message);
      },
    });
  }

  /** The other end closed: told after all that it sent. */
  #leave(end: LinkEnd): void {
    if (this.#isEnding) return;
    const dueStep = Math.max(this.#way.step + 1, this.#incoming.at(-1)?.dueStep ?? 0);
    this.#add({
      dueStep,
      size: 0,
      tell: () => {
        if (this.#isEnding) return;
        this.#isEnding = true;
        this.#forgetOutgoing();
        this.#tellEnd(end);
      },
    });
  }

  #tellSoon(tell: Parcel["tell"]): void {
    this.#add({ dueStep: this.#way.step + 1, size: 0, tell });
  }

  #tellEnd(end: LinkEnd): void {
    if (this.#hasClosed) return;
    this.#hasClosed = true;
    this.#forgetIncoming();
    this.#handler?.closed(end);
  }

  #forgetIncoming(): void {
    this.#incoming = [];
    this.#incomingBytes = 0;
  }

  #forgetOutgoing(): void {
    this.#outbox = [];
    this.#outboxBytes = 0;
  }

  #add(parcel: Parcel): void {
    let at = this.#incoming.length;
    while (at > 0 && (this.#incoming[at - 1] as Parcel).dueStep > parcel.dueStep) at -= 1;
    this.#incoming.splice(at, 0, parcel);
  }
}
