/** The place in a page, which loads the package as the modules that it consists of, by an import map; and its worker. */

import * as lastwrite from "lastwrite";
import { loadWasmEngine } from "lastwrite/wasm";

import { createPlace, type Place } from "./place.ts";
import type { WorkerAnswer, WorkerMessage } from "./worker.ts";

/** What the test calls. */
export interface PageTests {
  /** Calls a place; loads its engine first. */
  ask(
    where: "page" | "script" | "worker",
    name: keyof Place,
    args: readonly unknown[],
  ): Promise<unknown>;
  /** The digest of the fixed history on an engine from each kind of source. */
  sources(address: string): Promise<Record<string, string>>;
  /** The digest of the fixed history in a worker that was posted a compiled module. */
  postedModule(address: string): Promise<string | undefined>;
  /** What several engines in this page hold, before and after they merge with each other. */
  severalEngines(
    count: number,
  ): Promise<{ readonly before: readonly number[]; readonly after: readonly string[] }>;
  /** Which engine is chosen. */
  choice(): Promise<string>;
  /** Why an engine cannot be had. */
  refusal(options: lastwrite.LoadEngineOptions): Promise<string>;
  /** Deflates `plain`, and inflates each of `streams`, as numbers; what is refused by its code. */
  deflate(
    plain: readonly number[],
    streams: readonly (readonly number[])[],
  ): Promise<{
    readonly deflated: readonly number[];
    readonly inflated: readonly (readonly number[] | string)[];
  }>;
  /** Writes a line of the page. */
  show(line: string): void;
}

declare global {
  var tests: PageTests;
}

const places = new Map<string, Promise<Place>>();
const worker = startWorker();

globalThis.tests = {
  async ask(where, name, args) {
    if (where === "worker") return worker.ask(name, args);
    const place = await placeOf(where === "page" ? "wasm" : "script");
    return (place[name] as (...args: readonly unknown[]) => unknown)(...args);
  },

  async sources(address) {
    const whole = new URL(address, location.href);
    const bytes = await (await fetch(address)).arrayBuffer();
    const sources = {
      "a relative address": address,
      "a whole address": whole.href,
      "a URL": whole,
      "a response": fetch(address),
      bytes: new Uint8Array(bytes),
      "an ArrayBuffer": bytes,
      "a module": await WebAssembly.compile(bytes),
    };
    const digests: Record<string, string> = {};
    for (const [name, source] of Object.entries(sources)) {
      const place = createPlace(await loadWasmEngine(await source), lastwrite);
      digests[name] = place.history().states[0]?.digest ?? "";
    }
    const byLoadEngine = await lastwrite.loadEngine({ backend: "wasm", wasm: address });
    digests["loadEngine"] = createPlace(byLoadEngine, lastwrite).history().states[0]?.digest ?? "";
    return digests;
  },

  async postedModule(address) {
    const module = await WebAssembly.compileStreaming(fetch(address));
    const other = startWorker(module);
    const { states } = (await other.ask("history", [])) as ReturnType<Place["history"]>;
    other.end();
    return states[0]?.digest;
  },

  async severalEngines(count) {
    const engines = await Promise.all(
      Array.from({ length: count }, async () => lastwrite.loadEngine({ backend: "wasm" })),
    );
    const dictionaries = engines.map((engine, index) =>
      lastwrite.createDictionary({ engine, replicaId: String(index + 1).padStart(32, "0") }),
    );
    for (const [index, dictionary] of dictionaries.entries()) {
      for (let key = 0; key <= index; key += 1) dictionary.set(`${index}/${key}`, key);
    }
    const before = dictionaries.map(({ size }) => size);
    for (const from of dictionaries) {
      for (const to of dictionaries) to.merge(from.deltaSince(to.version()));
    }
    return { before, after: dictionaries.map((dictionary) => dictionary.digest()) };
  },

  choice: async () => (await lastwrite.loadEngine()).backend,

  async refusal(options) {
    try {
      await lastwrite.loadEngine(options);
      return "none";
    } catch (error) {
      const { code, message } = error as lastwrite.LastwriteError;
      return `${code}: ${message}`;
    }
  },

  async deflate(plain, streams) {
    const { deflate, inflate } = await deflateOfBrowsers();
    const inflated = streams.map(async (stream) => {
      try {
        return [...(await inflate(Uint8Array.from(stream), plain.length))];
      } catch (error) {
        return (error as lastwrite.LastwriteError).code;
      }
    });
    return {
      deflated: [...(await deflate(Uint8Array.from(plain)))],
      inflated: await Promise.all(inflated),
    };
  },

  show(line) {
    document
      .querySelector("ul")
      ?.append(Object.assign(document.createElement("li"), { textContent: line }));
  },
};

/** The module itself, since links are over networks. */
function deflateOfBrowsers(): Promise<typeof import("../../../ts/transport/deflate-default.ts")> {
  const address = "/dist/transport/deflate-default.js";
  return import(address) as ReturnType<typeof deflateOfBrowsers>;
}

async function placeOf(backend: lastwrite.Backend): Promise<Place> {
  const loading =
    places.get(backend) ??
    lastwrite.loadEngine({ backend }).then((engine) => createPlace(engine, lastwrite));
  places.set(backend, loading);
  return loading;
}

function startWorker(module?: WebAssembly.Module): {
  ask(name: keyof Place, args: readonly unknown[]): Promise<unknown>;
  end(): void;
} {
  const started = new Worker("/worker.js", { type: "module" });
  const waiting = new Map<number, (answer: WorkerAnswer) => void>();
  let lastId = 0;
  started.addEventListener("message", ({ data }: MessageEvent<WorkerAnswer>) => {
    waiting.get(data.id)?.(data);
    waiting.delete(data.id);
  });
  const failed = new Promise<never>((_, reject) => {
    started.addEventListener("error", ({ message }) =>
      reject(new Error(`the worker failed: ${message}`)),
    );
  });
  const post = async (message: (id: number) => WorkerMessage): Promise<unknown> => {
    lastId += 1;
    const id = lastId;
    const answer = new Promise<WorkerAnswer>((resolve) => waiting.set(id, resolve));
    started.postMessage(message(id));
    const { result, error } = await Promise.race([answer, failed]);
    if (error !== undefined) throw new Error(error);
    return result;
  };
  const loaded = post((id) => ({ id, module }));
  return {
    async ask(name, args) {
      await loaded;
      return post((id) => ({ id, name, args }));
    },
    end: () => started.terminate(),
  };
}
