/** Single calls to the disk fail: the first, the second, the third… until a run comes through. */

import { open, type Store } from "lastwrite";
import { describe, expect, test } from "vitest";

import type { Disk } from "../../ts/persistence/disk.ts";
import { type LogFile, openLogFile } from "../../ts/persistence/log-file.ts";
import { logPersistence } from "../../ts/persistence/log-persistence.ts";
import { fastestEngine } from "../suites/engines.ts";
import { errorCode } from "../suites/failures.ts";
import { type Random, seededRandom } from "../suites/random.ts";
import { CrashDisk, OUTCOMES } from "./crash-disk.ts";
import { type Fault, faultyDisk } from "./fault-disk.ts";
import { frameOf, stateOfFrames } from "./log-frames.ts";
import { collectElsewhere } from "../suites/collect.ts";

const NAME = "store";

/** Which fault, and for how many calls from the n-th on. */
const FAULTS: readonly (readonly [name: string, fault: Fault, span: number])[] = [
  ["EIO", { code: "EIO" }, 1],
  ["EIO after all was written", { code: "EIO", writes: "everything" }, 1],
  ["EIO twice", { code: "EIO", writes: "half" }, 2],
  ["ENOSPC", { code: "ENOSPC" }, 1],
  ["a short write, then ENOSPC", { code: "ENOSPC", writes: "half" }, 1],
  ["ENOSPC five times", { code: "ENOSPC", writes: "half" }, 5],
];

describe("whichever call fails, nothing acknowledged is lost", () => {
  test.each(FAULTS)("of the log: %s", async (_, fault, span) => {
    const runCount = await everyNth(fault, span, async (disk, crashDisk, random) => {
      const kept = await playLog(disk, random);
      const disks = [crashDisk, crashDisk.afterPowerLoss(random.pick(OUTCOMES), random)];
      for (const found of disks) {
        const state = await stateOf(await openLogFile(found, NAME, { access: "write" }));
        expect(state).toBeGreaterThanOrEqual(kept.count);
        expect(state).toBeLessThanOrEqual(kept.begun);
      }
    });
    expect(runCount).toBeGreaterThan(50);
  });

  test.each(FAULTS)("of a store: %s", async (_, fault, span) => {
    const engine = fastestEngine();
    const runCount = await everyNth(fault, span, async (disk, crashDisk, random) => {
      const kept = await playStore(disk);
      for (const found of [crashDisk, crashDisk.afterPowerLoss(random.pick(OUTCOMES), random)]) {
        const store = await open({ persistence: persistenceOn(found), engine });
        expectKept(store, kept);
        await store.close();
      }
    });
    expect(runCount).toBeGreaterThan(30);
  });
});

describe("what fails says what it is", () => {
  test("a full disk is store-full, and once there is room the store goes on", async () => {
    const log = await loadedLog((call) =>
      call.isArmed && call.name === "write" ? { code: "ENOSPC", writes: "half" } : undefined,
    );
    const frame = frameOf("append", 2, seededRandom(1));
    for (let times = 0; times < 3; times++) {
      expect(await codeOf(log.append(frame, { sync: true }))).toBe("store-full");
      expect(await codeOf(log.replace([frame]))).toBe("store-full");
    }
    log.disarm();
    await log.append(frame, { sync: true });
    await log.close();
    expect(await stateOn(log.disk)).toBe(2);
  });

  test("a write that fails otherwise is storage-unavailable, and may be tried again", async () => {
    const log = await loadedLog((call) =>
      call.isArmed && call.name === "write" ? { code: "EIO", writes: "everything" } : undefined,
    );
    const frame = frameOf("append", 2, seededRandom(1));
    expect(await codeOf(log.append(frame, { sync: false }))).toBe("storage-unavailable");
    log.disarm();
    await log.append(frame, { sync: false });
    await log.close();
    expect(await stateOn(log.disk)).toBe(2);
  });

  test("a failed sync poisons the store until it is opened again, which writes it anew", async () => {
    const log = await loadedLog((call) =>
      call.isArmed && call.name === "sync" ? { code: "EIO" } : undefined,
    );
    const frame = frameOf("append", 2, seededRandom(1));
    expect(await codeOf(log.append(frame, { sync: true }))).toBe("store-poisoned");
    log.disarm();
    expect(await codeOf(log.append(frame, { sync: false }))).toBe("store-poisoned");
    expect(await codeOf(log.replace([frame]))).toBe("store-poisoned");
    const before = await log.disk.identity(NAME);
    await log.close();
    expect(log.isSuspect).toBe(true);
    const again = await openLogFile(log.disk, NAME, { access: "write", isSuspect: true });
    expect(await stateOf(again)).toBe(2);
    expect(await log.disk.identity(NAME)).not.toBe(before);
    expect([again.isSuspect, again.isCopy]).toEqual([false, false]);
    await again.append(frameOf("append", 3, seededRandom(1)), { sync: true });
    await again.close();
    expect(await stateOn(log.disk)).toBe(3);
  });

  test("a half-written frame that cannot be cut off poisons the store, and is gone when it is opened again", async () => {
    const log = await loadedLog((call) => {
      if (!call.isArmed) return undefined;
      return ["write", "truncate"].includes(call.name)
        ? { code: "EIO", writes: "half" }
        : undefined;
    });
    const frame = frameOf("append", 2, seededRandom(1));
    expect(await codeOf(log.append(frame, { sync: true }))).toBe("store-poisoned");
    log.disarm();
    expect(await codeOf(log.append(frame, { sync: true }))).toBe("store-poisoned");
    await log.close();
    expect(await stateOn(log.disk)).toBe(1);
  });

  test("a replacement that fails leaves the file as it was, and nothing beside it", async () => {
    for (const name of ["create", "write", "sync", "identity", "rename"]) {
      const log = await loadedLog((call) =>
        call.isArmed && call.name === name ? { code: "EIO" } : undefined,
      );
      const whole = frameOf("whole", 1, seededRandom(1));
      expect(await codeOf(log.replace([whole]))).toBe("storage-unavailable");
      log.disarm();
      expect(log.disk.names).toEqual([NAME]);
      await log.append(frameOf("append", 2, seededRandom(1)), { sync: true });
      await log.replace([frameOf("whole", 2, seededRandom(1))]);
      await log.close();
      expect(await stateOn(log.disk)).toBe(2);
    }
  });

  test("a folder that cannot be synced poisons the store: which file it has after a loss of power, nobody knows", async () => {
    const log = await loadedLog((call) =>
      call.isArmed && call.name === "syncFolder" ? { code: "EIO" } : undefined,
    );
    expect(await codeOf(log.replace([frameOf("whole", 1, seededRandom(1))]))).toBe(
      "store-poisoned",
    );
    log.disarm();
    const frame = frameOf("append", 2, seededRandom(1));
    expect(await codeOf(log.append(frame, { sync: true }))).toBe("store-poisoned");
    await log.close();
    expect(await stateOn(log.disk)).toBe(1);
  });
});

/** Plays with the n-th call failing, from the first to the last that there is; answers how many runs that were. */
async function everyNth(
  fault: Fault,
  span: number,
  play: (disk: Disk, crashDisk: CrashDisk, random: Random) => Promise<void>,
): Promise<number> {
  for (let nth = 1; ; nth++) {
    let callCount = 0;
    const crashDisk = new CrashDisk();
    const disk = faultyDisk(crashDisk, () => {
      callCount++;
      return callCount >= nth && callCount < nth + span ? fault : undefined;
    });
    try {
      await play(disk, crashDisk, seededRandom(nth));
    } catch (error) {
      throw new Error(`call ${nth} failing: ${String(error)}`, { cause: error });
    }
    if (callCount < nth) return nth - 1;
  }
}

/** Appends, replaces and opens again as a store does: what failed is tried again, or after opening again. */
async function playLog(disk: Disk, random: Random): Promise<{ count: number; begun: number }> {
  const kept = { count: 0, begun: 0 };
  let isSuspect = false;
  let log: LogFile | undefined;
  const ready = async (): Promise<LogFile> => {
    for (;;) {
      if (log !== undefined) return log;
      try {
        const opened = await openLogFile(disk, NAME, { access: "write", isSuspect });
        log = opened;
        const state = await stateOf(opened);
        expect(state).toBeGreaterThanOrEqual(kept.count);
        kept.count = kept.begun = state;
      } catch (error) {
        expectDiskError(error);
        await close();
      }
    }
  };
  const close = async (): Promise<void> => {
    try {
      await log?.close();
    } catch (error) {
      expectDiskError(error);
    }
    isSuspect = log?.isSuspect ?? isSuspect;
    log = undefined;
  };
  const tried = async (work: (opened: LogFile) => Promise<void>): Promise<boolean> => {
    try {
      await work(await ready());
      return true;
    } catch (error) {
      if (expectDiskError(error) === "store-poisoned") await close();
      return false;
    }
  };

  for (let step = 0; step < 12; step++) {
    if (step % 4 === 2) {
      let number = 0;
      const isReplaced = await tried((opened) => {
        number = kept.begun;
        return opened.replace([frameOf("whole", number, random)]);
      });
      if (isReplaced) kept.count = Math.max(kept.count, number);
    }
    for (let isDone = false; !isDone;) {
      isDone = await tried(async (opened) => {
        // One that failed before comes again, and must not be there twice.
        const number = kept.begun + (kept.begun > kept.count ? 0 : 1);
        kept.begun = number;
        await opened.append(frameOf("append", number, random), { sync: true });
        kept.count = number;
      });
    }
    if (step === 6) await close();
  }
  await close();
  return kept;
}

/** Strict writes, also while the log is replaced; answers what was acknowledged. */
async function playStore(disk: Disk): Promise<Map<string, number>> {
  const kept = new Map<string, number>();
  const engine = fastestEngine();
  const persistence = persistenceOn(disk);
  let now = 1_000_000_000_000;
  let store: Store | undefined;
  const close = async (): Promise<void> => {
    const closing = store;
    store = undefined;
    try {
      await closing?.close();
    } catch (error) {
      expectDiskError(error);
    }
  };
  for (let at = 0; at < 12; at++) {
    for (let isDone = false; !isDone;) {
      try {
        store ??= await open({
          persistence,
          engine,
          durability: "strict",
          clock: () => now++,
        });
        expectKept(store, kept);
        const key = `key/${at % 5}`;
        store.set(key, at);
        if (at % 4 === 3) {
          // The next frame has to be the whole state.
          store.set("gone", at);
          store.delete("gone");
          collectElsewhere(store, engine);
        }
        await store.flush();
        kept.set(key, at);
        isDone = true;
      } catch (error) {
        const code = expectDiskError(error);
        if (code !== "store-full" && code !== "storage-unavailable") await close();
      }
    }
    if (at === 7) await close();
  }
  await close();
  return kept;
}

/** A later write may be there too: values rise. */
function expectKept(store: Store, kept: ReadonlyMap<string, number>): void {
  for (const [key, value] of kept) expect(Number(store.get(key))).toBeGreaterThanOrEqual(value);
}

function expectDiskError(error: unknown): string {
  const code = errorCode(error) ?? String(error);
  expect(["store-full", "storage-unavailable", "store-poisoned"]).toContain(code);
  return code;
}

interface ArmedLog extends LogFile {
  readonly disk: CrashDisk;
  /** From here on nothing fails. */
  disarm(): void;
}

/** A log of one frame, whose calls fail from now on as `judge` says. */
async function loadedLog(
  judge: (call: { readonly name: string; readonly isArmed: boolean }) => Fault | undefined,
): Promise<ArmedLog> {
  let isArmed = false;
  const disk = new CrashDisk();
  const faulty = faultyDisk(disk, (name) => judge({ name, isArmed }));
  const log = await openLogFile(faulty, NAME, { access: "write" });
  expect(await stateOf(log)).toBe(0);
  await log.append(frameOf("append", 1, seededRandom(1)), { sync: true });
  isArmed = true;
  return Object.assign(log, { disk, disarm: () => void (isArmed = false) });
}

async function stateOn(disk: Disk): Promise<number> {
  const log = await openLogFile(disk, NAME, { access: "write" });
  const state = await stateOf(log);
  await log.close();
  return state;
}

async function stateOf(log: LogFile): Promise<number> {
  const frames: Uint8Array[] = [];
  for await (const frame of log.load()) frames.push(frame);
  return stateOfFrames(frames);
}

async function codeOf(work: Promise<void>): Promise<string | undefined> {
  try {
    await work;
    return "none";
  } catch (error) {
    return errorCode(error);
  }
}

function persistenceOn(disk: Disk): ReturnType<typeof logPersistence> {
  return logPersistence("faulty", () => ({ disk, path: NAME, release: () => {} }));
}
