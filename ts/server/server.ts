/** Puts it together: listens, lets in, and closes. */

import {
  createServer as createHttpServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import type { Duplex } from "node:stream";

import { type ServerOptions as SocketOptions, WebSocketServer } from "ws";

import { loadEngine } from "../engine/load.ts";
import { LastwriteError } from "../errors.ts";
import type { Store } from "../store/contract.ts";
import { heldTimers, systemTimers, type Timers } from "../transport/timers.ts";
import { beside } from "./beside.ts";
import { ClientLink } from "./client-link.ts";
import { Clients } from "./clients.ts";
import type { LastwriteServer, LogEntry, ServerOptions } from "./contract.ts";
import { Door } from "./door.ts";
import { Gate, type Refused } from "./gate.ts";
import { answer, isOwnPath, refuse } from "./http.ts";
import { serveJson } from "./json-client.ts";
import { limitsOf, type ServerLimits } from "./limits.ts";
import { Metrics, metricsText } from "./metrics.ts";
import { checkReach, checkServerOptions } from "./options.ts";
import { Pages } from "./pages.ts";
import { pathOf, type Target, targetOf } from "./paths.ts";
import { Rooms, told } from "./rooms.ts";
import { type RoomStorage, storageOf } from "./storage.ts";
import { serveSync } from "./sync-client.ts";

/** The parts that a server is made of. */
interface Parts {
  readonly options: ServerOptions;
  readonly limits: ServerLimits;
  readonly storage: RoomStorage;
  readonly pages: Pages | undefined;
  readonly rooms: Rooms;
  readonly metrics: Metrics;
  readonly timers: Timers;
  readonly log: (entry: LogEntry) => void;
}

/** How often it is looked for requests that take too long. */
const CHECK_MS = 1000;
const KEEP_ALIVE_MS = 5000;
/** More of them nobody sends but to do harm: of one message, and of what is not yet a fragment. */
const FRAGMENTS_MAX = 1024;
/** How long a client may take to say goodbye. */
const GOODBYE_MS = 2000;
/** Restarting: come back. */
const CLOSE_RESTART = 1012;

/**
 * Starts a server of rooms: each a store, that any number of clients share. They connect with `open({ connect: "ws://host/room" })`, or speak plain JSON at `ws://host/json/room`.
 *
 * Resolves when it listens. Rejects with `invalid-argument`, `link-failed` when the address cannot be listened on, `storage-unavailable` when the folder or database cannot be used, and
 * `engine-unavailable`. docs/server.md tells of all options, limits, hooks, and the JSON.
 *
 * @example
 * ```ts
 * import { open } from "lastwrite";
 * import { createServer } from "lastwrite/server";
 * import { memoryPersistence } from "lastwrite/persistence/memory";
 *
 * const server = await createServer({ port: 0, persistence: () => memoryPersistence() });
 * const team = await server.room("team");
 * team.set("tasks/42/title", "Ship it");
 *
 * const connect = `${server.address.replace("http", "ws")}/team`;
 * const store = await open({ persistence: memoryPersistence(), connect });
 * await store.synced();
 * console.log(store.get("tasks/42/title")); // Ship it
 *
 * await store.close();
 * await server.close();
 * ```
 */
export function createServer<Principal = unknown>(
  options: ServerOptions<Principal> = {},
): Promise<LastwriteServer> {
  return createServerOn({}, options as ServerOptions);
}

/** `createServer`, with the timers of a test. */
export async function createServerOn(
  { timers = systemTimers }: { readonly timers?: Timers },
  options: ServerOptions,
): Promise<LastwriteServer> {
  checkServerOptions(options);
  const limits = limitsOf(options.limits ?? {});
  const { data = "data", database, persistence, log = () => {}, roomIdleMs = 60_000 } = options;
  const pages = options.pages === undefined ? undefined : await Pages.read(options.pages);
  const engine = options.engine ?? (await loadEngine());
  const storage = await storageOf({ data, database, persistence });
  const metrics = new Metrics();
  const { clock = Date.now } = options;
  const rooms = new Rooms({
    storage,
    engine,
    clock,
    limits,
    idleMs: roomIdleMs,
    timers,
    metrics,
    log,
  });
  const server = new RoomServer({ options, limits, storage, pages, rooms, metrics, timers, log });
  try {
    await server.listen();
  } catch (error) {
    await storage.close();
    throw error;
  }
  return server;
}

class RoomServer implements LastwriteServer {
  readonly #parts: Parts;
  readonly #http: Server;
  readonly #sockets: WebSocketServer;
  readonly #clients: Clients;
  readonly #gate: Gate;
  readonly #door: Door;
  readonly #base: string;
  #closing: Promise<void> | undefined;
  #stopListening = (): void => {};

  constructor(parts: Parts) {
    const { options, limits, rooms, metrics, timers, log } = parts;
    this.#parts = parts;
    this.#base = options.path ?? "";
    this.#http = options.server ?? ownServer(limits);
    this.#sockets = new WebSocketServer(socketOptions(limits));
    this.#clients = new Clients(limits, timers, metrics);
    this.#gate = new Gate({
      address: () => addressOf(this.#http)?.address,
      hosts: options.hosts ?? [],
      origins: options.origins ?? [],
    });
    const { authenticate, authorize } = options;
    this.#door = new Door({ rooms, authenticate, authorize, log });
  }

  get address(): string {
    const bound = addressOf(this.#http);
    if (bound === undefined) return "";
    const host = bound.address.includes(":") ? `[${bound.address}]` : bound.address;
    return `http://${host}:${bound.port}${this.#base}`;
  }

  async room(name: string): Promise<Store> {
    return (await this.#parts.rooms.hold(name)).store;
  }

  metrics(): string {
    const { metrics, rooms } = this.#parts;
    return metricsText(metrics, { connections: this.#clients.count, roomsOpen: rooms.count });
  }

  async listen(): Promise<void> {
    const { options, log } = this.#parts;
    if (options.server !== undefined) {
      checkReach(options, addressOf(options.server)?.address);
      this.#stopListening = beside(options.server, {
        isOwn: this.#isOwn,
        request: this.#request,
        upgrade: this.#upgrade,
      });
      return;
    }
    this.#http.on("request", this.#request);
    this.#http.on("upgrade", this.#upgrade);
    const { port = 4040, host = "127.0.0.1" } = options;
    await listening(this.#http, port, host);
    // Such as too many files: nobody else would hear of it, and the process would end.
    this.#http.on("error", (error) =>
      log({ level: "error", event: "http-failed", ...told(error) }),
    );
    log({ level: "info", event: "listening", address: this.address });
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    const { options, rooms, log } = this.#parts;
    log({ level: "info", event: "closing", connections: this.#clients.count });
    rooms.refuse();
    this.#stopListening();
    const closed = options.server === undefined ? stopped(this.#http) : Promise.resolve();
    // What came is kept and acknowledged; what has not come yet was never answered for.
    for (const client of this.#clients.all) client.hold();
    for (const room of await rooms.open()) await room.keep().catch(() => {});
    await turn();
    for (const client of this.#clients.all) client.close(CLOSE_RESTART, "the server is closing");
    await this.#goodbyes();
    this.#clients.close();
    try {
      await rooms.close();
    } finally {
      if (options.server === undefined) this.#http.closeAllConnections();
      await closed;
      log({ level: "info", event: "closed" });
    }
  }

  /** Resolves when all have left, or were given the time for it. */
  async #goodbyes(): Promise<void> {
    await new Promise<void>((resolve) => {
      const cancel = heldTimers.after(GOODBYE_MS, resolve);
      this.#clients.whenEmpty(() => {
        cancel();
        resolve();
      });
    });
    for (const client of this.#clients.all) client.drop();
    await new Promise<void>((resolve) => this.#clients.whenEmpty(resolve));
  }

  readonly #isOwn = (request: IncomingMessage, isUpgrade: boolean): boolean => {
    const path = pathOf(request.url, this.#base);
    if (path === undefined) return false;
    return isUpgrade
      ? targetOf(path) !== undefined
      : isOwnPath(path, this.#parts.pages !== undefined);
  };

  readonly #request = (request: IncomingMessage, response: ServerResponse): void => {
    const refused = this.#outOfReach() ?? this.#gate.refusal(request);
    if (refused !== undefined) {
      refuse(request, response, refused.status, refused.reason);
      return;
    }
    const { pages } = this.#parts;
    answer(pathOf(request.url, this.#base) ?? "", request, response, {
      pages,
      metrics: () => this.metrics(),
      isReady: () => this.#closing === undefined,
    });
  };

  readonly #upgrade = (request: IncomingMessage, wire: Duplex, head: Buffer): void => {
    const target = targetOf(pathOf(request.url, this.#base) ?? "");
    const refused = this.#refusal(request, target);
    if (refused !== undefined || target === undefined) {
      this.#turnAway(request, wire, refused);
      return;
    }
    this.#sockets.handleUpgrade(request, wire, head, (socket) => {
      const link = new ClientLink(socket, request, this.#clients);
      this.#clients.add(link);
      this.#serve(link, target, request);
    });
  };

  /** A server of somebody else may have begun to listen elsewhere than on this machine since it was given to us. */
  #outOfReach(): Refused | undefined {
    const { options, log } = this.#parts;
    if (options.server === undefined) return undefined;
    try {
      checkReach(options, addressOf(options.server)?.address);
      return undefined;
    } catch (error) {
      log({ level: "error", event: "not-open", ...told(error) });
      return { status: 403, reason: "this server is not open to others" };
    }
  }

  #refusal(request: IncomingMessage, target: Target | undefined): Refused | undefined {
    if (this.#closing !== undefined) return { status: 503, reason: "the server is closing" };
    const refused = this.#outOfReach() ?? this.#gate.refusal(request);
    if (refused !== undefined) return refused;
    if (target === undefined) return { status: 404, reason: "there is no such room" };
    const reason = this.#clients.refusal(request.socket.remoteAddress ?? "");
    return reason === undefined ? undefined : { status: 503, reason };
  }

  #turnAway(request: IncomingMessage, wire: Duplex, refused: Refused | undefined): void {
    const { metrics, log } = this.#parts;
    const { status, reason } = refused ?? { status: 404, reason: "there is no such room" };
    metrics.refusedTotal++;
    const address = request.socket.remoteAddress;
    log({ level: "warn", event: "refused", address, status, reason });
    wire.on("error", () => {});
    wire.end(
      `HTTP/1.1 ${status} ${reason}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: ${reason.length + 1}\r\nconnection: close\r\n\r\n${reason}\n`,
      () => void wire.destroy(),
    );
  }

  /** Settles nothing and keeps nothing of the request: it lasts as long as the connection. */
  #serve(link: ClientLink, { room, speaks }: Target, request: IncomingMessage): void {
    const { metrics, log } = this.#parts;
    const serve = speaks === "json" ? serveJson : serveSync;
    const served = serve({ link, request, room, door: this.#door, clients: this.#clients });
    served.catch((error: unknown) => {
      metrics.failuresTotal++;
      // Its message may be what the client said.
      const { code } = told(error);
      log({ level: "info", event: "client-left", room, address: link.address, code });
    });
  }
}

function ownServer(limits: ServerLimits): Server {
  const server = createHttpServer({
    headersTimeout: limits.headerMsMax,
    requestTimeout: Math.max(limits.headerMsMax, limits.requestMsMax),
    connectionsCheckingInterval: CHECK_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
  });
  // Beside those who are connected there are few who ask.
  server.maxConnections = 2 * limits.connectionsMax;
  return server;
}

/** Its types know nothing of `closeTimeout` yet. */
function socketOptions(limits: ServerLimits): SocketOptions & { readonly closeTimeout: number } {
  return {
    noServer: true,
    clientTracking: false,
    // A context of zlib for each client would take more than the client itself.
    perMessageDeflate: false,
    maxPayload: limits.frameBytesMax,
    maxFragments: FRAGMENTS_MAX,
    maxBufferedChunks: FRAGMENTS_MAX,
    closeTimeout: GOODBYE_MS,
  };
}

function listening(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException): void => {
      const why =
        error.code === "EADDRINUSE"
          ? "it is in use; stop who uses it, or take another port (0 takes a free one)"
          : error.message;
      reject(
        new LastwriteError("link-failed", `cannot listen on ${host}:${port}: ${why}`, {
          cause: error,
        }),
      );
    };
    server.once("error", failed);
    server.listen(port, host, () => {
      server.off("error", failed);
      resolve();
    });
  });
}

/** Where a server listens; undefined where it does not, or on no port. */
function addressOf(
  server: Server,
): { readonly address: string; readonly port: number } | undefined {
  const bound = server.address();
  return typeof bound === "object" && bound !== null ? bound : undefined;
}

function stopped(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeIdleConnections();
  });
}

/** Resolves when all that follows from what was kept has been done. */
function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
