/**
 * Writes to a strict store until it is killed, and says each number once it is acknowledged: `node writer.mjs <adapter> <place>`. First it says `found <number>`, or
 * `refused <code>` and ends. With `wait` as third argument it opens the store only when it is told to by a line of input.
 */

import { once } from "node:events";
import { writeSync } from "node:fs";

import { LastwriteError, loadEngine, open, type Persistence, type Store } from "lastwrite";

const KEYS = 40;
/** So that the log is folded now and then. */
const FILLER = "x".repeat(3000);

const [adapter = "", place = "", wait] = process.argv.slice(2);

const persistence = await persistenceOf(adapter, place);
const engine = await loadEngine();
if (wait !== undefined) {
  say("ready");
  await once(process.stdin, "data");
}
await run();

async function run(): Promise<void> {
  let store: Store;
  try {
    store = await open({ persistence, engine, durability: "strict" });
  } catch (error) {
    if (!(error instanceof LastwriteError)) throw error;
    say(`refused ${error.code}`);
    if (error.code !== "store-locked") console.error(error);
    process.exit();
  }
  const found = Number(store.get("last") ?? 0);
  check(store, found);
  say(`found ${found}`);
  for (let number = found + 1; ; number++) {
    store.transaction(() => {
      store.set(`key/${number % KEYS}`, `${number} ${FILLER}`);
      store.set("last", number);
    });
    await store.flush();
    say(String(number));
  }
}

/** Each key has to have its last write up to this number: nothing is missing in between, and no write is there in part. */
function check(store: Store, found: number): void {
  for (let key = 0; key < KEYS; key++) {
    const number = found - ((found - key + KEYS) % KEYS);
    const expected = number > 0 ? `${number} ${FILLER}` : undefined;
    if (store.get(`key/${key}`) !== expected) {
      say(`broken: key/${key} is not of write ${number}, though ${found} is there`);
      process.exit();
    }
  }
}

/** A line that is with the reader before the next write begins. */
function say(line: string): void {
  writeSync(1, `${line}\n`);
}

async function persistenceOf(name: string, where: string): Promise<Persistence> {
  switch (name) {
    case "file":
      return (await import("lastwrite/persistence/file")).filePersistence(where);
    case "sqlite": {
      const { default: Database } = await import("better-sqlite3");
      return (await import("lastwrite/persistence/sqlite")).sqlitePersistence(new Database(where));
    }
    case "postgres": {
      const { default: pg } = await import("pg");
      const pool = new pg.Pool({
        host: process.env["PGHOST"] ?? "127.0.0.1",
        port: Number(process.env["PGPORT"] ?? 5432),
        user: process.env["PGUSER"] ?? "postgres",
        password: process.env["PGPASSWORD"],
        database: where,
      });
      return (await import("lastwrite/persistence/postgres")).postgresPersistence(pool);
    }
    default:
      throw new Error(`there is no adapter ${name}`);
  }
}
