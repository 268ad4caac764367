/**
 * What is measured, behind one small face, so that every column of the table runs the same code.
 *
 * `Replica` is the part of lastwrite's Dictionary that the workloads call; a Dictionary is one as it is, with no
 * wrapper in the way. What differs between the columns stands in `Subject`, and costs nothing inside the clock.
 */
import { LwwMap } from "./baseline/lww-map.ts";
import type { Value } from "./workloads.ts";

export interface Replica {
  get(key: string): unknown;
  set(key: string, value: Value): unknown;
  delete(key: string): unknown;
  version(): Uint8Array;
  deltaSince(version?: Uint8Array): Uint8Array;
  merge(delta: Uint8Array): unknown;
}

export interface ReplicaOptions {
  /** Names the writes; used by one replica only. */
  readonly writer: number;
  readonly clock?: () => number;
  readonly snapshot?: Uint8Array;
}

export interface Subject<R extends Replica = Replica> {
  readonly name: string;
  create(options: ReplicaOptions): R;
  snapshot(replica: R): Uint8Array;
  /** Makes the writes of `fn` one change, where the library has such a thing and is slow without. */
  batch(replica: R, fn: () => void): void;
  /** The bytes that bring the last write, to `key`, to a peer whose version is asked for now. */
  push(from: R, to: R, key: string): Uint8Array;
  /** The same for a peer known to be at `base`; or what the library itself sends out after a write. */
  pushKnown(from: R, base: Uint8Array, key: string): Uint8Array;
  /** The first entries in the order of keys that begin with `prefix`; absent without an order of keys. */
  firstByPrefix?(
    replica: R,
    prefix: string,
    limit: number,
  ): readonly (readonly [string, unknown])[];
  release(replica: R): void;
}

export const ENGINES = ["native", "wasm", "script", "js"] as const;
export type EngineName = (typeof ENGINES)[number];

type Package = typeof import("lastwrite");

/** The package is the built one, as its users get it; `load` is for those who cannot import it by its name. */
export async function loadSubject(
  name: EngineName,
  load: () => Promise<Package> = () => import("lastwrite"),
): Promise<Subject> {
  return name === "js" ? handWritten() : lastwrite(name, await load());
}

async function lastwrite(
  backend: Exclude<EngineName, "js">,
  { createDictionary, loadEngine }: Package,
): Promise<Subject> {
  const engine = await loadEngine({ backend });
  const subject: Subject<ReturnType<typeof createDictionary>> = {
    name: backend,
    create: ({ writer, clock = Date.now, snapshot }) =>
      createDictionary({
        engine,
        replicaId: writer.toString(16).padStart(32, "0"),
        clock,
        ...(snapshot && { snapshot }),
      }),
    snapshot: (dictionary) => dictionary.snapshot(),
    batch: (_, fn) => fn(),
    push: (from, to) => from.deltaSince(to.version()),
    pushKnown: (from, base) => from.deltaSince(base),
    firstByPrefix: (dictionary, prefix, limit) => [...dictionary.entries({ prefix, limit })],
    release: (dictionary) => dictionary[Symbol.dispose](),
  };
  return subject;
}

function handWritten(): Subject {
  // Spread over 31 bits: such a number takes the bytes that a random one takes.
  const subject: Subject<LwwMap> = {
    name: "js",
    create: ({ writer, clock, snapshot }) =>
      new LwwMap(Math.imul(writer, 0x9e3779b1) >>> 1, clock, snapshot),
    snapshot: (map) => map.deltaSince(),
    batch: (_, fn) => fn(),
    push: (from, _, key) => from.deltaOf(key),
    pushKnown: (from, _, key) => from.deltaOf(key),
    release: () => {},
  };
  return subject;
}
