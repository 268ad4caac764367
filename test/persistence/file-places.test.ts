/** What is of files alone: which one it is, who may use it, and what lies beside it. */

import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { open, type Report, salvage, type Store } from "lastwrite";
import { filePersistence } from "lastwrite/persistence/file";
import { afterAll, describe, expect, test } from "vitest";

import { checksum } from "../../ts/codec/hash.ts";
import { fastestEngine } from "../suites/engines.ts";
import { errorCode } from "../suites/failures.ts";
import { seededRandom } from "../suites/random.ts";
import { frameOf, frameOfLength, stateOfFrames } from "./log-frames.ts";
import { collectElsewhere } from "../suites/collect.ts";

const engine = fastestEngine();
const root = mkdtempSync(path.join(tmpdir(), "lastwrite-places-"));
afterAll(() => rmSync(root, { recursive: true }));

describe("the file of a store", () => {
  test("is told by its content, by a new name too, and a copy of it writes under other ids", async () => {
    const folder = newFolder();
    const file = path.join(folder, "store.lw");
    const replicaId = await written(file, "a");

    const moved = path.join(folder, "moved.lw");
    renameSync(file, moved);
    expect(await written(moved, "b")).toBe(replicaId);

    const copy = path.join(folder, "copy.lw");
    copyFileSync(moved, copy);
    const reports: Report[] = [];
    const copyId = await written(copy, "c", reports);
    expect(copyId).not.toBe(replicaId);
    expect(reports).toMatchObject([{ code: "replica-cloned", previousReplicaId: replicaId }]);
    expect(await written(copy, "d", reports)).toBe(copyId);
    expect(reports).toHaveLength(1);
    expect(await written(moved, "e")).toBe(replicaId);

    const [one, other] = [await opened(moved), await opened(copy)];
    one.merge(other.deltaSince(one.version()));
    other.merge(one.deltaSince(other.version()));
    expect([...one.keys()]).toEqual(["a", "b", "c", "d", "e"]);
    expect(other.snapshot()).toEqual(one.snapshot());
    await Promise.all([one.close(), other.close()]);
  });

  test("is the one that a symbolic link points to, its lock too", async () => {
    const folder = newFolder();
    const file = path.join(folder, "store.lw");
    const link = path.join(newFolder(), "link.lw");
    symlinkSync(file, link);
    await written(file, "a");
    const store = await opened(link);
    expect(await codeOf(() => opened(file))).toBe("store-locked");
    store.set("b", 1);
    await fold(store);
    await store.close();
    expect(statSync(link, { bigint: true }).ino).toBe(statSync(file, { bigint: true }).ino);
    expect(readdirSync(folder).toSorted()).toEqual(["store.lw", "store.lw.lock"]);
  });

  test("keeps its permissions when it is replaced", async () => {
    const file = path.join(newFolder(), "store.lw");
    await written(file, "a");
    chmodSync(file, 0o600);
    const inode = statSync(file).ino;
    const store = await opened(file);
    await fold(store);
    await store.close();
    expect(statSync(file).ino).not.toBe(inode);
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  test("is made in a folder that is there, and an empty file becomes one", async () => {
    const folder = newFolder();
    const missing = path.join(folder, "missing", "store.lw");
    const error = await failure(() => opened(missing));
    expect(errorCode(error)).toBe("storage-unavailable");
    expect(String(error)).toContain(path.dirname(missing));
    expect(readdirSync(folder)).toEqual([]);

    const empty = path.join(folder, "empty.lw");
    writeFileSync(empty, "");
    await written(empty, "a");
    expect(await keysOf(empty)).toEqual(["a"]);
  });

  test("is not made by who only reads, and not a folder", async () => {
    const folder = newFolder();
    const persistence = filePersistence(path.join(folder, "none.lw"));
    expect(await codeOf(() => open({ persistence, engine, readOnly: true }))).toBe(
      "storage-unavailable",
    );
    expect(readdirSync(folder)).toEqual([]);
    expect(await codeOf(() => opened(folder))).toBe("storage-unavailable");
  });

  test("that is of another program is refused, and stays as it is", async () => {
    const file = path.join(newFolder(), "notes.txt");
    for (const text of ["x", "a text that is longer than a header"]) {
      writeFileSync(file, text);
      for (const readOnly of [false, true]) {
        const error = await failure(() =>
          open({ persistence: filePersistence(file), engine, readOnly }),
        );
        expect(error).toMatchObject({ code: "store-corrupt", damage: { file, offset: 0 } });
      }
      expect(readFileSync(file, "utf8")).toBe(text);
    }
  });

  test("that is damaged says where, stays as it is, and gives the rest to salvage()", async () => {
    const file = path.join(newFolder(), "store.lw");
    for (const key of ["a", "b", "c", "d"]) await written(file, key);
    const bytes = readFileSync(file);
    const at = bytes.indexOf("LW", bytes.length >> 1) + 3;
    bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
    writeFileSync(file, bytes);
    const error = await failure(() => opened(file));
    expect(error).toMatchObject({ code: "store-corrupt", damage: { file } });
    expect(readFileSync(file).equals(bytes)).toBe(true);

    const { frame, keyCount, lost } = await salvage(filePersistence(file), { engine });
    expect(keyCount).toBe(3);
    expect(lost).toHaveLength(1);
    const other = path.join(newFolder(), "other.lw");
    const store = await opened(other);
    store.merge(frame);
    expect([...store.keys()]).toHaveLength(3);
    await store.close();
  });

  test("of a later version is store-newer, and stays as it is", async () => {
    const file = path.join(newFolder(), "store.lw");
    await written(file, "a");
    const bytes = readFileSync(file);
    bytes.writeUInt32LE(2, 4);
    bytes.writeUInt32LE(checksum(bytes.subarray(0, 12)), 12);
    writeFileSync(file, bytes);
    expect(await codeOf(() => opened(file))).toBe("store-newer");
    expect(readFileSync(file).equals(bytes)).toBe(true);
  });
});

describe("what lies beside it", () => {
  test("of an interrupted replacement is removed by the next writer, and left by who reads", async () => {
    const file = path.join(newFolder(), "store.lw");
    await written(file, "a");
    writeFileSync(`${file}.new`, "half of a file");
    const reader = await open({ persistence: filePersistence(file), engine, readOnly: true });
    expect(readFileSync(`${file}.new`, "utf8")).toBe("half of a file");
    await reader.close();
    await (await opened(file)).close();
    expect(readdirSync(path.dirname(file)).toSorted()).toEqual(["store.lw", "store.lw.lock"]);
  });

  test("is nothing when it could not be opened, but for a lock file that was there", async () => {
    const folder = newFolder();
    const file = path.join(folder, "notes.txt");
    writeFileSync(file, "a text that is longer than a header");
    const inner = path.join(folder, "folder");
    mkdirSync(inner);
    for (const [name, code] of [
      [file, "store-corrupt"],
      [inner, "storage-unavailable"],
    ] as const) {
      expect(await codeOf(() => opened(name))).toBe(code);
    }
    expect(readdirSync(folder).toSorted()).toEqual(["folder", "notes.txt"]);

    writeFileSync(`${file}.lock`, "");
    expect(await codeOf(() => opened(file))).toBe("store-corrupt");
    expect(readdirSync(folder).toSorted()).toEqual(["folder", "notes.txt", "notes.txt.lock"]);
  });

  test("is nothing new when somebody else has it open", async () => {
    const file = path.join(newFolder(), "store.lw");
    const store = await opened(file);
    expect(await codeOf(() => opened(file))).toBe("store-locked");
    expect(readdirSync(path.dirname(file)).toSorted()).toEqual(["store.lw", "store.lw.lock"]);
    await store.close();
  });

  test("is no lock file, with `lock: none`", async () => {
    const file = path.join(newFolder(), "store.lw");
    const store = await open({ persistence: filePersistence(file, { lock: "none" }), engine });
    store.set("a", 1);
    await store.close();
    expect(readdirSync(path.dirname(file))).toEqual(["store.lw"]);
  });
});

describe("frames", () => {
  test("of all lengths come back, in as many pieces as it takes to read them", async () => {
    const file = path.join(newFolder(), "store.lw");
    const persistence = filePersistence(file);
    const lengths = [9, 10, 2 ** 20 - 17, 2 ** 20, 9, 3 * 2 ** 20 + 1, 100, 2 ** 20 - 50, 5000];
    await persistence.open({ access: "write", engine });
    expect(await framesOf(persistence)).toEqual([]);
    for (const [at, length] of lengths.entries()) {
      await persistence.append(frameOfLength("append", at + 1, length), { sync: at % 2 === 0 });
    }
    await persistence.close();
    for (const access of ["read", "write"] as const) {
      await persistence.open({ access, engine });
      const frames = await framesOf(persistence);
      expect(frames.map((frame) => frame.length)).toEqual(lengths);
      expect(stateOfFrames(frames)).toBe(lengths.length);
      if (access === "write") await persistence.replace(frames);
      await persistence.close();
    }
    await persistence.open({ access: "read", engine });
    expect(stateOfFrames(await framesOf(persistence))).toBe(lengths.length);
    await persistence.close();
  });

  test("that are appended while it is replaced come after, whoever reads meanwhile", async () => {
    const file = path.join(newFolder(), "store.lw");
    const persistence = filePersistence(file);
    await persistence.open({ access: "write", engine });
    await framesOf(persistence);
    const random = seededRandom(1);
    let number = 0;
    let isDone = false;
    const reading = readAgainAndAgain(file, () => isDone);
    for (let round = 0; round < 40; round++) {
      const replacing = persistence.replace([frameOfLength("whole", number, 200_000)]);
      for (let count = random.below(12); count > 0; count--) {
        number += 1;
        await persistence.append(frameOf("append", number, random), { sync: random.once(3) });
      }
      await replacing;
    }
    isDone = true;
    const { states, lastFound } = await reading;
    expect(states).toBeGreaterThan(3);
    expect(lastFound).toBeLessThanOrEqual(number);
    await persistence.close();
    await persistence.open({ access: "write", engine });
    expect(stateOfFrames(await framesOf(persistence))).toBe(number);
    await persistence.close();
  });

  test("are not written before the file was read, after it was closed, or by who only reads", async () => {
    const file = path.join(newFolder(), "store.lw");
    const persistence = filePersistence(file);
    const frame = frameOf("append", 1, seededRandom(1));
    const append = (): Promise<void> => persistence.append(frame, { sync: true });
    expect(await codeOf(append)).toBe("store-closed");
    await persistence.open({ access: "write", engine });
    expect(await codeOf(append)).toBe("invalid-argument");
    expect(await codeOf(() => persistence.open({ access: "write", engine }))).toBe("store-locked");
    await framesOf(persistence);
    expect(await codeOf(() => persistence.append(new Uint8Array(3), { sync: true }))).toBe(
      "invalid-argument",
    );
    await append();
    await persistence.close();
    await persistence.close();
    expect(await codeOf(append)).toBe("store-closed");
    await persistence.open({ access: "read", engine });
    await framesOf(persistence);
    expect(await codeOf(append)).toBe("store-read-only");
    expect(await codeOf(() => persistence.replace([frame]))).toBe("store-read-only");
    await persistence.close();
  });
});

test("options that do not exist are refused", () => {
  const lock = "file" as unknown as "os";
  expect(() => filePersistence("store.lw", { lock })).toThrow("choose");
  expect(() => filePersistence("")).toThrow("path");
});

function newFolder(): string {
  return mkdtempSync(path.join(root, "place-"));
}

function opened(file: string, reports: Report[] = []): Promise<Store> {
  return open({
    persistence: filePersistence(file),
    engine,
    durability: "strict",
    onReport: (report) => reports.push(report),
  });
}

/** Opens a store, writes one key, closes it, and answers the id that it wrote under. */
async function written(file: string, key: string, reports?: Report[]): Promise<string | undefined> {
  const store = await opened(file, reports);
  store.set(key, 1);
  const { replicaId } = store;
  await store.close();
  return replicaId;
}

async function keysOf(file: string): Promise<string[]> {
  const store = await open({ persistence: filePersistence(file), engine, readOnly: true });
  const keys = [...store.keys()];
  await store.close();
  return keys;
}

/** Lets the next frame be the whole state. */
async function fold(store: Store): Promise<void> {
  store.set("gone", 1);
  store.delete("gone");
  collectElsewhere(store, engine);
  await store.flush();
}

async function framesOf(persistence: ReturnType<typeof filePersistence>): Promise<Uint8Array[]> {
  const frames: Uint8Array[] = [];
  for await (const frame of persistence.load()) frames.push(frame);
  return frames;
}

async function readAgainAndAgain(
  file: string,
  isDone: () => boolean,
): Promise<{ states: number; lastFound: number }> {
  const found = { states: 0, lastFound: 0 };
  while (!isDone()) {
    const persistence = filePersistence(file);
    await persistence.open({ access: "read", engine });
    const state = stateOfFrames(await framesOf(persistence));
    await persistence.close();
    expect(state).toBeGreaterThanOrEqual(found.lastFound);
    found.lastFound = state;
    found.states += 1;
  }
  return found;
}

async function failure(work: () => Promise<unknown>): Promise<unknown> {
  try {
    await work();
    return undefined;
  } catch (error) {
    return error;
  }
}

async function codeOf(work: () => Promise<unknown>): Promise<string | undefined> {
  return errorCode(await failure(work));
}
