/** Links over WebSockets: of a browser, of Node, and of a server that uses `ws`. */

import { loadWebSocket } from "#websocket";

import { encodeText } from "../codec/text.ts";
import { LastwriteError } from "../errors.ts";
import { MESSAGE_BYTES_MAX, TEXT_LENGTH_MAX } from "../sync/limits.ts";
import { connecting } from "./connecting.ts";
import type { Connector, Link, LinkEnd, LinkHandler, Message } from "./contract.ts";
import { Deliveries, linkFailed } from "./deliveries.ts";
import { systemTimers, type Timers } from "./timers.ts";

/**
 * The part of a WebSocket that we use: that of browsers and of `ws` alike, whose types agree in little else. What is optional only
 * `ws` has.
 */
export interface WebSocketLike {
  readonly readyState: number;
  readonly bufferedAmount: number;
  binaryType: string;
  /** Of text and bytes; `ws` calls a second argument once they were sent. */
  send(data: never, done?: never): void;
  close(code?: number, reason?: string): void;
  addEventListener(type: never, listener: never): void;
  pause?(): void;
  resume?(): void;
  terminate?(): void;
}

/** What makes them. */
export type WebSocketClass = new (url: string, protocols?: string | string[]) => WebSocketLike;

/** What the connector makes its sockets of. */
export interface WebSocketConnectorOptions {
  /** The class to take. Default: the global one, and on a Node that has none, that of `ws`. */
  readonly WebSocket?: WebSocketClass;
  /** Subprotocols to offer. Default: none. */
  readonly protocols?: readonly string[];
  /** Default: those of this process. */
  readonly timers?: Timers;
}

/** What the link is called. */
export interface WebSocketLinkOptions {
  /** Names the other side in messages. Default: "websocket". */
  readonly name?: string;
  /** Default: those of this process. */
  readonly timers?: Timers;
}

const OPEN = 1;
const CLOSED = 3;
const CLOSE_TOO_LARGE = 1009;
/** Nothing went wrong: done, going away, and without a word of why. */
const REGULAR_CODES: ReadonlySet<number> = new Set([1000, 1001, 1005]);
const REASON_BYTES_MAX = 123;
/** How long a closed link waits for the other side. */
const LINGER_MS = 2000;
/** Browsers do not say when something was sent. */
const POLL_MS = 10;

/**
 * Makes links to one address, `ws://host/room` or `wss://host/room`.
 *
 * Throws `invalid-argument` for an address that is none, or carries a name or a password.
 */
export function webSocketConnector(
  url: string | URL,
  { WebSocket, protocols = [], timers }: WebSocketConnectorOptions = {},
): Connector {
  const { address, name } = checkedUrl(url);
  return {
    name,
    connect: async (signal) => {
      signal.throwIfAborted();
      const SocketClass = WebSocket ?? (await loadWebSocket());
      return connecting(name, signal, timers, (settle) => {
        const socket: Socket = new SocketClass(address, [...protocols]);
        socket.addEventListener("error", ({ error, message }) =>
          settle.reject(linkFailed(`${name} cannot be reached`, error ?? message)),
        );
        socket.addEventListener("close", ({ code }) =>
          settle.reject(linkFailed(`${name} cannot be reached`, `closed with ${code}`)),
        );
        socket.addEventListener("open", () =>
          settle.resolve(
            linkOfWebSocket(socket, { name, ...(timers !== undefined && { timers }) }),
          ),
        );
        return () => socket.close();
      });
    },
  };
}

/**
 * Returns a link over an open WebSocket that nobody else uses, as a server of `ws` gives one with each connection; call it at once, so that nothing is missed. Bytes travel as binary messages, text as text.
 * Whatever close code comes is in the end that is told; one that is not regular comes with `link-failed`.
 */
export function linkOfWebSocket(socket: WebSocketLike, options: WebSocketLinkOptions = {}): Link {
  return new WebSocketLink(socket, options);
}

/** What listeners are given, in browsers and by `ws`. */
interface Events {
  readonly open: unknown;
  readonly message: { readonly data: unknown };
  /** Browsers tell nothing of it. */
  readonly error: { readonly error?: unknown; readonly message?: string };
  readonly close: { readonly code: number; readonly reason: string };
}

/** A socket with the arguments that both take. */
interface Socket extends Omit<WebSocketLike, "send" | "addEventListener"> {
  send(data: string | Uint8Array, done?: (error?: Error) => void): void;
  addEventListener<Type extends keyof Events>(
    type: Type,
    listener: (event: Events[Type]) => void,
  ): void;
}

class WebSocketLink implements Link {
  readonly name: string;
  readonly prefersPacked = true;
  readonly #socket: Socket;
  readonly #timers: Timers;
  readonly #deliveries: Deliveries = new Deliveries();
  #isStarted = false;
  /** This side closed. */
  #end: LinkEnd | undefined;
  #error: unknown;
  #isPolling = false;
  #cancelLinger: (() => void) | undefined;

  constructor(
    socket: WebSocketLike,
    { name = "websocket", timers = systemTimers }: WebSocketLinkOptions,
  ) {
    this.name = name;
    this.#socket = socket;
    this.#timers = timers;
    // The default of browsers would make a promise of each message.
    if (socket.binaryType === "blob") socket.binaryType = "arraybuffer";
    this.#socket.addEventListener("message", ({ data }) => this.#take(data));
    this.#socket.addEventListener("error", ({ error, message }) => {
      // `close` follows.
      this.#error = error ?? message;
    });
    this.#socket.addEventListener("close", ({ code, reason }) => this.#closed(code, reason));
    // What comes early waits in the network, where the socket can tell it to.
    if (socket.readyState === OPEN) socket.pause?.();
    if (socket.readyState === CLOSED) this.#closed(1006, "it was closed before");
  }

  get bufferedBytes(): number {
    return this.#deliveries.hasEnded ? 0 : this.#socket.bufferedAmount;
  }

  start(handler: LinkHandler): void {
    this.#deliveries.start(handler);
    this.#isStarted = true;
    this.#resume();
  }

  send(message: Message): void {
    if (this.#end !== undefined || this.#socket.readyState !== OPEN) return;
    try {
      if (this.#socket.terminate === undefined) {
        this.#socket.send(message);
        this.#poll();
      } else {
        this.#socket.send(message, this.#sent);
      }
    } catch (error) {
      this.#fail(error, CLOSE_TOO_LARGE);
    }
  }

  close(code?: number, reason = ""): void {
    if (this.#end !== undefined || this.#deliveries.hasEnded) return;
    this.#end = code === undefined ? {} : { code };
    this.#deliveries.mute();
    this.#leave(code, reason);
  }

  readonly #sent = (error?: Error): void => {
    if (!(error instanceof Error) && this.#socket.bufferedAmount === 0) this.#deliveries.drained();
  };

  #take(data: unknown): void {
    if (this.#end !== undefined) return;
    if (typeof data === "string") {
      if (data.length > TEXT_LENGTH_MAX) this.#refuse();
      else this.#deliveries.message(data);
      return;
    }
    const bytes = asBytes(data);
    if (bytes === undefined || bytes.length > MESSAGE_BYTES_MAX) this.#refuse();
    else this.#deliveries.message(bytes);
  }

  #refuse(): void {
    const error = new LastwriteError(
      "corrupt-bytes",
      `${this.name} sent a message that is too long`,
    );
    this.#fail(error, CLOSE_TOO_LARGE);
  }

  #fail(cause: unknown, code: number): void {
    if (this.#end !== undefined) return;
    const error = cause instanceof LastwriteError ? cause : linkFailed(this.name, cause);
    this.#end = { error, code };
    this.#leave(code, "");
  }

  #leave(code: number | undefined, reason: string): void {
    this.#resume();
    this.#cancelLinger = this.#timers.after(LINGER_MS, () => {
      this.#socket.terminate?.();
      this.#deliveries.closed(this.#end ?? {});
    });
    closeSocket(this.#socket, code, reason);
  }

  #closed(code: number, reason: string): void {
    this.#cancelLinger?.();
    this.#deliveries.closed(this.#end ?? this.#endOf(code, reason));
  }

  #endOf(code: number, reason: string): LinkEnd {
    if (REGULAR_CODES.has(code)) return { code };
    const words = reason === "" ? "" : ` (${reason})`;
    return { code, error: linkFailed(`${this.name} closed with ${code}${words}`, this.#error) };
  }

  /** `ws` can only be resumed while it is open. */
  #resume(): void {
    if (this.#isStarted || this.#end !== undefined) this.#socket.resume?.();
  }

  #poll(): void {
    if (this.#isPolling || this.#socket.bufferedAmount === 0) return;
    this.#isPolling = true;
    this.#timers.after(POLL_MS, () => {
      this.#isPolling = false;
      if (this.#deliveries.hasEnded) return;
      if (this.#socket.bufferedAmount === 0) this.#deliveries.drained();
      else this.#poll();
    });
  }
}

function checkedUrl(url: string | URL): { readonly address: string; readonly name: string } {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed === undefined || !/^wss?:$/u.test(parsed.protocol) || parsed.hash !== "") {
    throw new LastwriteError(
      "invalid-argument",
      "the address of a WebSocket is ws://host/room or wss://host/room",
    );
  }
  if (parsed.username !== "" || parsed.password !== "") {
    throw new LastwriteError(
      "invalid-argument",
      "the address of a WebSocket must not carry a name or a password; take a token",
    );
  }
  // Not what is asked for behind it, which may be private.
  return { address: parsed.href, name: `${parsed.protocol}//${parsed.host}${parsed.pathname}` };
}

function closeSocket(
  socket: Pick<WebSocketLike, "close">,
  code: number | undefined,
  reason: string,
): void {
  try {
    socket.close(code ?? 1000, shortened(reason));
  } catch {
    // Browsers refuse the codes of servers.
    socket.close();
  }
}

/** What of a reason fits in. */
function shortened(reason: string): string {
  let short = reason.toWellFormed().slice(0, REASON_BYTES_MAX);
  while (encodeText(short).length > REASON_BYTES_MAX) short = short.slice(0, -1).toWellFormed();
  return short;
}

function asBytes(data: unknown): Uint8Array | undefined {
  if (data instanceof ArrayBuffer) return new Uint8Array(data);
  if (!ArrayBuffer.isView(data)) return undefined;
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
