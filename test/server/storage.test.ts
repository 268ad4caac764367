/** Where rooms are kept: a folder, a database, a medium that fails. */

import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { LastwriteError } from "../../ts/errors.ts";
import type { Persistence } from "../../ts/persistence/contract.ts";
import { memoryPersistence } from "../../ts/persistence/memory.ts";
import { createServer } from "../../ts/server/index.ts";
import { fileOfRoom, tablesOfRoom } from "../../ts/server/storage.ts";
import { absence as postgresAbsence, makeDatabase } from "../persistence/postgres-server.ts";
import { holds, serve, whenStatus } from "./under-test.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), "storage-"));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe("a medium that fails", () => {
  test.each([
    ["store-full", "is tried again", 1],
    ["store-poisoned", "is opened anew", 2],
  ] as const)(
    "with %s: nobody hears of what is not kept, it %s, and nothing is lost",
    async (code, _, openedCount) => {
      let failure: LastwriteError | undefined;
      let count = 0;
      const kept = memoryPersistence();
      const append = kept.append.bind(kept);
      const persistence = (): Persistence => {
        count++;
        const fails = (...args: Parameters<typeof append>): Promise<void> =>
          failure === undefined ? append(...args) : Promise.reject(failure);
        return Object.assign(kept, { append: fails });
      };
      await using served = await serve({ persistence });
      const [one, other] = await Promise.all([served.store("team"), served.store("team")]);
      const json = served.json("team");
      await json.hears({ action: "initial_data" });
      one.set("a", 1);
      await holds(other, "a", 1);
      await one.synced();

      failure = new LastwriteError(code, "/secret/team.lw is broken");
      one.set("b", 2);
      await whenStatus(one, "offline");
      expect(one.statusReason?.message).not.toContain("secret");
      expect(one.pendingCount).toBe(1);
      expect(await served.logged("room-failed")).toMatchObject({ code });
      expect(other.has("b")).toBe(false);
      expect(json.heard.some(({ key }) => key === "b")).toBe(false);

      failure = undefined;
      await one.synced();
      await holds(other, "b", 2);
      expect(count).toBe(openedCount);
      expect((await served.server.room("team")).get("b")).toBe(2);
    },
  );
});

describe("rooms are kept", () => {
  test("in a folder, one file each, capitals told apart from small letters", async () => {
    const names = ["team", "Team", "TEAM", "con", "a-b"];
    {
      await using served = await serve({ data: path.join(folder, "deep", "er") });
      for (const name of names) (await served.server.room(name)).set("name", name);
    }
    const files = readdirSync(path.join(folder, "deep", "er")).filter((file) =>
      file.endsWith(".lw"),
    );
    expect(new Set(files.map((file) => file.toLowerCase())).size).toBe(names.length);
    await using served = await serve({ data: path.join(folder, "deep", "er") });
    for (const name of names) expect((await served.server.room(name)).get("name")).toBe(name);
  });

  test("in one SQLite database, tables for each", async () => {
    const database = `sqlite:${path.join(folder, "app.db")}`;
    const names = ["team", "Team", "a-b", "x".repeat(64)];
    {
      await using served = await serve({ database });
      for (const name of names) (await served.server.room(name)).set("name", name);
    }
    await using served = await serve({ database });
    for (const name of names) expect((await served.server.room(name)).get("name")).toBe(name);
    const store = await served.store("team");
    store.set("b", 2);
    await store.synced();
  });

  test.skipIf(postgresAbsence !== undefined && (process.env["CI"] ?? "") === "")(
    `in one PostgreSQL database, a store for each${postgresAbsence === undefined ? "" : ` (${postgresAbsence})`}`,
    async () => {
      await using database = await makeDatabase();
      const names = ["team", "Team", "a-b", "x".repeat(64)];
      {
        await using served = await serve({ database: database.url });
        for (const name of names) (await served.server.room(name)).set("name", name);
        const store = await served.store("team");
        store.set("b", 2);
        await store.synced();
        const json = served.json("a-b");
        await json.hears({ action: "initial_data", data: { name: "a-b" } });
      }
      await using served = await serve({ database: database.url });
      for (const name of names) expect((await served.server.room(name)).get("name")).toBe(name);
      expect((await served.server.room("team")).get("b")).toBe(2);
    },
  );

  test("under names that differ also where case does not count", () => {
    const names = ["a", "A", "aA", "Aa", "con", "CON", "con-", "x_y", "X_Y"];
    for (const nameOf of [fileOfRoom, tablesOfRoom]) {
      const given = names.map((name) => nameOf(name).toLowerCase());
      expect(new Set(given).size).toBe(names.length);
    }
  });

  test.each([
    ["mysql://x", "invalid-argument"],
    ["sqlite:", "invalid-argument"],
    ["postgres://nobody@127.0.0.1:1/none", "storage-unavailable"],
  ])("nowhere in %s: %s", async (database, code) => {
    await expect(createServer({ port: 0, database })).rejects.toMatchObject({ code });
  });

  test("nowhere in a folder that is a file", async () => {
    writeFileSync(path.join(folder, "file"), "");
    await expect(createServer({ port: 0, data: path.join(folder, "file") })).rejects.toMatchObject({
      code: "storage-unavailable",
    });
  });
});
