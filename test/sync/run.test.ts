/** The shell of a session: silence, rubbish, failures, and what may be sent when. */

import { loadEngine } from "lastwrite";
import { memoryPersistence } from "lastwrite/persistence/memory";
import { describe, expect, test } from "vitest";

import { LastwriteError } from "../../ts/errors.ts";
import { decodeMessage, encodeMessage } from "../../ts/sync/codec.ts";

import { PresenceHub } from "../../ts/sync/presence.ts";
import { runSession, startSession, type SyncHost } from "../../ts/sync/run.ts";
import type { Link } from "../../ts/transport/contract.ts";
import { memoryLink } from "../../ts/transport/memory.ts";
import { openStore, timeline, turns, until } from "./connection-world.ts";
import { HELLO, playedBy, watched } from "./played-peer.ts";
import { testReplica } from "./replicas.ts";

const engine = await loadEngine();

interface TestHost extends SyncHost {
  readonly dictionary: ReturnType<typeof testReplica>["dictionary"];
  changed(): void;
}

function hostOf(keep: (sync: boolean) => Promise<void> = async () => {}): TestHost {
  const { dictionary, replica } = testReplica(engine);
  const listeners = new Set<() => void>();
  return {
    dictionary,
    replica,
    presence: new PresenceHub(),
    keep,
    onChange: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    changed: () => {
      for (const listener of listeners) listener();
    },
  };
}

describe("a session", () => {
  test("ends with link-timeout after 30 s of silence, having asked after 15", async () => {
    const time = timeline();
    const { left, right } = memoryLink();
    const peer = playedBy(right);
    const run = watched(runSession({ host: hostOf(), link: left, once: false, timers: time }));
    await time.advance(14_999);
    expect(peer.types).toEqual(["hello"]);
    await time.advance(1);
    expect(peer.types).toEqual(["hello", "ping"]);
    await time.advance(14_999);
    expect(run.outcome).toBeUndefined();
    await time.advance(1);
    expect(run.outcome).toMatchObject({ code: "link-timeout" });
    await turns();
    expect(peer.end).toEqual({ code: 1000 });
    expect(time.waits).toEqual([]);
  });

  test("that exchanges once ends with link-timeout when the other side only answers that it is there", async () => {
    const time = timeline();
    const { left, right } = memoryLink();
    const near = hostOf();
    near.dictionary.set("k", 1);
    const run = watched(runSession({ host: near, link: left, once: true, timers: time }));
    const peer = playedBy(right);
    peer.say(HELLO);
    for (let at = 0; at < 10 && run.outcome === undefined; at++) {
      await time.advance(10_000);
      peer.say({ type: "pong" });
    }
    expect(run.outcome).toMatchObject({ code: "link-timeout" });
  });

  test("stays on a quiet link whose other side answers", async () => {
    const time = timeline();
    const { left, right } = memoryLink();
    const [a, b] = [hostOf(), hostOf()];
    const runs = [left, right].map((link, at) =>
      watched(runSession({ host: at === 0 ? a : b, link, once: false, timers: time })),
    );
    await time.advance(10 * 60_000);
    expect(runs.map(({ outcome }) => outcome)).toEqual([undefined, undefined]);
    a.dictionary.set("k", 1);
    a.changed();
    await turns();
    expect(b.dictionary.get("k")).toBe(1);
    left.close();
    await until(() => runs[1]?.outcome === "done");
  });

  test("bears two messages that cannot be read, closes with 4400 at the third, and tells both", async () => {
    const { left, right } = memoryLink();
    const peer = playedBy(right);
    const session = startSession({ host: hostOf(), link: left, once: false, timers: timeline() });
    const run = watched(session.ended);
    for (let count = 1; count <= 3; count++) {
      peer.sayBytes(Uint8Array.of(1, count - 1, 255));
      await turns();
      expect(run.outcome === undefined).toBe(count < 3);
    }
    expect(run.outcome).toMatchObject({ code: "corrupt-bytes" });
    expect(session.isFinal).toBe(true);
    expect(peer.types).toEqual(["hello", "error", "error", "error"]);
    expect(peer.heard.at(-1)).toMatchObject({ code: "corrupt-bytes", final: true });
    expect(peer.end).toEqual({ code: 4400 });
  });

  test("whose messages the other side cannot read ends for good", async () => {
    const { left, right } = memoryLink();
    const spoiling: Link = {
      ...spread(left),
      send: (message) => left.send((message as Uint8Array).subarray(0, 3)),
    };
    const near = startSession({ host: hostOf(), link: spoiling, once: false, timers: timeline() });
    const far = startSession({ host: hostOf(), link: right, once: false, timers: timeline() });
    const runs = [watched(near.ended), watched(far.ended)];
    near.ask();
    near.ask();
    near.ask();
    await until(() => runs.every(({ outcome }) => outcome !== undefined));
    expect(runs[1]?.outcome).toBeInstanceOf(LastwriteError);
    expect(runs[0]?.outcome).toBeInstanceOf(LastwriteError);
    expect([near.isFinal, far.isFinal]).toEqual([true, true]);
  });

  test("ends with the words of the other side when that gives up, and says nothing back", async () => {
    const { left, right } = memoryLink();
    const peer = playedBy(right);
    const session = startSession({ host: hostOf(), link: left, once: false, timers: timeline() });
    const run = watched(session.ended);
    const failure = { type: "error", code: "store-full", message: "the disk is full" } as const;
    peer.say(HELLO);
    peer.say({ ...failure, final: false });
    await turns();
    expect(run.outcome).toBeUndefined();
    peer.say({ ...failure, final: true });
    await until(() => run.outcome !== undefined);
    expect(run.outcome).toMatchObject({ code: "link-failed" });
    expect(String(run.outcome)).toContain("the disk is full");
    expect(session.isFinal).toBe(false);
    expect(peer.types).toEqual(["hello", "have"]);
  });

  test("ends at a message that was lost", async () => {
    const { left, right } = memoryLink();
    right.start({ message: () => {}, drained: () => {}, closed: () => {} });
    const run = watched(runSession({ host: hostOf(), link: left, once: false }));
    right.send(encodeMessage({ type: "ping" }, 1));
    await until(() => run.outcome !== undefined);
    expect(run.outcome).toMatchObject({ code: "link-failed" });
  });

  test("ends with the reason of the signal, before it began or later", async () => {
    const reason = new Error("enough");
    const early = memoryLink();
    const aborted = AbortSignal.abort(reason);
    const never = runSession({ host: hostOf(), link: early.left, once: false, signal: aborted });
    await expect(never).rejects.toBe(reason);

    const time = timeline();
    const { left, right } = memoryLink();
    const peer = playedBy(right);
    const stop = new AbortController();
    const host = hostOf();
    const session = { host, link: left, once: false, signal: stop.signal, timers: time };
    const run = watched(runSession(session));
    await turns();
    stop.abort(reason);
    await turns();
    expect(run.outcome).toBe(reason);
    expect(peer.end).toEqual({ code: 1000 });
    expect(time.waits).toEqual([]);
    host.changed();
    await turns();
    expect(peer.types).toEqual(["hello"]);
  });

  test("whose link breaks while it exchanges once ends with link-failed", async () => {
    const way = memoryLink({ schedule: () => {} });
    const run = watched(runSession({ host: hostOf(), link: way.left, once: true }));
    way.right.start({ message: () => {}, drained: () => {}, closed: () => {} });
    way.cut();
    way.deliver();
    await turns();
    expect(run.outcome).toMatchObject({ code: "link-failed" });
  });
});

describe("what is kept, and what is said of it", () => {
  test("a flush that fails ends the session with that error, and nothing was acknowledged", async () => {
    const full = new LastwriteError("store-full", "the disk is full");
    const { left, right } = memoryLink();
    const [near, far] = [
      hostOf(async (sync) => {
        if (sync) throw full;
      }),
      hostOf(),
    ];
    far.dictionary.set("k", 1);
    const acknowledged: number[] = [];
    const runs = [
      watched(runSession({ host: near, link: left, once: false })),
      watched(
        runSession({
          host: far,
          link: right,
          once: false,
          onProgress: ({ ackedPlace }) => acknowledged.push(ackedPlace),
        }),
      ),
    ];
    await until(() => runs.every(({ outcome }) => outcome !== undefined));
    expect(runs[0]?.outcome).toBe(full);
    expect(runs[1]?.outcome).toMatchObject({ code: "link-failed" });
    expect(String(runs[1]?.outcome)).toContain("the disk is full");
    expect(new Set(acknowledged)).toEqual(new Set([0]));
  });

  test("entries are not sent before they are kept", async () => {
    const kept: (() => void)[] = [];
    const { left, right } = memoryLink();
    const near = hostOf(
      () =>
        new Promise((resolve) => {
          kept.push(resolve);
        }),
    );
    const far = hostOf();
    near.dictionary.set("k", 1);
    const sent: string[] = [];
    const seen: Link = {
      ...spread(left),
      send: (message) => {
        sent.push(decodeMessage(message).message.type);
        left.send(message);
      },
    };
    const stop = new AbortController();
    const { signal } = stop;
    const runs = [
      watched(runSession({ host: near, link: seen, once: false, signal })),
      watched(runSession({ host: far, link: right, once: false, signal })),
    ];
    await turns();
    expect(kept.length).toBeGreaterThan(0);
    expect(sent).not.toContain("delta");
    expect(sent).not.toContain("ack");
    expect(far.dictionary.get("k")).toBeUndefined();
    for (const resolve of kept) resolve();
    await until(() => far.dictionary.get("k") === 1);
    stop.abort();
    await until(() => runs.every(({ outcome }) => outcome !== undefined));
  });

  test("a store whose medium never answers sends no entries", async () => {
    const persistence = memoryPersistence();
    const append = persistence.append.bind(persistence);
    let isStuck = false;
    const release: (() => void)[] = [];
    persistence.append = async (frame, context) => {
      if (isStuck) {
        await new Promise<void>((resolve) => {
          release.push(resolve);
        });
      }
      await append(frame, context);
    };
    const store = await openStore({ persistence });
    await store.flush();
    isStuck = true;
    store.set("k", 1);
    const { left, right } = memoryLink();
    const sent: string[] = [];
    const seen: Link = {
      ...spread(left),
      send: (message) => {
        sent.push(decodeMessage(message).message.type);
        left.send(message);
      },
    };
    const far = hostOf();
    const runs = [
      watched(runSession({ host: store.syncHost, link: seen, once: false })),
      watched(runSession({ host: far, link: right, once: false })),
    ];
    await until(() => release.length > 0);
    await turns();
    expect(sent).not.toContain("delta");
    expect(far.dictionary.size).toBe(0);
    isStuck = false;
    for (const resolve of release) resolve();
    await until(() => far.dictionary.get("k") === 1);
    left.close();
    await until(() => runs.every(({ outcome }) => outcome !== undefined));
    await store.close();
  });
});

/** A link with members that can be replaced. */
function spread(link: Link): Link {
  return {
    name: link.name,
    bufferedBytes: 0,
    start: (handler) => link.start(handler),
    send: (message) => link.send(message),
    close: (code, reason) => link.close(code, reason),
  };
}
