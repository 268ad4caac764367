/** Databases for tests, each of its own sort, and gone when they are done. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import type { Persistence } from "lastwrite";
import { type SqliteClient, sqlitePersistence } from "lastwrite/persistence/sqlite";

import type { PlaceUnderTest } from "../suites/persistence.ts";

/** A folder that goes with all that is in it. */
export function temporaryFolder(): { readonly path: string; [Symbol.dispose](): void } {
  const path = mkdtempSync(join(tmpdir(), "lastwrite-sqlite-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

/** A file, with a connection for each opener. */
export async function filePlace(connect: (path: string) => SqliteClient): Promise<PlaceUnderTest> {
  const folder = temporaryFolder();
  const clients: SqliteClient[] = [];
  return {
    opener(): Persistence {
      const client = connect(join(folder.path, "app.db"));
      clients.push(client);
      return sqlitePersistence(client, { busyTimeoutMs: 0 });
    },
    async remove() {
      for (const client of clients) client.close();
      folder[Symbol.dispose]();
    },
  };
}

/** A file, and openers that have its path only. */
export async function pathPlace(): Promise<PlaceUnderTest> {
  const folder = temporaryFolder();
  return {
    opener: () => sqlitePersistence(join(folder.path, "app.db"), { busyTimeoutMs: 0 }),
    async remove() {
      folder[Symbol.dispose]();
    },
  };
}

/** A database in memory, with one connection that all openers share. */
export async function memoryPlace(
  connect: (path: string) => SqliteClient,
): Promise<PlaceUnderTest> {
  const client = connect(":memory:");
  return {
    opener: () => sqlitePersistence(client, { busyTimeoutMs: 0 }),
    async remove() {
      client.close();
    },
  };
}
