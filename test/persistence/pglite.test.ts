import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { PGlite } from "@electric-sql/pglite";
import { loadEngine, open } from "lastwrite";
import { postgresPersistence } from "lastwrite/persistence/postgres";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { testPersistence } from "../suites/test-persistence.ts";
import { codeOf, contentOf, keptIn, makeSource, opened } from "./postgres-frames.ts";

// Starting one takes seconds.
let database: PGlite;
beforeAll(async () => {
  database = await PGlite.create();
}, 120_000);
afterAll(() => database.close());

testPersistence("PGlite", async () => {
  const store = randomUUID();
  return { opener: () => postgresPersistence(database, { store }), remove: async () => {} };
});

describe("PGlite", () => {
  test("its user goes on with transactions of his own beside a store", async () => {
    const engine = await loadEngine();
    const store = randomUUID();
    const persistence = await opened(postgresPersistence(database, { store }), engine);
    const source = makeSource(engine);
    await database.exec("create table if not exists notes (text text)");
    const rollBack = new Error("undone");
    let append: Promise<void> | undefined;
    const transaction = database.transaction(async (inner) => {
      await inner.query("insert into notes values ('mine')");
      source.set("a", 1);
      source.set("b/1", 1);
      source.deletePrefix("b/");
      append = persistence.append(source.frame(), { sync: true });
      await inner.query("select 1");
      throw rollBack;
    });
    await expect(transaction).rejects.toBe(rollBack);
    await append;
    await persistence.close();
    const kept = await keptIn(postgresPersistence(database, { store }), engine);
    expect(contentOf(engine, kept)).toEqual({ a: 1 });
    expect((await database.query("select from notes")).rows).toEqual([]);
  });

  test("one that is closed is unavailable", async () => {
    const engine = await loadEngine();
    const gone = await PGlite.create();
    const persistence = await opened(postgresPersistence(gone), engine);
    const source = makeSource(engine);
    source.set("a", 1);
    await gone.close();
    expect(await codeOf(persistence.append(source.frame(), { sync: true }))).toBe(
      "storage-unavailable",
    );
    await persistence.close();
  });

  test("a store in a folder is there when the folder is opened again", async () => {
    const engine = await loadEngine();
    await using folder = await makeFolder();
    for (let round = 0; round < 2; round++) {
      const again = await PGlite.create(folder.path);
      const store = await open({ persistence: postgresPersistence(again), engine });
      expect(store.get("a")).toBe(round === 0 ? undefined : 0);
      store.set("a", round);
      await store.close();
      await again.close();
    }
  });
});

async function makeFolder(): Promise<{ readonly path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), "lastwrite-pglite-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}
