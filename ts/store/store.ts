/** A dictionary and what keeps it: hands calls on, and sees to it that what they change reaches the medium. */

import { lastCounter } from "../codec/dots.ts";
import type { Value } from "../codec/value.ts";
import { decodeVersion } from "../codec/version.ts";
import type {
  Dictionary,
  KeyRange,
  Listener,
  MergeResult,
  PartsOptions,
  ReadRange,
  RestampOptions,
  Stamp,
  WriteOptions,
} from "../dictionary/contract.ts";
import { LastwriteError } from "../errors.ts";
import type { Persistence } from "../persistence/contract.ts";
import type { Store, StoreEvents } from "./contract.ts";
import type { StoreEmitter } from "./events.ts";
import { asStoreError, type Keeper, storeClosed } from "./keeper.ts";

export interface StoreParts {
  readonly dictionary: Dictionary;
  readonly persistence: Persistence;
  /** Undefined where the store is only looked at. */
  readonly keeper: Keeper | undefined;
  readonly emitter: StoreEmitter;
}

export class PersistentStore implements Store {
  readonly #parts: StoreParts;
  readonly #dictionary: Dictionary;
  readonly #keeper: Keeper | undefined;
  /** Whether something was written under the replica id, as far as that was asked. */
  #hasWritten = false;
  #isInTransaction = false;
  #closing: Promise<void> | undefined;
  /** What was not kept when the store was closed. */
  #lostCount: number | undefined;
  /** Why writes are refused. */
  #refusal: (() => LastwriteError) | undefined;

  constructor(parts: StoreParts) {
    this.#parts = parts;
    this.#dictionary = parts.dictionary;
    this.#keeper = parts.keeper;
    if (parts.keeper === undefined) this.#refusal = () => readOnly(parts.persistence.name);
  }

  get replicaId(): string | undefined {
    const { replicaId } = this.#readable;
    if (this.#hasWritten) return replicaId;
    const hasWritten = lastCounter(decodeVersion(this.#dictionary.version()), replicaId) > 0;
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
    return this.#changed(this.#writable.collectTombstones(horizon));
  }

  reread(snapshot: Uint8Array | Iterable<Uint8Array>): MergeResult {
    return this.#changed(this.#writable.reread(snapshot));
  }

  flush(): Promise<void> {
    if (this.#closing !== undefined) return Promise.reject(storeClosed());
    return this.#keeper?.flush(false) ?? Promise.resolve();
  }

  on<Name extends keyof StoreEvents>(
    name: Name,
    listener: (event: StoreEvents[Name]) => void,
  ): () => void {
    return this.#parts.emitter.on(name, listener);
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

  async #close(): Promise<void> {
    this.#refusal = storeClosed;
    const { keeper, persistence, emitter } = this.#parts;
    const failures: unknown[] = [];
    const note = (error: unknown): void => void failures.push(asStoreError(error, persistence));
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

  #written(won: boolean): boolean {
    if (won) this.#keeper?.touch();
    return won;
  }

  /** After what may have changed the state, an export (which raises the floor of later restamps) included. */
  #changed<T>(answer: T): T {
    this.#keeper?.touch();
    return answer;
  }
}

function readOnly(name: string): LastwriteError {
  return new LastwriteError(
    "store-read-only",
    `${name} was opened for reading only; open it without readOnly to write`,
  );
}
