/** The replicas of the network: what each holds, and what of that is durable (rule 7). */

import type { EngineDictionary } from "../../../ts/engine/contract.ts";
import { fromHex, sameBytes, toHex } from "../../suites/bytes.ts";
import {
  TAG,
  emptyVersion,
  readCollected,
  readCollector,
  readEntries,
  readHorizon,
  readVersion,
  versionText,
  type CollectedStamp,
  type Dot,
  type FrameEntry,
  type NamedCollector,
  type ReplicaId,
  type VersionSet,
} from "../../suites/frames.ts";
import { onlyPart } from "../../suites/replicas.ts";
import type { Write } from "../oracle.ts";
import { withWitness, type Witnessed } from "../witness.ts";
import { driftMaxMs, Violation, type EngineOf, type Setup } from "./setup.ts";

export interface Print {
  /** A whole journal: all of the state. */
  readonly frame: Uint8Array;
  /** In key order. */
  readonly entries: readonly FrameEntry[];
  readonly version: VersionSet;
  readonly versionText: string;
  readonly horizon: VersionSet;
  readonly horizonText: string;
  readonly collected: CollectedStamp | undefined;
  readonly collector: NamedCollector | undefined;
  readonly entriesText: string;
}

/** What a store has on disk. */
export interface Saved {
  /** To be replayed. */
  readonly frames: readonly Uint8Array[];
  /** The state as a whole journal. */
  readonly frame: Uint8Array;
  /** The state by other calls. */
  readonly facts: string;
  readonly id: ReplicaId;
  readonly seen: ReadonlySet<Write>;
  readonly known: ReadonlyMap<number, VersionSet>;
}

export interface Node {
  readonly number: number;
  readonly name: string;
  id: ReplicaId;
  dictionary: EngineDictionary;
  /** To look at without moving the mark of its journals. */
  witness: EngineDictionary;
  offsetMs: number;
  /** The writes that its state stands on. */
  seen: Set<Write>;
  /** Oldest first; a strict crash goes back to the last, a relaxed one to any. */
  saves: Saved[];
  dirty: boolean;
  /** The next save must not be lost, not even by a relaxed store. */
  mustSync: boolean;
  /** Rises at a crash, a re-read and a restamp: streams of an earlier epoch are broken. */
  epoch: number;
  away: boolean;
  /** The acknowledgements that the collector has. */
  known: Map<number, VersionSet>;
  /** Undefined where the state may have changed since it was read. */
  print: Print | undefined;
  lastPrint: Print | undefined;
}

/** The replicas of a network, and what is durable of them. */
export interface Replicas {
  readonly setup: Setup;
  readonly nodes: readonly Node[];
  /** Of the world; a clock of a replica may be off. */
  timeMs: number;
  readonly freshId: () => ReplicaId;
  /** A new one, or a copy of another. */
  readonly addNode: (original: Node | undefined) => Node;
  readonly open: (number: number, id: ReplicaId, frames: readonly Uint8Array[]) => Witnessed;
  readonly nodeAt: (number: number) => Node;
  readonly otherThan: (node: Node, number: number) => Node;
  readonly nowOf: (node: Node) => number;
  /** Ends the line of the trace for this step with `text`. */
  readonly log: (text: string) => void;
  /** Makes all that a replica holds durable. */
  readonly save: (node: Node) => void;
  readonly exported: <Result>(node: Node, make: (dictionary: EngineDictionary) => Result) => Result;
  /** What a replica holds, read once for each time that it was changed. */
  readonly printOf: (node: Node) => Print;
}

/** Makes those of `setup`, with nothing in them. */
export function createReplicas(
  setup: Setup,
  engineOf: EngineOf,
  trace: string[] | undefined,
): Replicas {
  const { traits } = setup;
  const nodes: Node[] = [];
  let idCount = 0;
  let journalCount = 0;

  function freshId(): ReplicaId {
    idCount += 1;
    const first = (Math.imul(setup.seed ^ (idCount * 0x9e3779b1), 0x85ebca6b) >>> 24) & 0xff;
    return `${first.toString(16).padStart(2, "0")}${"00".repeat(14)}${idCount.toString(16).padStart(2, "0")}`;
  }

  function addNode(original: Node | undefined): Node {
    const number = nodes.length;
    const id = original?.id ?? freshId();
    const frames = original === undefined ? [] : framesOfCopy(original);
    const opened = open(number, id, frames);
    // What the original has sent may not be restamped by the copy.
    if (original !== undefined) opened.dictionary.setReplicaId(fromHex(id));
    const node: Node = {
      number,
      name: String.fromCodePoint(65 + number),
      id,
      ...opened,
      offsetMs: original?.offsetMs ?? 0,
      seen: new Set(original?.seen),
      saves: [],
      dirty: true,
      mustSync: true,
      epoch: 0,
      away: false,
      known: new Map(),
      print: undefined,
      lastPrint: undefined,
    };
    nodes.push(node);
    saveBehind(node, frames);
    return node;
  }

  function framesOfCopy(original: Node): readonly Uint8Array[] {
    if (!traits.journals) return [printOf(original).frame];
    save(original);
    return original.saves.at(-1)?.frames ?? [];
  }

  function open(number: number, id: ReplicaId, frames: readonly Uint8Array[]): Witnessed {
    const engine = engineOf(number);
    const options = { replicaId: fromHex(id), spareId: fromHex(freshId()), driftMaxMs };
    const dictionary = engine.create(options);
    const opened = traits.journals
      ? withWitness(dictionary, engine.create(options))
      : { dictionary, witness: dictionary };
    for (const frame of frames) opened.dictionary.replay(frame);
    return opened;
  }

  function nodeAt(number: number): Node {
    const node = nodes[number % nodes.length];
    if (node === undefined) throw new Error("a network without replicas");
    return node;
  }

  function otherThan(node: Node, number: number): Node {
    return nodeAt(node.number + 1 + (number % (nodes.length - 1)));
  }

  function nowOf(node: Node): number {
    return Math.max(0, replicas.timeMs + node.offsetMs);
  }

  function log(text: string): void {
    if (trace !== undefined) trace[trace.length - 1] += ` ${text}`;
  }

  function save(node: Node): void {
    if (node.dirty) saveBehind(node, node.saves.at(-1)?.frames ?? []);
  }

  function saveBehind(node: Node, stored: readonly Uint8Array[]): void {
    const { frame } = printOf(node);
    const frames = traits.journals ? journaled(node, stored) : [frame];
    const seen = new Set(node.seen);
    const known = new Map(node.known);
    const saved = { frames, frame, facts: factsOf(node.dictionary), id: node.id, seen, known };
    if (node.mustSync || !traits.relaxed) node.saves = [];
    node.saves.push(saved);
    node.dirty = false;
    node.mustSync = false;
  }

  /** The log of a store: what changed behind what is there, or all of it instead. */
  function journaled(node: Node, stored: readonly Uint8Array[]): readonly Uint8Array[] {
    journalCount += 1;
    const whole =
      node.dictionary.isJournalBroken() ||
      Math.imul(journalCount ^ setup.seed, 0x9e3779b1) >>> 28 === 0;
    const frames = node.dictionary.journal(noBytes, whole ? { whole, partBytesMax: 60 } : {});
    log(`${node.name} journals ${frames.length} frames${whole ? ", all of it" : ""}`);
    return whole ? frames : [...stored, ...frames];
  }

  /** Whatever leaves a replica is durable before. */
  function exported<Result>(node: Node, make: (dictionary: EngineDictionary) => Result): Result {
    save(node);
    const result = make(node.dictionary);
    // The floor may have risen.
    node.print = undefined;
    return result;
  }

  function printOf(node: Node): Print {
    if (node.print !== undefined) return node.print;
    const frame = wholeJournal(node.witness);
    const { lastPrint } = node;
    if (lastPrint !== undefined && sameBytes(lastPrint.frame, frame)) {
      node.print = lastPrint;
      return lastPrint;
    }
    const version = readVersion(frame);
    const horizon = readHorizon(frame);
    const entries = readEntries(frame).toSorted(compareNames);
    node.print = {
      frame,
      entries,
      version,
      versionText: versionText(version),
      horizon,
      horizonText: versionText(horizon),
      collected: readCollected(frame),
      collector: readCollector(frame),
      entriesText: entriesText(entries),
    };
    node.lastPrint = node.print;
    return node.print;
  }

  const replicas: Replicas = {
    setup,
    nodes,
    timeMs: 10_000,
    freshId,
    addNode,
    open,
    nodeAt,
    otherThan,
    nowOf,
    log,
    save,
    exported,
    printOf,
  };
  for (let number = 0; number < setup.replicaCount; number += 1) addNode(undefined);
  for (const number of setup.known) {
    if (number > 0 && number < nodes.length) nodeAt(0).known.set(number, emptyVersion);
  }
  return replicas;
}

/** Whether `collector` is not the one that stays of both. */
export function isBefore(collector: NamedCollector | undefined, other: NamedCollector): boolean {
  if (collector === undefined) return true;
  if (collector.hlc !== other.hlc) return collector.hlc < other.hlc;
  if (collector.replica !== other.replica) return collector.replica < other.replica;
  return collector.store < other.store;
}

/** A law is broken. */
export function fail(text: string): never {
  throw new Violation(text);
}

export function pick<Item>(items: readonly Item[], number: number): Item {
  const item = items[number % items.length];
  if (item === undefined) throw new Error("nothing to pick from");
  return item;
}

export function dotText({ replica, counter }: Dot): string {
  return `${replica}:${counter}`;
}

/** All of the state. */
export function wholeJournal(dictionary: EngineDictionary): Uint8Array {
  return onlyPart(dictionary.journal(noBytes, { whole: true }));
}

/** What can be asked without changing anything, as text. */
export function factsOf(dictionary: EngineDictionary): string {
  const bytes = [
    dictionary.digest(),
    dictionary.replicaId(),
    dictionary.version(),
    dictionary.frontier(),
    dictionary.hashes(new Uint8Array(16), new Uint8Array(9)),
  ];
  return [dictionary.size(), dictionary.head(), ...bytes.map(toHex)].join(" ");
}

/** By key bytes, a prefix tombstone first. */
function compareNames(left: FrameEntry, right: FrameEntry): number {
  const isPrefix = ({ tag }: FrameEntry): number => Number(tag === TAG.prefixTombstone);
  return (
    Buffer.compare(Buffer.from(left.key), Buffer.from(right.key)) ||
    isPrefix(right) - isPrefix(left)
  );
}

/** The normal form, as text: with stamps, dots and origins, in key order. */
function entriesText(entries: readonly FrameEntry[]): string {
  return entries
    .map(
      ({ key, tag, payload, hlc, stampReplica, dot, origin }) =>
        `${key} ${tag}:${toHex(payload)} @${hlc >> 16n}.${hlc & 0xffffn}.${stampReplica.slice(0, 2)}${stampReplica.slice(30)} ${dotText(dot)}${origin === undefined ? "" : ` from ${dotText(origin)}`}`,
    )
    .join("; ");
}

export const noBytes: Uint8Array = new Uint8Array(0);
