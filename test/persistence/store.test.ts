/** What a store does with its persistence, whatever that is: failures, hooks, events, options. */

import {
  salvage,
  copyPersistence,
  decodeEntries,
  createDictionary,
  type ErrorCode,
  LastwriteError,
  loadEngine,
  open,
  type Persistence,
  type Store,
  type Value,
} from "lastwrite";
import { memoryPersistence } from "lastwrite/persistence/memory";
import { describe, expect, test, vi } from "vitest";
import { collectElsewhere } from "../suites/collect.ts";

const engine = await loadEngine();

/** A place of which calls fail as told. */
interface FailingPlace extends Persistence {
  /** What the next calls of `append` and `replace` fail with, one each. */
  readonly failures: (ErrorCode | Error | undefined)[];
  /** Whether each `append` so far was synced. */
  readonly synced: boolean[];
  appendCount: number;
  replaceCount: number;
}

function failing(place = memoryPersistence(), keepsRows = false): FailingPlace {
  const failures: FailingPlace["failures"] = [];
  const fail = (): void => {
    const failure = failures.shift();
    if (failure instanceof Error) throw failure;
    if (failure !== undefined) throw new LastwriteError(failure, `told to be ${failure}`);
  };
  const persistence: FailingPlace = {
    name: "a failing place",
    failures,
    synced: [],
    appendCount: 0,
    replaceCount: 0,
    keepsRows,
    open: (context) => place.open(context),
    load: () => place.load(),
    async append(frame, context) {
      fail();
      persistence.appendCount++;
      persistence.synced.push(context.sync);
      await place.append(frame, context);
    },
    async replace(frames) {
      fail();
      persistence.replaceCount++;
      await place.replace(frames);
    },
    close: () => place.close(),
  };
  return persistence;
}

describe("a place that fails for a while", () => {
  test.each(["store-full", "storage-unavailable"] as const)(
    "rejects the flush with %s, keeps the changes, and takes them later",
    async (code) => {
      const place = memoryPersistence();
      const persistence = failing(place);
      const errors: string[] = [];
      const store = await open({
        persistence,
        engine,
        durability: "strict",
        hooks: { onError: (error) => errors.push(error.code) },
      });
      store.set("a", 1);
      await store.flush();
      store.set("a", 2);
      store.delete("b");
      persistence.failures.push(code, code);
      await expect(store.flush()).rejects.toMatchObject({ code });
      store.set("c", 3);
      await expect(store.flush()).rejects.toMatchObject({ code });
      expect(store.unflushedCount).toBe(2);
      expect(errors).toEqual([code, code]);
      await store.flush();
      expect(store.unflushedCount).toBe(0);
      await expectKept(store, place);
    },
  );

  test("is tried again by itself", async () => {
    const persistence = failing();
    const store = await open({ persistence, engine, flushIntervalMs: 0 });
    persistence.failures.push("store-full");
    const failed = new Promise<LastwriteError>((resolve) => store.on("error", resolve));
    const flushed = new Promise<void>((resolve) => store.on("flush", () => resolve()));
    store.set("a", 1);
    expect((await failed).code).toBe("store-full");
    // Somebody has to keep the process up meanwhile; the store does not for this.
    const keptUp = setInterval(() => {}, 1000);
    await flushed;
    clearInterval(keptUp);
    expect(store.unflushedCount).toBe(0);
    await store.close();
  });

  test("an error of another sort is storage-unavailable, with it as cause", async () => {
    const persistence = failing();
    const store = await open({ persistence, engine });
    store.set("a", 1);
    const cause = new RangeError("no socket");
    persistence.failures.push(cause);
    await expect(store.flush()).rejects.toMatchObject({ code: "storage-unavailable", cause });
    await store.close();
  });

  test("a fold that fails leaves all where it was, and is made later", async () => {
    const place = memoryPersistence();
    const persistence = failing(place);
    const store = await open({ persistence, engine });
    const large = "x".repeat(150_000);
    store.set("a", large);
    await store.flush();
    persistence.failures.push(undefined, "store-full");
    store.set("a", `${large}1`);
    await store.flush();
    expect(persistence.replaceCount).toBe(0);
    for (let at = 0; at < 8; at++) {
      store.set("a", large + at);
      await store.flush();
    }
    expect(persistence.replaceCount).toBeGreaterThan(0);
    await expectKept(store, place);
  });

  test("a whole state that could not be kept is asked for again", async () => {
    const place = memoryPersistence();
    const persistence = failing(place, true);
    const store = await open({ persistence, engine });
    store.set("a", 1);
    store.set("b", 1);
    await store.flush();
    store.delete("a");
    collectElsewhere(store, engine);
    persistence.failures.push("store-full");
    await expect(store.flush()).rejects.toMatchObject({ code: "store-full" });
    store.set("c", 1);
    await store.flush();
    expect(persistence.replaceCount).toBe(1);
    await expectKept(store, place);
  });

  test("a close that cannot keep the last changes says so, and closes", async () => {
    const place = memoryPersistence();
    const persistence = failing(place);
    const store = await open({ persistence, engine });
    store.set("a", 1);
    persistence.failures.push("store-full");
    await expect(store.close()).rejects.toMatchObject({ code: "store-full" });
    expect(() => store.get("a")).toThrow("open it again");
    const again = await open({ persistence: memoryPersistence({ of: place }), engine });
    expect(again.size).toBe(0);
    await again.close();
  });
});

describe("a place that fails for good", () => {
  test.each(["store-poisoned", "store-corrupt", "store-locked"] as const)(
    "acknowledges nothing after %s, refuses writes, and still reads",
    async (code) => {
      const persistence = failing();
      const store = await open({ persistence, engine });
      store.set("a", 1);
      await store.flush();
      store.set("b", 2);
      persistence.failures.push(code);
      const together = [store.flush(), store.flush()];
      for (const flush of together) await expect(flush).rejects.toMatchObject({ code });
      await expect(store.flush()).rejects.toMatchObject({ code });
      expect(() => store.set("c", 3)).toThrow(expect.objectContaining({ code }));
      expect(() => store.transaction(() => {})).toThrow(expect.objectContaining({ code }));
      expect(store.get("b")).toBe(2);
      expect(persistence.appendCount).toBe(1);
      await expect(store.close()).rejects.toMatchObject({ code });
    },
  );
});

describe("a place that is slow", () => {
  /** Appends wait for `go`. */
  function slow(place = memoryPersistence()): { persistence: Persistence; go: () => void } {
    const waiting: (() => void)[] = [];
    const persistence: Persistence = {
      name: "a slow place",
      open: (context) => place.open(context),
      load: () => place.load(),
      async append(frame, context) {
        await new Promise<void>((resolve) => {
          waiting.push(resolve);
        });
        await place.append(frame, context);
      },
      replace: (frames) => place.replace(frames),
      close: () => place.close(),
    };
    return { persistence, go: () => waiting.shift()?.() };
  }

  test("a write whose time comes while another one is under way is not forgotten", async () => {
    const { persistence, go } = slow();
    const store = await open({ persistence, engine, flushIntervalMs: 0 });
    const flushed: number[] = [];
    let next = (): void => {};
    store.on("flush", ({ changeCount }) => {
      flushed.push(changeCount);
      next();
    });
    const untilFlushed = (): Promise<void> => new Promise((resolve) => (next = resolve));
    store.set("a", 1);
    await turnsOfTimers();
    store.set("b", 2);
    await turnsOfTimers();
    const first = untilFlushed();
    go();
    await first;
    await turnsOfTimers();
    const second = untilFlushed();
    go();
    await second;
    expect(flushed).toEqual([1, 1]);
    expect(store.unflushedCount).toBe(0);
    const closing = store.close();
    await turnsOfTimers();
    go();
    await closing;
  });

  test("a fold that fails beside a flush is not the failure of the flush", async () => {
    const place = memoryPersistence();
    const { persistence, go } = slow(place);
    const folding: ((error: Error) => void)[] = [];
    const aside: Persistence = {
      ...persistence,
      replacesAside: true,
      replace: () => new Promise((_, reject) => folding.push(reject)),
    };
    const errors: string[] = [];
    const store = await open({
      persistence: aside,
      engine,
      durability: "strict",
      hooks: { onError: ({ code }) => errors.push(code) },
    });
    store.set("a", "x".repeat(300_000));
    const first = store.flush();
    await turnsOfTimers();
    go();
    await first;
    await turnsOfTimers();
    expect(folding).toHaveLength(1);
    store.set("b", 2);
    const second = store.flush();
    await turnsOfTimers();
    folding[0]?.(new LastwriteError("store-full", "no space for another file"));
    await turnsOfTimers();
    go();
    await second;
    expect(errors).toEqual(["store-full"]);
    const closing = store.close();
    await turnsOfTimers();
    go();
    await closing;
    const again = await open({ persistence: memoryPersistence({ of: place }), engine });
    expect(again.get("b")).toBe(2);
    await again.close();
  });
});

describe("ids", () => {
  test.each([undefined, "ab".repeat(16)])(
    "a number that others may know is not given again after a crash (replica id %s)",
    async (replicaId) => {
      const place = memoryPersistence();
      const options = { engine, ...(replicaId !== undefined && { replicaId }) };
      const first = await open({ ...options, persistence: place });
      first.set("a", 1);
      await first.close();
      const peer = createDictionary({ engine });

      // Dies before anything of it is kept, but after it was handed out.
      const dying = await open({ ...options, persistence: place, flushIntervalMs: 1_000_000 });
      dying.set("x", "lost here");
      peer.merge(dying.deltaSince());
      await place.close();

      for (let time = 0; time < 2; time++) {
        const store = await open({ ...options, persistence: place });
        store.set(`own/${time}`, time);
        store.merge(peer.deltaSince(store.version()));
        peer.merge(store.deltaSince(peer.version()));
        expect(store.digest()).toBe(peer.digest());
        expect(store.get("x")).toBe("lost here");
        await store.close();
      }
      peer.close();
    },
  );

  test("a full place is opened and read, and what is written then goes under another id", async () => {
    const place = memoryPersistence();
    const first = await open({ persistence: place, engine });
    first.set("a", 1);
    const { replicaId } = first;
    await first.close();

    const persistence = failing(place);
    persistence.failures.push("store-full");
    const store = await open({ persistence, engine });
    expect(store.get("a")).toBe(1);
    store.set("b", 2);
    expect(store.replicaId).not.toBe(replicaId);
    await store.flush();
    const snapshot = store.snapshot();
    await store.close();
    const again = await open({ persistence: place, engine });
    expect(again.snapshot()).toEqual(snapshot);
    await again.close();
  });

  test("a re-read that keeps writes makes the replica id known", async () => {
    const store = await open({ persistence: memoryPersistence(), engine });
    const [writer, other] = [createDictionary({ engine }), createDictionary({ engine })];
    writer.set("rescued", 1);
    store.merge(writer.deltaSince());
    expect(store.replicaId).toBeUndefined();
    other.set("gone", 1);
    other.delete("gone");
    other.collectTombstones(other.version());
    expect(store.reread(other.snapshot()).applied).toBe(1);
    expect(store.replicaId).toMatch(/^[0-9a-f]{32}$/u);
    await store.close();
    writer.close();
    other.close();
  });
});

describe("durability", () => {
  test("strict syncs every frame; relaxed the first and the last", async () => {
    for (const [durability, expected] of [
      ["strict", [true, true, true, true]],
      ["relaxed", [true, false, false, true]],
    ] as const) {
      const persistence = failing();
      const store = await open({ persistence, engine, durability });
      for (let at = 0; at < 3; at++) {
        store.set("a", at);
        await store.flush();
      }
      await store.close();
      expect(persistence.synced).toEqual(expected);
    }
  });

  test("a flush without changes writes nothing", async () => {
    const persistence = failing();
    const store = await open({ persistence, engine, durability: "strict" });
    store.set("a", 1);
    await Promise.all([store.flush(), store.flush()]);
    await store.flush();
    expect(persistence.appendCount).toBe(1);
    await store.close();
    // That it was closed.
    expect(persistence.appendCount).toBe(2);
  });
});

describe("hooks and events", () => {
  test("tell what is loaded, appended, folded and flushed, and that the store is closed", async () => {
    const place = memoryPersistence();
    const told: string[] = [];
    const frames: Uint8Array[] = [];
    const store = await open({
      persistence: place,
      engine,
      hooks: {
        onLoad: ({ frameCount, byteCount }) => told.push(`load ${frameCount} ${byteCount}`),
        onAppend: (frame) => frames.push(frame),
        onCompact: ({ byteCountBefore, byteCount }) => {
          told.push(byteCount < byteCountBefore ? "compact" : "compact for nothing");
        },
      },
    });
    const off = store.on("flush", ({ changeCount }) => told.push(`flush ${changeCount}`));
    store.on("close", () => told.push("close"));
    store.set("a", 1);
    store.set("b", 1);
    await store.flush();
    off();
    const large = "x".repeat(200_000);
    for (let at = 0; at < 3; at++) {
      store.set("a", large + at);
      await store.flush();
    }
    expect(told).toEqual(["load 0 0", "flush 2", "compact"]);
    await store.close();
    expect(told.at(-1)).toBe("close");
    const second = createDictionary({ engine });
    for (const { key, value } of frames.flatMap((frame) => changesOf(frame)))
      second.set(key, value);
    expect(second.get("a")).toBe(`${large}2`);
    second.close();
    const again = await open({
      persistence: memoryPersistence({ of: place }),
      engine,
      hooks: { onLoad: ({ frameCount }) => told.push(`load ${frameCount}`) },
    });
    expect(told.at(-1)).toMatch(/^load [1-9]/u);
    await again.close();
  });

  test("the frames that onAppend is told are the store, also where one had to be whole", async () => {
    let frames: Uint8Array[] = [];
    const store = await open({
      persistence: memoryPersistence(),
      engine,
      hooks: {
        onAppend(frame, { startsAnew }) {
          if (startsAnew) frames = [];
          frames.push(frame);
        },
      },
    });
    store.set("a", 1);
    // So that the whole state has several parts.
    for (const key of ["b", "d", "e"]) store.set(key, `${key}${"x".repeat(600_000)}`);
    await store.flush();
    store.delete("a");
    // Collected before it was kept: no difference tells that.
    collectElsewhere(store, engine);
    await store.flush();
    expect(frames.length).toBeGreaterThan(1);
    store.set("c", 1);
    await store.flush();
    const place = memoryPersistence();
    await place.open({ access: "write", engine });
    await place.replace(frames);
    await place.close();
    const copy = await open({ persistence: place, engine, readOnly: true });
    expect(copy.snapshot()).toEqual(store.snapshot());
    await copy.close();
    await store.close();
  });

  test("a hook that throws harms nobody", async () => {
    const reported = vi.fn<(error: unknown) => void>();
    vi.stubGlobal("reportError", reported);
    try {
      const store = await open({
        persistence: memoryPersistence(),
        engine,
        durability: "strict",
        hooks: {
          onAppend: () => {
            throw new RangeError("mine");
          },
        },
      });
      store.set("a", 1);
      await store.flush();
      await store.close();
      expect(reported.mock.calls).toMatchObject([[{ message: "mine" }], [{ message: "mine" }]]);
    } finally {
      vi.unstubAllGlobals();
    }
  });
});

describe("options", () => {
  test.each([
    [undefined, "open takes an object"],
    [{}, "`persistence` must come from an adapter"],
    [{ persistence: {} }, "`persistence` must come from an adapter"],
    [{ persistence: memoryPersistence(), durability: "safe" }, "`durability` is"],
    [{ persistence: memoryPersistence(), flushIntervalMs: -1 }, "`flushIntervalMs` is"],
    [{ persistence: memoryPersistence(), flushIntervalMs: Number.NaN }, "`flushIntervalMs` is"],
    [{ persistence: memoryPersistence(), replicaId: "x" }, "replica id"],
    [{ persistence: memoryPersistence(), clock: 1 }, "`clock`"],
    [{ persistence: memoryPersistence(), durabilty: "strict" }, 'no option "durabilty" of open'],
    [{ persistence: memoryPersistence(), readOnly: "yes" }, "`readOnly`"],
    [{ persistence: memoryPersistence(), hooks: { onEror: () => {} } }, 'no option "onEror"'],
    [{ persistence: memoryPersistence(), hooks: { onError: 3 } }, "`hooks.onError`"],
    [{ persistence: memoryPersistence(), onReport: 3 }, "`onReport`"],
  ])("%o is refused with the reason", async (options, message) => {
    await expect(open(options as Parameters<typeof open>[0])).rejects.toMatchObject({
      code: "invalid-argument",
      message: expect.stringContaining(message),
    });
  });

  test("events that are none, listeners that are none, and places that are none are refused", async () => {
    const store = await open({ persistence: memoryPersistence(), engine });
    const invalid = expect.objectContaining({ code: "invalid-argument" });
    expect(() => store.on("flushed" as "flush", () => {})).toThrow(invalid);
    expect(() => store.on("flush", undefined as unknown as () => void)).toThrow(invalid);
    await store.close();
    const none = "notes.lw" as unknown as Persistence;
    await expect(copyPersistence(none, memoryPersistence())).rejects.toThrow(invalid);
    await expect(copyPersistence(memoryPersistence(), none)).rejects.toThrow(invalid);
    await expect(salvage(none)).rejects.toThrow(invalid);
  });

  test("a place is free again after an opening that failed", async () => {
    const place = memoryPersistence();
    const broken = { ...failing(place), load: () => garbage() };
    await expect(open({ persistence: broken, engine })).rejects.toMatchObject({
      code: "store-corrupt",
      damage: { file: "a failing place" },
    });
    await expect(copyPersistence(broken, memoryPersistence(), { engine })).rejects.toMatchObject({
      code: "store-corrupt",
    });
    const store = await open({ persistence: place, engine });
    await store.close();
  });

  test("opening is given up at whatever moment the signal says so", async () => {
    for (const moment of ["open", "load"] as const) {
      const place = memoryPersistence();
      const controller = new AbortController();
      const aborting: Persistence = {
        ...failing(place),
        async open(context) {
          await place.open(context);
          if (moment === "open") controller.abort(new Error("enough"));
        },
        async *load() {
          if (moment === "load") controller.abort(new Error("enough"));
          yield* place.load();
        },
      };
      const { signal } = controller;
      await expect(open({ persistence: aborting, engine, signal })).rejects.toThrow("enough");
      const store = await open({ persistence: place, engine });
      await store.close();
    }
  });

  test("a place that cannot be closed is said so, and the store is closed all the same", async () => {
    const place = memoryPersistence();
    const broken = { ...failing(place), close: () => Promise.reject(new Error("nope")) };
    const store = await open({ persistence: broken, engine });
    let isClosed = false;
    store.on("close", () => (isClosed = true));
    await expect(store.close()).rejects.toMatchObject({ code: "storage-unavailable" });
    expect(isClosed).toBe(true);
  });

  test("a replica id is for stores that have none", async () => {
    const place = memoryPersistence();
    const replicaId = "ab".repeat(16);
    const store = await open({ persistence: place, engine, replicaId });
    store.set("a", 1);
    expect(store.replicaId).toBe(replicaId);
    await store.close();
    const same = await open({ persistence: place, engine, replicaId });
    expect(same.replicaId).toBe(replicaId);
    await same.close();
    await expect(
      open({ persistence: place, engine, replicaId: "cd".repeat(16) }),
    ).rejects.toMatchObject({ code: "invalid-argument" });
  });

  test("close inside a transaction is refused, and the store stays open", async () => {
    const store = await open({ persistence: memoryPersistence(), engine });
    let closing: Promise<void> | undefined;
    store.transaction(() => {
      closing = store.close();
      store.set("a", 1);
    });
    await expect(closing).rejects.toMatchObject({ code: "transaction-open" });
    expect(store.get("a")).toBe(1);
    await store.close();
  });
});

/** Closes the store, and looks whether the place has what it held. */
async function expectKept(store: Store, place: Persistence): Promise<void> {
  const snapshot = store.snapshot();
  await store.close();
  const again = await open({ persistence: memoryPersistence({ of: place }), engine });
  expect(again.snapshot()).toEqual(snapshot);
  await again.close();
}

async function* garbage(): AsyncGenerator<Uint8Array, void, undefined> {
  yield Uint8Array.of(1, 2, 3);
}

function changesOf(frame: Uint8Array): { key: string; value: Value }[] {
  return decodeEntries(engine, frame).flatMap(({ key, value }) =>
    value === undefined ? [] : [{ key, value }],
  );
}

/** Until timers that were due had their turn, and what they caused. */
async function turnsOfTimers(): Promise<void> {
  for (let turn = 0; turn < 4; turn++) {
    await new Promise((resolve) => {
      setTimeout(resolve, 1);
    });
  }
}
