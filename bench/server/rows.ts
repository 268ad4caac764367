/** The rows of the table: what is measured of which server, beside what, and what ours must reach. */
import type { Unit } from "../rows.ts";

export interface ServerRow {
  readonly id: string;
  readonly title: string;
  readonly unit: Unit;
  /** How many clients, or entries. */
  readonly size: number;
  /** Of others there is nothing to compare. Default: all. */
  readonly isOurs?: boolean;
  /** What stands beside it, and its unit. */
  readonly beside?: readonly [what: string, unit: Unit | ""];
  readonly goal?: ServerGoal;
}

/** At least, at most, at most so much above what is beside it, at most so many times that, or so many clients of whom each was told everything. */
export type ServerGoal =
  | { readonly min: number }
  | { readonly max: number }
  | { readonly aboveMax: number }
  | { readonly timesMax: number }
  | { readonly heldMin: number };

const K = 1_000;

export const SERVER_ROWS: readonly ServerRow[] = [
  {
    id: "deliveries",
    title: "deliveries, changes made singly, 64 under way",
    unit: "/s",
    size: K,
    beside: ["changes a message", ""],
    goal: { min: 80_000 },
  },
  {
    id: "deliveries-single",
    title: "deliveries, each change in a message of its own",
    unit: "/s",
    size: K,
    beside: ["changes a message", ""],
  },
  {
    id: "latency",
    title: "one client's change seen by another",
    unit: "ms",
    size: 2,
    isOurs: true,
    beside: ["write and fdatasync", "ms"],
    goal: { aboveMax: 2 },
  },
  {
    id: "idle",
    title: "memory a connection, idle",
    unit: "B",
    size: 5 * K,
    goal: { max: 15 * K },
  },
  {
    id: "held",
    title: "a change seen by all in its room, 100 rooms, a writer in each",
    unit: "ms",
    size: 10 * K,
    isOurs: true,
    goal: { heldMin: 10 * K },
  },
  {
    id: "first-load",
    title: "first load of a room",
    unit: "ms",
    size: 100 * K,
    isOurs: true,
    beside: ["export and merge", "ms"],
    goal: { timesMax: 3 },
  },
];
