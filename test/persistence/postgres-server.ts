/** The PostgreSQL server of the tests: 127.0.0.1:5432 as postgres, or what the PG* variables say. Where none answers, tests are skipped; with CI set that is a failure. */

import { connect, createServer, type AddressInfo, type Socket } from "node:net";

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
  /** "postgres://user@host:port/name". */
  readonly url: string;
  client(): Promise<pg.Client>;
  /** `through`: where to connect instead. */
  pool(max?: number, through?: { readonly port: number }): pg.Pool;
  sql(max?: number): Sql;
  /** Runs SQL in a session of its own, and answers the rows. */
  run(text: string, values?: unknown[]): Promise<Record<string, unknown>[]>;
}

/** Makes an empty database, or a copy of `template`, which nobody may use meanwhile. */
export async function makeDatabase(template?: string): Promise<TestDatabase> {
  const name = `lastwrite_test_${globalThis.crypto.randomUUID().replaceAll("-", "")}`;
  const source = template === undefined ? "" : ` template ${template}`;
  await onServer("postgres", `create database ${name}${source}`);
  const open: { end(): Promise<unknown> }[] = [];
  const { host, port: ownPort, user, password } = { password: "", ...server };
  const secret = password === "" ? "" : `:${encodeURIComponent(password)}`;
  return {
    name,
    url: `postgres://${user}${secret}@${host}:${ownPort}/${name}`,
    async client() {
      const client = new pg.Client({ ...server, database: name });
      // Connections are ended on purpose.
      client.on("error", () => {});
      await client.connect();
      open.push(client);
      return client;
    },
    pool(max = 3, { port } = { port: server.port }) {
      const options = { ...server, port, database: name, max };
      const pool = new pg.Pool({ ...options, connectionTimeoutMillis: 10_000 });
      pool.on("error", () => {});
      open.push(pool);
      return pool;
    },
    sql(max = 3) {
      const sql = postgres({ ...server, database: name, max, onnotice: () => {} });
      open.push({ end: () => sql.end({ timeout: 1 }) });
      return sql;
    },
    run: (text, values) => onServer(name, text, values),
    async [Symbol.asyncDispose]() {
      // First, as a pool waits for what a failed test did not give back.
      await onServer("postgres", `drop database ${name} with (force)`);
      await Promise.all(open.map((client) => client.end().catch(() => {})));
    },
  };
}

/** Stands between client and server, and breaks connections on purpose. */
export interface Proxy extends AsyncDisposable {
  readonly port: number;
  readonly lostAnswerCount: number;
  /** Lets the next message that has this text reach the server, and breaks the connection when the answer comes, which it keeps to itself. */
  loseNextAnswer(text?: string): void;
  /** Breaks all connections on the side of the client alone: the server does not notice. */
  cutOff(): void;
  /** New connections are refused. */
  isDown: boolean;
}

export async function makeProxy(): Promise<Proxy> {
  const sockets = new Set<Socket>();
  const clients = new Set<Socket>();
  let awaited: string | undefined;
  let lostAnswerCount = 0;
  const listener = createServer((client) => {
    if (proxy.isDown) {
      client.destroy();
      return;
    }
    const upstream = connect(server.port, server.host);
    let isLosing = false;
    let isCutOff = false;
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("error", () => {});
    }
    clients.add(client);
    client.on("data", (bytes) => {
      if (awaited !== undefined && bytes.toString("latin1").includes(awaited)) {
        awaited = undefined;
        isLosing = true;
      }
      upstream.write(bytes);
    });
    upstream.on("data", (bytes) => {
      if (!isLosing) {
        if (!isCutOff) client.write(bytes);
        return;
      }
      lostAnswerCount++;
      client.destroy();
      upstream.destroy();
    });
    client.on("close", () => {
      // Not passed on: that is what the server does not notice.
      isCutOff = true;
      clients.delete(client);
    });
    upstream.on("close", () => client.destroy());
  });
  await new Promise<void>((resolve) => void listener.listen(0, "127.0.0.1", resolve));
  const proxy: Proxy = {
    port: (listener.address() as AddressInfo).port,
    isDown: false,
    get lostAnswerCount() {
      return lostAnswerCount;
    },
    loseNextAnswer(text = "") {
      awaited = text;
    },
    cutOff() {
      for (const client of clients) client.destroy();
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => void listener.close(resolve));
    },
  };
  return proxy;
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
