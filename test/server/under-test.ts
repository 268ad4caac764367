/** Servers and clients as their tests have them: on a port of their own, gone at the end. */

import { once } from "node:events";
import { connect as connectTcp, type Socket } from "node:net";

import { expect } from "vitest";
import { WebSocket } from "ws";

import { open } from "../../ts/open.ts";
import { memoryPersistence } from "../../ts/persistence/memory.ts";
import type { LastwriteServer, LogEntry, ServerOptions } from "../../ts/server/contract.ts";
import { createServer } from "../../ts/server/index.ts";
import type { OpenOptions, Store } from "../../ts/store/contract.ts";

/** A server, and all that was made for it. */
export interface Served extends AsyncDisposable {
  readonly server: LastwriteServer;
  readonly port: number;
  /** "ws://127.0.0.1:4040". */
  readonly url: string;
  readonly log: readonly LogEntry[];
  /** A store that is connected to that room, and synced with it. */
  store(room: string, options?: Partial<OpenOptions>): Promise<Store>;
  /** A client that speaks plain JSON, before it has heard anything. */
  json(room: string, options?: JsonOptions): JsonClient;
  /** Resolves when the log has such an entry. */
  logged(event: string): Promise<LogEntry>;
}

export interface JsonOptions {
  readonly headers?: Readonly<Record<string, string>>;
}

export type JsonMessage = Readonly<Record<string, unknown>>;

export interface JsonClient {
  readonly socket: WebSocket;
  readonly heard: readonly JsonMessage[];
  /** Resolves with the first that fits, of those from `from` on. */
  hears(fits: JsonMessage, from?: number): Promise<JsonMessage>;
  says(message: unknown): void;
  /** The close code. */
  readonly closed: Promise<number>;
}

/** Rooms in memory, that outlive being closed. */
export function keptInMemory(): NonNullable<ServerOptions["persistence"]> {
  const places = new Map<string, ReturnType<typeof memoryPersistence>>();
  return (room) => {
    const place = places.get(room) ?? memoryPersistence();
    places.set(room, place);
    return place;
  };
}

export async function serve<Principal>(options: ServerOptions<Principal> = {}): Promise<Served> {
  const log: LogEntry[] = [];
  const waiting = new Set<() => void>();
  const isKept = options.data !== undefined || options.database !== undefined;
  const server = await createServer<Principal>({
    ...(options.server === undefined && { port: 0 }),
    ...(!isKept && { persistence: keptInMemory() }),
    log: (entry) => {
      log.push(entry);
      for (const look of waiting) look();
    },
    ...options,
  });
  const made: (() => Promise<void>)[] = [];
  const url = server.address.replace("http", "ws");
  return {
    server,
    port: server.address === "" ? 0 : Number(new URL(server.address).port),
    url,
    log,
    async store(room, more = {}) {
      const store = await open({
        persistence: memoryPersistence(),
        connect: `${url}/${room}`,
        ...more,
      });
      made.push(() => store.close());
      await store.synced();
      return store;
    },
    json(room, more = {}) {
      const client = jsonClient(`${url}/json/${room}`, more);
      made.push(async () => client.socket.terminate());
      return client;
    },
    logged: (event) =>
      new Promise((resolve) => {
        const look = (): void => {
          const found = log.find((entry) => entry.event === event);
          if (found === undefined) return;
          waiting.delete(look);
          resolve(found);
        };
        waiting.add(look);
        look();
      }),
    async [Symbol.asyncDispose]() {
      await Promise.allSettled(made.map((remove) => remove()));
      await server.close();
    },
  };
}

export function jsonClient(url: string, { headers = {} }: JsonOptions = {}): JsonClient {
  const socket = new WebSocket(url, { headers, perMessageDeflate: false });
  const heard: JsonMessage[] = [];
  const waiting = new Set<() => void>();
  socket.on("message", (data: Buffer) => {
    heard.push(JSON.parse(data.toString()) as JsonMessage);
    for (const look of waiting) look();
  });
  socket.on("error", () => {});
  return {
    socket,
    heard,
    hears: (fits, from = 0) =>
      new Promise((resolve) => {
        const look = (): void => {
          const found = heard.slice(from).find((message) => includes(message, fits));
          if (found === undefined) return;
          waiting.delete(look);
          resolve(found);
        };
        waiting.add(look);
        look();
      }),
    says: (message) => {
      const text = typeof message === "string" ? message : JSON.stringify(message);
      if (socket.readyState === WebSocket.OPEN) socket.send(text);
      else socket.once("open", () => socket.send(text));
    },
    closed: new Promise((resolve) => {
      socket.on("close", resolve);
    }),
  };
}

/** Resolves when both have the same entries. */
export async function alike(one: Store, other: Store): Promise<void> {
  while (one.digest() !== other.digest()) await changed([one, other]);
  expect([...one.entries()]).toEqual([...other.entries()]);
}

/** Resolves when something changes in one of them. */
export function changed(stores: readonly Store[]): Promise<void> {
  return new Promise((resolve) => {
    const stops = stores.map((store) =>
      store.subscribe({}, () => {
        for (const stop of stops) stop();
        resolve();
      }),
    );
  });
}

/** Resolves when `store` has that under `key`. */
export async function holds(store: Store, key: string, value: unknown): Promise<void> {
  const isThere = (): boolean => JSON.stringify(store.get(key)) === JSON.stringify(value);
  while (!isThere()) await changed([store]);
}

/** Resolves when the store has that status. */
export function whenStatus(store: Store, wanted: string): Promise<void> {
  return new Promise((resolve) => {
    if (store.status === wanted) {
      resolve();
      return;
    }
    const stop = store.on("status", ({ status }) => {
      if (status !== wanted) return;
      stop();
      resolve();
    });
  });
}

/** What a request over a plain socket is answered, to its end: status, headers and body as they came. */
export async function exchange(port: number, request: string): Promise<string> {
  const socket = await tcp(port);
  let answer = "";
  socket.on("data", (bytes: Buffer) => (answer += bytes.toString("latin1")));
  socket.write(request);
  await once(socket, "close");
  return answer;
}

export async function tcp(port: number): Promise<Socket> {
  const socket = connectTcp(port, "127.0.0.1");
  socket.on("error", () => {});
  await once(socket, "connect");
  return socket;
}

/** The head of a request to become a WebSocket. */
export function upgradeRequest(
  path: string,
  headers: Readonly<Record<string, string>> = {},
): string {
  const all = {
    host: "127.0.0.1",
    connection: "Upgrade",
    upgrade: "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    ...headers,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `GET ${path} HTTP/1.1\r\n${lines.join("")}\r\n`;
}

function includes(message: JsonMessage, fits: JsonMessage): boolean {
  return Object.entries(fits).every(
    ([name, value]) => JSON.stringify(message[name]) === JSON.stringify(value),
  );
}
