/** Copied, moved and restored stores: no two copies write under one id, and nothing is lost. */

import { cpSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";

import { createDictionary, loadEngine, open, type Report, type Store } from "lastwrite";
import { filePersistence } from "lastwrite/persistence/file";
import { afterAll, expect, test } from "vitest";

const engine = await loadEngine();
const folder = await mkdtemp(path.join(tmpdir(), "lastwrite-copies-"));
afterAll(() => rmSync(folder, { recursive: true }));

let fileCount = 0;
const newFile = (): string => path.join(folder, `${fileCount++}.lw`);

interface Opened {
  readonly store: Store;
  readonly reports: Report[];
}

async function openFile(file: string): Promise<Opened> {
  const reports: Report[] = [];
  const store = await open({
    persistence: filePersistence(file),
    engine,
    durability: "strict",
    onReport: (report) => reports.push(report),
  });
  return { store, reports };
}

async function written(file: string, entries: Readonly<Record<string, number>>): Promise<string> {
  const { store } = await openFile(file);
  for (const [key, value] of Object.entries(entries)) store.set(key, value);
  const { replicaId } = store;
  await store.close();
  return replicaId ?? "";
}

/** Exchanges until all have everything. */
function exchange(stores: readonly Pick<Store, "merge" | "deltaSince" | "version">[]): void {
  for (let round = 0; round < 2; round++) {
    for (const from of stores) {
      for (const to of stores) if (from !== to) to.merge(from.deltaSince(to.version()));
    }
  }
}

test("a file that was copied goes on under a new id, and both keep every write", async () => {
  const file = newFile();
  const copy = newFile();
  const replicaId = await written(file, { a: 1, b: 1 });
  cpSync(file, copy);
  const original = await openFile(file);
  const copied = await openFile(copy);
  expect(original.reports).toEqual([]);
  expect(copied.reports).toMatchObject([{ code: "replica-cloned", previousReplicaId: replicaId }]);
  expect(copied.store.replicaId).toBeUndefined();
  original.store.set("a", 2);
  copied.store.set("b", 3);
  expect(original.store.replicaId).toBe(replicaId);
  expect(copied.store.replicaId).not.toBe(replicaId);
  exchange([original.store, copied.store]);
  expect(copied.store.digest()).toBe(original.store.digest());
  expect([...copied.store.entries()]).toEqual([
    ["a", 2],
    ["b", 3],
  ]);
  const newId = copied.store.replicaId;
  await original.store.close();
  await copied.store.close();
  // It is itself now, and stays so.
  const again = await openFile(copy);
  expect(again.reports).toEqual([]);
  expect(again.store.replicaId).toBe(newId);
  await again.store.close();
});

test("a copy that is only opened and looked at is still a copy the next time", async () => {
  const file = newFile();
  const copy = newFile();
  const replicaId = await written(file, { a: 1 });
  cpSync(file, copy);
  const reader = await open({ persistence: filePersistence(copy), engine, readOnly: true });
  expect(reader.get("a")).toBe(1);
  await reader.close();
  for (let time = 0; time < 2; time++) {
    const { store } = await openFile(copy);
    await store.close();
  }
  const { store } = await openFile(copy);
  store.set("b", 1);
  expect(store.replicaId).not.toBe(replicaId);
  await store.close();
});

test("a file that was moved keeps its id", async () => {
  const file = newFile();
  const moved = newFile();
  const replicaId = await written(file, { a: 1 });
  renameSync(file, moved);
  const { store, reports } = await openFile(moved);
  expect(reports).toEqual([]);
  expect(store.replicaId).toBe(replicaId);
  await store.close();
});

test("two copies on two machines and the original end equal with every write", async () => {
  const file = newFile();
  await written(file, { a: 0, b: 0, c: 0 });
  const copies = [newFile(), newFile()];
  for (const copy of copies) cpSync(file, copy);
  const opened = await Promise.all([file, ...copies].map((one) => openFile(one)));
  for (const [at, { store }] of opened.entries()) {
    store.set(["a", "b", "c"][at] ?? "", at + 1);
    store.set(`own/${at}`, at);
    await store.flush();
  }
  const stores = opened.map(({ store }) => store);
  expect(new Set(stores.map(({ replicaId }) => replicaId)).size).toBe(3);
  exchange(stores);
  for (const store of stores) {
    expect(store.digest()).toBe(stores[0]?.digest());
    expect(Object.fromEntries(store.entries())).toEqual({
      a: 1,
      b: 2,
      c: 3,
      "own/0": 0,
      "own/1": 1,
      "own/2": 2,
    });
  }
  for (const store of stores) await store.close();
});

test("a backup put back in place is found at first contact, and every write of both is kept", async () => {
  const file = newFile();
  await written(file, { a: 1 });
  const backup = readFileSync(file);
  const replicaId = await written(file, { a: 2, later: 2 });

  // Somebody else has seen what came after the backup.
  const witness = createDictionary({ engine });
  const before = await openFile(file);
  witness.merge(before.store.deltaSince());
  await before.store.close();

  // In the same file, so that it looks like the one that it was.
  writeFileSync(file, backup);
  const { store, reports } = await openFile(file);
  expect(store.get("a")).toBe(1);
  expect(store.replicaId).toBe(replicaId);
  store.set("restored", 3);
  await store.flush();
  expect(reports).toEqual([]);
  exchange([store, witness]);
  // Under one number the two know different writes: so everything is exchanged once, not only what is new.
  store.merge(witness.deltaSince());
  witness.merge(store.deltaSince());
  expect(reports).toMatchObject([{ code: "replica-cloned", previousReplicaId: replicaId }]);
  expect(store.replicaId).not.toBe(replicaId);
  expect(Object.fromEntries(store.entries())).toEqual({ a: 2, later: 2, restored: 3 });
  expect(store.digest()).toBe(witness.digest());
  const newId = store.replicaId;
  await store.close();
  const again = await openFile(file);
  expect(again.store.replicaId).toBe(newId);
  expect(again.store.digest()).toBe(witness.digest());
  await again.store.close();
  witness.close();
});

test("stamps rise strictly, though the clock goes back an hour between 200 restarts", async () => {
  const file = newFile();
  let now = 2_000_000_000_000;
  let last = { millis: 0, counter: 0 };
  for (let restart = 0; restart < 200; restart++) {
    const store = await open({ persistence: filePersistence(file), engine, clock: () => now });
    store.set("k", restart);
    const stamp = store.stampOf("k") ?? last;
    expect([stamp.millis > last.millis, stamp.counter > last.counter]).toContain(true);
    expect(stamp.millis).toBeGreaterThanOrEqual(last.millis);
    last = stamp;
    await store.close();
    now -= 3_600_000;
  }
});
