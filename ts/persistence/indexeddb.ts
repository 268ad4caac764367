/** Keeps a store in a browser: in IndexedDB, for pages and workers, or in a file of the origin's own file system, for workers. */

import { invalid } from "../dictionary/arguments.ts";
import { LastwriteError } from "../errors.ts";
import type {
  LostBytes,
  OpenContext,
  Persistence,
  SharedReplica,
  WriteContext,
} from "./contract.ts";
import { IndexedDbLog, unavailable } from "./indexeddb-log.ts";
import { checkStoreName } from "./opfs.ts";
import { TabSession } from "./tab-session.ts";

export { opfsPersistence } from "./opfs.ts";

/** How tabs go together, and what is asked of the browser. */
export interface IndexedDbPersistenceOptions {
  /**
   * `"shared"`: any number of tabs and workers may have the store open; one of them leads and writes for all. `"exclusive"`: only one may, and others
   * get `store-locked`. The same in all of them. Default: `"shared"`.
   */
  readonly tabs?: "shared" | "exclusive";
  /**
   * Whether opening asks the browser not to evict what this site keeps (`navigator.storage.persist()`), which some browsers ask the user about. What was answered
   * `navigator.storage.persisted()` tells. Has no effect in workers, where it cannot be asked. Default: false.
   */
  readonly persist?: boolean;
  /** How long a write waits for a leading tab that does not answer, before it is refused with `storage-unavailable` and tried again later. Default: 30,000. */
  readonly answerMaxMs?: number;
}

export interface IndexedDbPersistence extends Persistence {
  /** Whether this is the tab that writes to the database, of all that have the store open now: the one to speak to a server, if only one should. */
  readonly isLeader: boolean;
}

/**
 * Keeps a store in the IndexedDB database `lastwrite/<name>`, in a page or a worker of a secure context (https, or localhost).
 *
 * Tabs that have it open see each other's writes; `flush()` in any of them resolves when the leading one has kept them. Opening rejects with `storage-unavailable` where
 * there is no IndexedDB (some private modes) or no Web Locks, with `store-newer` for what a later version of this library wrote. Writing rejects with `store-full` when the browser
 * gives the site no more space, and with `storage-unavailable` after the database was deleted or closed by the browser. Throws `invalid-argument` for an empty name
 * and for options that are none of theirs.
 *
 * @example
 * ```ts no-run
 * // It needs a browser.
 * import { open } from "lastwrite";
 * import { indexedDbPersistence } from "lastwrite/persistence/indexeddb";
 *
 * const store = await open({ persistence: indexedDbPersistence("notes") });
 * store.set("tasks/42/title", "Ship it");
 * await store.flush();
 * ```
 */
export function indexedDbPersistence(
  name: string,
  options: IndexedDbPersistenceOptions = {},
): IndexedDbPersistence {
  checkStoreName(name);
  checkOptions(options);
  return new BrowserPersistence(`lastwrite/${name}`, options);
}

const ANSWER_MAX_MS = 30_000;
/** No timer waits longer. */
const MILLIS_END = 2 ** 31;

function checkOptions(options: IndexedDbPersistenceOptions): void {
  if (typeof options !== "object" || options === null) {
    throw invalid('options are an object: { tabs: "exclusive" }');
  }
  const { tabs, persist, answerMaxMs } = options;
  if (tabs !== undefined && tabs !== "shared" && tabs !== "exclusive") {
    throw invalid(`\`tabs\` is "shared" or "exclusive", not ${JSON.stringify(tabs)}`);
  }
  if (persist !== undefined && typeof persist !== "boolean") {
    throw invalid(`\`persist\` is true or false, not ${JSON.stringify(persist)}`);
  }
  if (
    answerMaxMs !== undefined &&
    !(Number.isFinite(answerMaxMs) && answerMaxMs >= 0 && answerMaxMs < MILLIS_END)
  ) {
    throw invalid(`\`answerMaxMs\` is a number of milliseconds from 0, not ${answerMaxMs}`);
  }
}

class BrowserPersistence implements IndexedDbPersistence {
  readonly name: string;
  /** Only where tabs share it. */
  readonly share?: (replica: SharedReplica) => Promise<void>;
  readonly #options: IndexedDbPersistenceOptions;
  #log: IndexedDbLog | undefined;
  /** Undefined while it is open for reading. */
  #session: TabSession | undefined;

  constructor(name: string, options: IndexedDbPersistenceOptions) {
    this.name = name;
    this.#options = options;
    if (options.tabs === "exclusive") return;
    this.share = async (replica) => {
      this.#openLog();
      await this.#session?.share(replica);
    };
  }

  get isLeader(): boolean {
    return this.#session?.isLeading ?? false;
  }

  async open({ access }: Pick<OpenContext, "access">): Promise<void> {
    if (this.#log !== undefined) {
      throw new LastwriteError("store-locked", `${this.name} is open here already; close it first`);
    }
    if (access === "read") {
      this.#log = await IndexedDbLog.open(this.name, { mustExist: true });
      if (this.#log !== undefined) return;
      throw unavailable(this.name, "there is none; open it for writing once, which makes it");
    }
    const { tabs = "shared", persist = false, answerMaxMs = ANSWER_MAX_MS } = this.#options;
    const isExclusive = tabs === "exclusive";
    const session = await TabSession.open({ name: this.name, isExclusive, answerMaxMs });
    try {
      if (persist) await askForPersistence();
      const log = await IndexedDbLog.open(this.name, {
        mustExist: false,
        // Another tab may do better, and must not wait for this one.
        onLost: (error) => session.end(error),
      });
      if (log === undefined) throw unavailable(this.name, "it could not be made");
      session.use(log);
      this.#log = log;
      this.#session = session;
    } catch (error) {
      session.close();
      throw error;
    }
  }

  async *load(): AsyncGenerator<Uint8Array, void, undefined> {
    yield* this.#openLog().load();
    this.#session?.loaded();
  }

  salvage(): AsyncIterable<Uint8Array | LostBytes> {
    return this.#openLog().salvage();
  }

  async append(frame: Uint8Array, context: WriteContext): Promise<void> {
    await this.#openSession().append(frame, context);
  }

  async replace(frames: Iterable<Uint8Array>): Promise<void> {
    await this.#openSession().replace(frames);
  }

  async close(): Promise<void> {
    const [log, session] = [this.#log, this.#session];
    this.#log = undefined;
    this.#session = undefined;
    session?.close();
    log?.close();
  }

  #openLog(): IndexedDbLog {
    if (this.#log !== undefined) return this.#log;
    throw new LastwriteError("store-closed", `${this.name} is not open; call open() first`);
  }

  #openSession(): TabSession {
    this.#openLog();
    if (this.#session !== undefined) return this.#session;
    throw new LastwriteError(
      "store-read-only",
      `${this.name} is open for reading; open it to write`,
    );
  }
}

async function askForPersistence(): Promise<void> {
  try {
    await globalThis.navigator.storage.persist();
  } catch {
    // The answer changes nothing here; a worker cannot ask.
  }
}
