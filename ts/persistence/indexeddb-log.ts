/** The frames of one store in a database of the browser: see docs/persistence/indexeddb.md for what lies in it. */

import { LastwriteError } from "../errors.ts";
import type { LostBytes, WriteContext } from "./contract.ts";

/** Of the layout, both as the version of the database and as a fact in it. */
const FORMAT = 1;

const FRAMES = "frames";
const FACTS = "facts";
const REPLICAS = "replicas";

type StoreName = typeof FRAMES | typeof FACTS | typeof REPLICAS;

/** What the store of facts holds, by name. */
interface Facts {
  /** See `FORMAT`. */
  readonly format: number;
  /** Another number each time that all frames are replaced: whoever reads in steps sees by it that they were. */
  readonly generation: number;
  /** How often a tab began to lead. */
  readonly term: number;
}

/** About as much is read at once. */
const BATCH_BYTES = 2 * 1024 * 1024;
const BATCH_FRAMES_FIRST = 8;
const BATCH_FRAMES_MAX = 4096;

/** The frames that were read at once; `last` is the key of the last of them. */
interface Batch {
  readonly frames: readonly unknown[];
  readonly last: IDBValidKey | undefined;
  readonly isLast: boolean;
}

/** A database that is open. */
export class IndexedDbLog {
  readonly #name: string;
  readonly #database: IDBDatabase;
  /** Why nothing can be done any more. */
  #ended: LastwriteError | undefined;

  private constructor(
    name: string,
    database: IDBDatabase,
    onLost: ((error: LastwriteError) => void) | undefined,
  ) {
    this.#name = name;
    this.#database = database;
    const end = (reason: string): void => {
      database.close();
      if (this.#ended !== undefined) return;
      this.#ended = unavailable(name, reason);
      onLost?.(this.#ended);
    };
    // Whoever deletes it, or has a later version of this library, would wait for us for ever.
    database.addEventListener("versionchange", () =>
      end("it is being deleted, or opened by a later version of this library; open it anew"),
    );
    database.addEventListener("close", () => end("the browser closed it; open it anew"));
  }

  /** Opens the database of this name; with `mustExist` answers undefined for one that is not there, and makes none. `onLost` is called when it is deleted, or closed by the browser. */
  static async open(
    name: string,
    {
      mustExist,
      onLost,
    }: { readonly mustExist: boolean; readonly onLost?: (error: LastwriteError) => void },
  ): Promise<IndexedDbLog | undefined> {
    const database = await openDatabase(name, mustExist);
    if (database === undefined) return undefined;
    const log = new IndexedDbLog(name, database, onLost);
    try {
      await log.#checkFormat();
      return log;
    } catch (error) {
      log.close();
      throw error;
    }
  }

  async append(frame: Uint8Array, { sync }: WriteContext): Promise<void> {
    await this.#write([FRAMES], sync, (transaction) => {
      transaction.objectStore(FRAMES).add(ownBytes(frame));
    });
  }

  async replace(frames: Iterable<Uint8Array>): Promise<void> {
    await this.#write([FRAMES, FACTS], true, (transaction) => {
      const store = transaction.objectStore(FRAMES);
      store.clear();
      for (const frame of frames) store.add(ownBytes(frame));
      transaction.objectStore(FACTS).put(Math.random(), "generation");
    });
  }

  /** The frames in order, a few at a time, as they were at one moment. */
  async *load(): AsyncGenerator<Uint8Array, void, undefined> {
    let transaction = this.#begin([FRAMES, FACTS], "readonly");
    const generation = await this.#fact(transaction, "generation");
    let count = BATCH_FRAMES_FIRST;
    let reading: Promise<Batch> | undefined = this.#readBatch(transaction, undefined, count);
    while (reading !== undefined) {
      const { frames, last, isLast } = await reading;
      reading = undefined;
      const checked = frames.map((frame) => this.#checkFrame(frame));
      if (!isLast) {
        const byteCount = checked.reduce((sum, { length }) => sum + length, 0);
        const fitting = Math.floor((BATCH_BYTES * checked.length) / Math.max(1, byteCount));
        count = Math.max(1, Math.min(BATCH_FRAMES_MAX, fitting));
        // Asked for before these are given away: a transaction lives as long as something is asked of it.
        try {
          reading = this.#readBatch(transaction, last, count);
        } catch {
          transaction = this.#begin([FRAMES, FACTS], "readonly");
          if ((await this.#fact(transaction, "generation")) !== generation) {
            throw unavailable(this.#name, "another tab replaced it while it was read; try again");
          }
          reading = this.#readBatch(transaction, last, count);
        }
        // Whoever stops half-way does not wait for it.
        reading.catch(() => {});
      }
      yield* checked;
    }
  }

  /** The frames that can be read, one by one, and which cannot. */
  async *salvage(): AsyncGenerator<Uint8Array | LostBytes, void, undefined> {
    const keys = await this.#ask(() =>
      settled(this.#begin([FRAMES], "readonly").objectStore(FRAMES).getAllKeys()),
    );
    for (const [index, key] of keys.entries()) {
      let frame: unknown;
      let reason = "it is not bytes";
      try {
        frame = await settled(this.#begin([FRAMES], "readonly").objectStore(FRAMES).get(key));
      } catch (error) {
        reason = String(error);
      }
      yield frame instanceof Uint8Array
        ? frame
        : { offset: 0, byteCount: 0, reason: `frame ${index + 1} of ${keys.length}: ${reason}` };
    }
  }

  /** Counts one more tab that leads, and answers its number: 1, 2, 3… */
  async nextTerm(): Promise<number> {
    const transaction = this.#begin([FACTS], "readwrite", "relaxed");
    return this.#ask(async () => {
      const complete = completed(transaction);
      const store = transaction.objectStore(FACTS);
      const request = store.get("term");
      let term = 1;
      request.addEventListener("success", () => {
        if (typeof request.result === "number") term = request.result + 1;
        store.put(term, "term");
      });
      await complete;
      return term;
    });
  }

  /** The replica ids that tabs lease, in no particular order. */
  async replicaIds(): Promise<readonly string[]> {
    const keys = await this.#ask(() =>
      settled(this.#begin([REPLICAS], "readonly").objectStore(REPLICAS).getAllKeys()),
    );
    return keys.map(String);
  }

  /** Adds one to those that tabs lease. */
  async addReplicaId(replicaId: string): Promise<void> {
    await this.#write([REPLICAS], false, (transaction) => {
      transaction.objectStore(REPLICAS).put(true, replicaId);
    });
  }

  /** Nobody leases it again. */
  async removeReplicaId(replicaId: string): Promise<void> {
    await this.#write([REPLICAS], false, (transaction) => {
      transaction.objectStore(REPLICAS).delete(replicaId);
    });
  }

  close(): void {
    this.#ended ??= new LastwriteError("store-closed", `${this.#name} is closed; open it anew`);
    this.#database.close();
  }

  async #checkFormat(): Promise<void> {
    const format = await this.#ask(() =>
      settled(this.#begin([FACTS], "readonly").objectStore(FACTS).get("format")),
    );
    if (format === FORMAT) return;
    if (typeof format === "number" && format > FORMAT) throw newer(this.#name);
    throw corrupt(this.#name, `it says that its format is ${String(format)}`);
  }

  #begin(
    stores: readonly StoreName[],
    mode: IDBTransactionMode,
    durability: IDBTransactionDurability = "default",
  ): IDBTransaction {
    if (this.#ended !== undefined) throw this.#ended;
    try {
      return this.#database.transaction(stores, mode, { durability });
    } catch (error) {
      // A database of this name that another program made.
      if (isNamed(error, "NotFoundError")) throw corrupt(this.#name, String(error), error);
      throw storageError(this.#name, error);
    }
  }

  /** Resolves when what `change` asked for is on the medium. */
  async #write(
    stores: readonly StoreName[],
    sync: boolean,
    change: (transaction: IDBTransaction) => void,
  ): Promise<void> {
    const transaction = this.#begin(stores, "readwrite", sync ? "strict" : "relaxed");
    const complete = completed(transaction);
    try {
      change(transaction);
      transaction.commit();
    } catch (error) {
      complete.catch(() => {});
      abort(transaction);
      throw storageError(this.#name, error);
    }
    return this.#ask(() => complete);
  }

  #readBatch(
    transaction: IDBTransaction,
    after: IDBValidKey | undefined,
    count: number,
  ): Promise<Batch> {
    const store = transaction.objectStore(FRAMES);
    const range = after === undefined ? null : IDBKeyRange.lowerBound(after, true);
    const [keys, values] = [store.getAllKeys(range, count), store.getAll(range, count)];
    return this.#ask(async () => {
      const [last, frames] = await Promise.all([settled(keys), settled<unknown[]>(values)]);
      return { frames, last: last.at(-1), isLast: frames.length < count };
    });
  }

  async #fact(transaction: IDBTransaction, name: keyof Facts): Promise<number> {
    const fact: unknown = await this.#ask(() => settled(transaction.objectStore(FACTS).get(name)));
    return typeof fact === "number" ? fact : 0;
  }

  #checkFrame(frame: unknown): Uint8Array {
    if (frame instanceof Uint8Array) return frame;
    throw corrupt(this.#name, "a frame is not bytes");
  }

  async #ask<Answer>(asked: () => Promise<Answer>): Promise<Answer> {
    try {
      return await asked();
    } catch (error) {
      throw storageError(this.#name, error);
    }
  }
}

/** The error that tells of what a browser's storage threw. */
export function storageError(name: string, error: unknown): LastwriteError {
  if (error instanceof LastwriteError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  if (isNamed(error, "QuotaExceededError")) {
    return new LastwriteError(
      "store-full",
      `${name}: the browser gives this site no more space; delete something, or ask for persistent storage`,
      { cause: error },
    );
  }
  if (isNamed(error, "VersionError")) return newer(name);
  // A value that lay in a file of its own, and is not there any more; one that cannot be decoded.
  if (["DataError", "NotReadableError", "DataCloneError"].some((each) => isNamed(error, each))) {
    return corrupt(name, reason, error);
  }
  return unavailable(name, reason, error);
}

/** That this cannot be reached now. */
export function unavailable(name: string, reason: string, cause?: unknown): LastwriteError {
  return new LastwriteError("storage-unavailable", `${name}: ${reason}`, { cause });
}

function newer(name: string): LastwriteError {
  return new LastwriteError(
    "store-newer",
    `${name} was written by a later version of this library; update it`,
  );
}

function corrupt(name: string, reason: string, cause?: unknown): LastwriteError {
  return new LastwriteError("store-corrupt", `${name}: ${reason}`, {
    cause,
    damage: { file: name, offset: 0, reason },
  });
}

function isNamed(error: unknown, name: string): boolean {
  return error instanceof Error && error.name === name;
}

function factory(name: string): IDBFactory {
  // Some private modes have none, or an accessor that throws.
  try {
    if (globalThis.indexedDB !== undefined) return globalThis.indexedDB;
  } catch (error) {
    throw unavailable(name, "the browser refuses IndexedDB here", error);
  }
  throw unavailable(name, "there is no IndexedDB here");
}

async function openDatabase(name: string, mustExist: boolean): Promise<IDBDatabase | undefined> {
  let isAbsent = false;
  try {
    const request = factory(name).open(name, FORMAT);
    request.addEventListener("upgradeneeded", () => {
      if (mustExist) {
        isAbsent = true;
        request.transaction?.abort();
        return;
      }
      request.result.createObjectStore(FRAMES, { autoIncrement: true });
      request.result.createObjectStore(REPLICAS);
      request.result.createObjectStore(FACTS).put(FORMAT, "format");
    });
    return await new Promise<IDBDatabase>((resolve, reject) => {
      request.addEventListener("success", () => resolve(request.result));
      request.addEventListener("error", () => reject(asError(request.error)));
      request.addEventListener("blocked", () => {
        // It may open later all the same, when nobody waits for it any more.
        request.addEventListener("success", () => request.result.close());
        reject(unavailable(name, "another tab has an older version of it open; close that tab"));
      });
    });
  } catch (error) {
    if (isAbsent) return undefined;
    throw storageError(name, error);
  }
}

function settled<Result>(request: IDBRequest<Result>): Promise<Result> {
  return new Promise((resolve, reject) => {
    request.addEventListener("success", () => resolve(request.result));
    request.addEventListener("error", () => reject(asError(request.error)));
  });
}

function completed(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.addEventListener("complete", () => resolve());
    // Some errors, such as that of a quota, show here only.
    transaction.addEventListener("abort", () => reject(asError(transaction.error)));
  });
}

function abort(transaction: IDBTransaction): void {
  try {
    transaction.abort();
  } catch {
    // It ended by itself.
  }
}

function asError(error: DOMException | null): Error {
  return error ?? new DOMException("the transaction was aborted", "AbortError");
}

/** Bytes that share memory with nothing: a view would be kept with all that lies around it. */
function ownBytes(bytes: Uint8Array): Uint8Array {
  return bytes.byteLength === bytes.buffer.byteLength ? bytes : bytes.slice();
}
