import { randomUUID } from "node:crypto";

import { postgresPersistence, type PostgresClient } from "lastwrite/persistence/postgres";
import { afterAll, describe, test } from "vitest";

import { testPersistence } from "../suites/test-persistence.ts";
import { absence, makeDatabase } from "./postgres-server.ts";

if (absence === undefined) {
  const database = await makeDatabase();
  describe("PostgreSQL", () => {
    afterAll(() => database[Symbol.asyncDispose]());
    const pool = database.pool(10);
    const sql = database.sql();
    conforms("pg Pool", async () => pool);
    conforms("postgres", async () => sql);
    conforms("pg Client", () => database.client());
  });
} else {
  test.skip(`PostgreSQL (${absence})`, () => {});
}

/** A store of its own in the one database, for each test. */
function conforms(name: string, clientOf: () => Promise<PostgresClient>): void {
  testPersistence(name, async () => {
    const client = await clientOf();
    const store = randomUUID();
    return {
      opener: () => postgresPersistence(client, { store }),
      remove: async () => {},
    };
  });
}
