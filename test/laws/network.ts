/**
 * A network of 2–5 replicas in one process, driven step by step: every message may be lost, doubled, delayed and
 * reordered, replicas crash, leave, return, are copied, and have wrong clocks. After each step the replica that
 * changed is held against what the laws promise.
 *
 * The network plays the part that a store and its sessions play for an engine: what is durable and when, who is
 * known to the collector, what a stream starts from. It keeps rules 6 to 10 of docs/design.md so that what fails
 * is the engine. Not modelled: handing over the collector, ranges at a known horizon (they only repair clones
 * here), and transactions.
 *
 * What is durable are journals: whole ones as a rule, and with the trait `journals` those that a store takes, of which the
 * replica is put together again after a crash.
 */

import {
  ADOPT,
  CLOCK_AHEAD,
  DIFFERENCE,
  WON,
  type Engine,
  type EngineDictionary,
  type ExportOptions,
  type MergeReport,
} from "../../ts/engine/contract.ts";
import { fromHex, sameBytes, toHex } from "../suites/bytes.ts";
import { errorCode, errorSide } from "../suites/failures.ts";
import { onlyPart } from "../suites/replicas.ts";
import {
  TAG,
  emptyVersion,
  hasDot,
  hasVersion,
  isTainted,
  meetOfVectors,
  readCollected,
  readEntries,
  readHorizon,
  readVersion,
  versionText,
  writeVersion,
  type CollectedStamp,
  type Dot,
  type FrameEntry,
  type ReplicaId,
  type VersionSet,
} from "../suites/frames.ts";
import {
  brokenPromise,
  createOracle,
  describeWrite,
  isRemoval,
  supersedes,
  type Write,
} from "./oracle.ts";
import { withWitness, type Witnessed } from "./witness.ts";

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
  | "restamp";

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

/** Plays `steps`, lets everything heal and checks the end. Throws a `Violation`; `trace` gets a line a step. */
export function play(
  setup: Setup,
  steps: readonly Step[],
  engineOf: EngineOf,
  trace?: string[],
): void {
  const network = createNetwork(setup, engineOf, trace);
  try {
    for (const step of steps) network.step(step);
    network.heal();
  } finally {
    network.close();
  }
}

export const driftMaxMs = 100;

interface Print {
  /** A whole journal: all of the state. */
  readonly frame: Uint8Array;
  /** In key order. */
  readonly entries: readonly FrameEntry[];
  readonly version: VersionSet;
  readonly versionText: string;
  readonly horizon: VersionSet;
  readonly horizonText: string;
  readonly collected: CollectedStamp | undefined;
  readonly entriesText: string;
}

/** What a store has on disk. */
interface Saved {
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

interface Node {
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

type Message =
  | {
      readonly kind: "part";
      readonly from: number;
      readonly to: number;
      readonly frame: Uint8Array;
      readonly seen: ReadonlySet<Write>;
    }
  | {
      readonly kind: "snapshot";
      readonly from: number;
      readonly to: number;
      readonly parts: readonly Uint8Array[];
      readonly seen: ReadonlySet<Write>;
    }
  | {
      readonly kind: "acknowledgement";
      readonly from: number;
      readonly to: number;
      readonly version: VersionSet;
    };

interface StreamFrame {
  readonly frame: Uint8Array;
  readonly seen: ReadonlySet<Write>;
  readonly next: number;
  /** The sender's state beside the entries, if this frame reaches its head. */
  readonly frontier: Uint8Array | undefined;
  /** The sender's V. */
  readonly vector: VersionSet;
}

interface Stream {
  readonly from: Node;
  readonly to: Node;
  readonly fromEpoch: number;
  readonly toEpoch: number;
  /** The sender's version at the place where the stream began. */
  readonly base: VersionSet;
  received: number;
  sent: number;
  clean: boolean;
  /** What the receiver adopted last; the headers of later frames may be differences to it. */
  adopted: Uint8Array | undefined;
  queue: StreamFrame[];
}

interface Network {
  step(step: Step): void;
  heal(): void;
  close(): void;
}

function createNetwork(setup: Setup, engineOf: EngineOf, trace: string[] | undefined): Network {
  const { traits, keys, prefixes } = setup;
  /** A frame is delivered more than once. */
  const entriesOfFrames = new WeakMap<Uint8Array, FrameEntry[]>();
  const oracle = createOracle();
  const nodes: Node[] = [];
  const dotWrites = new Map<string, { readonly dot: Dot; write: Write }>();
  const pastVersions: Uint8Array[] = [];
  const streams = new Map<string, Stream>();
  let messages: Message[] = [];
  let timeMs = 10_000;
  let idCount = 0;
  let valueCount = 0;
  let journalCount = 0;

  for (let number = 0; number < setup.replicaCount; number += 1) addNode(undefined);
  for (const number of setup.known) {
    if (number > 0 && number < nodes.length) nodeAt(0).known.set(number, emptyVersion);
  }

  // ——— Replicas

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
    return Math.max(0, timeMs + node.offsetMs);
  }

  function log(text: string): void {
    if (trace !== undefined) trace[trace.length - 1] += ` ${text}`;
  }

  function fail(text: string): never {
    throw new Violation(text);
  }

  // ——— Durability (rule 7)

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

  function crash(node: Node, number: number): void {
    // A store that is closed has nothing to lose, and knows what it sent.
    const isClosed = traits.journals && number % 5 === 0;
    if (isClosed) {
      node.dirty = true;
      node.mustSync = true;
      save(node);
    }
    const relaxed = traits.relaxed && !isClosed && number % 2 === 0;
    const saved = relaxed ? node.saves[(number >>> 1) % node.saves.length] : node.saves.at(-1);
    if (saved === undefined) throw new Error("nothing was ever saved");
    const version = readVersion(saved.frame);
    for (const [text, { dot }] of dotWrites) {
      // What was never sent is gone, and its dots will be given out again.
      if (!relaxed && dot.replica === saved.id && !hasDot(version, dot)) dotWrites.delete(text);
    }
    node.id = relaxed ? freshId() : saved.id;
    node.dictionary.close();
    Object.assign(node, open(node.number, node.id, saved.frames));
    checkReopened(node, saved);
    // What was sent since the last journal is not known any more.
    if (!isClosed) node.dictionary.setReplicaId(fromHex(node.id));
    node.seen = new Set(saved.seen);
    node.known = new Map(saved.known);
    node.saves = [{ ...saved, id: node.id }];
    node.dirty = false;
    node.mustSync = false;
    node.epoch += 1;
    log(`${node.name} crashes${relaxed ? " far back, and takes a new id" : ""}`);
    changed(node);
  }

  /** A replica that comes back is as it was when it saved. */
  function checkReopened(node: Node, saved: Saved): void {
    const facts = factsOf(node.dictionary);
    if (facts !== saved.facts)
      fail(`${node.name} came back as\n  ${facts}, and was\n  ${saved.facts}`);
    const frame = wholeJournal(node.witness);
    if (!sameBytes(frame, saved.frame))
      fail(`${node.name} came back as\n  ${toHex(frame)}, and was\n  ${toHex(saved.frame)}`);
    if (!traits.journals) return;
    const { dictionary } = open(node.number, node.id, saved.frames);
    const keysInOrder = readEntries(dictionary.changesSince(0).frame).map(({ key }) => key);
    dictionary.close();
    if (
      keysInOrder.join("|") !==
      readEntries(frame)
        .map(({ key }) => key)
        .join("|")
    )
      fail(`${node.name} came back with its changes in another order`);
  }

  /** Whatever leaves a replica is durable before. */
  function exported<Result>(node: Node, make: (dictionary: EngineDictionary) => Result): Result {
    save(node);
    const result = make(node.dictionary);
    // The floor may have risen.
    node.print = undefined;
    return result;
  }

  // ——— What a replica holds, and the checks of every step

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
      entriesText: entriesText(entries),
    };
    node.lastPrint = node.print;
    return node.print;
  }

  function entriesOf(frame: Uint8Array): FrameEntry[] {
    const known = entriesOfFrames.get(frame);
    if (known !== undefined) return known;
    const entries = readEntries(frame);
    entriesOfFrames.set(frame, entries);
    return entries;
  }

  /** To be called after everything that may have changed `node`. */
  function changed(node: Node): void {
    node.print = undefined;
    const print = printOf(node);
    const held: Write[] = [];
    for (const entry of print.entries) {
      const write = oracle.find(entry);
      if (write === undefined)
        throw fail(`${node.name} holds an entry that nobody wrote: ${entry.key} at ${entry.hlc}`);
      if (!hasDot(print.version, entry.dot))
        fail(`${node.name} holds ${describeWrite(write)}, but its version lacks the dot`);
      const text = dotText(entry.dot);
      if (dotWrites.get(text)?.write !== write) {
        dotWrites.set(text, { dot: entry.dot, write });
        write.dots.push(entry.dot);
      }
      held.push(write);
    }
    checkReturned(node, held);
    if (!traits.clones) {
      checkVersion(node, held);
      checkEqualVersions(node);
    }
  }

  /** Guarantee 3: what the author of a removal had seen does not come back where the removal arrived. */
  function checkReturned(node: Node, held: readonly Write[]): void {
    for (const removal of node.seen) {
      if (!isRemoval(removal)) continue;
      const returned = held.find(
        (write) => write !== removal && removal.seen.has(write) && supersedes(removal, write),
      );
      if (returned !== undefined)
        fail(
          `at ${node.name} ${describeWrite(returned)} came back after ${describeWrite(removal)}`,
        );
    }
  }

  /** Rule 1: what the version has is held, or superseded by what is held or was collected. */
  function checkVersion(node: Node, held: readonly Write[]): void {
    const { version, horizon } = printOf(node);
    for (const [text, { dot, write }] of dotWrites) {
      if (!hasDot(version, dot) || hasDot(horizon, dot)) continue;
      if (held.some((other) => supersedes(other, write))) continue;
      if (
        oracle.writes.some(
          (other) => isRemoval(other) && supersedes(other, write) && isBelow(other, horizon),
        )
      )
        continue;
      fail(
        `the version of ${node.name} has ${text}, but it holds nothing for ${describeWrite(write)}`,
      );
    }
  }

  /** Guarantee 1. */
  function checkEqualVersions(node: Node): void {
    const print = printOf(node);
    for (const other of nodes) {
      if (other === node) continue;
      const otherPrint = printOf(other);
      if (
        otherPrint.versionText !== print.versionText ||
        otherPrint.horizonText !== print.horizonText
      )
        continue;
      if (otherPrint.entriesText === print.entriesText) continue;
      fail(
        `${node.name} and ${other.name} have equal versions and horizons, but hold\n  ${print.entriesText}\n  ${otherPrint.entriesText}`,
      );
    }
  }

  function isBelow(removal: Write, horizon: VersionSet): boolean {
    return removal.dots.some((dot) => hasDot(horizon, dot));
  }

  // ——— Writes

  /** Tells the oracle what `node` just wrote under `key`. */
  function wrote(node: Node, key: string, isPrefix: boolean): void {
    node.dirty = true;
    node.print = undefined;
    const entry = printOf(node).entries.find(
      (candidate) => candidate.key === key && (candidate.tag === TAG.prefixTombstone) === isPrefix,
    );
    if (entry === undefined) throw fail(`${node.name} does not hold what it wrote under ${key}`);
    const write = oracle.record(entry, node.name, isRemoval(entry) ? new Set(node.seen) : noWrites);
    node.seen.add(write);
    log(describeWrite(write));
    changed(node);
  }

  /** Law 3: a write that carries no explicit stamp is greater than all its author has seen. */
  function wroteNow(node: Node, key: string, isPrefix: boolean): void {
    const before = new Set(node.seen);
    wrote(node, key, isPrefix);
    const write = [...node.seen].at(-1);
    for (const other of before) {
      if (write !== undefined && other.hlc >= write.hlc)
        fail(`${describeWrite(write)} is not later than ${describeWrite(other)}`);
    }
  }

  function nextValue(): number {
    valueCount += 1;
    return valueCount;
  }

  function writeAt(node: Node, [, keyNumber, kind, detail]: Step["numbers"]): void {
    const key = pick(keys, keyNumber);
    const now = nowOf(node);
    const rivals = oracle.writes.filter((write) => write.key === key);
    const rival = rivals[detail % Math.max(1, rivals.length)];
    let millis =
      [now - (detail % 60), now + driftMaxMs, now + driftMaxMs + 1, 1 + (detail % 9)][kind % 4] ??
      now;
    let counter = (detail >>> 8) % 3;
    let replica = nodeAt(detail >>> 4).id;
    if (rival !== undefined && (kind >>> 2) % 2 === 0) {
      millis = Number(rival.hlc >> 16n);
      counter = Number(rival.hlc & 0xffffn);
      replica = rival.stampReplica;
    }
    const value = (kind >>> 3) % 4 === 0 ? undefined : nextValue();
    const before = printOf(node);
    let won: boolean;
    try {
      won =
        (node.dictionary.writeAt(key, value, Math.max(0, millis), counter, fromHex(replica), now) &
          WON) !==
        0;
    } catch (error) {
      expectCode(error, ["clock-drift", "below-horizon"]);
      if (errorCode(error) === "clock-drift" && millis <= now + driftMaxMs) throw error;
      won = false;
    }
    if (won) {
      const { collected } = before;
      const hlc = (BigInt(Math.max(0, millis)) << 16n) + BigInt(counter);
      if (collected !== undefined && hlc < collected.hlc) {
        fail(`${node.name} took an explicit stamp below the greatest collected one`);
      }
      if (millis > now + driftMaxMs)
        fail(`${node.name} took an explicit stamp beyond the clock limit`);
      wrote(node, key, false);
    } else {
      log(`${node.name} writes ${key}@${millis} and loses`);
      node.print = undefined;
      if (!sameBytes(before.frame, printOf(node).frame))
        fail(`a write that lost at ${node.name} changed its state or version`);
    }
  }

  // ——— Sending and receiving

  function optionsFor(receiver: Node, number: number): ExportOptions {
    return {
      partBytesMax: [Infinity, 1, 60][number % 3] ?? Infinity,
      ...((number >>> 4) % 2 === 0 ? { stampLimitMs: nowOf(receiver) + driftMaxMs } : {}),
    };
  }

  function baseFor(sender: Node, receiver: Node, number: number): Uint8Array | undefined {
    switch (number % 5) {
      case 0:
      case 1:
        return exported(receiver, (dictionary) => dictionary.version());
      case 2:
        save(receiver);
        return writeVersion({ vector: printOf(receiver).version.vector, exceptions: new Map() });
      case 3:
        return pastVersions.length === 0 ? undefined : pick(pastVersions, number >>> 3);
      default:
        return sender.saves[0] === undefined
          ? undefined
          : writeVersion(readVersion(pick(sender.saves, number >>> 3).frame));
    }
  }

  function partsFor(sender: Node, receiver: Node, mode: number, details: number): Message[] {
    const seen = new Set(sender.seen);
    const options = optionsFor(receiver, details);
    let frames: Uint8Array[];
    if (mode % 11 === 10) {
      frames = exported(sender, (dictionary) => dictionary.snapshot(options));
    } else {
      const base = baseFor(sender, receiver, mode);
      frames = exported(sender, (dictionary) => dictionary.delta(base, options));
      const known = base === undefined ? emptyVersion : readVersion(base);
      // Guarantee 4.
      for (const { dot, key } of frames.flatMap(entriesOf)) {
        if (hasDot(known, dot))
          fail(`${sender.name} resends ${key} (${dotText(dot)}) though the base has it`);
      }
    }
    pastVersions.push(sender.dictionary.version());
    log(`${sender.name}→${receiver.name} ${frames.length} parts`);
    return frames.map((frame) => ({
      kind: "part",
      from: sender.number,
      to: receiver.number,
      frame,
      seen,
    }));
  }

  function receive(message: Message): void {
    const receiver = nodeAt(message.to);
    const sender = nodeAt(message.from);
    if (receiver.away || sender.away) return;
    switch (message.kind) {
      case "part":
        merge(receiver, sender, message.frame, message.seen, 0);
        break;
      case "snapshot":
        install(receiver, sender, message.parts, message.seen);
        break;
      case "acknowledgement":
        log(`${sender.name} acknowledges ${versionText(message.version)}`);
        receiver.known.set(message.from, message.version);
        receiver.dirty = true;
        break;
      default:
        message satisfies never;
    }
  }

  /** Merges a frame and answers the report; undefined when it was refused whole. */
  function merge(
    node: Node,
    sender: Node,
    frame: Uint8Array,
    senderSeen: ReadonlySet<Write>,
    how: number,
  ): MergeReport | undefined {
    const before = printOf(node);
    const limitMs = nowOf(node) + driftMaxMs;
    const entries = entriesOf(frame);
    const accepted = entries.filter(({ hlc }) => Number(hlc >> 16n) <= limitMs);
    let report: MergeReport;
    try {
      report = node.dictionary.merge(frame, nowOf(node), how);
    } catch (error) {
      expectCode(error, ["below-horizon", "clock-drift"]);
      node.print = undefined;
      if (!sameBytes(before.frame, printOf(node).frame))
        fail(`a refused part changed ${node.name}`);
      log(
        `${node.name} refuses a part of ${sender.name}: ${errorCode(error)} ${errorSide(error) ?? ""}`,
      );
      if (errorCode(error) === "below-horizon")
        sendSnapshot(
          ...(errorSide(error) === "sender"
            ? ([node, sender] as const)
            : ([sender, node] as const)),
        );
      return undefined;
    }
    if (report.refusedCount !== entries.length - accepted.length)
      fail(`${node.name} refused ${report.refusedCount} entries`);
    if (report.applied + report.ignored + report.refusedCount !== entries.length)
      fail(`${node.name} counted ${JSON.stringify(report)}`);
    for (const entry of accepted) node.seen.add(writeOf(entry));
    // Between copies one dot may stand for two writes, so that versions prove nothing.
    if (report.complete && !traits.clones) for (const write of senderSeen) node.seen.add(write);
    if (report.cloned) {
      node.id = toHex(node.dictionary.replicaId());
      node.dictionary.setSpareId(fromHex(freshId()));
      if (!traits.clones) fail(`${node.name} takes itself for a clone`);
    }
    log(
      `${node.name} merges ${entries.map((entry) => `${entry.key}:${dotText(entry.dot)}`).join(" ")} of ${sender.name} (${report.applied}/${report.ignored}/${report.refusedCount}${report.complete ? " complete" : ""}${report.cloned ? " cloned" : ""})`,
    );
    node.dirty = true;
    changed(node);
    const after = printOf(node);
    if (after.horizonText !== before.horizonText) node.mustSync = true;
    for (const entry of entries) {
      if (accepted.includes(entry) || hasDot(before.version, entry.dot)) continue;
      if (hasDot(after.version, entry.dot))
        fail(
          `the version of ${node.name} has the dot of an entry it refused: ${dotText(entry.dot)}`,
        );
    }
    return report;
  }

  function writeOf(entry: FrameEntry): Write {
    return (
      oracle.find(entry) ??
      fail(`somebody sent an entry that nobody wrote: ${entry.key} at ${entry.hlc}`)
    );
  }

  function sendSnapshot(sender: Node, receiver: Node): void {
    const seen = new Set(sender.seen);
    const parts = exported(sender, (dictionary) => dictionary.snapshot({ partBytesMax: 60 }));
    messages.push({ kind: "snapshot", from: sender.number, to: receiver.number, parts, seen });
  }

  /** A re-read is for who is below the sender's horizon; to anybody else a snapshot is a delta. */
  function install(
    node: Node,
    sender: Node,
    parts: readonly Uint8Array[],
    senderSeen: ReadonlySet<Write>,
  ): void {
    const horizon = readHorizon(parts[0] ?? new Uint8Array());
    if (!hasVersion({ ...printOf(node).version, exceptions: new Map() }, horizon)) {
      reread(node, parts, senderSeen);
      return;
    }
    for (const part of parts) merge(node, sender, part, senderSeen, 0);
  }

  function reread(
    node: Node,
    parts: readonly Uint8Array[],
    senderSeen: ReadonlySet<Write>,
  ): boolean {
    const before = printOf(node);
    try {
      const report = node.dictionary.reread(parts, nowOf(node));
      if (report.cloned) {
        node.id = toHex(node.dictionary.replicaId());
        node.dictionary.setSpareId(fromHex(freshId()));
      }
    } catch (error) {
      expectCode(error, ["below-horizon", "clock-drift"]);
      node.print = undefined;
      if (!sameBytes(before.frame, printOf(node).frame))
        fail(`a refused re-read changed ${node.name}`);
      log(`${node.name} refuses to re-read: ${errorCode(error)}`);
      return false;
    }
    if (traits.clones) for (const entry of parts.flatMap(entriesOf)) node.seen.add(writeOf(entry));
    else for (const write of senderSeen) node.seen.add(write);
    node.dirty = true;
    node.mustSync = true;
    node.epoch += 1;
    log(`${node.name} re-reads`);
    changed(node);
    return true;
  }

  // ——— Streams (rule 6)

  function streamOf(from: Node, to: Node, number: number): Stream {
    const name = `${from.name}→${to.name}`;
    const running = streams.get(name);
    if (running !== undefined && running.fromEpoch === from.epoch && running.toEpoch === to.epoch)
      return running;
    const fromHead = number % 3 === 0;
    const place = fromHead ? from.dictionary.head() : 0;
    const stream: Stream = {
      from,
      to,
      fromEpoch: from.epoch,
      toEpoch: to.epoch,
      base: fromHead ? printOf(from).version : emptyVersion,
      received: place,
      sent: place,
      clean: true,
      adopted: undefined,
      queue: [],
    };
    streams.set(name, stream);
    return stream;
  }

  function streamSend(stream: Stream, details: number): void {
    const seen = new Set(stream.from.seen);
    const { adopted: since } = stream;
    const isDifference = since !== undefined && details % 4 > 0;
    const { frame, next, atHead } = exported(stream.from, (dictionary) =>
      dictionary.changesSince(stream.sent, {
        ...optionsFor(stream.to, details),
        ...(isDifference ? { since } : {}),
      }),
    );
    const frontier = atHead ? stream.from.witness.frontier() : undefined;
    const { vector } = printOf(stream.from).version;
    if (next < stream.sent)
      fail(`a stream of ${stream.from.name} goes back from ${stream.sent} to ${next}`);
    stream.sent = next;
    stream.queue.push({ frame, seen, next, frontier, vector: { vector, exceptions: new Map() } });
    log(`${stream.from.name}⇒${stream.to.name} to place ${next}${atHead ? ", the head" : ""}`);
  }

  function streamReceive(stream: Stream): void {
    if (stream.to.away || stream.from.away) return;
    const item = stream.queue.shift();
    if (item === undefined) return;
    const adopt = stream.clean && hasVersion(printOf(stream.to).version, stream.base);
    // What the engine leaves to the session where the frame is a difference: rule 3, the sender's side.
    const isBehind = !hasVersion(item.vector, printOf(stream.to).horizon);
    if (isBehind) sendSnapshot(stream.to, stream.from);
    const how = (adopt ? ADOPT : 0) | DIFFERENCE;
    const report = isBehind ? undefined : merge(stream.to, stream.from, item.frame, item.seen, how);
    if (report === undefined) {
      streams.delete(`${stream.from.name}→${stream.to.name}`);
      return;
    }
    if (report.refusedCount > 0 || isTainted(item.frame)) stream.clean = false;
    if (adopt && stream.clean && report.complete && !report.cloned) adopted(stream, item.frontier);
    stream.received = item.next;
  }

  /** What the receiver has now is no less than what the sender had then; differences to it may follow. */
  function adopted(stream: Stream, frontier: Uint8Array | undefined): void {
    if (frontier === undefined) return;
    const { version, horizon, collected } = printOf(stream.to);
    const sent = readVersion(frontier);
    const sentCollected = readCollected(frontier);
    const hasAll =
      hasVersion(version, sent) &&
      hasVersion(
        { ...emptyVersion, vector: version.vector },
        { ...emptyVersion, vector: sent.vector },
      ) &&
      hasVersion(horizon, readHorizon(frontier)) &&
      (sentCollected === undefined ||
        (collected !== undefined && collected.hlc >= sentCollected.hlc));
    if (!hasAll) fail(`${stream.to.name} adopted less than ${stream.from.name} had`);
    stream.adopted = frontier;
  }

  // ——— Actions

  function runStream(numbers: Step["numbers"], deliver: boolean): void {
    const from = nodeAt(numbers[0]);
    const stream = streamOf(from, otherThan(from, numbers[1]), numbers[2]);
    if (!deliver || stream.queue.length === 0) streamSend(stream, numbers[3]);
    if (deliver) streamReceive(stream);
  }

  /** An own entry that was never sent may get a new stamp; nothing else may. */
  function restamp(node: Node): void {
    const before = printOf(node);
    const count = node.dictionary.restamp(nowOf(node));
    node.print = undefined;
    const after = printOf(node);
    let restamped = 0;
    for (const old of before.entries) {
      const entry = after.entries.find(
        (candidate) =>
          candidate.key === old.key &&
          (candidate.tag === TAG.prefixTombstone) === (old.tag === TAG.prefixTombstone),
      );
      const write = oracle.find(old);
      if (entry === undefined || write === undefined)
        throw fail(`restamp of ${node.name} dropped ${old.key}`);
      // The new stamp may be the old one.
      if (dotText(entry.dot) === dotText(old.dot)) continue;
      restamped += 1;
      if (entry.tag !== old.tag || !sameBytes(entry.payload, old.payload))
        fail(`restamp of ${node.name} changed ${old.key}`);
      renew(node, write, entry);
    }
    if (restamped !== count)
      fail(`${node.name} restamped ${restamped} entries and counted ${count}`);
    log(`${node.name} restamps ${count}`);
    if (count === 0) return;
    node.dirty = true;
    node.mustSync = true;
    node.epoch += 1;
    changed(node);
  }

  /** What `old` had replaced is gone with it: the renewed stamp may be lower than theirs, and nobody else knows of them. */
  function renew(node: Node, old: Write, entry: FrameEntry): void {
    const renewed = oracle.record(entry, node.name, old.seen);
    for (const write of node.seen) {
      if (!supersedes(old, write) || supersedes(renewed, write)) continue;
      // A copy of a store has what its original never sent.
      if (!traits.clones && nodes.some((other) => other !== node && other.seen.has(write))) {
        fail(`${node.name} restamped ${describeWrite(old)}, and ${describeWrite(write)} was sent`);
      }
      node.seen.delete(write);
      for (const known of dotWrites.values()) if (known.write === write) known.write = renewed;
    }
    node.seen.add(renewed);
  }

  /** What is acknowledged is durable, and only the vector is. */
  function acknowledge(node: Node, arrives: boolean): void {
    if (node.number === 0) return;
    node.mustSync = true;
    node.dirty = true;
    save(node);
    const { vector } = printOf(node).version;
    const message: Message = {
      kind: "acknowledgement",
      from: node.number,
      to: 0,
      version: { vector, exceptions: new Map() },
    };
    if (arrives) receive(message);
    else messages.push(message);
  }

  function collect(): void {
    const collector = nodeAt(0);
    if (!traits.collection || collector.known.size === 0) return;
    save(collector);
    const horizon = meetOfVectors([printOf(collector).version, ...collector.known.values()]);
    const count = collector.dictionary.collectTombstones(writeVersion(horizon), nowOf(collector));
    log(`${collector.name} collects ${count} up to ${versionText(horizon)}`);
    collector.dirty = true;
    collector.mustSync = true;
    changed(collector);
  }

  function exchange(sender: Node, receiver: Node, numbers: Step["numbers"], loss: boolean): void {
    if (sender.away || receiver.away) return;
    const parts = partsFor(sender, receiver, 0, numbers[2]);
    for (const [index, part] of parts.entries()) {
      if (loss && parts.length > 1 && (numbers[3] >>> index) % 4 === 0) messages.push(part);
      else receive(part);
    }
  }

  const actions: Readonly<Record<Action, (numbers: Step["numbers"]) => void>> = {
    set([a, b, , d]) {
      const node = nodeAt(a);
      const key = pick(keys, b);
      const answer = node.dictionary.set(key, nextValue(), nowOf(node));
      if ((answer & WON) === 0) fail(`a set at ${node.name} lost`);
      if ((answer & CLOCK_AHEAD) !== 0) log("(clock ahead)");
      wroteNow(node, key, false);
      if (traits.streams && d % 4 === 0) runStream([a, b, 1, 0], true);
    },
    delete([a, b]) {
      const node = nodeAt(a);
      const key = pick(keys, b);
      const before = printOf(node);
      if ((node.dictionary.delete(key, nowOf(node)) & WON) !== 0) {
        wroteNow(node, key, false);
        return;
      }
      node.print = undefined;
      if (!sameBytes(before.frame, printOf(node).frame))
        fail(`deleting the absent ${key} changed ${node.name}`);
    },
    deletePrefix([a, b]) {
      const node = nodeAt(a);
      const prefix = pick(prefixes, b);
      const count = node.dictionary.deletePrefix(prefix, nowOf(node));
      log(`removes ${count}`);
      wroteNow(node, prefix, true);
    },
    writeAt(numbers) {
      writeAt(nodeAt(numbers[0]), numbers);
    },
    /** A write, and at once a delta of it alone to some of the others. */
    push([a, b, c, d]) {
      const node = nodeAt(a);
      const base = node.dictionary.version();
      if (c % 3 === 0) actions.delete([a, b, c, d]);
      else actions.set([a, b, c, 1]);
      const seen = new Set(node.seen);
      const frames = exported(node, (dictionary) => dictionary.delta(base));
      for (const other of nodes) {
        if (other === node || (d >>> other.number) % 2 === 0) continue;
        for (const frame of frames) {
          receive({ kind: "part", from: node.number, to: other.number, frame, seen });
        }
      }
    },
    send([a, b, c, d]) {
      const sender = nodeAt(a);
      const receiver = otherThan(sender, b);
      if (!sender.away) messages.push(...partsFor(sender, receiver, c, d));
      if (messages.length > 60) messages.splice(0, messages.length - 60);
    },
    exchange(numbers) {
      const sender = nodeAt(numbers[0]);
      const receiver = otherThan(sender, numbers[1]);
      exchange(sender, receiver, numbers, true);
      if (numbers[3] % 2 === 0) exchange(receiver, sender, numbers, true);
    },
    deliver([a, b]) {
      if (messages.length === 0) return;
      const index = a % messages.length;
      const message = messages[index];
      if (message === undefined) return;
      if (b % 5 !== 0) messages.splice(index, 1);
      receive(message);
    },
    lose([a]) {
      messages.splice(a % Math.max(1, messages.length), 1);
    },
    stream(numbers) {
      runStream(numbers, false);
    },
    receive(numbers) {
      runStream(numbers, true);
    },
    breakStream([a, b, c]) {
      const from = nodeAt(a);
      const name = `${from.name}→${otherThan(from, b).name}`;
      const stream = streams.get(name);
      if (stream === undefined) return;
      if (c % 2 === 0) {
        streams.delete(name);
      } else {
        stream.queue = [];
        stream.sent = stream.received;
      }
    },
    acknowledge([a]) {
      acknowledge(nodeAt(a), a % 3 !== 0);
    },
    collect,
    /** Everybody who is here and not left out exchanges with the collector and acknowledges; then it collects. */
    gather([a, b]) {
      const collector = nodeAt(0);
      const here = nodes.filter(
        (node) => node !== collector && !node.away && (a >>> node.number) % 2 === 0,
      );
      for (const node of here) exchange(node, collector, [0, 0, wholeDelta, 1], false);
      for (const node of here) {
        exchange(collector, node, [0, 0, wholeDelta, 1], false);
        if ((b >>> node.number) % 4 !== 0) acknowledge(node, true);
      }
      collect();
    },
    save([a]) {
      save(nodeAt(a));
    },
    crash([a, b]) {
      crash(nodeAt(a), b);
    },
    leave([a]) {
      const node = nodeAt(a);
      if (node.number === 0) return;
      node.away = true;
      nodeAt(0).known.delete(node.number);
      log(`${node.name} leaves`);
    },
    return([a]) {
      nodeAt(a).away = false;
      log(`${nodeAt(a).name} is here`);
    },
    reread([a, b]) {
      const node = nodeAt(a);
      const source = otherThan(node, b);
      if (!node.away && !source.away) sendSnapshot(source, node);
    },
    copy([a]) {
      if (!traits.clones || nodes.length >= 5) return;
      const original = nodeAt(a);
      const copy = addNode(original);
      log(`${copy.name} is a copy of ${original.name}`);
      changed(copy);
    },
    time([a]) {
      timeMs += [1, 5, 50, 120, 400][a % 5] ?? 1;
    },
    skew([a, b]) {
      const node = nodeAt(a);
      node.offsetMs = [0, 0, 40, 90, 150, 1_000, -40, -1_000][b % 8] ?? 0;
      log(`the clock of ${node.name} is off by ${node.offsetMs}`);
    },
    restamp([a]) {
      restamp(nodeAt(a));
    },
  };

  // ——— The end

  function exchangeAll(): void {
    for (let round = 0; round < nodes.length * 3 + 3; round += 1) {
      // All give to one, which gives to all: another one each round.
      const middle = nodeAt(round);
      for (const node of nodes) if (node !== middle) heal(node, middle);
      for (const node of nodes) if (node !== middle) heal(middle, node);
      const [first, ...others] = nodes.map(({ dictionary }) => onlyPart(dictionary.snapshot()));
      if (first !== undefined && others.every((snapshot) => sameBytes(snapshot, first))) return;
    }
    fail(
      `the replicas stay different:\n${nodes.map((node) => `  ${node.name} ${printOf(node).versionText} H ${printOf(node).horizonText}: ${printOf(node).entriesText}`).join("\n")}`,
    );
  }

  function heal(sender: Node, receiver: Node): void {
    const pending = messages;
    messages = [];
    exchange(sender, receiver, [0, 0, wholeDelta, 0], false);
    for (const message of messages) receive(message);
    messages = pending;
    const [left, right] = [printOf(sender), printOf(receiver)];
    if (
      traits.clones &&
      left.versionText === right.versionText &&
      left.entriesText !== right.entriesText
    ) {
      log(`${sender.name} and ${receiver.name} have equal versions and other data`);
      repair(sender, receiver);
      repair(receiver, sender);
    }
  }

  /** The repair of law 7b: every entry by its hash. */
  function repair(sender: Node, receiver: Node): void {
    const seed = new Uint8Array(16);
    const [whole] = [sender.dictionary.hashes(seed, new Uint8Array(9))];
    const count = new DataView(whole.buffer, whole.byteOffset).getUint32(0, true);
    const keyHashes = new Uint8Array(count * 8);
    for (let index = 0; index < count; index += 1) {
      keyHashes.set(whole.subarray(4 + index * 16, 12 + index * 16), index * 8);
    }
    const frame = exported(sender, (dictionary) => dictionary.entriesByHash(seed, keyHashes));
    merge(receiver, sender, frame, sender.seen, 0);
  }

  /** Guarantees 2 and 3, of every key, at the end. */
  function checkPromises(): void {
    const [first] = nodes;
    if (first === undefined) return;
    const { entries, horizon } = printOf(first);
    const survivors = new Set(nodes.flatMap((node) => [...node.seen]));
    for (const key of keys) {
      const broken = brokenPromise(oracle, key, {
        held: entries,
        survivors,
        isCollected: (removal) => isBelow(removal, horizon),
      });
      if (broken !== undefined) fail(broken);
    }
  }

  return {
    step(step) {
      timeMs += step.numbers[3] % 3 === 0 ? 1 : 0;
      trace?.push(`${step.action}:`);
      actions[step.action](step.numbers);
    },
    heal() {
      trace?.push("heal:");
      for (const node of nodes) {
        node.offsetMs = 0;
        node.away = false;
        if (traits.journals) crash(node, 0);
      }
      timeMs += 1_000_000;
      exchangeAll();
      checkPromises();
      // What was under way all the time must not break what was reached.
      for (const message of messages) receive(message);
      messages = [];
      exchangeAll();
      checkPromises();
    },
    close() {
      for (const node of nodes) node.dictionary.close();
    },
  };
}

/** Chooses one part and no stamp limit in `optionsFor`. */
const wholeDelta = 48;
const noWrites: ReadonlySet<Write> = new Set();
const noBytes = new Uint8Array(0);

function wholeJournal(dictionary: EngineDictionary): Uint8Array {
  return onlyPart(dictionary.journal(noBytes, { whole: true }));
}

/** What can be asked without changing anything, as text. */
function factsOf(dictionary: EngineDictionary): string {
  const bytes = [
    dictionary.digest(),
    dictionary.replicaId(),
    dictionary.version(),
    dictionary.horizon(),
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

function pick<Item>(items: readonly Item[], number: number): Item {
  const item = items[number % items.length];
  if (item === undefined) throw new Error("nothing to pick from");
  return item;
}

function dotText({ replica, counter }: Dot): string {
  return `${replica}:${counter}`;
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

/** Passes errors with one of these codes; anything else is a failure of its own. */
function expectCode(error: unknown, codes: readonly string[]): void {
  if (!codes.includes(errorCode(error) ?? "")) throw error;
}
