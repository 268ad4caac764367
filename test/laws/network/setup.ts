/** What a history of the network begins with, and what its steps are. */

import type { Engine } from "../../../ts/engine/contract.ts";

/** What may happen in a history. Rare things are found sooner where little else happens. */
export interface Traits {
  readonly collection: boolean;
  readonly clones: boolean;
  readonly drift: boolean;
  readonly crashes: boolean;
  /** Crashes may lose what was sent already; the replica then takes a new id. */
  readonly relaxed: boolean;
  readonly streams: boolean;
  readonly explicit: boolean;
  /** What is durable is the log of a store, and a replica that comes back has to be as it was at the last journal. */
  readonly journals: boolean;
}

export interface Setup {
  readonly seed: number;
  readonly replicaCount: number;
  readonly keys: readonly string[];
  readonly prefixes: readonly string[];
  readonly traits: Traits;
  /** Replicas of which the collector knows from the start; the others are strangers until they acknowledge. */
  readonly known: readonly number[];
}

export type Action =
  | "set"
  | "delete"
  | "deletePrefix"
  | "writeAt"
  | "push"
  | "send"
  | "exchange"
  | "deliver"
  | "lose"
  | "stream"
  | "receive"
  | "breakStream"
  | "acknowledge"
  | "collect"
  | "gather"
  | "save"
  | "crash"
  | "leave"
  | "return"
  | "reread"
  | "copy"
  | "time"
  | "skew"
  | "restamp"
  | "name";

/** An action and the numbers that choose its details; any of them means something in any state, so that a history can be cut down. */
export interface Step {
  readonly action: Action;
  readonly numbers: readonly [number, number, number, number];
}

/** Thrown where a law is broken. */
export class Violation extends Error {
  override readonly name = "Violation";
}

/** Which engine a replica runs on, by its number. */
export type EngineOf = (replica: number) => Engine;

export const driftMaxMs = 100;
