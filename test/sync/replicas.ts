/** Replicas for sessions, without persistence: what was merged counts as kept at once. */

import { createDictionary, type Dictionary, type Engine } from "lastwrite";

import { internalsOf } from "../../ts/dictionary/internals.ts";
import type { Cursor } from "../../ts/sync/messages.ts";
import { Session, type SessionReplica, type Step } from "../../ts/sync/session.ts";

export interface TestReplica {
  readonly dictionary: Dictionary;
  readonly replica: SessionReplica;
}

let storeCount = 0;

export function testReplica(engine: Engine, clock: () => number = Date.now): TestReplica {
  const dictionary = createDictionary({ engine, clock });
  const internals = internalsOf(dictionary);
  const cursors = new Map<string, Cursor>();
  storeCount++;
  return {
    dictionary,
    replica: {
      entries: internals.entries,
      storeId: storeCount.toString(16).padStart(32, "0"),
      epoch: storeCount.toString(16).padStart(16, "0"),
      driftMaxMs: 300_000,
      now: clock,
      merge: (frame, adopt) => internals.merge(frame, { adopt }),
      reread: (parts) => dictionary.reread(parts),
      cursorOf: (storeId) => cursors.get(storeId),
      rememberCursor: (storeId, cursor) => void cursors.set(storeId, cursor),
    },
  };
}

export interface Exchange {
  readonly a: Session;
  readonly b: Session;
  /** How many messages of each type went over. */
  readonly counts: Map<string, number>;
  /** Delivers until nothing is on its way. */
  run(): void;
  readonly wroteA: () => void;
  readonly wroteB: () => void;
}

/** Two sessions with a way between them that loses nothing. */
export function exchangeOf(a: TestReplica, b: TestReplica): Exchange {
  const sessions = [
    new Session({ replica: a.replica }),
    new Session({ replica: b.replica }),
  ] as const;
  const queues: Step["messages"][number][][] = [[], []];
  const counts = new Map<string, number>();
  const done = (at: 0 | 1, step: Step): void => {
    for (const message of step.messages) {
      counts.set(message.type, (counts.get(message.type) ?? 0) + 1);
      queues[1 - at]?.push(message);
    }
    if (step.flush !== undefined) done(at, sessions[at].kept(step.flush));
  };
  done(0, sessions[0].open());
  done(1, sessions[1].open());
  return {
    a: sessions[0],
    b: sessions[1],
    counts,
    run() {
      for (let turn = 0; queues.some((queue) => queue.length > 0); turn++) {
        if (turn > 100_000) throw new Error("the sessions never come to an end");
        const at = turn % 2 === 0 ? 0 : 1;
        const message = queues[at]?.shift();
        if (message !== undefined) done(at, sessions[at].receive(message));
      }
    },
    wroteA: () => done(0, sessions[0].changed()),
    wroteB: () => done(1, sessions[1].changed()),
  };
}
