/** All connections of a store, as its owner sees them: one status, one count, one promise. */

import { LastwriteError } from "../errors.ts";
import type { Connector } from "../transport/contract.ts";
import { Connection, type ConnectionStatus, type Machine } from "./connection.ts";
import type { StoreHost } from "./host.ts";
import type { PeerExchange } from "./peer-exchange.ts";
import type { RunProgress } from "./run.ts";

/** How the best of the connections is, now. */
export interface StatusEvent {
  readonly status: ConnectionStatus;
  /** Why it is not better than that, if that is known. */
  readonly reason: LastwriteError | undefined;
}

/** How far a first load is. */
export interface ProgressEvent {
  /** How many entries the other side holds, tombstones included. */
  readonly entryCount: number;
  /** How many bytes of what it sends are still to come. */
  readonly remainingBytes: number;
}

/** How many own writes wait for an acknowledgement, now. */
export interface PendingEvent {
  readonly pendingCount: number;
}

export interface ConnectionsOptions {
  readonly host: StoreHost;
  readonly connectors: readonly Connector[];
  readonly token?: string | undefined;
  readonly machine: Machine;
  readonly onStatus: (event: StatusEvent) => void;
  readonly onProgress: (event: ProgressEvent) => void;
  readonly onPending: (event: PendingEvent) => void;
  /** Whether anybody would be told by `onPending`: counting costs something. */
  readonly isPendingWanted: () => boolean;
}

/** Best first. */
const STATUSES: readonly ConnectionStatus[] = [
  "live",
  "syncing",
  "connecting",
  "offline",
  "closed",
];

/** Somebody waits until one of the connections has everything. */
interface Waiter {
  /** The head of the order of arrival when he asked. */
  readonly head: number;
  /** Which question each connection asked for him; those that are not here had no session. */
  readonly questions: Map<Connection, number>;
  readonly resolve: () => void;
  readonly reject: (reason: unknown) => void;
}

const HELD_MS = 60_000;

export class Connections {
  readonly #options: ConnectionsOptions;
  readonly #connections: Connection[];
  /** Those to stores that others told of, by address. */
  readonly #found = new Map<string, Connection>();
  readonly #waiters = new Set<Waiter>();
  readonly #told = new Map<Connection, ProgressEvent>();
  #current: StatusEvent;
  #toldPendingCount = 0;
  #isPendingDue = false;
  #isClosing = false;
  #stopListening = (): void => {};

  constructor(options: ConnectionsOptions) {
    const { connectors } = options;
    this.#options = options;
    this.#connections = connectors.map((connector) => this.#made(connector, undefined));
    const status = connectors.length > 0 ? "connecting" : "offline";
    this.#current = { status, reason: undefined };
  }

  get status(): ConnectionStatus {
    return this.#current.status;
  }

  get reason(): LastwriteError | undefined {
    return this.#current.reason;
  }

  get pendingCount(): number {
    const counts = this.#connections.map(({ ledger }) => ledger.pendingCount);
    return counts.length > 0 ? Math.min(...counts) : 0;
  }

  start(): void {
    this.#toldPendingCount = this.pendingCount;
    this.#stopListening = this.#options.host.onChange(() => this.#notePending());
    for (const connection of this.#connections) connection.start();
    const { peers } = this.#options.host;
    if (peers !== undefined) peers.onWanted = (addresses) => this.#keepTo(addresses, peers);
  }

  async close(reason: LastwriteError): Promise<void> {
    this.#isClosing = true;
    this.#stopListening();
    this.#rejectAll(reason);
    await Promise.all(this.#connections.map((connection) => connection.close(reason)));
  }

  synced(signal: AbortSignal | undefined): Promise<void> {
    if (signal?.aborted === true) return rejected(signal.reason);
    const { status, reason } = this.#current;
    if (status === "closed") return rejected(reason);
    return new Promise((resolve, reject) => {
      // Without it a process would end in silence while it waits for a network.
      const held = setInterval(() => {}, HELD_MS);
      const abort = (): void => settle(() => reject(asError(signal?.reason)));
      const settle = (act: () => void): void => {
        clearInterval(held);
        this.#waiters.delete(waiter);
        signal?.removeEventListener("abort", abort);
        act();
      };
      const waiter: Waiter = {
        head: this.#options.host.replica.entries.head(),
        questions: new Map(),
        resolve: () => settle(resolve),
        reject: (why) => settle(() => reject(asError(why))),
      };
      signal?.addEventListener("abort", abort, { once: true });
      this.#waiters.add(waiter);
      for (const connection of this.#connections) {
        const question = connection.ask();
        if (question !== undefined) waiter.questions.set(connection, question);
      }
    });
  }

  #made(connector: Connector, address: string | undefined): Connection {
    const { host, token, machine } = this.#options;
    const connection: Connection = new Connection({
      host,
      connector,
      address,
      token,
      machine,
      listener: {
        statusChanged: () => this.#statusChanged(connection),
        progressed: (progress) => this.#progressed(connection, progress),
      },
    });
    return connection;
  }

  /** Of the stores that others told of, stays connected to these alone. */
  #keepTo(addresses: readonly string[], peers: PeerExchange): void {
    for (const [address, connection] of this.#found) {
      if (!addresses.includes(address)) this.#drop(address, connection);
    }
    for (const address of addresses) {
      if (this.#found.has(address)) continue;
      const connector = peers.connectorOf(address);
      if (connector === undefined) continue;
      const connection = this.#made(connector, address);
      this.#found.set(address, connection);
      this.#connections.push(connection);
      connection.start();
    }
  }

  #drop(address: string, connection: Connection): void {
    this.#found.delete(address);
    this.#connections.splice(this.#connections.indexOf(connection), 1);
    this.#told.delete(connection);
    this.#forget(connection);
    const needless = new LastwriteError("link-failed", "others are enough");
    connection.close(needless).catch(() => {});
    this.#reviewStatus();
  }

  #statusChanged(connection: Connection): void {
    if (connection.progress === undefined) this.#forget(connection);
    if (this.#connections.includes(connection)) this.#reviewStatus();
  }

  #reviewStatus(): void {
    const ranks = this.#connections.map(({ status }) => STATUSES.indexOf(status));
    const best = this.#connections[ranks.indexOf(Math.min(...ranks))];
    const { status, reason } = best ?? { status: "offline", reason: undefined };
    if (status === this.#current.status && reason === this.#current.reason) return;
    this.#current = { status, reason };
    if (status === "closed") this.#rejectAll(reason);
    this.#options.onStatus(this.#current);
  }

  /** Questions of a session that ended are never answered; the next one compares everything anyway. */
  #forget(connection: Connection): void {
    for (const { questions } of this.#waiters) questions.delete(connection);
  }

  #progressed(connection: Connection, progress: RunProgress): void {
    for (const waiter of this.#waiters) {
      const question = waiter.questions.get(connection) ?? 0;
      const isReached = progress.isReceived && progress.ackedPlace >= waiter.head;
      if (isReached && progress.answerCount >= question) waiter.resolve();
    }
    this.#notePending();
    const { peerEntryCount: entryCount, remainingBytes } = progress;
    const told = this.#told.get(connection);
    if (told?.entryCount === entryCount && told.remainingBytes === remainingBytes) return;
    const event = { entryCount, remainingBytes };
    this.#told.set(connection, event);
    this.#options.onProgress(event);
  }

  #notePending(): void {
    if (this.#isPendingDue || !this.#options.isPendingWanted()) return;
    this.#isPendingDue = true;
    queueMicrotask(() => {
      this.#isPendingDue = false;
      if (this.#isClosing) return;
      const { pendingCount } = this;
      if (pendingCount === this.#toldPendingCount) return;
      this.#toldPendingCount = pendingCount;
      this.#options.onPending({ pendingCount });
    });
  }

  #rejectAll(reason: unknown): void {
    for (const waiter of this.#waiters) waiter.reject(reason);
  }
}

function rejected(reason: unknown): Promise<never> {
  return Promise.reject(asError(reason));
}

/** The reason of a signal is its owner's; without one the store is closed. */
function asError(reason: unknown): Error {
  if (reason === undefined) return new LastwriteError("store-closed", "the store is closed");
  return reason as Error;
}
