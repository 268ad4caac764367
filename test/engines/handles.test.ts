/** A closed dictionary stays closed, whatever takes its place, and a forgotten one is freed. */

import { setTimeout } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

import { describe, expect, test } from "vitest";

import type { Engine, EngineDictionary } from "../../ts/engine/contract.ts";
import { LastwriteError } from "../../ts/errors.ts";
import { handleOf, type HookedBackend, hookedBackends, loadHooked } from "./hooks.ts";

const NOW = 1_700_000_000_000;
const ID = new Uint8Array(16).fill(7);
const FRAME = new Uint8Array(9);

const calls: Record<string, (dictionary: EngineDictionary) => unknown> = {
  get: (dictionary) => dictionary.get("a"),
  has: (dictionary) => dictionary.has("a"),
  set: (dictionary) => dictionary.set("a", 1, NOW),
  "set bytes": (dictionary) => dictionary.set("a", Uint8Array.of(8, 1), NOW),
  delete: (dictionary) => dictionary.delete("a", NOW),
  writeAt: (dictionary) => dictionary.writeAt("a", 1, NOW, 0, ID, NOW),
  deletePrefix: (dictionary) => dictionary.deletePrefix("a/", NOW),
  size: (dictionary) => dictionary.size(),
  stampOf: (dictionary) => dictionary.stampOf("a"),
  scan: (dictionary) => dictionary.scan({ limit: 1 }),
  begin: (dictionary) => dictionary.begin(),
  commit: (dictionary) => dictionary.commit(),
  rollback: (dictionary) => dictionary.rollback(),
  merge: (dictionary) => dictionary.merge(FRAME, NOW, 0),
  refusals: (dictionary) => dictionary.refusals(),
  patch: (dictionary) => dictionary.patch(),
  watch: (dictionary) => dictionary.watch([]),
  version: (dictionary) => dictionary.version(),
  horizon: (dictionary) => dictionary.horizon(),
  collector: (dictionary) => dictionary.collector(),
  setCollector: (dictionary) => dictionary.setCollector(ID, NOW),
  frontier: (dictionary) => dictionary.frontier(),
  digest: (dictionary) => dictionary.digest(),
  replicaId: (dictionary) => dictionary.replicaId(),
  setSpareId: (dictionary) => dictionary.setSpareId(ID),
  delta: (dictionary) => dictionary.delta(undefined),
  snapshot: (dictionary) => dictionary.snapshot(),
  changesSince: (dictionary) => dictionary.changesSince(0),
  head: (dictionary) => dictionary.head(),
  collectTombstones: (dictionary) => dictionary.collectTombstones(FRAME, NOW),
  restamp: (dictionary) => dictionary.restamp(NOW),
  reread: (dictionary) => dictionary.reread([FRAME], NOW),
  fingerprints: (dictionary) => dictionary.fingerprints(ID, FRAME),
  hashes: (dictionary) => dictionary.hashes(ID, FRAME),
  entriesByHash: (dictionary) => dictionary.entriesByHash(ID, new Uint8Array(8)),
};

describe.each(hookedBackends)("on the %s engine", (backend: HookedBackend) => {
  test.each(Object.entries(calls))("%s after close() is `closed`", async (_, call) => {
    const dictionary = create(await loadHooked(backend));
    dictionary.close();
    expect(codeOf(() => call(dictionary))).toBe("closed");
    // Harmless when done twice.
    dictionary.close();
  });

  test("the handle of a closed dictionary never means a later one", async () => {
    const engine = await loadHooked(backend);
    const closed = create(engine);
    closed.close();
    const stale = handleOf(closed);
    // More often than a slot can be used again.
    for (let round = 0; round < 5_000; round += 1) {
      const later = create(engine);
      expect(handleOf(later)).not.toBe(stale);
      if (round % 100 === 0) {
        later.set("a", round, NOW);
        expect(codeOf(() => closed.get("a"))).toBe("closed");
        closed.close();
        expect(later.get("a")).toBe(round);
      }
      later.close();
    }
  });

  test("forgotten dictionaries make room for others", async () => {
    const engine = await loadHooked(backend);
    for (let index = 0; index < 300; index += 1) create(engine).set("a", index, NOW);
    await collectGarbage();
    const handles = Array.from({ length: 100 }, () => handleOf(create(engine)));
    // Without the garbage, the first of these would get a slot above 300.
    expect(Math.min(...handles.map((handle) => handle >> 11))).toBeLessThan(300);
  });
});

function create(engine: Engine): EngineDictionary {
  return engine.create({ replicaId: ID, spareId: ID, driftMaxMs: 60_000 });
}

function codeOf(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    return error instanceof LastwriteError ? error.code : String(error);
  }
  return "no error";
}

async function collectGarbage(): Promise<void> {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  for (let round = 0; round < 5; round += 1) {
    collect();
    await setTimeout(20);
  }
}
