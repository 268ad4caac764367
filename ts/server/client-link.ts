/**
 * One connection as a link: read no quicker than it may write, and looked after while it does not read itself.
 *
 * It is made of a `ws` socket without anything between, since there may be ten thousand: its listeners are functions that all share.
 */

import type { IncomingMessage } from "node:http";
import type { Socket as NetSocket } from "node:net";

import type { RawData, WebSocket } from "ws";

import type { Link, LinkEnd, LinkHandler, Message } from "../transport/contract.ts";
import { linkFailed } from "../transport/deliveries.ts";
import type { Clients } from "./clients.ts";
import { isLoopback } from "./gate.ts";
import { Pace } from "./pace.ts";

const OPEN = 1;
/** Nothing went wrong: done, going away, and without a word of why. */
const REGULAR_CODES: ReadonlySet<number> = new Set([1000, 1001, 1005]);

/** Who passes connections on says so by one of these. */
const PROXY_HEADERS: readonly string[] = ["x-forwarded-for", "forwarded", "via"];
/** Opcodes of the last frame of a message. */
const TEXT = 0x81;
const BINARY = 0x82;
/** What is shorter goes to the network as one piece, head and all, which takes a fourth less of the time than two; what is longer is not copied. */
const ONE_WRITE_BYTES_MAX = 16 * 1024;

/** Text that goes to many is framed once. */
let lastText: Uint8Array | undefined;
let lastFrame: Uint8Array = new Uint8Array();

/** Under it a socket knows its link. */
const LINK = Symbol("link");

interface Linked {
  [LINK]?: ClientLink;
}

export class ClientLink implements Link {
  readonly name: string;
  /** Bytes to others cost more than to pack them. */
  readonly prefersPacked: boolean;
  /** The address at the other end. */
  readonly address: string;
  readonly #socket: WebSocket;
  /** What it goes over, which tells when all has left. */
  readonly #wire: NetSocket;
  readonly #clients: Clients;
  readonly #frames: Pace;
  readonly #bytes: Pace;
  #handler: LinkHandler | undefined;
  #end: LinkEnd | undefined;
  #error: Error | undefined;
  #isClosing = false;
  /** Its user does not want to hear more for now. */
  #isHeld = true;
  /** It was too quick, and nothing is read before this. */
  #pausedUntil = 0;
  #isWaiting = false;
  /** So much waits for it that nothing more is taken from it. */
  #isStuffed = false;
  /** What was read nevertheless: one piece of the network may have thousands of messages. */
  #untaken: Message[] = [];
  /** What somebody is about to send. */
  #owedBytes = 0;
  /** Has given a sign since it was asked the last time. */
  #isAlive = true;
  /** Since when more waits for it than may without getting less, and how much that is. */
  fullSince = 0;
  fullBytes = 0;

  constructor(socket: WebSocket, { socket: wire, headers }: IncomingMessage, clients: Clients) {
    const { framesPerSecondMax, bytesPerSecondMax } = clients.limits;
    this.address = wire.remoteAddress ?? "";
    // A proxy on this machine passes everything on to one that may be far away.
    const isPassedOn = PROXY_HEADERS.some((name) => headers[name] !== undefined);
    this.prefersPacked = isPassedOn || !isLoopback(this.address.replace(/^::ffff:/u, ""));
    this.name = `client ${this.address}`;
    this.#socket = socket;
    this.#wire = wire;
    this.#clients = clients;
    this.#frames = new Pace(framesPerSecondMax, clients.now());
    this.#bytes = new Pace(bytesPerSecondMax, clients.now());
    (socket as Linked)[LINK] = this;
    (wire as Linked)[LINK] = this;
    socket.on("message", onMessage);
    socket.on("ping", onPing);
    socket.on("pong", onPong);
    socket.on("error", onError);
    socket.on("close", onClose);
    wire.on("drain", onDrain);
    // What comes early waits in the network.
    socket.pause();
  }

  get bufferedBytes(): number {
    return this.#socket.bufferedAmount + this.#owedBytes;
  }

  /** More waits for it than may. */
  get isFull(): boolean {
    return this.bufferedBytes > this.#clients.limits.queuedBytesMax;
  }

  start(handler: LinkHandler): void {
    this.#handler = handler;
    this.release();
    // It ended before anybody heard of it.
    if (this.#end !== undefined) queueMicrotask(() => handler.closed(this.#end ?? {}));
  }

  /** Reads nothing more, but what is under way, until `release`. */
  hold(): void {
    this.#isHeld = true;
    if (this.#socket.readyState === OPEN) this.#socket.pause();
  }

  release(): void {
    this.#isHeld = false;
    this.#resume();
  }

  send(message: Message): void {
    if (this.#isClosing || this.#socket.readyState !== OPEN) return;
    if (typeof message === "string" || message.length > ONE_WRITE_BYTES_MAX) {
      this.#socket.send(message);
    } else {
      this.#wire.write(frameOf(BINARY, message));
    }
    this.#sent(message.length);
  }

  /** Sends text that is encoded already, so that the same bytes can go to many. */
  sendText(bytes: Uint8Array): void {
    if (this.#isClosing || this.#socket.readyState !== OPEN) return;
    if (bytes.length > ONE_WRITE_BYTES_MAX) {
      this.#socket.send(bytes, { binary: false });
    } else {
      if (lastText !== bytes) lastFrame = frameOf(TEXT, bytes);
      lastText = bytes;
      this.#wire.write(lastFrame);
    }
    this.#sent(bytes.length);
  }

  /** So many bytes will be sent, or, where it is below 0, were or will not be: they count as waiting until then. */
  owe(byteCount: number): void {
    this.#owedBytes += byteCount;
    this.reconsider();
  }

  /** Stops or goes on to take what it sends, by how much waits for it: who asks and does not read takes no memory. */
  reconsider(): void {
    const { queuedBytesMax, frameBytesMax } = this.#clients.limits;
    // A message that was begun while there was room: a session that takes nothing more when it is full is never stopped by this.
    const isStuffed = this.bufferedBytes > queuedBytesMax + frameBytesMax;
    if (isStuffed === this.#isStuffed || this.#isClosing) return;
    this.#isStuffed = isStuffed;
    if (isStuffed) {
      if (this.#socket.readyState === OPEN) this.#socket.pause();
      return;
    }
    this.#takeOn();
    this.#resume();
  }

  close(code = 1000, reason = ""): void {
    if (this.#isClosing) return;
    this.#isClosing = true;
    this.#untaken = [];
    // The other side's word has to be read.
    if (this.#socket.readyState === OPEN) this.#socket.resume();
    this.#socket.close(code, reason);
    this.#end ??= { code };
  }

  /** Asks whether it is there still, where no session does. One that gave no sign since the last time is not. */
  askOrDrop(): void {
    // Where nothing is read no sign can be heard; those who do not read are looked after by `Clients`.
    if (this.#socket.readyState !== OPEN || this.#isStuffed) return;
    if (this.#isAlive) this.#socket.ping();
    else this.#socket.terminate();
    this.#isAlive = false;
  }

  /** Ends it without a word. */
  drop(): void {
    this.#socket.terminate();
  }

  take(data: RawData, isBinary: boolean): void {
    const bytes = data as Buffer;
    this.#clients.countReceived(bytes.length);
    this.#noteSign(bytes.length);
    if (this.#isClosing) return;
    // A Buffer has a `slice` of its own.
    const plain = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
    const message = isBinary ? plain : bytes.toString();
    if (this.#isStuffed || this.#untaken.length > 0) this.#untaken.push(message);
    else this.#handler?.message(message);
  }

  signed(byteCount: number): void {
    this.#noteSign(byteCount);
  }

  drained(): void {
    if (!this.#isWaiting || this.#isClosing) return;
    this.#isWaiting = false;
    this.#clients.unwatch(this);
    this.#handler?.drained();
    this.reconsider();
  }

  failed(error: Error): void {
    this.#error = error;
  }

  closed(code: number): void {
    this.#isClosing = true;
    this.#untaken = [];
    this.#clients.remove(this);
    this.#end ??= REGULAR_CODES.has(code)
      ? { code }
      : { code, error: linkFailed(`${this.name} closed with ${code}`, this.#error) };
    this.#handler?.closed(this.#end);
  }

  #sent(byteCount: number): void {
    this.#clients.countSent(byteCount);
    if (!this.#wire.writableNeedDrain) return;
    this.#isWaiting = true;
    if (!this.isFull) return;
    this.#clients.watch(this);
    this.reconsider();
  }

  #takeOn(): void {
    let taken = 0;
    while (taken < this.#untaken.length && !this.#isStuffed) {
      this.#handler?.message(this.#untaken[taken] as Message);
      taken++;
    }
    this.#untaken.splice(0, taken);
  }

  #noteSign(byteCount: number): void {
    this.#isAlive = true;
    const now = this.#clients.now();
    const waitMs = Math.max(this.#frames.take(1, now), this.#bytes.take(byteCount, now));
    if (waitMs === 0) return;
    const isPaused = this.#pausedUntil > now;
    this.#pausedUntil = now + waitMs;
    if (isPaused || this.#isClosing || this.#socket.readyState !== OPEN) return;
    this.#clients.countPause();
    this.#socket.pause();
    this.#resumeAfter(waitMs);
  }

  #resumeAfter(waitMs: number): void {
    this.#clients.timers.after(Math.ceil(waitMs), () => this.#resume());
  }

  #resume(): void {
    if (this.#isHeld || this.#isStuffed || this.#socket.readyState !== OPEN) return;
    const leftMs = this.#pausedUntil - this.#clients.now();
    if (leftMs > 0) this.#resumeAfter(leftMs);
    else this.#socket.resume();
  }
}

/** The frame that `ws` makes of a message that is not packed and not masked. */
function frameOf(opcode: number, message: Uint8Array): Uint8Array {
  const { length } = message;
  const headBytes = length < 126 ? 2 : 4;
  const frame = Buffer.allocUnsafe(headBytes + length);
  frame[0] = opcode;
  if (length < 126) {
    frame[1] = length;
  } else {
    frame[1] = 126;
    frame.writeUInt16BE(length, 2);
  }
  frame.set(message, headBytes);
  return frame;
}

function onMessage(this: WebSocket, data: RawData, isBinary: boolean): void {
  (this as Linked)[LINK]?.take(data, isBinary);
}

function onPing(this: WebSocket, data: Buffer): void {
  (this as Linked)[LINK]?.signed(data.length);
}

function onPong(this: WebSocket, data: Buffer): void {
  (this as Linked)[LINK]?.signed(data.length);
}

function onError(this: WebSocket, error: Error): void {
  (this as Linked)[LINK]?.failed(error);
}

function onClose(this: WebSocket, code: number): void {
  (this as Linked)[LINK]?.closed(code);
}

function onDrain(this: NetSocket): void {
  (this as Linked)[LINK]?.drained();
}
