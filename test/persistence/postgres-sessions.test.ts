/** Who has a store, and what happens when a connection breaks. */

import { randomUUID } from "node:crypto";

import { loadEngine, type Persistence } from "lastwrite";
import { postgresPersistence, type PostgresClient } from "lastwrite/persistence/postgres";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import {
  codeOf,
  contentOf,
  framesOf,
  keptIn,
  makeSource,
  opened,
  type Source,
} from "./postgres-frames.ts";
import { absence, makeDatabase, makeProxy, type TestDatabase } from "./postgres-server.ts";

const SYNC = { sync: true };
const engine = await loadEngine();

describe.skipIf(absence !== undefined)(
  `sessions of PostgreSQL${absence === undefined ? "" : ` (${absence})`}`,
  () => {
    let database: TestDatabase;
    beforeAll(async () => {
      database = await makeDatabase();
    });
    afterAll(() => database[Symbol.asyncDispose]());

    /** Ends the sessions that hold a store, as a restart of the server does. */
    const terminate = async (): Promise<void> => {
      await database.run(`select pg_terminate_backend(pid, 5000) from pg_locks
        where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())`);
    };
    const clients: readonly [string, () => PostgresClient][] = [
      ["pg Pool", () => database.pool()],
      ["postgres", () => database.sql()],
    ];

    /** A store of its own, open on a Client of its own, and what is written to it. */
    const openedOnClient = async () => {
      const [store, client] = [randomUUID(), await database.client()];
      const persistence = await opened(postgresPersistence(client, { store }), engine);
      return { store, client, persistence, source: makeSource(engine) };
    };

    test("of ten that open one store at once, one gets it, also where the tables are not there yet", async () => {
      await using empty = await makeDatabase();
      const pool = empty.pool(10);
      const openers = Array.from({ length: 10 }, () => postgresPersistence(pool));
      const codes = await Promise.all(
        openers.map((opener) => codeOf(opener.open({ access: "write", engine }))),
      );
      expect(codes.toSorted()).toEqual([
        "it resolved",
        ...Array.from({ length: 9 }, () => "store-locked"),
      ]);
      await Promise.all(openers.map((opener) => opener.close()));
    });

    test("the lock is free when the session of its holder has died", async () => {
      const store = randomUUID();
      const first = await opened(postgresPersistence(database.pool(), { store }), engine);
      const second = postgresPersistence(database.pool(), { store });
      expect(await codeOf(second.open({ access: "write", engine }))).toBe("store-locked");
      await terminate();
      expect(await codeOf(second.open({ access: "write", engine }))).toBe("it resolved");
      await Promise.all([first.close(), second.close()]);
    });

    test.each(clients)("a write goes on after the connection broke: %s", async (_, clientOf) => {
      const client = clientOf();
      const store = randomUUID();
      const persistence = await opened(postgresPersistence(client, { store }), engine);
      const source = makeSource(engine);
      for (let round = 0; round < 4; round++) {
        source.set(`key/${round}`, round);
        await persistence.append(source.frame(), SYNC);
        await terminate();
      }
      source.set("last", 1);
      await persistence.replace(source.whole()).catch(() => persistence.replace(source.whole()));
      await persistence.close();
      expect(await keptIn(postgresPersistence(client, { store }), engine)).toEqual(
        source.snapshot(),
      );
    });

    test.each(clients)(
      "who lost its session while another one opened the store writes nothing any more: %s",
      async (_, clientOf) => {
        const store = randomUUID();
        const first = await opened(postgresPersistence(clientOf(), { store }), engine);
        const source = makeSource(engine);
        source.set("a", 1);
        await first.append(source.frame(), SYNC);
        await terminate();
        const second = postgresPersistence(clientOf(), { store });
        await second.open({ access: "write", engine });
        const other = makeSource(engine, 3);
        other.replay(await framesOf(second));
        other.set("b", 2);
        await second.append(other.frame(), SYNC);

        source.set("a", 3);
        const late = source.frame();
        expect(await codeOf(first.append(late, SYNC))).toBe("store-locked");
        expect(await codeOf(first.replace([late]))).toBe("store-locked");
        await second.close();
        // Also when the lock is free again.
        expect(await codeOf(first.append(late, SYNC))).toBe("store-locked");
        await first.close();
        const kept = await keptIn(postgresPersistence(clientOf(), { store }), engine);
        expect(contentOf(engine, kept)).toEqual({ a: 1, b: 2 });
      },
    );

    test("a Client that was never connected is said so, instead of waited for", async () => {
      const persistence = postgresPersistence(new pg.Client());
      expect(await codeOf(persistence.open({ access: "write", engine }))).toBe(
        "storage-unavailable",
      );
    });

    test("a Client whose connection broke is unavailable from then on, and the process lives", async () => {
      const { client, persistence, source } = await openedOnClient();
      source.set("a", 1);
      const frame = source.frame();
      await terminate();
      expect(await codeOf(persistence.append(frame, SYNC))).toBe("storage-unavailable");
      expect(await codeOf(persistence.append(frame, SYNC))).toBe("storage-unavailable");
      await persistence.close();
      expect(client.listenerCount("error")).toBe(1);
    });

    test("a write whose answer got lost is not written twice", async () => {
      await using proxy = await makeProxy();
      const store = randomUUID();
      const pool = database.pool(2, proxy);
      const persistence = await opened(postgresPersistence(pool, { store }), engine);
      const source = makeSource(engine);
      source.set("a", 1);
      proxy.loseNextAnswer();
      await persistence.append(source.frame(), SYNC);
      expect(proxy.lostAnswerCount).toBe(1);
      expect(await writesOf(store)).toBe(1);

      source.set("b", 2);
      source.set("c/", 2);
      source.deletePrefix("c/");
      // In a transaction of several statements: the answer to COMMIT.
      proxy.loseNextAnswer("commit\0");
      await persistence.append(source.frame(), SYNC);
      expect(proxy.lostAnswerCount).toBe(2);
      expect(await writesOf(store)).toBe(2);

      proxy.loseNextAnswer("commit\0");
      await persistence.replace(source.whole());
      expect(await writesOf(store)).toBe(3);
      await persistence.close();
      expect(await keptIn(postgresPersistence(pool, { store }), engine)).toEqual(source.snapshot());
    });

    test("a session that the server still takes for alive gives way to its successor", async () => {
      await using proxy = await makeProxy();
      const store = randomUUID();
      const persistence = await opened(
        postgresPersistence(database.pool(2, proxy), { store }),
        engine,
      );
      const source = makeSource(engine);
      source.set("a", 1);
      await persistence.append(source.frame(), SYNC);
      proxy.cutOff();
      source.set("b", 2);
      await persistence.append(source.frame(), SYNC);
      expect(await writesOf(store)).toBe(2);
      await persistence.close();
    });

    test("while the server is away nothing is acknowledged, and then it goes on", async () => {
      await using proxy = await makeProxy();
      const store = randomUUID();
      const pool = database.pool(2, proxy);
      const persistence = await opened(postgresPersistence(pool, { store }), engine);
      const source = makeSource(engine);
      source.set("a", 1);
      const frame = source.frame();
      proxy.isDown = true;
      proxy.cutOff();
      expect(await codeOf(persistence.append(frame, SYNC))).toBe("storage-unavailable");
      expect(await codeOf(persistence.append(frame, SYNC))).toBe("storage-unavailable");
      proxy.isDown = false;
      await persistence.append(frame, SYNC);
      await persistence.close();
      expect(await keptIn(postgresPersistence(pool, { store }), engine)).toEqual(source.snapshot());
    });

    test("writes that the database lost are not built upon; a whole state makes it good", async () => {
      const store = randomUUID();
      const persistence = await opened(postgresPersistence(database.pool(), { store }), engine);
      const source = makeSource(engine);
      for (const key of ["a", "b", "c"]) {
        source.set(key, 1);
        await persistence.append(source.frame(), { sync: false });
      }
      // As after a crash of the server, which may lose what was not synced.
      await database.run(`update lastwrite_stores set writes = 2 where name = $1`, [store]);
      await terminate();
      source.set("d", 1);
      const frame = source.frame();
      expect(await codeOf(persistence.append(frame, SYNC))).toBe("store-poisoned");
      expect(await codeOf(persistence.append(frame, SYNC))).toBe("store-poisoned");
      await persistence.replace(source.whole());
      source.set("e", 1);
      await persistence.append(source.frame(), SYNC);
      await persistence.close();
      const reader = postgresPersistence(database.pool(), { store });
      expect(await keptIn(reader, engine)).toEqual(source.snapshot());
    });

    test("one session holds several stores, each of them once", async () => {
      const client = await database.client();
      const [one, other] = [randomUUID(), randomUUID()];
      const first = await opened(postgresPersistence(client, { store: one }), engine);
      const second = await opened(postgresPersistence(client, { store: other }), engine);
      const third = postgresPersistence(client, { store: one });
      expect(await codeOf(third.open({ access: "write", engine }))).toBe("store-locked");
      await second.close();
      const elsewhere = postgresPersistence(database.pool(), { store: one });
      expect(await codeOf(elsewhere.open({ access: "write", engine }))).toBe("store-locked");
      await first.close();
      expect(await codeOf(elsewhere.open({ access: "write", engine }))).toBe("it resolved");
      await elsewhere.close();
    });

    test("nothing is written into a transaction of the user", async () => {
      const { store, client, persistence, source } = await openedOnClient();
      source.set("a", 1);
      const frame = source.frame();
      await client.query("begin");
      expect(await codeOf(persistence.append(frame, SYNC))).toBe("storage-unavailable");
      expect(await codeOf(persistence.replace([frame]))).toBe("storage-unavailable");
      await client.query("rollback");
      await persistence.append(frame, SYNC);
      await persistence.close();
      expect(await keptIn(postgresPersistence(client, { store }), engine)).toEqual(
        source.snapshot(),
      );
    });

    test("two stores on one Client open, write and close at once", async () => {
      const client = await database.client();
      const names = [randomUUID(), randomUUID()];
      const sources = names.map((_, at) => makeSource(engine, 1 + 2 * at));
      const stores = await Promise.all(
        names.map((store) => opened(postgresPersistence(client, { store }), engine)),
      );
      for (let round = 0; round < 20; round++) {
        await Promise.all(
          stores.map((persistence, at) => {
            const source = sources[at] as Source;
            source.set(`key/${round}`, round);
            source.set("gone/1", round);
            // Of several statements, while that of the other store is one.
            if (round % 2 === at) source.deletePrefix("gone/");
            return persistence.append(source.frame(), SYNC);
          }),
        );
      }
      await Promise.all([
        stores[0]?.replace((sources[0] as Source).whole()),
        stores[1]?.close().then(() => opened(stores[1] as Persistence, engine)),
      ]);
      await Promise.all(stores.map((persistence) => persistence.close()));
      for (const [at, store] of names.entries())
        expect(await keptIn(postgresPersistence(client, { store }), engine)).toEqual(
          sources[at]?.snapshot(),
        );
    });

    test.each(["one statement", "several statements", "all frames"])(
      "nothing is acknowledged that a transaction of the user, on its way already, takes along: %s",
      async (what) => {
        const { store, client, persistence, source } = await openedOnClient();
        source.set("a/1", 1);
        if (what === "several statements") source.deletePrefix("a/");
        const frame = source.frame();
        const write = (): Promise<void> =>
          what === "all frames" ? persistence.replace([frame]) : persistence.append(frame, SYNC);
        for (const end of ["rollback", "commit"]) {
          const begun = client.query("begin isolation level serializable");
          const code = await codeOf(write());
          await begun;
          expect(code).toBe("storage-unavailable");
          // It is his still, as he began it.
          const level = await client.query("show transaction_isolation");
          expect(level.rows).toEqual([{ transaction_isolation: "serializable" }]);
          expect(client.getTransactionStatus()).toBe("T");
          await client.query(end);
        }
        await write();
        await persistence.close();
        expect(await keptIn(postgresPersistence(client, { store }), engine)).toEqual(
          source.snapshot(),
        );
      },
    );

    test("a write that the user undoes or spoils half-way is not acknowledged", async () => {
      const { store, client, persistence, source } = await openedOnClient();
      for (const spoil of ["rollback", "rollback; begin", "select 1 / 0"]) {
        source.set("b/1", spoil);
        source.deletePrefix("b/");
        const frame = source.frame();
        const query = client.query.bind(client) as (...given: unknown[]) => unknown;
        let isSpoilt = false;
        client.query = ((...given: unknown[]) => {
          const [{ text = "" }] = given as [{ text?: string }];
          if (!isSpoilt && text.endsWith("commit")) {
            isSpoilt = true;
            void Promise.resolve(query(spoil)).catch(() => {});
          }
          return query(...given);
        }) as typeof client.query;
        expect(await codeOf(persistence.append(frame, SYNC))).toBe("storage-unavailable");
        expect(isSpoilt).toBe(true);
        client.query = query as typeof client.query;
        await client.query("rollback");
        await persistence.append(frame, SYNC);
        expect(await keptIn(postgresPersistence(database.pool(1), { store }), engine)).toEqual(
          source.snapshot(),
        );
      }
      await persistence.close();
    });

    test("an answer that got lost after a write in a transaction of the user is not taken for its own", async () => {
      const { store, client, persistence, source } = await openedOnClient();
      source.set("a", 1);
      const frame = source.frame();
      const begun = client.query("begin");
      expect(await codeOf(persistence.append(frame, SYNC))).toBe("storage-unavailable");
      await begun;
      // The user keeps what was not acknowledged, and the counter is ahead.
      await client.query("commit");
      source.set("b", 1);
      const second = source.frame();
      const query = client.query.bind(client) as (...given: unknown[]) => unknown;
      let failureCount = 0;
      client.query = ((...given: unknown[]) => {
        const [{ text = "" }] = given as [{ text?: string }];
        if (failureCount > 0 || !text.includes("put as (")) return query(...given);
        failureCount++;
        // As pg says it when its time limit is over, and goes on with the connection.
        return Promise.reject(new Error("Query read timeout"));
      }) as typeof client.query;
      await persistence.append(second, SYNC);
      expect(failureCount).toBe(1);
      await persistence.close();
      expect(await keptIn(postgresPersistence(database.pool(1), { store }), engine)).toEqual(
        source.snapshot(),
      );
    });

    test("a store that closes in a transaction of the user gives its lock back", async () => {
      const store = randomUUID();
      const client = await database.client();
      const persistence = await opened(postgresPersistence(client, { store }), engine);
      await client.query("begin");
      await persistence.close();
      const elsewhere = postgresPersistence(database.pool(), { store });
      expect(await codeOf(elsewhere.open({ access: "write", engine }))).toBe("it resolved");
      await elsewhere.close();
      await client.query("rollback");

      await persistence.open({ access: "write", engine });
      await client.query("begin");
      await client.query("select 1 / 0").catch(() => {});
      // Nothing can be asked in one that failed, also not for the lock.
      expect(await codeOf(persistence.close())).toBe("storage-unavailable");
      expect(await codeOf(persistence.append(new Uint8Array(0), SYNC))).toBe("store-closed");
      await client.query("rollback");
      expect(await codeOf(elsewhere.open({ access: "write", engine }))).toBe("store-locked");
      await persistence.close();
      expect(await codeOf(elsewhere.open({ access: "write", engine }))).toBe("it resolved");
      await elsewhere.close();
      expect(client.listenerCount("error")).toBe(1);

      // Or another one opens the store by that Client, and the first does not take its lock away.
      await persistence.open({ access: "write", engine });
      await client.query("begin");
      await client.query("select 1 / 0").catch(() => {});
      expect(await codeOf(persistence.close())).toBe("storage-unavailable");
      await client.query("rollback");
      const other = await opened(postgresPersistence(client, { store }), engine);
      await persistence.close();
      expect(await codeOf(elsewhere.open({ access: "write", engine }))).toBe("store-locked");
      await other.close();
      expect(client.listenerCount("error")).toBe(1);
    });

    test("a Client without a listener of its own may tell more than once that its connection broke", async () => {
      const client = await database.client();
      client.removeAllListeners("error");
      const persistence = await opened(
        postgresPersistence(client, { store: randomUUID() }),
        engine,
      );
      const source = makeSource(engine);
      source.set("a", 1);
      const frame = source.frame();
      await terminate();
      expect(await codeOf(persistence.append(frame, SYNC))).toBe("storage-unavailable");
      expect(client.emit("error", new Error("once more"))).toBe(true);
      await persistence.close();
      expect(client.listenerCount("error")).toBe(0);
    });

    test("a session of `postgres` that cannot be used is given back, though its connection lives", async () => {
      await using own = await makeDatabase();
      const sql = own.sql(1);
      // Given back by its user in a transaction that failed.
      const left = await sql.reserve();
      await left.unsafe("begin");
      await left.unsafe("select 1 / 0").catch(() => {});
      left.release();
      const persistence = postgresPersistence(sql);
      expect(await codeOf(persistence.open({ access: "write", engine }))).toBe(
        "storage-unavailable",
      );
      // Which would wait for ever.
      const again = await sql.reserve();
      await again.unsafe("rollback");
      again.release();
      await (await opened(persistence, engine)).close();
    });

    test("a lock that cannot be given back does not stay in a session of `postgres`", async () => {
      await using own = await makeDatabase();
      const role = `lastwrite_role_${randomUUID().replaceAll("-", "")}`;
      const sql = own.sql(1);
      const persistence = await opened(postgresPersistence(sql), engine);
      await persistence.close();
      await own.run(`revoke execute on function pg_advisory_unlock(integer, integer) from public; create role ${role};
        grant select, insert, update, delete on all tables in schema public to ${role}`);
      try {
        await sql.unsafe(`set role ${role}`);
        await opened(persistence, engine);
        await persistence.close();
        expect([...(await sql.unsafe("select current_user::text as name"))]).toEqual([
          { name: role },
        ]);
        const elsewhere = postgresPersistence(own.pool(1));
        expect(await codeOf(elsewhere.open({ access: "write", engine }))).toBe("it resolved");
        await elsewhere.close();
      } finally {
        await sql.unsafe("reset role");
        await own.run(`drop owned by ${role}; drop role ${role}`);
      }
    });

    test("a transaction that the server ended since it took too long is done again", async () => {
      await using own = await makeDatabase();
      const pool = own.pool(1);
      const persistence = await opened(postgresPersistence(pool), engine);
      // What `transaction_timeout` of PostgreSQL 17 says, which also ends the session.
      await own.run(`create sequence attempts;
        create function fail() returns trigger language plpgsql as $$ begin
          if nextval('attempts') = 1 then raise exception 'too long' using errcode = '25P04'; end if;
          return new; end $$;
        create trigger fail before insert on lastwrite_entries for each row execute function fail()`);
      const source = makeSource(engine);
      source.set("a", 1);
      await persistence.append(source.frame(), SYNC);
      await persistence.close();
      expect(await keptIn(postgresPersistence(pool), engine)).toEqual(source.snapshot());
    });

    test("a pool of one is enough, and has its session back afterwards, without locks", async () => {
      const store = randomUUID();
      const pool = database.pool(1);
      const source = makeSource(engine);
      for (let round = 0; round < 3; round++) {
        const persistence = await opened(postgresPersistence(pool, { store }), engine);
        source.set("a", round);
        await persistence.append(source.frame(), SYNC);
        await persistence.close();
        expect([pool.totalCount, pool.idleCount, pool.waitingCount]).toEqual([1, 1, 0]);
      }
      const held = await pool.query(
        "select from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()",
      );
      expect(held.rowCount).toBe(0);
    });

    test("what is read half and closed leaves no transaction open", async () => {
      const { client, persistence, source } = await openedOnClient();
      for (let at = 0; at < 500; at++) source.set(`key/${at}`, at);
      await persistence.append(source.frame(), SYNC);
      await persistence.close();
      for (const access of ["read", "write"] as const) {
        await persistence.open({ access, engine });
        const frames = persistence.load()[Symbol.asyncIterator]();
        expect((await frames.next()).done).toBe(false);
        await persistence.close();
        expect(await codeOf(Promise.resolve(frames.next()))).toBe("store-closed");
        const idle = await client.query("select now() = statement_timestamp() as is_alone");
        expect(idle.rows).toEqual([{ is_alone: true }]);
      }
    });

    test("what is read is of one moment, though others write meanwhile", async () => {
      const store = randomUUID();
      const pool = database.pool(3);
      const writer = await opened(postgresPersistence(pool, { store }), engine);
      const source = makeSource(engine);
      for (let at = 0; at < 500; at++) source.set(`key/${at}`, at);
      await writer.append(source.frame(), SYNC);
      const before = source.snapshot();
      const reader = postgresPersistence(pool, { store });
      await reader.open({ access: "read", engine });
      const replayed = engine.create({
        replicaId: new Uint8Array(16).fill(7),
        spareId: new Uint8Array(16).fill(8),
        driftMaxMs: 300_000,
      });
      let isFirst = true;
      for await (const frame of reader.load()) {
        replayed.replay(frame);
        if (isFirst) {
          source.set("key/499", "later");
          source.set("new", "later");
          await writer.append(source.frame(), SYNC);
          isFirst = false;
        }
      }
      expect(replayed.snapshot()[0]).toEqual(before);
      await Promise.all([reader.close(), writer.close()]);
    });

    async function writesOf(store: string): Promise<number> {
      const [row] = await database.run(
        "select writes::integer as writes from lastwrite_stores where name = $1",
        [store],
      );
      return row?.["writes"] as number;
    }
  },
);

test("a client of no known shape is refused before anything is opened", () => {
  const make = (client: unknown) => (): Persistence =>
    postgresPersistence(client as PostgresClient);
  for (const client of [undefined, null, {}, "postgres://", { query: () => {} }, () => {}])
    expect(make(client)).toThrow("a client is a pg Client or Pool");
  // By its status nobody knows in whose transaction it wrote.
  expect(make(new pg.Client({ pipeline: true }))).toThrow("pipelines");
});
