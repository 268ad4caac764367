/** What stands in the tables, and whom it concerns. */

import { randomUUID } from "node:crypto";

import { loadEngine, open, type Persistence, salvage, tagged } from "lastwrite";
import { postgresPersistence } from "lastwrite/persistence/postgres";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { codeOf, framesOf, keptIn, makeSource, opened } from "./postgres-frames.ts";
import { absence, makeDatabase, type TestDatabase } from "./postgres-server.ts";

const SYNC = { sync: true };
const engine = await loadEngine();

describe.skipIf(absence !== undefined)(
  `tables of PostgreSQL${absence === undefined ? "" : ` (${absence})`}`,
  () => {
    let database: TestDatabase;
    beforeAll(async () => {
      database = await makeDatabase();
    });
    afterAll(() => database[Symbol.asyncDispose]());

    const rowsOf = async (store: string): Promise<Record<string, unknown>[]> =>
      database.run(
        `select convert_from(key, 'UTF8') as key, is_prefix, bytes is null as is_tombstone
          from lastwrite_entries where store = (select id from lastwrite_stores where name = $1) order by 1, 2`,
        [store],
      );

    test("what was written is there for other programs, with its type", async () => {
      const store = randomUUID();
      const kept = await open({
        persistence: postgresPersistence(database.pool(), { store }),
        engine,
        clock: () => 1_700_000_000_000,
      });
      kept.set("a null", null);
      kept.set("big", 2n ** 80n);
      kept.set("boolean", true);
      kept.set("bytes", new Uint8Array([1, 171]));
      kept.set("date", new Date(0));
      kept.set("infinity", Number.POSITIVE_INFINITY);
      kept.set("number", -1.5);
      kept.set("object", { "q\"\\'": ["\u0000", 1n, { __proto__: null }] });
      kept.set("tagged", tagged("decimal", "1.10"));
      kept.set("text", 'it\'s "quoted" \\ \u0000 \ud800 \u{1F600}');
      kept.set("with \u0000", 1);
      kept.delete("big");
      kept.set("big", -(2n ** 80n));
      kept.set("gone", 1);
      kept.delete("gone");
      await kept.close();
      const rows = await database.run(
        `select key, type, value::text, extract(epoch from written_at)::bigint as seconds from lastwrite_values where store = $1 order by key_bytes`,
        [store],
      );
      expect(rows.map(({ key, type, value }) => [key, type, value])).toEqual([
        ["a null", "null", "null"],
        ["big", "bigint", String(-(2n ** 80n))],
        ["boolean", "boolean", "true"],
        ["bytes", "bytes", '"01ab"'],
        ["date", "date", '"1970-01-01T00:00:00.000Z"'],
        ["infinity", "number", '"Infinity"'],
        ["number", "number", "-1.5"],
        ["object", "json", '{"q\\"\\\\\'": ["\uFFFD", "1", {}]}'],
        ["tagged", "json", '{"text": "1.10", "type": "decimal"}'],
        ["text", "text", '"it\'s \\"quoted\\" \\\\ \uFFFD \uFFFD \u{1F600}"'],
        [null, "number", "1"],
      ]);
      expect(new Set(rows.map(({ seconds }) => seconds))).toEqual(new Set(["1700000000"]));
    });

    test("many stores stand side by side, and what is deleted leaves no rows", async () => {
      const pool = database.pool();
      const names = [randomUUID(), randomUUID()] as const;
      for (const store of names) {
        const persistence = await opened(postgresPersistence(pool, { store }), engine);
        const source = makeSource(engine);
        for (const key of ["a", "b/", "b/1", "b/2/x", "b/3", "b0", "c"]) source.set(key, 1);
        source.deletePrefix("b/3/");
        await persistence.append(source.frame(), SYNC);
        await persistence.close();
      }
      const untouched = await rowsOf(names[1]);
      const persistence = postgresPersistence(pool, { store: names[0] });
      await persistence.open({ access: "write", engine });
      const source = makeSource(engine);
      source.replay(await framesOf(persistence));
      source.deletePrefix("b/");
      source.set("b/4", 1);
      source.delete("c");
      await persistence.append(source.frame(), SYNC);
      expect(await rowsOf(names[0])).toEqual([
        { key: "a", is_prefix: false, is_tombstone: false },
        { key: "b/", is_prefix: true, is_tombstone: true },
        { key: "b/4", is_prefix: false, is_tombstone: false },
        { key: "b0", is_prefix: false, is_tombstone: false },
        { key: "c", is_prefix: false, is_tombstone: true },
      ]);
      source.collect();
      await persistence.append(source.frame(), SYNC);
      expect((await rowsOf(names[0])).map(({ key }) => key)).toEqual(["a", "b/4", "b0"]);
      source.deletePrefix("");
      await persistence.append(source.frame(), SYNC);
      expect(await rowsOf(names[0])).toEqual([{ key: "", is_prefix: true, is_tombstone: true }]);
      expect(await rowsOf(names[1])).toEqual(untouched);
      await persistence.close();
      expect(await keptIn(postgresPersistence(pool, { store: names[0] }), engine)).toEqual(
        source.snapshot(),
      );
    });

    test("states are joined before they are many", async () => {
      const store = randomUUID();
      const pool = database.pool();
      const persistence = await opened(postgresPersistence(pool, { store }), engine);
      const source = makeSource(engine);
      for (let at = 0; at < 150; at++) {
        source.set(`key/${at % 10}`, at);
        await persistence.append(source.frame(), { sync: false });
      }
      await persistence.close();
      const [row] = await database.run(
        "select count(*)::integer as count from lastwrite_states where store = (select id from lastwrite_stores where name = $1)",
        [store],
      );
      expect(row?.["count"]).toBeLessThanOrEqual(64);
      expect(await keptIn(postgresPersistence(pool, { store }), engine)).toEqual(source.snapshot());
    });

    test("names are names, whatever is in them", async () => {
      const pool = database.pool();
      const names = [
        `'; drop table lastwrite_entries; --`,
        `"`,
        `\\'`,
        " ",
        "$1",
        "Ünï/\u{1F600}",
        "x".repeat(1000),
      ];
      for (const name of names) {
        const source = makeSource(engine);
        source.set("name", name);
        const schema = name.slice(0, 15);
        for (const options of [{ store: name }, { store: name, schema }]) {
          const persistence = await opened(postgresPersistence(pool, options), engine);
          await persistence.replace(source.whole());
          await persistence.close();
          expect(await keptIn(postgresPersistence(pool, options), engine)).toEqual(
            source.snapshot(),
          );
        }
      }
      const refused: readonly [Record<string, unknown>, string][] = [
        [{ store: "" }, "not empty"],
        [{ store: "a\0b" }, "NUL"],
        [{ store: "\ud800" }, "surrogate"],
        [{ store: 1 }, "is a string"],
        [{ schema: "" }, "not empty"],
        [{ schema: "a\0b" }, "NUL"],
        [{ schema: "ü".repeat(32) }, "63 bytes"],
      ];
      for (const [options, message] of refused)
        expect(() => postgresPersistence(pool, options)).toThrow(message);
    });

    test("the settings of a session stay as the user has them, and count for nothing here", async () => {
      const store = randomUUID();
      await using own = await makeDatabase();
      await own.run("create schema elsewhere; create table seen (level text)");
      const pool = own.pool(1);
      const client = await pool.connect();
      await client.query(
        "set search_path = elsewhere; set synchronous_commit = off; set bytea_output = escape; set standard_conforming_strings = off",
      );
      client.release();
      const persistence = await opened(
        postgresPersistence(pool, { store, schema: "public" }),
        engine,
      );
      await own.run(`create function note() returns trigger language plpgsql as $$ begin
          insert into public.seen values (current_setting('synchronous_commit')); return null; end $$;
        create trigger note after update on public.lastwrite_stores execute function note()`);
      const source = makeSource(engine);
      source.set("a", "\\ ' \"");
      await persistence.append(source.frame(), SYNC);
      source.set("a", 2);
      await persistence.append(source.frame(), { sync: false });
      await persistence.replace(source.whole());
      await persistence.close();
      expect(await keptIn(postgresPersistence(pool, { store, schema: "public" }), engine)).toEqual(
        source.snapshot(),
      );
      const settings = await pool.query(
        "select current_setting('search_path') as path, current_setting('synchronous_commit') as level, current_setting('bytea_output') as output",
      );
      expect(settings.rows).toEqual([{ path: "elsewhere", level: "off", output: "escape" }]);
      expect(await own.run("select level from seen")).toEqual([
        { level: "on" },
        { level: "off" },
        { level: "on" },
      ]);
    });

    test("a level of durability that is more than asked for stays", async () => {
      const store = randomUUID();
      await using own = await makeDatabase();
      const pool = own.pool(1);
      await pool.query("set synchronous_commit = remote_apply");
      const persistence = await opened(postgresPersistence(pool, { store }), engine);
      await own.run(`create table levels (level text);
        create function note_level() returns trigger language plpgsql as $$ begin
          insert into levels values (current_setting('synchronous_commit')); return null; end $$;
        create trigger note after update on lastwrite_stores execute function note_level()`);
      const source = makeSource(engine);
      source.set("a", 1);
      await persistence.append(source.frame(), SYNC);
      await persistence.close();
      expect(await own.run("select level from levels")).toEqual([{ level: "remote_apply" }]);
    });

    test("a database that was copied says so until it is written to", async () => {
      await using original = await makeDatabase();
      const source = makeSource(engine);
      const first = original.pool(1);
      let persistence = await opened(postgresPersistence(first), engine);
      expect(persistence.isCopy).toBe(false);
      source.set("a", 1);
      await persistence.append(source.frame(), SYNC);
      await persistence.close();
      await first.end();
      await using copy = await makeDatabase(original.name);
      for (const [where, isCopy] of [
        [original, false],
        [copy, true],
        [copy, true],
      ] as const) {
        persistence = await opened(postgresPersistence(where.pool(1)), engine);
        expect(persistence.isCopy).toBe(isCopy);
        await persistence.close();
      }
      persistence = await opened(postgresPersistence(copy.pool(1)), engine);
      source.set("b", 1);
      await persistence.append(source.frame(), SYNC);
      await persistence.close();
      persistence = await opened(postgresPersistence(copy.pool(1)), engine);
      expect(persistence.isCopy).toBe(false);
      await persistence.close();
    });

    test("a role without rights on the system knows a copy still, and needs none to make tables that are there", async () => {
      await using original = await makeDatabase();
      const role = `lastwrite_role_${randomUUID().replaceAll("-", "")}`;
      const pool = original.pool(1);
      await (await opened(postgresPersistence(pool), engine)).close();
      await pool.query(`revoke execute on function pg_control_system from public; create role ${role};
        grant select, insert, update, delete on all tables in schema public to ${role}`);
      try {
        await pool.query(`set role ${role}`);
        const persistence = await opened(postgresPersistence(pool, { store: "other" }), engine);
        const source = makeSource(engine);
        source.set("a", 1);
        await persistence.append(source.frame(), SYNC);
        await persistence.close();
        await (await opened(postgresPersistence(pool, { store: "other" }), engine)).close();
        const refused = postgresPersistence(pool, { schema: "new" });
        expect(await codeOf(refused.open({ access: "write", engine }))).toBe("storage-unavailable");
      } finally {
        await pool.query(`reset role; drop owned by ${role}; drop role ${role}`);
      }
    });

    test("one that only looks makes nothing", async () => {
      await using empty = await makeDatabase();
      const reader = postgresPersistence(empty.pool(1), { schema: "new" });
      await reader.open({ access: "read", engine });
      expect(await framesOf(reader)).toEqual([]);
      expect(await codeOf(reader.append(new Uint8Array(0), SYNC))).toBe("store-read-only");
      await reader.close();
      expect(await codeOf(reader.append(new Uint8Array(0), SYNC))).toBe("store-closed");
      expect(await empty.run("select from pg_namespace where nspname = 'new'")).toEqual([]);
    });

    test("what the database refuses has the code of what it means, and changes nothing", async () => {
      const store = randomUUID();
      const pool = database.pool();
      const persistence = await opened(postgresPersistence(pool, { store }), engine);
      const source = makeSource(engine);
      source.set("a", 1);
      await persistence.append(source.frame(), SYNC);
      const before = source.snapshot();
      source.set("b", 1);
      const frame = source.frame();
      for (const [state, code] of [
        ["53100", "store-full"],
        ["58030", "storage-unavailable"],
        ["XX001", "store-corrupt"],
        ["42501", "storage-unavailable"],
      ] as const) {
        await database.run(`create or replace function fail() returns trigger language plpgsql as $$ begin
            raise exception 'refused' using errcode = '${state}'; end $$;
          create trigger fail before insert on lastwrite_entries execute function fail()`);
        expect(await codeOf(persistence.append(frame, SYNC))).toBe(code);
        expect(await codeOf(persistence.replace(source.whole()))).toBe(code);
        await database.run("drop trigger fail on lastwrite_entries");
        expect(await keptIn(postgresPersistence(pool, { store }), engine)).toEqual(before);
      }
      await persistence.append(frame, SYNC);
      await persistence.close();
      expect(await keptIn(postgresPersistence(pool, { store }), engine)).toEqual(source.snapshot());
    });

    test("a store of a later format is left alone", async () => {
      const store = randomUUID();
      const pool = database.pool();
      await (await opened(postgresPersistence(pool, { store }), engine)).close();
      await database.run("update lastwrite_stores set format = 2 where name = $1", [store]);
      for (const access of ["read", "write"] as const) {
        const persistence = postgresPersistence(pool, { store });
        expect(await codeOf(persistence.open({ access, engine }))).toBe("store-newer");
      }
    });

    test.each([
      ["the bytes of a value", "bytes = '\\x06ff' where key = 'k/3'"],
      ["a stamp", "stamp = '\\x00' where key = 'k/3'"],
      ["a key", "key = '\\xff' where key = 'k/3'"],
    ])("damage to %s is told, and the rest can be read", async (_, damage) => {
      const store = randomUUID();
      const pool = database.pool();
      const persistence = await opened(postgresPersistence(pool, { store }), engine);
      const source = makeSource(engine);
      for (let at = 0; at < 10; at++) source.set(`k/${at}`, at);
      await persistence.append(source.frame(), SYNC);
      await persistence.close();
      await database.run(
        `update lastwrite_entries set ${damage} and store = (select id from lastwrite_stores where name = $1)`,
        [store],
      );
      expect(await codeOf(keptIn(postgresPersistence(pool, { store }), engine))).toBe(
        "store-corrupt",
      );
      const saved = await salvage(postgresPersistence(pool, { store }), { engine });
      expect(saved.keyCount).toBe(9);
      expect(saved.lost.map(({ offset }) => offset)).toEqual([3]);
    });

    test("values of a megabyte and ten thousand entries go through in one frame", async () => {
      const store = randomUUID();
      const pool = database.pool();
      const persistence: Persistence = await opened(postgresPersistence(pool, { store }), engine);
      const source = makeSource(engine);
      for (let at = 0; at < 10_000; at++) source.set(`small/${at}`, at);
      for (let at = 0; at < 6; at++) source.set(`large/${at}`, `${at}`.repeat(1024 * 1024 - 1));
      await persistence.append(source.frame(), SYNC);
      await persistence.close();
      const kept = await keptIn(postgresPersistence(pool, { store }), engine);
      // Byte by byte `toEqual` takes minutes.
      expect(Buffer.compare(kept, source.snapshot())).toBe(0);
    });
  },
);
