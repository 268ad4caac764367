/** What every adapter has to do, on the clients of SQLite that this version of Node has. */

import BetterSqlite from "better-sqlite3";
import Libsql from "libsql";

import { testPersistence } from "../suites/test-persistence.ts";
import { filePlace, memoryPlace, pathPlace } from "./sqlite-places.ts";

testPersistence("SQLite, better-sqlite3, a file", () =>
  filePlace((path) => new BetterSqlite(path)),
);
testPersistence("SQLite, better-sqlite3, memory", () =>
  memoryPlace((path) => new BetterSqlite(path)),
);
testPersistence("SQLite, libsql, a file", () => filePlace((path) => new Libsql(path)));
testPersistence("SQLite, libsql, memory", () => memoryPlace((path) => new Libsql(path)));
testPersistence("SQLite, a path", pathPlace);
