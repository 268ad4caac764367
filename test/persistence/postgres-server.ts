/** The PostgreSQL server of the tests: 127.0.0.1:5432 as postgres, or what the PG* variables say. Where none answers, tests are skipped; with CI set that is a failure. */

import pg from "pg";
import postgres, { type Sql } from "postgres";

const server = {
  host: process.env["PGHOST"] ?? "127.0.0.1",
  port: Number(process.env["PGPORT"] ?? 5432),
  user: process.env["PGUSER"] ?? "postgres",
  ...(process.env["PGPASSWORD"] !== undefined && { password: process.env["PGPASSWORD"] }),
};

/** Why there is no server, in words; undefined where one answers. */
export const absence: string | undefined = await reasonOfAbsence();

/** A database of its own, which goes when the test is over. */
export interface TestDatabase extends AsyncDisposable {
  readonly name: string;
  client(): Promise<pg.Client>;
  pool(max?: number): pg.Pool;
  sql(): Sql;
  /** Runs SQL in a session of its own, and answers the rows. */
  run(text: string, values?: unknown[]): Promise<Record<string, unknown>[]>;
}

/** Makes an empty database, or a copy of `template`, which nobody may use meanwhile. */
export async function makeDatabase(template?: string): Promise<TestDatabase> {
  const name = `lastwrite_test_${globalThis.crypto.randomUUID().replaceAll("-", "")}`;
  const source = template === undefined ? "" : ` template ${template}`;
  await onServer("postgres", `create database ${name}${source}`);
  const open: { end(): Promise<unknown> }[] = [];
  return {
    name,
    async client() {
      const client = new pg.Client({ ...server, database: name });
      // Connections are ended on purpose.
      client.on("error", () => {});
      await client.connect();
      open.push(client);
      return client;
    },
    pool(max = 3) {
      const pool = new pg.Pool({ ...server, database: name, max, connectionTimeoutMillis: 10_000 });
      pool.on("error", () => {});
      open.push(pool);
      return pool;
    },
    sql() {
      const sql = postgres({ ...server, database: name, max: 3, onnotice: () => {} });
      open.push({ end: () => sql.end({ timeout: 1 }) });
      return sql;
    },
    run: (text, values) => onServer(name, text, values),
    async [Symbol.asyncDispose]() {
      await Promise.all(open.map((client) => client.end().catch(() => {})));
      await onServer("postgres", `drop database ${name} with (force)`);
    },
  };
}

async function onServer(
  database: string,
  text: string,
  values?: unknown[],
): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ ...server, database });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(text, values)).rows;
  } finally {
    await client.end();
  }
}

async function reasonOfAbsence(): Promise<string | undefined> {
  try {
    await onServer("postgres", "select 1");
    return undefined;
  } catch (error) {
    const reason = `no PostgreSQL at ${server.host}:${server.port} (${String(error)}); bash scripts/postgres.sh starts one`;
    if (process.env["CI"] !== undefined) throw new Error(reason, { cause: error });
    return reason;
  }
}
