/** Streams of what arrives at a replica, in that order (rule 6). */

import { ADOPT, DIFFERENCE } from "../../../ts/engine/contract.ts";
import {
  emptyVersion,
  hasVersion,
  isTainted,
  readCollected,
  readCollector,
  readHorizon,
  readVersion,
  type VersionSet,
} from "../../suites/frames.ts";
import type { Write } from "../oracle.ts";
import type { Exchange } from "./exchange.ts";
import { fail, isBefore, type Node, type Replicas } from "./replicas.ts";
import type { Step } from "./setup.ts";

/** All streams of a network, at most one from each replica to each other. */
export interface Streams {
  /** Sends on one, and receives from it; the numbers choose which and how. */
  readonly runStream: (numbers: Step["numbers"], deliver: boolean) => void;
  /** Ends one, or loses what is on its way. */
  readonly breakStream: (numbers: Step["numbers"]) => void;
}

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

export function createStreams(
  { nodeAt, otherThan, log, exported, printOf }: Replicas,
  { merge, optionsFor, sendSnapshot }: Exchange,
): Streams {
  const streams = new Map<string, Stream>();

  function runStream(numbers: Step["numbers"], deliver: boolean): void {
    const from = nodeAt(numbers[0]);
    const stream = streamOf(from, otherThan(from, numbers[1]), numbers[2]);
    if (!deliver || stream.queue.length === 0) streamSend(stream, numbers[3]);
    if (deliver) streamReceive(stream);
  }

  function breakStream([a, b, c]: Step["numbers"]): void {
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
  }

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
    const { version, horizon, collected, collector } = printOf(stream.to);
    const sent = readVersion(frontier);
    const sentCollected = readCollected(frontier);
    const sentCollector = readCollector(frontier);
    const hasAll =
      hasVersion(version, sent) &&
      hasVersion(
        { ...emptyVersion, vector: version.vector },
        { ...emptyVersion, vector: sent.vector },
      ) &&
      hasVersion(horizon, readHorizon(frontier)) &&
      (sentCollector === undefined || !isBefore(collector, sentCollector)) &&
      (sentCollected === undefined ||
        (collected !== undefined && collected.hlc >= sentCollected.hlc));
    if (!hasAll) fail(`${stream.to.name} adopted less than ${stream.from.name} had`);
    stream.adopted = frontier;
  }

  return { runStream, breakStream };
}
