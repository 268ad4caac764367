import { randomUUID } from "node:crypto";

import { postgresPersistence, type PostgresClient } from "lastwrite/persistence/postgres";
import { afterAll, beforeAll, describe } from "vitest";

import { testPersistence } from "../suites/test-persistence.ts";
import { absence, makeDatabase, type TestDatabase } from "./postgres-server.ts";

describe.skipIf(absence !== undefined)(
  `PostgreSQL${absence === undefined ? "" : ` (${absence})`}`,
  () => {
    let database: TestDatabase;
    let pool: PostgresClient;
    let sql: PostgresClient;
    beforeAll(async () => {
      database = await makeDatabase();
      pool = database.pool(10);
      sql = database.sql();
    });
    afterAll(() => database[Symbol.asyncDispose]());

    conforms("pg Pool", async () => pool);
    conforms("postgres", async () => sql);
    conforms("pg Client", () => database.client());
  },
);

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
