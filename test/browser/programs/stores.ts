/** What tests ask of stores in a page or a worker; plain data goes in and out. */

import {
  type Backend,
  type Engine,
  loadEngine,
  open,
  type Persistence,
  salvage,
  type Store,
} from "lastwrite";
import {
  indexedDbPersistence,
  type IndexedDbPersistence,
  type IndexedDbPersistenceOptions,
  opfsPersistence,
} from "lastwrite/persistence/indexeddb";

import { persistenceCases, type PlaceUnderTest } from "../../suites/persistence.ts";
import { collectElsewhere } from "../../suites/collect.ts";

/** Where a store of a case is kept. */
export type Medium = "shared" | "exclusive" | "opfs";

export interface OpenStore {
  /** For the calls below; the page has one store of each. Default: "store". */
  readonly as?: string;
  readonly name: string;
  /** Default: "indexeddb". */
  readonly medium?: "indexeddb" | "opfs";
  readonly durability?: "strict" | "relaxed";
  readonly backend?: Backend;
  readonly options?: IndexedDbPersistenceOptions;
  readonly readOnly?: boolean;
}

export interface StoreState {
  readonly digest: string;
  readonly size: number;
  /** Version, as hex. */
  readonly version: string;
  readonly replicaId: string | undefined;
  readonly isLeader: boolean;
  readonly unflushedCount: number;
  /** Codes of what was reported. */
  readonly reports: readonly string[];
  /** Codes of what could not be kept. */
  readonly errors: readonly string[];
}

/** Every call rejects with `<code>: <message>` for what the library throws. */
export interface Stores {
  runCase(name: string, medium: Medium, backend: Backend): Promise<void>;
  open(request: OpenStore): Promise<void>;
  close(as?: string): Promise<void>;
  /** Closes only what is below the store, as a crash would. */
  abandon(as?: string): Promise<void>;
  set(key: string, value: string, as?: string): Promise<void>;
  get(key: string, as?: string): Promise<unknown>;
  flush(as?: string): Promise<void>;
  state(as?: string): Promise<StoreState>;
  /** Writes keys `<prefix><from>` to before `<prefix><to>`, each flushed before the next. */
  write(prefix: string, from: number, to: number, as?: string): Promise<number>;
  /** Writes and removes a key, and forgets at once that it was there, before any other tab may know. */
  collect(as?: string): Promise<number>;
  /** Flushes, and answers the code with which that is refused, or "". */
  flushCode(as?: string): Promise<string>;
  /** What can be read of a damaged store: how many keys, and what not. */
  salvage(name: string): Promise<{ readonly keyCount: number; readonly lostCount: number }>;
  /** The keys that `write` was told are kept, each once. */
  takeKept(): Promise<readonly string[]>;
  /** Of these keys, those that have no value. */
  missing(keys: readonly string[], as?: string): Promise<readonly string[]>;
  /** Puts that many strings of 64 KiB under random keys, each flushed, until one is refused; answers the code, or "". */
  fill(count: number, as?: string): Promise<string>;
}

interface Opened {
  readonly store: Store;
  readonly persistence: Persistence & Partial<IndexedDbPersistence>;
  readonly reports: string[];
  readonly errors: string[];
}

const opened = new Map<string, Opened>();
const keptKeys: string[] = [];
const engines = new Map<Backend, Promise<Engine>>();
let lastPlace = 0;

function find(as = "store"): Opened {
  const found = opened.get(as);
  if (found === undefined) throw new Error(`no store is open as ${as}`);
  return found;
}

function engineOf(backend: Backend): Promise<Engine> {
  const engine = engines.get(backend) ?? loadEngine({ backend });
  engines.set(backend, engine);
  return engine;
}

export const stores: Stores = {
  async runCase(name, medium, backend) {
    const found = persistenceCases.find((each) => each.name === name);
    if (found === undefined) throw new Error(`there is no case ${name}`);
    const others = (["wasm", "script"] as const).filter((each) => each !== backend);
    const [first, ...more] = await Promise.all([backend, ...others].map(engineOf));
    if (first === undefined) throw new Error("there is no engine");
    const place = placeOf(medium);
    try {
      await found.run({ place, engines: [first, ...more] });
    } finally {
      await place.remove();
    }
  },

  async open({ as = "store", name, medium, durability, backend = "script", options, readOnly }) {
    const persistence =
      medium === "opfs" ? opfsPersistence(name) : indexedDbPersistence(name, options);
    const reports: string[] = [];
    const store = await open({
      persistence,
      engine: await engineOf(backend),
      readOnly: readOnly ?? false,
      onReport: ({ code }) => reports.push(code),
      ...(durability !== undefined && { durability }),
    });
    const errors: string[] = [];
    store.on("error", ({ code }) => errors.push(code));
    opened.set(as, { store, persistence, reports, errors });
  },

  async close(as = "store") {
    const { store } = find(as);
    opened.delete(as);
    await store.close();
  },

  abandon: async (as) => find(as).persistence.close(),
  set: async (key, value, as) => void find(as).store.set(key, value),
  get: async (key, as) => find(as).store.get(key),
  flush: async (as) => find(as).store.flush(),

  async state(as) {
    const { store, persistence, reports, errors } = find(as);
    return {
      digest: store.digest(),
      size: store.size,
      version: Array.from(store.version(), (byte) => byte.toString(16).padStart(2, "0")).join(""),
      replicaId: store.replicaId,
      isLeader: persistence.isLeader ?? false,
      unflushedCount: store.unflushedCount,
      reports,
      errors,
    };
  },

  async write(prefix, from, to, as) {
    const { store } = find(as);
    for (let index = from; index < to; index++) {
      const key = `${prefix}${index}`;
      store.set(key, index);
      await store.flush();
      keptKeys.push(key);
    }
    return to - from;
  },

  async collect(as) {
    const { store } = find(as);
    store.set("temporary", 1);
    store.delete("temporary");
    const count = collectElsewhere(store, await engineOf("script"));
    await store.flush();
    return count;
  },

  async flushCode(as) {
    try {
      await find(as).store.flush();
      return "";
    } catch (error) {
      return (error as { readonly code: string }).code;
    }
  },

  async salvage(name) {
    const engine = await engineOf("script");
    const { keyCount, lost } = await salvage(indexedDbPersistence(name), { engine });
    return { keyCount, lostCount: lost.length };
  },

  takeKept: async () => keptKeys.splice(0),

  async missing(keys, as) {
    const { store } = find(as);
    return keys.filter((key) => !store.has(key));
  },

  async fill(count, as) {
    const { store } = find(as);
    for (let index = 0; index < count; index++) {
      const noise = crypto.getRandomValues(new Uint8Array(65_536));
      store.set(`noise/${crypto.randomUUID()}`, noise);
      try {
        await store.flush();
      } catch (error) {
        return (error as { readonly code: string }).code;
      }
    }
    return "";
  },
};

/** As text, which crosses every channel. */
export function errorText(error: unknown): string {
  const { code } = error as { readonly code?: unknown };
  const text = error instanceof Error ? `${error.message}\n${error.stack ?? ""}` : String(error);
  return typeof code === "string" ? `${code}: ${text}` : text;
}

function placeOf(medium: Medium): PlaceUnderTest {
  lastPlace++;
  const name = `case ${medium} ${lastPlace} ${crypto.randomUUID()}`;
  if (medium === "opfs") {
    return {
      opener: () => opfsPersistence(name),
      async remove() {
        const root = await navigator.storage.getDirectory();
        const folder = await root.getDirectoryHandle("lastwrite", { create: true });
        await folder.removeEntry(encodeURIComponent(name), { recursive: true }).catch(() => {});
      },
    };
  }
  return {
    opener: () => indexedDbPersistence(name, { tabs: medium }),
    remove: () =>
      new Promise((resolve, reject) => {
        const request = indexedDB.deleteDatabase(`lastwrite/${name}`);
        request.addEventListener("success", () => resolve());
        request.addEventListener("error", () => reject(new Error(String(request.error))));
      }),
  };
}
