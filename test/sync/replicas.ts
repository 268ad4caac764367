/** Replicas for sessions, without persistence: what was merged counts as kept at once. */

import {
  createDictionary,
  type Dictionary,
  type DictionaryOptions,
  type Engine,
  loadEngine,
} from "lastwrite";

import { idBytes } from "../../ts/codec/entry.ts";
import { internalsOf } from "../../ts/dictionary/internals.ts";
import { encodeMessage } from "../../ts/sync/codec.ts";
import type { Cursor } from "../../ts/sync/messages.ts";
import { Session } from "../../ts/sync/session.ts";
import type { SessionOptions, SessionReplica, Step } from "../../ts/sync/session-contract.ts";

export interface TestReplica {
  readonly dictionary: Dictionary;
  readonly replica: SessionReplica;
}

const fastest = await loadEngine();

let storeCount = 0;

export function testReplica(
  engine: Engine,
  clock: () => number = Date.now,
  options?: Pick<DictionaryOptions, "snapshot" | "replicaId">,
): TestReplica {
  const dictionary = createDictionary({ engine, clock, ...options });
  const internals = internalsOf(dictionary);
  const cursors = new Map<string, Cursor>();
  const staged = new Map<string, readonly Uint8Array[]>();
  storeCount++;
  return {
    dictionary,
    replica: {
      entries: internals.entries,
      storeId: storeCount.toString(16).padStart(32, "0"),
      epoch: storeCount.toString(16).padStart(16, "0"),
      driftMaxMs: 300_000,
      now: clock,
      merge: (frame, how) => internals.merge(frame, how),
      stage: (storeId, parts) => void staged.set(storeId, parts),
      hasStaged: (storeId) => staged.has(storeId),
      takeStaged: (storeId) => {
        const parts = staged.get(storeId) ?? [];
        staged.delete(storeId);
        return [...parts];
      },
      followClock: () => false,
      mismatched: () => {},
      changesSince: (place, limits) => internals.entries.changesSince(place, limits),
      frontier: () => internals.entries.frontier(),
      head: () => internals.entries.head(),
      acknowledged: () => {},
      reread: (parts) => dictionary.reread(parts),
      cursorOf: (storeId) => cursors.get(storeId),
      rememberCursor: (storeId, cursor) => void cursors.set(storeId, cursor),
    },
  };
}

/** Two replicas whose versions are equal, though some of the writes are not: they had them from two that wrote under one id. */
export function withEqualVersions(
  count: number,
  differs: (at: number) => boolean,
  engines: readonly [Engine, Engine] = [fastest, fastest],
): readonly [TestReplica, TestReplica] {
  const clock = (): number => 1_700_000_000_000;
  const [a, b] = engines.map((engine, side) => {
    const writer = createDictionary({ engine: fastest, clock, replicaId: "77".repeat(16) });
    for (let at = 0; at < count; at++) {
      writer.set(`key/${at}`, differs(at) ? `side ${side}` : "the same");
    }
    const replica = testReplica(engine, clock);
    replica.dictionary.merge(writer.deltaSince());
    writer.close();
    return replica;
  });
  return [a as TestReplica, b as TestReplica];
}

export interface Exchange {
  readonly a: Session;
  readonly b: Session;
  /** How many messages of each type went over. */
  readonly counts: Map<string, number>;
  /** How many bytes the messages take, hello left out. */
  byteCount(): number;
  /** What `step` of that side says is sent. */
  take(at: 0 | 1, step: Step): void;
  /** Delivers so many messages, to both sides in turn. */
  deliver(count: number): void;
  /** Delivers until nothing is on its way. */
  run(): void;
  readonly wroteA: () => void;
  readonly wroteB: () => void;
}

/** A session whose seed is the id of its store. */
export function sessionOf(replica: SessionReplica, options?: Partial<SessionOptions>): Session {
  return new Session({ replica, seed: idBytes(replica.storeId), ...options });
}

/** Two sessions with a way between them that loses nothing. */
export function exchangeOf(
  a: TestReplica,
  b: TestReplica,
  ofA?: Partial<SessionOptions>,
  ofB: Partial<SessionOptions> | undefined = ofA,
): Exchange {
  const sessions = [sessionOf(a.replica, ofA), sessionOf(b.replica, ofB)] as const;
  const queues: Step["messages"][number][][] = [[], []];
  const counts = new Map<string, number>();
  let byteCount = 0;
  const done = (at: 0 | 1, step: Step): void => {
    for (const message of step.messages) {
      if (message.type !== "hello") byteCount += encodeMessage(message, 0).length;
      counts.set(message.type, (counts.get(message.type) ?? 0) + 1);
      queues[1 - at]?.push(message);
    }
    if (step.flush !== undefined) done(at, sessions[at].kept(step.flush));
  };
  let delivered = 0;
  const deliver = (count: number): void => {
    for (const end = delivered + count; delivered < end; delivered++) {
      const at = delivered % 2 === 0 ? 0 : 1;
      const message = queues[at]?.shift();
      if (message !== undefined) done(at, sessions[at].receive(message));
    }
  };
  done(0, sessions[0].open());
  done(1, sessions[1].open());
  return {
    a: sessions[0],
    b: sessions[1],
    counts,
    byteCount: () => byteCount,
    take: done,
    deliver,
    run() {
      for (let turn = 0; queues.some((queue) => queue.length > 0); turn++) {
        if (turn > 100_000) throw new Error("the sessions never come to an end");
        deliver(1);
      }
    },
    wroteA: () => done(0, sessions[0].changed()),
    wroteB: () => done(1, sessions[1].changed()),
  };
}
