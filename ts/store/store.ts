/** A dictionary and what keeps it: hands calls on, and sees to it that what they change reaches the medium. */

import type { Value } from "../codec/value.ts";
import type {
  Dictionary,
  KeyRange,
  Listener,
  MergeResult,
  PartsOptions,
  ReadRange,
  Report,
  RestampOptions,
  Stamp,
  WriteOptions,
} from "../dictionary/contract.ts";
import { LastwriteError } from "../errors.ts";
import type { Attributes } from "../persistence/attributes.ts";
import type { Persistence } from "../persistence/contract.ts";
import { asStoreError } from "../persistence/failure.ts";
import type { ConnectionStatus, Machine } from "../sync/connection.ts";
import { Connections } from "../sync/connections.ts";
import { type Roles, type StoreHost, syncHostOf } from "../sync/host.ts";
import type { PresenceValue, Present } from "../sync/presence.ts";
import { runSession } from "../sync/run.ts";
import type { Connector, Link } from "../transport/contract.ts";
import type { Timers } from "../transport/timers.ts";
import type { Store, StoreEvents, SyncOptions } from "./contract.ts";
import type { StoreClock } from "../sync/clock.ts";
import type { StoreEmitter } from "./events.ts";
import { ownCounter } from "./identity.ts";
import { type Keeper, storeClosed } from "./keeper.ts";

export interface StoreParts extends Roles {
  readonly dictionary: Dictionary;
  readonly persistence: Persistence;
  /** Undefined where the store is only looked at. */
  readonly keeper: Keeper | undefined;
  readonly emitter: StoreEmitter;
  readonly attributes: Attributes;
  readonly driftMaxMs: number;
  readonly clock: StoreClock;
  readonly report: (report: Report) => void;
  readonly timers: Timers;
  readonly monotonicNow: () => number;
  readonly random: () => number;
}

export class PersistentStore implements Store {
  readonly #parts: StoreParts;
  readonly #dictionary: Dictionary;
  readonly #keeper: Keeper | undefined;
  /** Whether something was written under the replica id, as far as that was asked. */
  #hasWritten = false;
  readonly #listeners = new Set<() => void>();
  readonly #syncing = new Set<Promise<void>>();
  readonly #stop = new AbortController();
  #host: StoreHost | undefined;
  #connections: Connections | undefined;
  #isInTransaction = false;
  #revision = 0;
  #closing: Promise<void> | undefined;
  /** What was not kept when the store was closed. */
  #lostCount: number | undefined;
  /** Why writes are refused. */
  #refusal: (() => LastwriteError) | undefined;

  constructor(parts: StoreParts) {
    this.#parts = parts;
    this.#dictionary = parts.dictionary;
    this.#keeper = parts.keeper;
    // Says so, if it has not yet.
    if (parts.collector !== undefined) void this.syncHost;
    if (parts.keeper === undefined) this.#refusal = () => readOnly(parts.persistence.name);
  }

  get replicaId(): string | undefined {
    const { replicaId } = this.#readable;
    if (this.#hasWritten) return replicaId;
    const hasWritten = ownCounter(this.#dictionary) > 0;
    // What is written inside a transaction may be undone.
    this.#hasWritten = hasWritten && !this.#isInTransaction;
    return hasWritten ? replicaId : undefined;
  }

  get size(): number {
    return this.#readable.size;
  }

  get clockAhead(): boolean {
    return this.#readable.clockAhead;
  }

  get unflushedCount(): number {
    return this.#lostCount ?? this.#keeper?.unflushedCount ?? 0;
  }

  get status(): ConnectionStatus {
    if (this.#closing !== undefined) return "closed";
    return this.#connections?.status ?? "offline";
  }

  get statusReason(): LastwriteError | undefined {
    return this.#closing === undefined ? this.#connections?.reason : undefined;
  }

  get pendingCount(): number {
    return this.#closing === undefined ? (this.#connections?.pendingCount ?? 0) : 0;
  }

  get presence(): readonly Present[] {
    return this.#closing === undefined ? this.syncHost.presence.present : [];
  }

  setPresence(value: PresenceValue | undefined): void {
    if (this.#closing !== undefined) throw storeClosed();
    this.syncHost.presence.set(value);
  }

  get(key: string): Value | undefined {
    return this.#readable.get(key);
  }

  has(key: string): boolean {
    return this.#readable.has(key);
  }

  set(key: string, value: Value, options?: WriteOptions): boolean {
    return this.#written(this.#writable.set(key, value, options));
  }

  delete(key: string, options?: WriteOptions): boolean {
    return this.#written(this.#writable.delete(key, options));
  }

  deletePrefix(prefix: string): number {
    const count = this.#writable.deletePrefix(prefix);
    this.#written(true);
    return count;
  }

  clear(): number {
    return this.deletePrefix("");
  }

  keys(range?: ReadRange): IterableIterator<string> {
    return this.#readable.keys(range);
  }

  values(range?: ReadRange): IterableIterator<Value> {
    return this.#readable.values(range);
  }

  entries(range?: ReadRange): IterableIterator<[key: string, value: Value]> {
    return this.#readable.entries(range);
  }

  transaction<T>(fn: () => T): T {
    const isOuter = !this.#isInTransaction;
    this.#isInTransaction = true;
    try {
      return this.#writable.transaction(fn);
    } catch (error) {
      this.#revision++;
      throw error;
    } finally {
      if (isOuter) this.#isInTransaction = false;
    }
  }

  subscribe(range: KeyRange, listener: Listener): () => void {
    return this.#readable.subscribe(range, listener);
  }

  merge(frame: Uint8Array): MergeResult {
    return this.#changed(this.#writable.merge(frame));
  }

  deltaSince(version?: Uint8Array): Uint8Array {
    return this.#changed(this.#readable.deltaSince(version));
  }

  deltaParts(version?: Uint8Array, options?: PartsOptions): Iterable<Uint8Array> {
    return this.#changed(this.#readable.deltaParts(version, options));
  }

  snapshot(): Uint8Array {
    return this.#changed(this.#readable.snapshot());
  }

  snapshotParts(options?: PartsOptions): Iterable<Uint8Array> {
    return this.#changed(this.#readable.snapshotParts(options));
  }

  version(): Uint8Array {
    return this.#readable.version();
  }

  horizon(): Uint8Array {
    return this.#readable.horizon();
  }

  digest(): string {
    return this.#readable.digest();
  }

  stampOf(key: string): Stamp | undefined {
    return this.#readable.stampOf(key);
  }

  restamp(options?: RestampOptions): number {
    return this.#changed(this.#writable.restamp(options));
  }

  collectTombstones(horizon: Uint8Array): number {
    const dictionary = this.#writable;
    if (!this.syncHost.isCollector) throw notCollector();
    return this.#changed(dictionary.collectTombstones(horizon));
  }

  reread(snapshot: Uint8Array | Iterable<Uint8Array>): MergeResult {
    return this.#changed(this.#writable.reread(snapshot));
  }

  flush(): Promise<void> {
    if (this.#closing !== undefined) return Promise.reject(storeClosed());
    return this.#keeper?.flush(false) ?? Promise.resolve();
  }

  synced({ signal }: { readonly signal?: AbortSignal } = {}): Promise<void> {
    if (this.#closing !== undefined) return Promise.reject(storeClosed());
    return this.#connections?.synced(signal) ?? Promise.reject(notConnected());
  }

  on<Name extends keyof StoreEvents>(
    name: Name,
    listener: (event: StoreEvents[Name]) => void,
  ): () => void {
    return this.#parts.emitter.on(name, listener);
  }

  async sync(
    link: Link,
    { signal, live = false, onProgress, room, token, form }: SyncOptions = {},
  ): Promise<void> {
    checkLink(link);
    if (this.#refusal !== undefined) {
      link.close();
      throw this.#refusal();
    }
    const running = runSession({
      host: this.syncHost,
      link,
      once: !live,
      signal:
        signal === undefined ? this.#stop.signal : AbortSignal.any([signal, this.#stop.signal]),
      ...(onProgress !== undefined && {
        onProgress: ({ remainingBytes, peerEntryCount }) =>
          onProgress({ remainingBytes, entryCount: peerEntryCount }),
      }),
      ...(room !== undefined && { room }),
      ...(token !== undefined && { token }),
      ...(form !== undefined && { form }),
    });
    this.#syncing.add(running);
    try {
      await running;
    } finally {
      this.#syncing.delete(running);
    }
  }

  close(): Promise<void> {
    if (this.#isInTransaction) {
      return Promise.reject(
        new LastwriteError(
          "transaction-open",
          "close cannot be called inside a transaction; call it afterwards",
        ),
      );
    }
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Writes are refused from now on: the medium takes nothing any more. */
  refuse(error: LastwriteError): void {
    this.#refusal ??= () =>
      new LastwriteError(error.code, error.message, {
        cause: error,
        ...(error.damage && { damage: error.damage }),
      });
  }

  /** This store, for sessions. */
  get syncHost(): StoreHost {
    if (this.#host !== undefined) return this.#host;
    const { keeper, persistence, emitter } = this.#parts;
    this.#host = syncHostOf({
      ...this.#parts,
      failed: (error) => emitter.emit("error", asStoreError(error, persistence.name)),
      isShared: persistence.share !== undefined,
      revision: () => this.#revision,
      keep: (sync) => keeper?.flush(sync) ?? Promise.resolve(),
      touch: () => this.#touch(),
      onChange: (listener) => {
        this.#listeners.add(listener);
        return () => this.#listeners.delete(listener);
      },
    });
    const { presence } = this.#host;
    presence.onChange = () => emitter.emit("presence", presence.present);
    return this.#host;
  }

  /** Stays connected to all of these until it is closed. Called once at most. */
  connect(connectors: readonly Connector[], token: string | undefined, machine: Machine): void {
    const { emitter } = this.#parts;
    this.#connections = new Connections({
      host: this.syncHost,
      connectors,
      token,
      machine,
      onStatus: (event) => emitter.emit("status", event),
      onProgress: (event) => emitter.emit("progress", event),
      onPending: (event) => emitter.emit("pending", event),
      isPendingWanted: () => emitter.has("pending"),
    });
    this.#connections.start();
  }

  async #close(): Promise<void> {
    this.#refusal = storeClosed;
    this.#stop.abort(storeClosed());
    await Promise.allSettled([...this.#syncing, this.#connections?.close(storeClosed())]);
    this.#host?.stop();
    const { keeper, persistence, emitter } = this.#parts;
    const failures: unknown[] = [];
    const note = (error: unknown): void =>
      void failures.push(asStoreError(error, persistence.name));
    await keeper?.close().catch(note);
    this.#lostCount = keeper?.unflushedCount ?? 0;
    this.#dictionary.close();
    await persistence.close().catch(note);
    emitter.emit("close", undefined);
    if (failures.length > 0) throw failures[0];
  }

  get #readable(): Dictionary {
    if (this.#closing !== undefined) throw storeClosed();
    return this.#dictionary;
  }

  get #writable(): Dictionary {
    if (this.#refusal !== undefined) throw this.#refusal();
    return this.#dictionary;
  }

  #touch(): void {
    this.#keeper?.touch();
    for (const listener of this.#listeners) listener();
  }

  #written(won: boolean): boolean {
    if (won) {
      this.#revision++;
      this.#touch();
    }
    return won;
  }

  /** After what may have changed the state, an export (which raises the floor of later restamps) included. */
  #changed<T>(answer: T): T {
    this.#revision++;
    this.#touch();
    return answer;
  }
}

function notCollector(): LastwriteError {
  return new LastwriteError(
    "not-collector",
    "another store collects tombstones, or none; open one store, such as that of the server, with `collector: true`",
  );
}

function notConnected(): LastwriteError {
  return new LastwriteError(
    "invalid-argument",
    "the store has no connections; open it with `connect`, or call sync(link)",
  );
}

function checkLink(link: Link | undefined): void {
  if (typeof link?.start === "function" && typeof link.send === "function") return;
  throw new LastwriteError(
    "invalid-argument",
    "sync takes a link, such as linkOfSocket(socket); of a connector, `await connector.connect(signal)`",
  );
}

function readOnly(name: string): LastwriteError {
  return new LastwriteError(
    "store-read-only",
    `${name} was opened for reading only; open it without readOnly to write`,
  );
}
