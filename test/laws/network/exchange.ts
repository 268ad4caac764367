/** What replicas send each other, and what they do with it (rules 2 to 5, 7 and 9). */

import type { ExportOptions, MergeReport } from "../../../ts/engine/contract.ts";
import { fromHex, sameBytes, toHex } from "../../suites/bytes.ts";
import { errorCode, errorSide, expectCode } from "../../suites/failures.ts";
import {
  emptyVersion,
  hasDot,
  hasVersion,
  readCollector,
  readEntries,
  readHorizon,
  readVersion,
  versionText,
  writeVersion,
  type FrameEntry,
  type VersionSet,
} from "../../suites/frames.ts";
import type { Write } from "../oracle.ts";
import type { Checks } from "./checks.ts";
import { dotText, fail, isBefore, pick, type Node, type Replicas } from "./replicas.ts";
import { driftMaxMs, type Step } from "./setup.ts";

export type Message =
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

/** Messages, each of which may be on its way for long, and get lost. */
export interface Exchange {
  /** On their way. */
  messages: Message[];
  readonly optionsFor: (receiver: Node, number: number) => ExportOptions;
  /** What `sender` says to `receiver`; the numbers choose from which version on, and how. */
  readonly partsFor: (sender: Node, receiver: Node, mode: number, details: number) => Message[];
  readonly receive: (message: Message) => void;
  readonly merge: (
    node: Node,
    sender: Node,
    frame: Uint8Array,
    senderSeen: ReadonlySet<Write>,
    how: number,
  ) => MergeReport | undefined;
  readonly sendSnapshot: (sender: Node, receiver: Node) => void;
  /** Says and hears at once, but for what gets lost on the way. */
  readonly exchange: (
    sender: Node,
    receiver: Node,
    numbers: Step["numbers"],
    loss: boolean,
  ) => void;
}

export function createExchange(
  { setup, nodeAt, nowOf, freshId, log, save, exported, printOf }: Replicas,
  { oracle, changed }: Checks,
): Exchange {
  const { traits } = setup;
  /** A frame is delivered more than once. */
  const entriesOfFrames = new WeakMap<Uint8Array, FrameEntry[]>();
  const pastVersions: Uint8Array[] = [];

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

  function exchange(sender: Node, receiver: Node, numbers: Step["numbers"], loss: boolean): void {
    if (sender.away || receiver.away) return;
    const parts = partsFor(sender, receiver, 0, numbers[2]);
    for (const [index, part] of parts.entries()) {
      if (loss && parts.length > 1 && (numbers[3] >>> index) % 4 === 0) state.messages.push(part);
      else receive(part);
    }
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
    const named = readCollector(frame);
    if (named !== undefined && Number(named.hlc >> 16n) > limitMs) {
      if (report.complete || after.collector?.hlc !== before.collector?.hlc)
        fail(`${node.name} took a collector that was named in the future`);
    } else if (named !== undefined && isBefore(after.collector, named)) {
      fail(`${node.name} has a collector that was named before that of ${sender.name}`);
    }
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

  function entriesOf(frame: Uint8Array): FrameEntry[] {
    const known = entriesOfFrames.get(frame);
    if (known !== undefined) return known;
    const entries = readEntries(frame);
    entriesOfFrames.set(frame, entries);
    return entries;
  }

  function sendSnapshot(sender: Node, receiver: Node): void {
    const seen = new Set(sender.seen);
    const parts = exported(sender, (dictionary) => dictionary.snapshot({ partBytesMax: 60 }));
    state.messages.push({
      kind: "snapshot",
      from: sender.number,
      to: receiver.number,
      parts,
      seen,
    });
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

  const state: Exchange = {
    messages: [],
    optionsFor,
    partsFor,
    receive,
    merge,
    sendSnapshot,
    exchange,
  };
  return state;
}

/** Chooses one part and no stamp limit in `optionsFor`. */
export const wholeDelta = 48;
