/** Links over any stream of bytes that goes both ways: one of Node, or a pair of web streams. */

import type { Link } from "./contract.ts";
import { type BytePipe, type PipeHandler, StreamLink } from "./stream-link.ts";
import type { StreamForm } from "./framing.ts";
import type { Timers } from "./timers.ts";

/** The part of Node's `Duplex` that we use: a socket, a pipe to another program, a TLS connection. */
export interface DuplexStream {
  readonly writableLength: number;
  readonly destroyed: boolean;
  on(event: "data", listener: (chunk: Uint8Array) => void): unknown;
  on(event: "end" | "close", listener: () => void): unknown;
  on(event: "error", listener: (error: Error) => void): unknown;
  write(chunk: Uint8Array, done: (error?: Error | null) => void): unknown;
  cork(): void;
  uncork(): void;
  pause(): unknown;
  resume(): unknown;
  end(): unknown;
  destroy(): unknown;
}

/** The two directions as web streams: of `fetch`, `WebTransport`, `WebSocketStream`, serial ports, `Deno.connect`. */
export interface StreamPair {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
}

/** In which form the link speaks, and what it is called. */
export interface StreamLinkOptions {
  /** Names the other side in messages. Default: "stream". */
  readonly name?: string;
  /** Lines of JSON instead of bytes; both sides have to agree. Default: false. */
  readonly text?: boolean;
  /** Default: those of this process. */
  readonly timers?: Timers;
}

/**
 * Returns a link over a stream that nobody else reads or writes. Nothing is read before the link is started. A stream that ends between two messages closes the link in the regular way; inside of one, with
 * `link-failed`; a message that is too long, with `corrupt-bytes`.
 */
export function streamLink(
  stream: DuplexStream | StreamPair,
  { name = "stream", text = false, timers }: StreamLinkOptions = {},
): Link {
  const pipe = "readable" in stream && isWeb(stream) ? new WebPipe(stream) : new NodePipe(stream);
  const form: StreamForm = text ? "text" : "binary";
  return new StreamLink(pipe, { name, form, ...(timers !== undefined && { timers }) });
}

/** A stream of Node. @internal */
export class NodePipe implements BytePipe {
  readonly #stream: DuplexStream;
  #handler: PipeHandler | undefined;
  #isStarted = false;
  #isCorked = false;

  constructor(stream: DuplexStream) {
    this.#stream = stream;
  }

  get bufferedBytes(): number {
    return this.#stream.writableLength;
  }

  listen(handler: PipeHandler): void {
    this.#handler = handler;
    // Without a listener an error would end the process; `close` follows it where the stream is a good one.
    this.#stream.on("error", (error) => handler.closed(error));
    this.#stream.on("close", () => handler.closed());
    if (this.#stream.destroyed) queueMicrotask(() => handler.closed());
  }

  start(): void {
    if (this.#isStarted) return;
    this.#isStarted = true;
    this.#stream.on("end", () => this.#handler?.ended());
    this.#stream.on("data", (chunk) => this.#handler?.data(plain(chunk)));
    // Whoever accepted it may have paused it.
    this.#stream.resume();
  }

  write(chunks: readonly Uint8Array[]): void {
    this.#cork();
    const last = chunks.length - 1;
    for (const [at, chunk] of chunks.entries()) {
      this.#stream.write(chunk, at === last ? this.#written : nothing);
    }
  }

  end(): void {
    this.#uncork();
    this.#stream.end();
  }

  destroy(): void {
    this.#stream.destroy();
  }

  readonly #written = (error?: Error | null): void => {
    if (error === undefined || error === null) {
      if (this.#stream.writableLength === 0) this.#handler?.drained();
    }
  };

  /** What is sent in one go leaves in one piece. */
  #cork(): void {
    if (this.#isCorked) return;
    this.#isCorked = true;
    this.#stream.cork();
    queueMicrotask(() => this.#uncork());
  }

  #uncork(): void {
    if (!this.#isCorked) return;
    this.#isCorked = false;
    this.#stream.uncork();
  }
}

class WebPipe implements BytePipe {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  #handler: PipeHandler | undefined;
  #isStarted = false;
  #bufferedBytes = 0;

  constructor({ readable, writable }: StreamPair) {
    this.#reader = readable.getReader();
    this.#writer = writable.getWriter();
  }

  get bufferedBytes(): number {
    return this.#bufferedBytes;
  }

  listen(handler: PipeHandler): void {
    this.#handler = handler;
    // Of an error only: that all was read, or all was written, is not the end of the other direction.
    this.#reader.closed.catch((error: unknown) => handler.closed(error));
    this.#writer.closed.then(
      () => this.#handler?.closed(),
      (error: unknown) => handler.closed(error),
    );
  }

  start(): void {
    if (this.#isStarted) return;
    this.#isStarted = true;
    void this.#read();
  }

  write(chunks: readonly Uint8Array[]): void {
    for (const chunk of chunks) {
      this.#bufferedBytes += chunk.length;
      this.#writer.write(chunk).then(
        () => this.#written(chunk.length),
        // `closed` of the writer tells it.
        nothing,
      );
    }
  }

  end(): void {
    this.#writer.close().catch(nothing);
  }

  destroy(): void {
    this.#writer.abort().catch(nothing);
    this.#reader.cancel().catch(nothing);
  }

  async #read(): Promise<void> {
    try {
      for (;;) {
        const { done, value } = await this.#reader.read();
        if (done) break;
        this.#handler?.data(plain(value));
      }
      this.#handler?.ended();
    } catch (error) {
      this.#handler?.closed(error);
    }
  }

  #written(byteCount: number): void {
    this.#bufferedBytes -= byteCount;
    if (this.#bufferedBytes === 0) this.#handler?.drained();
  }
}

function isWeb(stream: DuplexStream | StreamPair): stream is StreamPair {
  // Streams of Node have a flag of the same name.
  return "readable" in stream && typeof stream.readable === "object";
}

/** Without what Node adds to its own bytes. */
function plain(chunk: Uint8Array): Uint8Array {
  return chunk.constructor === Uint8Array
    ? chunk
    : new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength);
}

function nothing(): void {
  // Told elsewhere.
}
