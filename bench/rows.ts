/** The rows of the table: what each is called, in which unit, at which sizes, and what it must reach. */

export type Unit = "ms" | "µs" | "B" | "/s";

export interface Row {
  readonly id: string;
  readonly title: string;
  readonly unit: Unit;
  readonly sizes: readonly number[];
  /** Which columns are asked. Default: all. */
  readonly columns?: readonly string[];
  /** What one engine must reach at `goalSize`. */
  readonly goals?: { readonly native: Goal; readonly wasm: Goal };
  readonly goalSize?: number;
  /** The cost grows with the entries: what one of them costs at 1M is compared with 1k. */
  readonly perEntry?: boolean;
  /** Measured in a process of its own, this many times; the median counts. */
  readonly freshProcesses?: number;
}

/** At most this part of what the hand-written map takes, or at most this many units. */
export type Goal = { readonly ratioMax: number } | { readonly max: number };

const K = 1_000;
const M = 1_000_000;
const SIZES = [K, 100 * K, M] as const;

/** A cost an entry may grow from 1k to 1M by this factor, and by no more than the hand-written map's. */
export const GROWTH_MAX = 12;

const timed = (
  id: string,
  title: string,
  unit: "ms" | "µs",
  native?: number,
  wasm?: number,
  options: Partial<Row> = {},
): Row => ({
  id,
  title,
  unit,
  sizes: SIZES,
  ...(native !== undefined &&
    wasm !== undefined && {
      goals: { native: { ratioMax: native }, wasm: { ratioMax: wasm } },
      goalSize: 100 * K,
    }),
  ...options,
});

const EVERY_ENTRY = { perEntry: true };

const OVERWRITES: Row = {
  id: "overwrites",
  title: "memory grown by 200,000 overwrites of one key",
  unit: "B",
  sizes: [200 * K],
  // Keeping anything of what was overwritten would show as 20 bytes or more each; a page of the allocator here and
  // a grown heap there do not.
  goals: { native: { max: M }, wasm: { max: M } },
  goalSize: 200 * K,
  freshProcesses: 5,
};

export const SPEED_ROWS: readonly Row[] = [
  timed("merge-disjoint", "export on A, merge on B, disjoint", "ms", 1 / 11, 1 / 6, EVERY_ENTRY),
  timed("merge-identical", "merge of identical state", "ms", 1 / 11, 1 / 7, EVERY_ENTRY),
  timed("sync-percent", "version, delta, merge; 1 % changed", "ms", 1 / 9, 1 / 4),
  timed("sync-one", "version, delta, merge; 1 key changed", "ms", 1 / 50, 1 / 50),
  timed("live", "one live write: set, version, delta, merge", "µs", 0.37, 0.5),
  timed("live-known", "one live write, version known: set, delta, merge", "µs", 0.37, 0.5),
  timed("set-new", "set one by one, new keys", "µs", 0.9, 1.1, EVERY_ENTRY),
  timed("get-fresh", "get, random present key", "µs", 1, 1, EVERY_ENTRY),
  timed("get-used", "get, random present key, string already used as key", "µs"),
  timed("load", "load a snapshot, cold", "ms", 1 / 11, 1 / 6, EVERY_ENTRY),
  {
    ...timed("prefix", "10 keys by prefix, order already built", "µs"),
    goals: { native: { max: 20 }, wasm: { max: 30 } },
    goalSize: M,
  },
  {
    id: "snapshot-bytes",
    title: "bytes a key, snapshot",
    unit: "B",
    sizes: SIZES,
    goals: { native: { max: 20 }, wasm: { max: 20 } },
    goalSize: 100 * K,
  },
  {
    id: "snapshot-deflated",
    title: "bytes a key, snapshot deflated",
    unit: "B",
    sizes: SIZES,
    goals: { native: { max: 6 }, wasm: { max: 6 } },
    goalSize: 100 * K,
  },
  {
    id: "version-bytes",
    title: "bytes of version a writer, 10,000 writers",
    unit: "B",
    sizes: [10 * K],
    goals: { native: { max: 24 }, wasm: { max: 24 } },
    goalSize: 10 * K,
  },
  OVERWRITES,
];

export const MEMORY_ROWS: readonly Row[] = [
  {
    id: "memory",
    title: "memory a key, everything",
    unit: "B",
    sizes: [100 * K, M],
    goals: { native: { max: 100 }, wasm: { max: 120 } },
    goalSize: 100 * K,
    freshProcesses: 5,
  },
  OVERWRITES,
];

/** `1k`, `100k`, `1M`: as sizes are written on the command line and in the table. */
export function sizeName(size: number): string {
  return size >= M ? `${size / M}M` : `${size / K}k`;
}
