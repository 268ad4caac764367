/**
 * The tables of one store in a SQLite database, and the statements on them.
 *
 * | table | a row |
 * |---|---|
 * | `<store>_entries` | an entry: its key, whether it is a prefix tombstone, its place in the order of arrival, its value as tag and payload (docs/format.md), its stamp, its dot and origin. `readable` is for others |
 * | `<store>_replicas` | a replica id, and the number that stands for it in entries |
 * | `<store>_states` | a journal without entries. The greatest generation tells whether somebody else wrote |
 * | `<store>_meta` | format, and the identity of the file that the data was written in |
 *
 * The view `<store>_values` shows keys and values to other programs. There is no index but the key of each table, and replica ids and times are numbers: so a change of
 * one key touches two pages, and rows are about as long as those of a table of keys and values.
 */

import { LastwriteError } from "../errors.ts";

/** The format of the tables that this version writes. */
export const FORMAT = 1;

/** How many rows `putMany` puts. More of them cost as much. */
export const STATEMENT_ROWS = 20;

/** The columns of an entry that `put` takes, in this order. */
const ENTRY_COLUMNS = [
  "key",
  "is_prefix",
  "place",
  "tag",
  "payload",
  "readable",
  "millis",
  "counter",
  "replica",
  "dot_replica",
  "dot_counter",
  "origin_replica",
  "origin_counter",
] as const;

/** Those of an entry that is no prefix tombstone, has no origin, and was stamped by its writer: each value that need not be bound makes a write cheaper by a few percent. */
const COMMON_COLUMNS: ReadonlySet<string> = new Set([
  "key",
  "place",
  "tag",
  "payload",
  "readable",
  "millis",
  "counter",
  "dot_counter",
]);

/** How many they are. */
export const COMMON_WIDTH: number = COMMON_COLUMNS.size;

/** The statements on the tables of one store; `?` in the order of the names. */
export interface Statements {
  /** Names of tables and views that there are: of those that a store has. */
  readonly find: string;
  readonly setUp: readonly string[];
  /** (name) → value. */
  readonly meta: string;
  /** (name, value) */
  readonly setMeta: string;
  /** → number, id. */
  readonly replicas: string;
  /** (number, id) */
  readonly addReplica: string;
  /** → generation; null for none. */
  readonly generation: string;
  /** → generation, state; in order. */
  readonly states: string;
  /** (generation, state) */
  readonly addState: string;
  /** (generation): deletes those up to it. */
  readonly dropStates: string;
  /** (from, to): gives a state another generation. */
  readonly moveState: string;
  /** (columns of an entry) */
  readonly put: string;
  /** (eight columns of STATEMENT_ROWS entries), for the number of the replica that wrote and stamped them all. */
  readonly putMany: (replica: number) => string;
  /** (prefix, first key after all that have it, prefix, millis, millis, counter, counter, replica id): deletes what a prefix tombstone covers. */
  readonly sweep: string;
  /** (number of a replica, counter): deletes tombstones. */
  readonly collect: string;
  readonly empty: readonly string[];
  /** → key, is_prefix, tag, payload, millis, counter, replica, dot_replica, dot_counter, origin_replica, origin_counter; by place. */
  readonly load: string;
  /** As `load`, by key, and from the last key. */
  readonly loadByKey: string;
  readonly loadFromLast: string;
  /** → the greatest place; null for none. */
  readonly lastPlace: string;
}

/** The statements for a store. Throws `invalid-argument` for a name that is not a plain one. */
export function statementsFor(store: string): Statements {
  if (typeof store !== "string" || !/^[A-Za-z_][A-Za-z0-9_]{0,47}$/u.test(store)) {
    throw new LastwriteError(
      "invalid-argument",
      `the name of a store has 1 to 48 letters, digits and _, and begins with no digit, unlike ${JSON.stringify(store)}`,
    );
  }
  const [entries, replicas, states, meta] = ["entries", "replicas", "states", "meta"].map(
    (table) => `main."${store}_${table}"`,
  );
  // A view that names its database could not be read where that is attached under another name.
  const unqualified = `"${store}_entries"`;
  const columns = ENTRY_COLUMNS.join(", ");
  const marks = `(${ENTRY_COLUMNS.map(() => "?").join(", ")})`;
  // A statement that could be undone by itself, because of a `not null` or without `or fail`, would keep a copy of each page that it changes.
  const put = (rows: string): string =>
    `insert or fail into ${entries} (${columns}) values ${rows} on conflict (key, is_prefix) do update set ${ENTRY_COLUMNS.slice(
      2,
    )
      .map((column) => `${column} = excluded.${column}`)
      .join(", ")}`;
  const load = (order: string): string =>
    `select key, is_prefix, tag, payload, millis, counter, replica, dot_replica, dot_counter, origin_replica, origin_counter from ${entries} order by ${order}`;
  return {
    find: `select name from main.sqlite_schema where type in ('table', 'view')
      and lower(name) in (${PARTS.map((part) => `lower('${store}_${part}')`).join(", ")})`,
    setUp: [
      `create table ${entries} (
        key blob not null,
        is_prefix integer not null,
        place integer,
        tag integer,
        payload blob,
        readable,
        millis integer,
        counter integer,
        replica integer,
        dot_replica integer,
        dot_counter integer,
        origin_replica integer,
        origin_counter integer,
        primary key (key, is_prefix)
      ) without rowid`,
      `create table ${replicas} (number integer primary key, id blob not null unique)`,
      `create table ${states} (generation integer primary key, state blob not null)`,
      `create table ${meta} (name text primary key, value not null) without rowid`,
      // Numbers arrive as floats from most clients.
      `create view main."${store}_values" as select
        cast(key as text) as key,
        case tag
          when 2 then 0
          when 3 then 1
          when 4 then cast(readable as integer)
          when 6 then coalesce(readable, cast(coalesce(payload, x'') as text))
          when 8 then coalesce(payload, x'')
          else readable end as value,
        case
          when tag in (2, 3) then 'boolean'
          when tag in (4, 5) then 'number'
          when tag in (6, 7) then 'text'
          when tag = 1 then 'null'
          when tag = 8 then 'bytes'
          when tag = 9 then 'bigint'
          when tag = 10 then 'date'
          else 'json' end as type,
        millis
        from ${unqualified} where tag between 1 and 13`,
      `insert into ${meta} (name, value) values ('format', '${FORMAT}')`,
    ],
    meta: `select value from ${meta} where name = ?`,
    setMeta: `insert into ${meta} (name, value) values (?, ?) on conflict (name) do update set value = excluded.value`,
    replicas: `select number, id from ${replicas}`,
    addReplica: `insert into ${replicas} (number, id) values (?, ?)`,
    generation: `select max(generation) from ${states}`,
    states: `select generation, state from ${states} order by generation`,
    addState: `insert into ${states} (generation, state) values (?, ?)`,
    dropStates: `delete from ${states} where generation <= ?`,
    moveState: `update ${states} set generation = ? where generation = ?`,
    put: put(marks),
    putMany: (replica) =>
      put(Array.from({ length: STATEMENT_ROWS }, () => commonMarks(replica)).join(", ")),
    sweep: `delete from ${entries} where key >= ? and key < ? and not (is_prefix = 1 and key = ?)
      and (millis < ? or (millis = ? and (counter < ? or (counter = ? and (select id from ${replicas} where number = replica) <= ?))))`,
    collect: `delete from ${entries} where tag in (0, 14) and dot_replica = ? and dot_counter <= ?`,
    empty: [entries, replicas, states].map((table) => `delete from ${table}`),
    load: load("place"),
    loadByKey: load("key, is_prefix"),
    loadFromLast: load("key desc, is_prefix desc"),
    lastPlace: `select max(place) from ${entries}`,
  };
}

function commonMarks(replica: number): string {
  const marks = ENTRY_COLUMNS.map((column) => {
    if (COMMON_COLUMNS.has(column)) return "?";
    if (column === "is_prefix") return "0";
    return column.startsWith("origin") ? "null" : String(replica);
  });
  return `(${marks.join(", ")})`;
}

/** What the names of the tables and the view of a store end in. */
const PARTS = ["entries", "replicas", "states", "meta", "values"];

/** How many of them there are. */
export const PART_COUNT: number = PARTS.length;
