/** What the tests of one adapter say to it: frames of a dictionary, and what comes back. */

import { createDictionary, type Engine, LastwriteError, type Persistence } from "lastwrite";

/** A dictionary whose changes come as journals, as a store has them. */
export interface Source {
  set(key: string, value: string | number): void;
  delete(key: string): void;
  deletePrefix(prefix: string): void;
  /** Collects all tombstones. */
  collect(): void;
  /** What changed since the last one. */
  frame(): Uint8Array;
  whole(): Uint8Array[];
  snapshot(): Uint8Array;
  /** Begins with what is there already. */
  replay(frames: readonly Uint8Array[]): void;
}

export function makeSource(engine: Engine, id = 1): Source {
  const dictionary = engine.create({
    replicaId: new Uint8Array(16).fill(id),
    spareId: new Uint8Array(16).fill(id + 1),
    driftMaxMs: 300_000,
  });
  let now = 1_700_000_000_000;
  return {
    set: (key, value) => void dictionary.set(key, value, now++),
    delete: (key) => void dictionary.delete(key, now++),
    deletePrefix: (prefix) => void dictionary.deletePrefix(prefix, now++),
    collect: () => void dictionary.collectTombstones(dictionary.version(), now++),
    frame: () => dictionary.journal(NO_ATTRIBUTES)[0] as Uint8Array,
    whole: () => dictionary.journal(NO_ATTRIBUTES, { whole: true }),
    snapshot: () => dictionary.snapshot()[0] as Uint8Array,
    replay(frames) {
      for (const frame of frames) dictionary.replay(frame);
      now += 1_000_000;
      dictionary.setReplicaId(new Uint8Array(16).fill(id));
    },
  };
}

/** Opens for writing and reads what is there. */
export async function opened(persistence: Persistence, engine: Engine): Promise<Persistence> {
  await persistence.open({ access: "write", engine });
  await framesOf(persistence);
  return persistence;
}

export async function framesOf(persistence: Persistence): Promise<Uint8Array[]> {
  const frames: Uint8Array[] = [];
  for await (const frame of persistence.load()) frames.push(frame);
  return frames;
}

/** The snapshot of what one that only looks finds there. */
export async function keptIn(persistence: Persistence, engine: Engine): Promise<Uint8Array> {
  const dictionary = engine.create({
    replicaId: new Uint8Array(16).fill(7),
    spareId: new Uint8Array(16).fill(8),
    driftMaxMs: 300_000,
  });
  await persistence.open({ access: "read", engine });
  for (const frame of await framesOf(persistence)) dictionary.replay(frame);
  await persistence.close();
  return dictionary.snapshot()[0] as Uint8Array;
}

/** The keys and values in a snapshot. */
export function contentOf(engine: Engine, snapshot: Uint8Array): Record<string, unknown> {
  const dictionary = createDictionary({ engine, snapshot });
  return Object.fromEntries(dictionary.entries());
}

/** The code of what it rejects with. */
export async function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => "it resolved",
    (error: unknown) => (error instanceof LastwriteError ? error.code : String(error)),
  );
}

const NO_ATTRIBUTES = new Uint8Array(0);
