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

import { CLOCK_AHEAD, WON } from "../../ts/engine/contract.ts";
import { sameBytes } from "../suites/bytes.ts";
import { meetOfVectors, versionText, writeVersion, type NamedCollector } from "../suites/frames.ts";
import { createChecks } from "./network/checks.ts";
import { createCrash } from "./network/crashes.ts";
import { createExchange, wholeDelta, type Message } from "./network/exchange.ts";
import { createHealing } from "./network/healing.ts";
import { createReplicas, fail, isBefore, pick, type Node } from "./network/replicas.ts";
import type { Action, EngineOf, Setup, Step } from "./network/setup.ts";
import { createStreams } from "./network/streams.ts";
import { createWrites } from "./network/writes.ts";

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

interface Network {
  step(step: Step): void;
  heal(): void;
  close(): void;
}

function createNetwork(setup: Setup, engineOf: EngineOf, trace: string[] | undefined): Network {
  const { traits, keys, prefixes } = setup;
  const replicas = createReplicas(setup, engineOf, trace);
  const { nodes, nodeAt, otherThan, nowOf, log, save, exported, printOf } = replicas;
  const checks = createChecks(replicas);
  const { changed, checkPromises } = checks;
  const crash = createCrash(replicas, checks);
  const { nextValue, wroteNow, writeAt, restamp } = createWrites(replicas, checks);
  const exchanges = createExchange(replicas, checks);
  const { exchange, partsFor, receive, sendSnapshot } = exchanges;
  const { runStream, breakStream } = createStreams(replicas, exchanges);
  const exchangeAll = createHealing(replicas, exchanges);

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
    else exchanges.messages.push(message);
  }

  /** Of all that were named before, the last one stays. */
  function checkCollector(named: readonly (NamedCollector | undefined)[]): void {
    for (const node of nodes) {
      const { collector } = printOf(node);
      const lost = named.find((other) => other !== undefined && isBefore(collector, other));
      if (lost !== undefined) fail(`${node.name} lost that store ${lost.store} was named`);
      const isKnown = named.some((other) => other?.hlc === collector?.hlc);
      if (!isKnown) fail(`${node.name} has a collector that nobody named`);
    }
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
      if (!sender.away) exchanges.messages.push(...partsFor(sender, receiver, c, d));
      if (exchanges.messages.length > 60)
        exchanges.messages.splice(0, exchanges.messages.length - 60);
    },
    exchange(numbers) {
      const sender = nodeAt(numbers[0]);
      const receiver = otherThan(sender, numbers[1]);
      exchange(sender, receiver, numbers, true);
      if (numbers[3] % 2 === 0) exchange(receiver, sender, numbers, true);
    },
    deliver([a, b]) {
      if (exchanges.messages.length === 0) return;
      const index = a % exchanges.messages.length;
      const message = exchanges.messages[index];
      if (message === undefined) return;
      if (b % 5 !== 0) exchanges.messages.splice(index, 1);
      receive(message);
    },
    lose([a]) {
      exchanges.messages.splice(a % Math.max(1, exchanges.messages.length), 1);
    },
    stream(numbers) {
      runStream(numbers, false);
    },
    receive(numbers) {
      runStream(numbers, true);
    },
    breakStream,
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
      const copy = replicas.addNode(original);
      log(`${copy.name} is a copy of ${original.name}`);
      changed(copy);
    },
    time([a]) {
      replicas.timeMs += [1, 5, 50, 120, 400][a % 5] ?? 1;
    },
    skew([a, b]) {
      const node = nodeAt(a);
      node.offsetMs = [0, 0, 40, 90, 150, 1_000, -40, -1_000][b % 8] ?? 0;
      log(`the clock of ${node.name} is off by ${node.offsetMs}`);
    },
    restamp([a]) {
      restamp(nodeAt(a));
    },
    /** Names one of three stores as the one that collects. */
    name([a, b]) {
      const node = nodeAt(a);
      node.dictionary.setCollector(new Uint8Array(16).fill(1 + (b % 3)), nowOf(node));
      log(`${node.name} names store ${1 + (b % 3)}`);
      node.dirty = true;
      changed(node);
    },
  };

  return {
    step(step) {
      replicas.timeMs += step.numbers[3] % 3 === 0 ? 1 : 0;
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
      replicas.timeMs += 1_000_000;
      const named = nodes.map((node) => printOf(node).collector);
      exchangeAll();
      checkPromises();
      checkCollector(named);
      // What was under way all the time must not break what was reached.
      for (const message of exchanges.messages) receive(message);
      exchanges.messages = [];
      exchangeAll();
      checkPromises();
    },
    close() {
      for (const node of nodes) node.dictionary.close();
    },
  };
}
