/** What all workloads of persistence are measured with: one engine, stores on it, and clocks that take turns. */
import assert from "node:assert/strict";
import { join } from "node:path";
import type { Engine, OpenOptions, Store } from "lastwrite";
import type { Effort } from "../tasks.ts";
import { loadSubject } from "../subjects.ts";
import type { EngineName, Subject } from "../subjects.ts";
import { assertHolds, dataset, snapshotOf } from "../workloads.ts";
import type { Dataset } from "../workloads.ts";
import { inFolder } from "./place.ts";

type Package = typeof import("lastwrite");
type FilePackage = typeof import("lastwrite/persistence/file");

/** One engine, and the package as its users get it. */
export interface Kept extends Package {
  readonly engine: Engine;
  readonly filePersistence: FilePackage["filePersistence"];
  readonly subject: Subject;
}

export interface Measured {
  /** In the unit of the row. */
  readonly value: number;
  readonly beside: number;
  readonly runs: number;
}

/** One workload, measured from its preparation to its last check. */
export type Measurement = (kept: Kept, size: number, effort: Effort) => Promise<Measured>;

/** One of two things that are measured in turn. */
export interface Side {
  before?(): unknown;
  run(): unknown;
  /** Throws unless `run` did what it should; also undoes what has to be undone. */
  check?(): unknown;
}

export async function loadKept(backend: Exclude<EngineName, "js">): Promise<Kept> {
  const [lastwrite, { filePersistence }, subject] = await Promise.all([
    import("lastwrite"),
    import("lastwrite/persistence/file"),
    loadSubject(backend),
  ]);
  const engine = await lastwrite.loadEngine({ backend });
  return { ...lastwrite, engine, filePersistence, subject };
}

/** The medians in milliseconds of what runs in turn, so often each, after one turn that is not counted. */
export async function inTurn(runs: number, ...sides: readonly Side[]): Promise<readonly number[]> {
  const taken = sides.map((): number[] => []);
  for (let turn = 0; turn <= runs; turn += 1) {
    for (const [index, side] of sides.entries()) {
      await side.before?.();
      globalThis.gc?.();
      const startMs = performance.now();
      await side.run();
      const endMs = performance.now();
      await side.check?.();
      if (turn > 0) taken[index]?.push(endMs - startMs);
    }
  }
  return taken.map(median);
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** The value that this part of all is below. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((left, right) => left - right);
  const value = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))];
  assert(value !== undefined);
  return value;
}

/** Opens the store of a folder. */
export function openStore(
  { open, engine, filePersistence }: Kept,
  folder: string,
  options: Partial<OpenOptions> = {},
): Promise<Store> {
  return open({ persistence: filePersistence(join(folder, "store.lw")), engine, ...options });
}

/** Calls `use` with the folder of a closed store that holds the data set as five writers left it. */
export function withStore<T>(
  kept: Kept,
  size: number,
  use: (folder: string, data: Dataset) => Promise<T>,
): Promise<T> {
  return inFolder(async (folder) => {
    const data = dataset(0, size);
    const store = await openStore(kept, folder);
    store.merge(snapshotOf(kept.subject, data));
    await store.close();
    return use(folder, data);
  });
}

/** The data set in a dictionary that nothing keeps. */
export function looseDictionary(
  { createDictionary, engine, subject }: Kept,
  data: Dataset,
): ReturnType<Package["createDictionary"]> {
  const dictionary = createDictionary({ engine, snapshot: snapshotOf(subject, data) });
  assertHolds(dictionary, data);
  return dictionary;
}

/** Resolves when all that was waiting has had its turn, timers included. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
