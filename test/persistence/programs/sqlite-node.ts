/**
 * Runs what every adapter has to do on node:sqlite: `node sqlite-node.mjs client|path`. Prints a line of JSON for each case: its name, and what went wrong or null.
 *
 * With `path`, the database is opened by its path, in a place where there is neither better-sqlite3 nor the addon.
 */

import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { loadEngine, type Persistence } from "lastwrite";
import { type SqliteClient, sqlitePersistence } from "lastwrite/persistence/sqlite";

import { persistenceCases, type PlaceUnderTest } from "../../suites/persistence.ts";

const isPath = process.argv[2] === "path";
const script = await loadEngine({ backend: "script" });
const engines = isPath ? ([script] as const) : ([await loadEngine(), script] as const);

for (const each of persistenceCases) {
  const { name } = each;
  // Which lock keeps a second process out is the addon's.
  if (isPath && name.startsWith("a second opener")) continue;
  const place = makePlace();
  const problem = await each.run({ place, engines }).then(
    () => null,
    (error: unknown) => String(error),
  );
  await place.remove();
  process.stdout.write(`${JSON.stringify({ name, problem })}\n`);
}

function makePlace(): PlaceUnderTest {
  const folder = mkdtempSync(join(tmpdir(), "lastwrite-sqlite-"));
  const path = join(folder, "app.db");
  const clients: SqliteClient[] = [];
  return {
    opener(): Persistence {
      if (isPath) return sqlitePersistence(path, { lock: "none", busyTimeoutMs: 0 });
      const client = connect(path);
      clients.push(client);
      return sqlitePersistence(client, { busyTimeoutMs: 0 });
    },
    async remove() {
      for (const client of clients) client.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** The types that the tests are written with are of a Node that has no such module. */
function connect(path: string): SqliteClient {
  const { DatabaseSync } = createRequire(import.meta.url)("node:sqlite") as {
    readonly DatabaseSync: new (path: string) => SqliteClient;
  };
  return new DatabaseSync(path);
}
