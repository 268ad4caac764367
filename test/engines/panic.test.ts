/** A panic in any function of an engine is an error of that engine, and the end of nothing else. */

import { readFileSync } from "node:fs";

import { describe, expect, test } from "vitest";

import type { Engine, EngineDictionary } from "../../ts/engine/contract.ts";
import { LastwriteError } from "../../ts/errors.ts";
import {
  exportedCalls,
  type HookedBackend,
  hookedBackends,
  injectPanic,
  loadHooked,
} from "./hooks.ts";

const NOW = 1_700_000_000_000;
const ID = new Uint8Array(16).fill(7);
const LONG = new Uint8Array(100_000);

interface Case {
  /** Calls what is to panic. */
  readonly run: (dictionary: EngineDictionary, engine: Engine) => unknown;
  /** Which call of the engine that is. Default: the first. */
  readonly call?: number;
}

/** How the layers above reach each function that an engine exports. */
const cases: Record<string, Case> = {
  create: { run: (_, engine) => create(engine) },
  close: { run: (dictionary) => dictionary.close() },
  get: { run: (dictionary) => dictionary.get("a") },
  getPlain: { run: (dictionary) => dictionary.get("a") },
  has: { run: (dictionary) => dictionary.has("a") },
  set: { run: (dictionary) => dictionary.set("a", Uint8Array.of(8, 1), NOW) },
  setPlain: { run: (dictionary) => dictionary.set("a", 1, NOW) },
  delete: { run: (dictionary) => dictionary.delete("a", NOW) },
  writeAt: { run: (dictionary) => dictionary.writeAt("a", 1, NOW, 0, ID, NOW) },
  deletePrefix: { run: (dictionary) => dictionary.deletePrefix("a/", NOW) },
  size: { run: (dictionary) => dictionary.size() },
  stampOf: { run: (dictionary) => dictionary.stampOf("a") },
  scan: { run: (dictionary) => dictionary.scan({ limit: 1 }) },
  begin: { run: (dictionary) => dictionary.begin() },
  commit: { run: (dictionary) => (dictionary.begin(), dictionary.commit()), call: 2 },
  rollback: { run: (dictionary) => (dictionary.begin(), dictionary.rollback()), call: 2 },
  merge: { run: (dictionary) => dictionary.merge(LONG.slice(0, 9), NOW, 0) },
  refusals: { run: (dictionary) => dictionary.refusals() },
  patch: { run: (dictionary) => dictionary.patch() },
  watch: { run: (dictionary) => dictionary.watch(["a/", "b/"]) },
  version: { run: (dictionary) => dictionary.version() },
  horizon: { run: (dictionary) => dictionary.horizon() },
  collector: { run: (dictionary) => dictionary.collector() },
  setCollector: { run: (dictionary) => dictionary.setCollector(ID, NOW) },
  frontier: { run: (dictionary) => dictionary.frontier() },
  digest: { run: (dictionary) => dictionary.digest() },
  replicaId: { run: (dictionary) => dictionary.replicaId() },
  setSpareId: { run: (dictionary) => dictionary.setSpareId(ID) },
  delta: { run: (dictionary) => dictionary.delta(undefined) },
  snapshot: { run: (dictionary) => dictionary.snapshot() },
  changesSince: { run: (dictionary) => dictionary.changesSince(0) },
  head: { run: (dictionary) => dictionary.head() },
  journal: { run: (dictionary) => dictionary.journal(new Uint8Array(0)) },
  isJournalBroken: { run: (dictionary) => dictionary.isJournalBroken() },
  replay: { run: (dictionary) => dictionary.replay(ID) },
  setReplicaId: { run: (dictionary) => dictionary.setReplicaId(ID) },
  collectTombstones: { run: (dictionary) => dictionary.collectTombstones(ID, NOW) },
  restamp: { run: (dictionary) => dictionary.restamp(NOW) },
  reread: { run: (dictionary) => dictionary.reread([ID, ID], NOW) },
  fingerprints: { run: (dictionary) => dictionary.fingerprints(ID, new Uint8Array(9)) },
  hashes: { run: (dictionary) => dictionary.hashes(ID, new Uint8Array(9)) },
  entriesByHash: { run: (dictionary) => dictionary.entriesByHash(ID, new Uint8Array(8)) },
  decodeEntries: { run: (_, engine) => engine.decodeEntries(ID) },
  encodeEntries: { run: (_, engine) => engine.encodeEntries(ID) },
  scratchMerge: { run: (_, engine) => engine.scratchMerge(ID, ID, NOW, 1) },
  part: { run: (dictionary) => dictionary.snapshot({ partBytesMax: 1 }), call: 2 },
  reason: { run: (dictionary) => dictionary.get(""), call: 2 },
  take: { run: (dictionary) => dictionary.get("long"), call: 2 },
  answer: { run: (dictionary) => dictionary.get("long"), call: 2 },
  release: { run: (dictionary) => dictionary.get("long"), call: 3 },
  reserve: { run: (dictionary) => dictionary.merge(LONG, NOW, 0) },
};

/** Only look where something lies, and have no body that could panic. */
const addresses = new Set(["desk", "note"]);
/** Belong to no engine that a panic could end: see test/persistence/lock.test.ts. */
const apart = new Set(["lockFile", "unlockFile"]);
/** Of wasm-bindgen, never called. */
const glue = /^__/;

const callsOf = Object.fromEntries(
  await Promise.all(
    hookedBackends.map(async (backend) => {
      const names = exportedCalls(await loadHooked(backend));
      return [
        backend,
        names.filter((name) => !addresses.has(name) && !apart.has(name) && !glue.test(name)),
      ];
    }),
  ),
) as Record<HookedBackend, string[]>;

describe.each(hookedBackends)("on the %s engine", (backend) => {
  test.each(callsOf[backend])(
    "a panic in %s is an error, and harms no other engine",
    async (name) => {
      const entry = cases[name];
      if (entry === undefined) throw new Error(`no case makes ${name} panic`);
      const bystander = filled(await loadHooked(backend));
      const engine = await loadHooked(backend);
      const dictionary = filled(engine);
      const sibling = filled(engine);

      injectPanic(engine, entry.call ?? 1);
      expect(poisoned(() => entry.run(dictionary, engine))).toContain("injected");

      for (const late of [dictionary, sibling]) {
        expect(poisoned(() => late.get("a"))).toContain("injected");
        expect(poisoned(() => late.set("a", 1, NOW))).toContain("injected");
        expect(poisoned(() => late.version())).toContain("injected");
        late.close();
      }
      expect(poisoned(() => create(engine))).toContain("injected");

      expect(bystander.get("a")).toBe(1);
      expect(bystander.set("b", name, NOW)).toBe(1);
      expect(bystander.get("b")).toBe(name);
      bystander.close();
    },
  );

  test("panics were tried in all of many functions", () => {
    expect(callsOf[backend].length).toBeGreaterThan(35);
  });
});

test("every function that #[napi] exports catches panics", () => {
  const source = readFileSync(new URL("../../bindings/node/src/lib.rs", import.meta.url), "utf8");
  const attributes = source.match(/#\[napi\b.*\]/g) ?? [];
  expect(attributes).toContain("#[napi(catch_unwind)]");
  // What runs at loading has nothing to save: a failure there is an engine that is not loaded.
  const bare = attributes.filter((attribute) => !attribute.includes("catch_unwind"));
  expect(bare).toEqual(["#[napi(module_exports)]"]);
});

function create(engine: Engine): EngineDictionary {
  return engine.create({ replicaId: ID, spareId: ID, driftMaxMs: 60_000 });
}

function filled(engine: Engine): EngineDictionary {
  const dictionary = create(engine);
  dictionary.set("a", 1, NOW);
  dictionary.set("b", "two", NOW);
  dictionary.set("long", LONG.fill(8), NOW);
  return dictionary;
}

/** The message of the `engine-poisoned` that `run` throws. */
function poisoned(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof LastwriteError && error.code === "engine-poisoned") return error.message;
    throw error;
  }
  return "nothing was thrown";
}
