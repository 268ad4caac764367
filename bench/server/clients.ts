/**
 * Clients by the thousand in one process, so that it is the server that is measured: sockets that speak just enough to be sent every change, and count it. Some real
 * ones are among them, who have to end with the very data of the writer.
 */
import { once } from "node:events";
import { open, type Store } from "lastwrite";
import { memoryPersistence } from "lastwrite/persistence/memory";
import { WebSocket } from "ws";
import { decodeMessage, encodeMessage } from "../../ts/sync/codec.ts";
import type { SyncMessage } from "../../ts/sync/messages.ts";
import { importPeer } from "../peer-package.ts";
import type { ServerName } from "./served.ts";

/** One that counts. */
export interface Subscriber {
  /** Changes that it was told of. */
  readonly count: number;
  /** Messages that they came in. */
  readonly frameCount: number;
  close(): void;
}

/** One that writes, or holds what others wrote. */
export interface Member {
  set(key: string, value: string): void;
  /** Makes these one message, where the library does not by itself. */
  together(write: () => void): void;
  get(key: string): unknown;
  close(): Promise<void> | void;
}

export interface Clients {
  /** Resolves when it is told of changes. `heard` is called with how many came. */
  subscribe(port: number, room: string, heard: (count: number) => void): Promise<Subscriber>;
  join(port: number, room: string): Promise<Member>;
}

export async function clientsOf(name: ServerName, changesAFrame: number): Promise<Clients> {
  return name === "lastwrite" ? ownClients() : yjsClients(name, changesAFrame);
}

const ACK_MS = 1000;
const NEVER_USED_UP = Number.MAX_SAFE_INTEGER;

function ownClients(): Clients {
  return {
    subscribe: async (port, room, heard) => {
      const socket = await socketTo(port, room);
      const subscriber = new OwnSubscriber(socket, heard);
      await subscriber.isLive;
      return subscriber;
    },
    async join(port, room) {
      const store = await ownStore(port, room);
      return {
        set: (key, value) => void store.set(key, value),
        together: (write) => write(),
        get: (key) => store.get(key),
        close: () => store.close(),
      };
    },
  };
}

export async function ownStore(port: number, room: string): Promise<Store> {
  const connect = `ws://127.0.0.1:${port}/${room}`;
  const store = await open({ persistence: memoryPersistence(), connect });
  await store.synced();
  return store;
}

/** Says that it has what the server has, and acknowledges once a second what came since, as stores do. */
class OwnSubscriber implements Subscriber {
  count = 0;
  frameCount = 0;
  readonly isLive: Promise<void>;
  readonly #socket: WebSocket;
  readonly #heard: (count: number) => void;
  #live = (): void => {};
  #sentCount = 0;
  #place = 0;
  #ackTimer: NodeJS.Timeout | undefined;

  constructor(socket: WebSocket, heard: (count: number) => void) {
    this.#socket = socket;
    this.#heard = heard;
    this.isLive = new Promise((resolve) => (this.#live = resolve));
    socket.on("message", (data: Buffer) => this.#take(decodeMessage(plain(data)).message));
    this.#say({
      type: "hello",
      protocolMin: 1,
      protocolMax: 1,
      storeId: idOf(16),
      millis: Date.now(),
      driftMaxMs: 300_000,
      windowBytes: NEVER_USED_UP,
      isServer: false,
      room: "",
      token: "",
    });
  }

  close(): void {
    clearTimeout(this.#ackTimer);
    this.#socket.terminate();
  }

  #take(message: SyncMessage): void {
    switch (message.type) {
      case "have":
        this.#place = message.log.place;
        this.#say({ ...message, log: { epoch: idOf(8), place: 0 }, cursor: undefined });
        this.#say({ type: "ack", place: this.#place, reached: undefined });
        this.#live();
        return;
      case "delta":
        this.frameCount++;
        if (message.place === undefined) return;
        this.#tell(message.place - this.#place);
        this.#place = message.place;
        this.#ackTimer ??= setTimeout(() => this.#acknowledge(), ACK_MS);
        return;
      case "ping":
        this.#say({ type: "pong" });
        return;
      case "error":
        throw new Error(`the server says: ${message.message}`);
      default:
    }
  }

  #tell(count: number): void {
    this.count += count;
    this.#heard(count);
  }

  #acknowledge(): void {
    this.#ackTimer = undefined;
    this.#say({ type: "ack", place: this.#place, reached: undefined });
  }

  #say(message: SyncMessage): void {
    if (this.#socket.readyState !== WebSocket.OPEN) return;
    this.#socket.send(encodeMessage(message, this.#sentCount));
    this.#sentCount++;
  }
}

/** What is called of Yjs and its protocol. */
interface Yjs {
  readonly Doc: new () => YDoc;
  applyUpdate(doc: YDoc, update: Uint8Array, origin?: unknown): void;
}

interface YDoc {
  getMap(name: string): { set(key: string, value: string): void; get(key: string): unknown };
  transact(write: () => void): void;
  on(event: "update", listener: (update: Uint8Array, origin: unknown) => void): void;
  destroy(): void;
}

const SYNC = 0;
const AUTH = 2;
const STEP_ONE = 0;
const STEP_TWO = 1;
const UPDATE = 2;

async function yjsClients(
  name: "y-websocket" | "hocuspocus",
  changesAFrame: number,
): Promise<Clients> {
  const yjs = await importPeer<Yjs>("yjs");
  // Hocuspocus names the document in each message, and wants to hear a token first.
  const prefixOf = (room: string): number[] => (name === "hocuspocus" ? textOf(room) : []);
  const enter = async (port: number, room: string): Promise<WebSocket> => {
    const socket = await socketTo(port, room);
    if (name === "hocuspocus") {
      socket.send(Uint8Array.from([...prefixOf(room), AUTH, 0, ...textOf("token")]));
    }
    return socket;
  };
  return {
    async subscribe(port, room, heard) {
      const socket = await enter(port, room);
      const skipped = prefixOf(room).length;
      const subscriber = { count: 0, frameCount: 0, close: () => socket.terminate() };
      const isAnswered = new Promise<void>((resolve) => {
        socket.on("message", (data: Buffer) => {
          if (data[skipped] !== SYNC) return;
          if (data[skipped + 1] === STEP_TWO) resolve();
          if (data[skipped + 1] !== UPDATE) return;
          subscriber.frameCount++;
          subscriber.count += changesAFrame;
          heard(changesAFrame);
        });
      });
      // As somebody who has nothing yet.
      socket.send(Uint8Array.from([...prefixOf(room), SYNC, STEP_ONE, 1, 0]));
      await isAnswered;
      return subscriber;
    },
    async join(port, room) {
      const socket = await enter(port, room);
      const doc = new yjs.Doc();
      const map = doc.getMap("entries");
      const prefix = prefixOf(room);
      const isSynced = new Promise<void>((resolve) => {
        socket.on("message", (data: Buffer) => {
          if (data[prefix.length] !== SYNC) return;
          const kind = data[prefix.length + 1];
          if (kind !== STEP_TWO && kind !== UPDATE) return;
          yjs.applyUpdate(doc, bytesAt(plain(data), prefix.length + 2), socket);
          resolve();
        });
      });
      doc.on("update", (update, origin) => {
        if (origin === socket || socket.readyState !== WebSocket.OPEN) return;
        socket.send(
          Buffer.concat([Uint8Array.from([...prefix, SYNC, UPDATE, ...lengthOf(update)]), update]),
        );
      });
      socket.send(Uint8Array.from([...prefix, SYNC, STEP_ONE, 1, 0]));
      await isSynced;
      return {
        set: (key, value) => map.set(key, value),
        together: (write) => doc.transact(write),
        get: (key) => map.get(key),
        close: () => {
          socket.terminate();
          doc.destroy();
        },
      };
    },
  };
}

async function socketTo(port: number, room: string): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/${room}`, { perMessageDeflate: false });
  await once(socket, "open");
  return socket;
}

function plain(data: Buffer): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.length);
}

function idOf(byteCount: number): string {
  const bytes = globalThis.crypto.getRandomValues(new Uint8Array(byteCount));
  return Buffer.from(bytes).toString("hex");
}

/** As Yjs writes text, and lengths: low bits first, seven a byte. */
function textOf(text: string): number[] {
  const bytes = Buffer.from(text);
  return [...lengthOf(bytes), ...bytes];
}

function lengthOf({ length }: Uint8Array): number[] {
  const digits: number[] = [];
  let left = length;
  for (; left > 127; left = Math.floor(left / 128)) digits.push((left % 128) + 128);
  return [...digits, left];
}

function bytesAt(data: Uint8Array, start: number): Uint8Array {
  let at = start;
  let length = 0;
  let scale = 1;
  for (; (data[at] as number) > 127; at++) {
    length += ((data[at] as number) - 128) * scale;
    scale *= 128;
  }
  length += (data[at] as number) * scale;
  return data.subarray(at + 1, at + 1 + length);
}
