/** A link over any pipe of bytes. */

import type { Link, LinkEnd, LinkHandler, Message } from "./contract.ts";
import { Deliveries, linkFailed, sizeOf } from "./deliveries.ts";
import { Deframer, framed, type StreamForm } from "./framing.ts";
import { systemTimers, type Timers } from "./timers.ts";

/** How long a closed link waits for what was sent to leave, and for the other side to end. */
const LINGER_MS = 2000;

/** Called at any time once the pipe is there, `data` only after `start`. */
export interface PipeHandler {
  data(chunk: Uint8Array): void;
  /** All that was written has left. */
  drained(): void;
  /** The other side writes no more. */
  ended(): void;
  /** Nothing comes any more. */
  closed(error?: unknown): void;
}

/** Bytes both ways, as a stream has them. */
export interface BytePipe {
  readonly bufferedBytes: number;
  listen(handler: PipeHandler): void;
  /** Bytes are read from here on. */
  start(): void;
  write(chunks: readonly Uint8Array[]): void;
  /** Lets what was written leave, and ends. */
  end(): void;
  /** Ends at once. */
  destroy(): void;
}

export interface StreamLinkSettings {
  readonly name: string;
  /** Undefined: the one in which the other side begins. */
  readonly form: StreamForm | undefined;
  readonly timers?: Timers;
}

export class StreamLink implements Link {
  readonly name: string;
  readonly #pipe: BytePipe;
  readonly #deframer: Deframer;
  readonly #timers: Timers;
  readonly #deliveries: Deliveries = new Deliveries();
  /** What cannot be written before the form is known. */
  #held: Message[] = [];
  #heldBytes = 0;
  /** Why the link is about to end; undefined while it is not. */
  #end: LinkEnd | undefined;
  #hasEnded = false;
  #cancelLinger: (() => void) | undefined;

  constructor(pipe: BytePipe, { name, form, timers = systemTimers }: StreamLinkSettings) {
    this.name = name;
    this.#pipe = pipe;
    this.#deframer = new Deframer(form);
    this.#timers = timers;
    pipe.listen({
      data: (chunk) => this.#take(chunk),
      drained: () => this.#deliveries.drained(),
      ended: () => this.#finish(this.#brokenOff("the other side ended in the middle of a message")),
      closed: (error) => this.#closed(error),
    });
  }

  get bufferedBytes(): number {
    return this.#heldBytes + this.#pipe.bufferedBytes;
  }

  /** Lines of text are for people, and hold no bytes. */
  get prefersPacked(): boolean {
    return this.#deframer.form === "binary";
  }

  start(handler: LinkHandler): void {
    this.#deliveries.start(handler);
    if (this.#end === undefined) this.#pipe.start();
  }

  send(message: Message): void {
    if (this.#end !== undefined) return;
    const { form } = this.#deframer;
    if (form === undefined) {
      this.#held.push(message);
      this.#heldBytes += sizeOf(message);
      return;
    }
    this.#write(message, form);
  }

  close(code?: number): void {
    if (this.#end !== undefined) return;
    this.#deliveries.mute();
    this.#finish(code === undefined ? {} : { code });
    // Read and forgotten: else the end of the other side would not be seen.
    this.#pipe.start();
  }

  #take(chunk: Uint8Array): void {
    if (this.#end !== undefined) return;
    const wasKnown = this.#deframer.form !== undefined;
    try {
      this.#deframer.push(chunk, (message) => this.#deliveries.message(message));
    } catch (error) {
      this.#fail(error);
      return;
    }
    if (!wasKnown) this.#release();
  }

  /** Sends what waited for the form. */
  #release(): void {
    const { form } = this.#deframer;
    if (form === undefined) return;
    const held = this.#held;
    this.#held = [];
    this.#heldBytes = 0;
    for (const message of held) this.#write(message, form);
    if (held.length > 0 && this.bufferedBytes === 0) this.#deliveries.drained();
  }

  #write(message: Message, form: StreamForm): void {
    let chunks: readonly Uint8Array[];
    try {
      chunks = framed(message, form);
    } catch (error) {
      // Not from inside `send`, whose user has to see the end like any other.
      this.#fail(error);
      return;
    }
    this.#pipe.write(chunks);
  }

  #brokenOff(reason: string): LinkEnd {
    return this.#deframer.isInside ? { error: linkFailed(`${this.name}: ${reason}`) } : {};
  }

  /** Ends after what was sent has left, or a while later. */
  #finish(end: LinkEnd): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.#cancelLinger = this.#timers.after(LINGER_MS, () => {
      this.#pipe.destroy();
      this.#tellEnd();
    });
    this.#pipe.end();
  }

  #fail(error: unknown): void {
    if (this.#end !== undefined) return;
    this.#end = { error: error instanceof Error ? error : linkFailed(this.name, error) };
    this.#pipe.destroy();
    this.#tellEnd();
  }

  #closed(error: unknown): void {
    if (this.#end === undefined) {
      this.#end = { error: linkFailed(`${this.name} broke`, error) };
      this.#pipe.destroy();
    }
    this.#tellEnd();
  }

  #tellEnd(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#cancelLinger?.();
    this.#held = [];
    this.#heldBytes = 0;
    this.#deliveries.closed(this.#end ?? {});
  }
}
