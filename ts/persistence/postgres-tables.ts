/**
 * The tables of all stores in one schema, and the statements on them. Every name stands with its schema, so the search path of a session does not matter,
 * and what is set is set for one transaction.
 *
 * | table | a row |
 * |---|---|
 * | lastwrite_stores | a store: its name, the format of its rows, who opened it last, how many writes it had, and in which database it was written |
 * | lastwrite_entries | an entry: its key in UTF-8, tag and payload of its value (docs/format.md; null for a tombstone), stamp, dot and origin as bytes that compare as they do (./postgres-rows.ts), and its place in the order of arrival. `value` is for others to read |
 * | lastwrite_states | journals without entries, joined into one when they are many |
 *
 * The view `lastwrite_values` shows keys and values as text and JSON. There is no index but the key: an entry that is overwritten then stays where it is,
 * and what needs another order is rare, and sorts.
 */

import { LastwriteError } from "../errors.ts";

/** The format of the rows that this version writes. */
export const FORMAT = 1;

/** PostgreSQL cuts longer names. */
const NAME_BYTES_MAX = 63;

/** The statements on the tables of one schema. */
export interface Statements {
  /** Makes schema, tables and view; to be run in a transaction, one after the other. */
  readonly setUp: readonly string[];
  /** ($1 name) → id, format. */
  readonly find: string;
  /** ($1 name, $2 format) → id; none if somebody else was faster. */
  readonly add: string;
  /** ($1 id, $2 opener, $3 new opener) → writes. Without a former opener `$2` is null, and whoever it was is shut out. */
  readonly take: string;
  /** ($1 id, $2 opener) → writes: none when somebody else opened it. */
  readonly count: string;
  /** ($1 id) → identity. */
  readonly recorded: string;
  /** ($1 id, $2 opener, $3 pid, $4 identity, $5 sync or none) → writes: none when this session is not the opener's any more. First in each transaction that writes. */
  readonly hold: string;
  /** As `hold`, with rows and a state of the same store, in one statement: ($6 … $13 see `rowParameters`, $14 number, $15 state or null) → writes. */
  readonly write: string;
  /** ($1 id, $2 … $9 see `rowParameters`). */
  readonly put: string;
  /** ($1 id, $2 number, $3 state): keeps it under that number, and none of a greater one. */
  readonly states: string;
  /** ($1 id, $2 … $4 see `prefixParameters`): deletes what prefix tombstones cover. */
  readonly sweep: string;
  /** ($1 id, $2 … $3 see `collectedParameters`): deletes tombstones. */
  readonly collect: string;
  /** ($1 id): deletes all entries and states. */
  readonly emptied: readonly string[];
  /** ($1 id): opens the cursor of `fetch` over all entries by place. */
  readonly cursor: string;
  /** → place, is_prefix, key, bytes, and stamp, dot and origin in one, of so many rows; none at the end. */
  fetch(rowCount: number): string;
  /** ($1 id) → number, state, in order. */
  readonly load: string;
}

/** The statements for a schema. */
export function statementsFor(schema: string): Statements {
  const quoted = quoteName(schema);
  const [stores, entries, states] = ["stores", "entries", "states"].map(
    (table) => `${quoted}.lastwrite_${table}`,
  ) as [string, string, string];

  const hold = `update ${stores} set writes = writes + 1, identity = $4::text
    from (select set_config('synchronous_commit', case
      when $5::text = 'none' then 'off'
      when current_setting('synchronous_commit') = 'off' then 'on'
      else current_setting('synchronous_commit') end, true) as durability) as chosen
    where id = $1::text::integer and opener = $2::text and pg_backend_pid() = $3::text::integer and durability <> ''
    returning id, writes`;
  /** Of the store that `held` names; parameters from `$first` on. */
  const put = (first: number): string => {
    const [isPrefix, key, value, bytes, stamp, dot, origin, place] = Array.from(
      { length: 8 },
      (_, at) => `$${first + at}::text`,
    );
    return `insert into ${entries} (store, place, is_prefix, key, value, bytes, stamp, dot, origin)
    select held.id, ${place}::bigint + at - 1, is_prefix, key, value, bytes, stamp, dot, origin
    from held, unnest(${isPrefix}::boolean[], ${key}::bytea[], ${value}::jsonb[], ${bytes}::bytea[], ${stamp}::bytea[], ${dot}::bytea[], ${origin}::bytea[])
      with ordinality as given (is_prefix, key, value, bytes, stamp, dot, origin, at)
    on conflict (store, key, is_prefix) do update set place = excluded.place, value = excluded.value, bytes = excluded.bytes,
      stamp = excluded.stamp, dot = excluded.dot, origin = excluded.origin`;
  };
  const putState = (first: number): string => `insert into ${states} (store, number, state)
    select id, $${first}::text::bigint, $${first + 1}::text::bytea from held where $${first + 1}::text is not null
    on conflict (store, number) do update set state = excluded.state`;
  const held = "with held as (select $1::text::integer as id)";

  return {
    setUp: [...tables(quoted, stores, entries, states)],
    find: `select id::text, format::text from ${stores} where name = $1::text`,
    add: `insert into ${stores} (name, format) values ($1::text, $2::text::integer) on conflict (name) do nothing returning id::text, format::text`,
    take: `update ${stores} set opener = $3::text
      from (select set_config('synchronous_commit', case when current_setting('synchronous_commit') = 'off' then 'on' else current_setting('synchronous_commit') end, true) as durability) as chosen
      where id = $1::text::integer and ($2::text is null or opener = $2::text) and durability <> '' returning writes::text`,
    count: `select writes::text from ${stores} where id = $1::text::integer and opener = $2::text`,
    recorded: `select identity from ${stores} where id = $1::text::integer`,
    hold: `with held as (${hold}) select writes::text from held`,
    write: `with held as (${hold}), put as (${put(6)}), state as (${putState(14)}) select writes::text from held`,
    put: `${held} ${put(2)}`,
    states: `${held}, joined as (delete from ${states} using held where store = id and number > $2::text::bigint) ${putState(2)}`,
    sweep: `delete from ${entries} as entry using unnest($2::text::bytea[], $3::text::bytea[], $4::text::bytea[]) as prefix (first, after, stamp)
      where store = $1::text::integer and key >= first and key < after and entry.stamp <= prefix.stamp and not (is_prefix and key = first)`,
    collect: `delete from ${entries} using unnest($2::text::bytea[], $3::text::bytea[]) as gone (first, last)
      where store = $1::text::integer and bytes is null and dot between first and last`,
    emptied: [entries, states].map(
      (table) => `delete from ${table} where store = $1::text::integer`,
    ),
    cursor: `declare lastwrite_load no scroll cursor for select place::text, is_prefix::text, key, bytes, stamp || dot || coalesce(origin, '')
      from ${entries} as entries where store = $1::text::integer order by entries.place`,
    fetch: (rowCount) => `fetch forward ${rowCount} from lastwrite_load`,
    load: `select number::text, state from ${states} as kept where store = $1::text::integer order by kept.number`,
  };
}

function tables(quoted: string, stores: string, entries: string, states: string): string[] {
  return [
    // Who makes a schema needs rights that users of one that is there need not have.
    `do $set_up$ begin if to_regnamespace(${quoteText(quoted)}) is null then create schema ${quoted}; end if; end $set_up$`,
    `create table if not exists ${stores} (
      id integer generated always as identity primary key,
      name text collate "C" not null unique,
      format integer not null,
      opener text,
      writes bigint not null default 0,
      identity text
    ) with (fillfactor = 50)`,
    `create table if not exists ${entries} (
      place bigint not null,
      store integer not null,
      is_prefix boolean not null,
      key bytea not null,
      stamp bytea not null,
      dot bytea not null,
      origin bytea,
      bytes bytea,
      value jsonb,
      primary key (store, key, is_prefix)
    ) with (fillfactor = 90)`,
    `create table if not exists ${states} (
      store integer not null,
      number bigint not null,
      state bytea not null,
      primary key (store, number)
    )`,
    // A key with NUL has no text.
    `create or replace view ${quoted}.lastwrite_values as
      select store.name as store,
        case when position(decode('00', 'hex') in key) = 0 then convert_from(key, 'UTF8') end as key,
        value,
        (array['null', 'boolean', 'boolean', 'number', 'number', 'text', 'text', 'bytes', 'bigint', 'date', 'json', 'json', 'json'])[get_byte(bytes, 0)] as type,
        to_timestamp(('x' || encode(substr(stamp, 1, 6), 'hex'))::bit(48)::bigint / 1000.0) as written_at,
        key as key_bytes
      from ${entries} as entry join ${stores} as store on store.id = entry.store
      where bytes is not null`,
  ];
}

/** A name in statements. `invalid-argument` for one that PostgreSQL would refuse or cut. */
export function quoteName(name: string): string {
  checkText(name, "the name of a schema");
  if (new TextEncoder().encode(name).length > NAME_BYTES_MAX)
    throw invalid(`the name of a schema has at most ${NAME_BYTES_MAX} bytes`);
  return `"${name.replaceAll('"', '""')}"`;
}

/** `invalid-argument` for what PostgreSQL does not take as text, and for the empty text. */
export function checkText(text: unknown, what: string): asserts text is string {
  if (typeof text !== "string" || text === "") throw invalid(`${what} is a string, not empty`);
  if (text.includes("\0")) throw invalid(`${what} cannot have a NUL`);
  if (!text.isWellFormed()) throw invalid(`${what} cannot have a lone surrogate`);
}

/** As a literal, with the rules of standard SQL and those of before. */
function quoteText(text: string): string {
  return `E'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}

function invalid(message: string): LastwriteError {
  return new LastwriteError("invalid-argument", message);
}
