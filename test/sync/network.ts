/**
 * A network of replicas in one thread, from one seed: links that lose, double and reorder messages, partitions, replicas that crash and come back from what they
 * had kept, clocks that are wrong, a collector that drops tombstones. A link whose messages got lost is given up by both ends, as ts/sync/run.ts does.
 */

import {
  compareVersions,
  createDictionary,
  type Dictionary,
  type Engine,
  LastwriteError,
} from "lastwrite";

import { internalsOf } from "../../ts/dictionary/internals.ts";
import { Attributes } from "../../ts/persistence/attributes.ts";
import { KnownReplicas } from "../../ts/sync/known.ts";
import type { Cursor, SyncMessage } from "../../ts/sync/messages.ts";
import type { Session } from "../../ts/sync/session.ts";
import type { SessionReplica, Step } from "../../ts/sync/session-contract.ts";
import { sessionOf } from "./replicas.ts";

export interface NetworkOptions {
  readonly engines: readonly Engine[];
  readonly seed: number;
  readonly replicaCount: number;
  /** 0 to 1: how many messages get lost, come twice, overtake others. */
  readonly lossRate: number;
  readonly doubleRate: number;
  readonly reorderRate: number;
  /** Furthest that clocks are off, in milliseconds, at first. */
  readonly skewMs: number;
  /** As in `SessionOptions`. */
  readonly sendAllMax: number;
}

interface Sent {
  readonly number: number;
  readonly message: SyncMessage;
}

/** One direction of a link. */
interface Way {
  readonly queue: Sent[];
  sentCount: number;
  receivedCount: number;
}

interface NetLink {
  readonly ends: readonly [Node, Node];
  readonly sessions: readonly [Session, Session];
  readonly ways: readonly [Way, Way];
}

interface Node {
  readonly number: number;
  engine: Engine;
  dictionary: Dictionary;
  replica: SessionReplica;
  /** What it kept: journals, and cursors as of the last one. */
  journals: Uint8Array[];
  kept: Map<string, Cursor>;
  cursors: Map<string, Cursor>;
  skewMs: number;
  reports: string[];
}

const KEYS = ["a", "b", "t/1", "t/2", "t/2/x", "u/1"];

export class Network {
  readonly nodes: Node[] = [];
  /** How many messages of each type arrived. */
  readonly counts: Map<SyncMessage["type"], number> = new Map();
  /** How many tombstones were dropped. */
  collectedCount = 0;
  readonly #options: NetworkOptions;
  #links: NetLink[] = [];
  #state: number;
  #now = 1_700_000_000_000;
  /** What the first of them, which collects, knows of those that it has met. */
  readonly #known = new KnownReplicas(new Attributes(), Infinity);

  constructor(options: NetworkOptions) {
    this.#options = options;
    this.#state = options.seed >>> 0;
    for (let number = 0; number < options.replicaCount; number++) {
      const skewMs = Math.round((this.random() * 2 - 1) * options.skewMs);
      const engine = this.pick(options.engines);
      const node = { number, engine, skewMs, journals: [], kept: new Map(), reports: [] };
      this.nodes.push(this.#started(node as unknown as Node));
    }
  }

  random(): number {
    this.#state = (Math.imul(this.#state, 1_664_525) + 1_013_904_223) >>> 0;
    return this.#state / 2 ** 32;
  }

  pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.random() * list.length)] as T;
  }

  /** Something happens. */
  step(): void {
    this.#now += Math.floor(this.random() * 50);
    const node = this.pick(this.nodes);
    const roll = this.random();
    if (roll < 0.12) this.#write(node);
    else if (roll < 0.18) this.connect(node, this.pick(this.nodes));
    else if (roll < 0.19) this.#crash(node);
    else if (roll < 0.2) this.#cut(this.pick(this.#links));
    else if (roll < 0.205) this.#collect();
    else if (roll < 0.21) node.skewMs = Math.round((this.random() * 2 - 1) * this.#options.skewMs);
    else this.#deliver(this.pick(this.#links.filter(isBusy)), this.#options);
  }

  /** All clocks are right, all messages arrive, all pairs meet, until nothing is left to be said; answers after how many rounds. */
  heal(roundsMax: number): number {
    for (const link of this.#links) this.#cut(link);
    for (const node of this.nodes) node.skewMs = 0;
    // Past every stamp that a clock which ran ahead gave.
    this.#now += 2 * this.#options.skewMs + 1000;
    for (let round = 1; round <= roundsMax; round++) {
      for (const [at, node] of this.nodes.entries()) {
        this.connect(node, this.nodes[(at + 1) % this.nodes.length] as Node);
      }
      this.#deliverAll();
      for (const link of this.#links) this.#cut(link);
      const digests = new Set(this.nodes.map(({ dictionary }) => dictionary.digest()));
      if (digests.size === 1) return round;
    }
    return Infinity;
  }

  /** Throws when a replica does not hold what its version says. Not to be asked after a backup was put back: then versions say too much, until all is repaired. */
  checkVersions(): void {
    const states = this.nodes.map(({ dictionary }) => ({
      version: dictionary.version(),
      snapshot: dictionary.snapshot(),
      horizon: dictionary.horizon(),
      delta: dictionary.deltaSince(),
    }));
    for (const one of states) {
      for (const other of states) {
        if (
          one === other ||
          !["equal", "after"].includes(compareVersions(one.version, other.version))
        ) {
          continue;
        }
        const [engine] = this.#options.engines as [Engine];
        const both = createDictionary({ engine, snapshot: one.snapshot, clock: () => 2 ** 46 });
        both.collectTombstones(other.horizon);
        const before = both.digest();
        const isSame = !canMerge(both, other.delta) || both.digest() === before;
        both.close();
        if (!isSame) throw new Error("a version covers what is not there");
      }
    }
  }

  connect(one: Node, other: Node): void {
    if (one === other) return;
    const isLinked = this.#links.some(({ ends }) => ends.includes(one) && ends.includes(other));
    if (isLinked) return;
    const link: NetLink = {
      ends: [one, other],
      sessions: [this.#sessionOf(one), this.#sessionOf(other)],
      ways: [newWay(), newWay()],
    };
    this.#links.push(link);
    this.#take(link, 0, () => link.sessions[0].open());
    this.#take(link, 1, () => link.sessions[1].open());
  }

  /** Replaces what a node kept by something older: a backup put back. */
  restore(node: Node, journalCount: number): void {
    node.journals = node.journals.slice(0, journalCount);
    node.kept = new Map();
    this.#crash(node);
  }

  close(): void {
    for (const { dictionary } of this.nodes) dictionary.close();
  }

  #sessionOf({ replica }: Node): Session {
    return sessionOf(replica, { sendAllMax: this.#options.sendAllMax });
  }

  #started(node: Node): Node {
    const clock = (): number => this.#now + node.skewMs;
    const { engine } = node;
    const dictionary = createDictionary({
      engine,
      clock,
      onReport: ({ code }) => node.reports.push(code),
    });
    const internals = internalsOf(dictionary);
    for (const journal of node.journals) internals.entries.replay(journal);
    internals.setReplicaId(undefined);
    node.dictionary = dictionary;
    node.cursors = new Map(node.kept);
    node.replica = {
      entries: internals.entries,
      storeId: node.number.toString(16).padStart(32, "0"),
      epoch: node.number.toString(16).padStart(16, "0"),
      driftMaxMs: 300_000,
      now: clock,
      merge: (frame, how) => internals.merge(frame, how),
      stage: () => {},
      hasStaged: () => false,
      takeStaged: () => [],
      followClock: () => false,
      mismatched: () => {},
      changesSince: (place, options) => internals.entries.changesSince(place, options),
      frontier: () => internals.entries.frontier(),
      head: () => internals.entries.head(),
      acknowledged: (storeId, frontier) => {
        if (node.number === 0) this.#known.acknowledged(storeId, frontier, this.#now);
      },
      reread: (parts) => dictionary.reread(parts),
      cursorOf: (storeId) => node.cursors.get(storeId),
      rememberCursor: (storeId, cursor) => void node.cursors.set(storeId, cursor),
    };
    return node;
  }

  #write(node: Node): void {
    const { dictionary } = node;
    const key = this.pick(KEYS);
    const roll = this.random();
    if (roll < 0.2) dictionary.delete(key);
    else if (roll < 0.25) dictionary.deletePrefix("t/");
    else dictionary.set(key, Math.floor(this.random() * 1000));
    for (const link of this.#linksOf(node)) {
      // Some hear of it together with what comes next.
      if (this.random() < 0.5) continue;
      const at = link.ends[0] === node ? 0 : 1;
      this.#take(link, at, () => link.sessions[at].changed());
    }
  }

  /** Those that the collector has not met are below its horizon from then on. */
  #collect(): void {
    const [{ dictionary }] = this.nodes as [Node];
    const seen = this.#known.meet(dictionary.version(), this.#now);
    if (seen !== undefined) this.collectedCount += dictionary.collectTombstones(seen);
  }

  #crash(node: Node): void {
    for (const link of this.#linksOf(node)) this.#cut(link);
    node.dictionary.close();
    node.engine = this.pick(this.#options.engines);
    this.#started(node);
  }

  #keep(node: Node): void {
    const { entries } = node.replica;
    const isWhole = entries.isJournalBroken();
    const frames = entries.journal(new Uint8Array(0), { whole: isWhole });
    if (isWhole) node.journals = frames;
    else node.journals.push(...frames);
    node.kept = new Map(node.cursors);
  }

  #linksOf(node: Node): NetLink[] {
    return this.#links.filter(({ ends }) => ends.includes(node));
  }

  #cut(link: NetLink | undefined): void {
    this.#links = this.#links.filter((other) => other !== link);
  }

  #deliver(
    link: NetLink | undefined,
    { lossRate, doubleRate, reorderRate }: Omit<NetworkOptions, "engines" | "seed">,
  ): void {
    if (link === undefined) return;
    const drawn = this.random() < 0.5 ? 0 : 1;
    const to = link.ways[drawn].queue.length > 0 ? drawn : ((1 - drawn) as 0 | 1);
    const { queue } = link.ways[to];
    const at = this.random() < reorderRate ? Math.floor(this.random() * queue.length) : 0;
    const [sent] = queue.splice(at, 1) as [Sent];
    if (this.random() < lossRate) return;
    if (this.random() < doubleRate) queue.unshift(sent);
    this.#arrive(link, to, sent);
  }

  #deliverAll(): void {
    for (let count = 0; ; count++) {
      if (count > 200_000) throw new Error("the sessions never come to an end");
      const link = this.#links.find(isBusy);
      if (link === undefined) return;
      const to = link.ways[0].queue.length > 0 ? 0 : 1;
      this.#arrive(link, to, link.ways[to].queue.shift() as Sent);
    }
  }

  #arrive(link: NetLink, to: 0 | 1, { number, message }: Sent): void {
    const way = link.ways[to];
    if (number !== way.receivedCount) {
      this.#cut(link);
      return;
    }
    way.receivedCount++;
    this.counts.set(message.type, (this.counts.get(message.type) ?? 0) + 1);
    const node = link.ends[to];
    const before = node.dictionary.digest();
    this.#take(link, to, () => link.sessions[to].receive(message));
    if (node.dictionary.digest() === before) return;
    for (const other of this.#linksOf(node)) {
      const at = other.ends[0] === node ? 0 : 1;
      if (other !== link) this.#take(other, at, () => other.sessions[at].changed());
    }
  }

  /** What is sent was kept before. */
  #take(link: NetLink, at: 0 | 1, step: () => Step): void {
    if (!this.#links.includes(link)) return;
    let taken: Step;
    try {
      taken = step();
    } catch (error) {
      if (!(error instanceof LastwriteError)) throw error;
      this.#cut(link);
      return;
    }
    if (taken.messages.length > 0 || taken.flush !== undefined) this.#keep(link.ends[at]);
    const way = link.ways[1 - at] as Way;
    for (const message of taken.messages) way.queue.push({ number: way.sentCount++, message });
    const { flush } = taken;
    if (flush !== undefined) this.#take(link, at, () => link.sessions[at].kept(flush));
  }
}

/** Whether it could be merged: not where one side has missed what the other collected. */
function canMerge(dictionary: Dictionary, delta: Uint8Array): boolean {
  try {
    dictionary.merge(delta);
    return true;
  } catch (error) {
    if (error instanceof LastwriteError && error.code === "below-horizon") return false;
    throw error;
  }
}

function isBusy({ ways }: NetLink): boolean {
  return ways.some(({ queue }) => queue.length > 0);
}

function newWay(): Way {
  return { queue: [], sentCount: 0, receivedCount: 0 };
}
