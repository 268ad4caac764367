/** The rows of the table: what is kept, beside what, and what it must reach on the native engine. */
import type { Row } from "../rows.ts";

export interface PersistenceRow extends Row {
  /** What is measured beside it, in the same run and in turn with it. */
  readonly beside?: string;
  /** What the native engine must reach. */
  readonly goal?: PersistenceGoal;
}

/** So many times what is beside it, at the most or at the least; or so many units. */
export type PersistenceGoal =
  | { readonly timesMax: number }
  | { readonly timesMin: number }
  | { readonly max: number };

const K = 1_000;
const M = 1_000_000;
const NATIVE = ["native"];
/** What takes the script engine minutes. */
const BINARY = ["native", "wasm"];

export const PERSISTENCE_ROWS: readonly PersistenceRow[] = [
  {
    id: "open",
    title: "open a store, file",
    beside: "createDictionary, same snapshot",
    unit: "ms",
    sizes: [100 * K],
    goal: { timesMax: 2.5 },
  },
  {
    id: "open-million",
    title: "open a store, file",
    beside: "createDictionary, same snapshot",
    unit: "ms",
    sizes: [M],
    columns: BINARY,
    goal: { max: 1_000 },
  },
  {
    id: "open-longest",
    title: "open a store, file, its log at its longest",
    beside: "createDictionary, same snapshot",
    unit: "ms",
    sizes: [100 * K],
    columns: BINARY,
  },
  {
    id: "set",
    title: "set, relaxed: median",
    beside: "set without persistence",
    unit: "µs",
    sizes: [100 * K],
    goal: { timesMax: 1.5 },
  },
  {
    id: "set-slowest",
    title: "set, relaxed: 99 of 100 are quicker",
    beside: "set without persistence",
    unit: "µs",
    sizes: [100 * K],
    goal: { max: 1_000 },
  },
  {
    id: "set-kept",
    title: "100,000 sets, relaxed, until the last is written",
    beside: "sets without persistence",
    unit: "ms",
    sizes: [100 * K],
    columns: BINARY,
  },
  {
    id: "strict",
    title: "strict, one write after the other",
    beside: "fs.write + fs.fdatasync, as many bytes",
    unit: "ms",
    sizes: [100 * K],
    goal: { timesMax: 1.3 },
  },
  {
    id: "strict-many",
    title: "strict, 1,000 writes in flight",
    beside: "strict, one after the other",
    unit: "/s",
    sizes: [100 * K],
    columns: BINARY,
    goal: { timesMin: 60 },
  },
  {
    id: "written",
    title: "bytes written, 1M random overwrites of 100k keys, flushed each 1,000",
    beside: "their deltas, each 1,000",
    unit: "B",
    sizes: [M],
    columns: BINARY,
    goal: { timesMax: 3 },
  },
  {
    id: "written-singly",
    title: "bytes written, 100k random overwrites of 100k keys, flushed each",
    beside: "their deltas, each",
    unit: "B",
    sizes: [100 * K],
    columns: BINARY,
    goal: { timesMax: 3 },
  },
  {
    id: "sqlite-first",
    title: "SQLite, first write of all entries",
    beside: "prepared INSERTs of key and value",
    unit: "ms",
    sizes: [100 * K],
    columns: BINARY,
    goal: { timesMax: 1.6 },
  },
  {
    id: "sqlite-first-rows",
    title: "SQLite, first write of all entries",
    beside: "prepared INSERTs of the same rows",
    unit: "ms",
    sizes: [100 * K],
    columns: BINARY,
    goal: { timesMax: 1.6 },
  },
  {
    id: "sqlite-one",
    title: "SQLite, one key changed and flushed",
    beside: "a prepared INSERT OR REPLACE",
    unit: "ms",
    sizes: [100 * K],
    columns: BINARY,
    goal: { max: 1 },
  },
  {
    id: "tinybase-file",
    title: "file, one cell changed and kept",
    beside: "TinyBase, file persister",
    unit: "ms",
    sizes: [100 * K],
    columns: NATIVE,
  },
  {
    id: "tinybase-sqlite",
    title: "SQLite, one cell changed and kept",
    beside: "TinyBase, better-sqlite3 persister, JSON",
    unit: "ms",
    sizes: [100 * K],
    columns: NATIVE,
  },
  {
    id: "tinybase-tables",
    title: "SQLite, one cell changed and kept",
    beside: "TinyBase, better-sqlite3 persister, tables",
    unit: "ms",
    sizes: [100 * K],
    columns: NATIVE,
  },
];
