/**
 * A client of `pg` as a session. Where it is the user's own, his statements and those of other stores may come in between at any moment, and `pg` says only after a
 * statement in whose transaction it was: so stores take turns, and nothing counts as written before the server showed that the transaction was the store's.
 */

import { LastwriteError } from "../errors.ts";
import { sqlState } from "./postgres-failure.ts";
import type { Mode, PgClient, PgQuery, Query, Session, Transaction } from "./postgres-session.ts";

/** Whose the client is meanwhile: with `"user"` he goes on with it as he likes. */
export type Owner = "store" | "user";

/** The session of a connected client; `release` is called once, and told whether the connection broke. */
export function pgSession(
  client: PgClient,
  owner: Owner,
  release: (isBroken: boolean) => void,
): Session {
  let isLost = false;
  let isHeld = true;
  // Without a listener a connection that breaks would end the process.
  const lost = (): void => {
    isLost = true;
  };
  client.on("error", lost);
  const ask: Query = async (text, values = []) => {
    // Planning the one that writes costs as much as running it.
    const prepared = values.length > 0 && { name: nameOf(text) };
    const question: PgQuery = { ...prepared, text, values: [...values], rowMode: "array" };
    // Of several statements there are several answers.
    return [await client.query(question)].flat().at(-1)?.rows ?? [];
  };
  /** Before a statement this is what was known last, and after it, what it was in. What is written in a transaction of somebody else would go away with it. */
  const checkAlone = (): void => {
    if ((client.getTransactionStatus?.() ?? "I") !== "I") throw foreign();
  };
  const inTurn = async <T>(work: () => Promise<T>): Promise<T> => {
    const endTurn = await takeTurn(client);
    try {
      return await work();
    } finally {
      endTurn();
    }
  };
  const settle = async (): Promise<void> => {
    const debts = debtsOf(client);
    for (const debt of debts) {
      await ask(debt.text, debt.values);
      debts.delete(debt);
    }
  };
  return {
    owner,
    query: (text, values) =>
      inTurn(async () => {
        checkAlone();
        await settle().catch(() => {});
        const rows = await ask(text, values);
        checkAlone();
        return rows;
      }),
    queryAnywhere: (text, values) => inTurn(() => ask(text, values)),
    async owe(text, values) {
      debtsOf(client).add({ text, values });
      await inTurn(settle);
    },
    settle: () => inTurn(settle),
    async begin(mode) {
      const endTurn = await takeTurn(client);
      try {
        checkAlone();
        await settle().catch(() => {});
        const begun = owner === "user" ? await beginAmongOthers(ask, mode) : beginBy(ask, mode);
        return endingTurn(await begun, endTurn);
      } catch (error) {
        endTurn();
        throw error;
      }
    },
    isLost: () => isLost,
    release(isBroken) {
      if (!isHeld) return;
      isHeld = false;
      release(isBroken || isLost);
      client.removeListener("error", lost);
    },
  };
}

/** Statements that begin and end a transaction, in a session that nobody else uses meanwhile. */
export async function beginBy(query: Query, mode: Mode): Promise<Transaction> {
  await query(beginning(mode));
  let isOpen = true;
  const end = async (statement: string): Promise<void> => {
    if (!isOpen) return;
    isOpen = false;
    await query(statement);
  };
  return { query, commit: () => end("commit"), rollback: () => end("rollback") };
}

/** As long as nobody else begins or ends a transaction the store's has this moment for a name; a text without parameters may have several statements, which nothing comes between. */
const STARTED = "(extract(epoch from now()) * 1000000)::bigint";

/**
 * As `beginBy`, where the user may begin and end transactions at any moment. `begin` in one of his would be a warning only, and give it another mode if it had not asked anything yet: so
 * one without a mode goes first, and is the store's if it started with that very text. To end it there is a condition, too: a division by zero where it is another one by now.
 */
async function beginAmongOthers(query: Query, mode: Mode): Promise<Transaction> {
  const [first] = await query("begin; select (now() = statement_timestamp())::text");
  if (first?.[0] !== "true") throw foreign();
  let started: unknown;
  try {
    // To commit, as a statement of the user may have got in.
    const [row] = await query(`commit; ${beginning(mode)}; select ${STARTED}::text`);
    started = row?.[0];
  } catch (error) {
    await query("rollback").catch(() => {});
    throw error;
  }
  let isOpen = true;
  const end = async (statement: string): Promise<void> => {
    if (!isOpen) return;
    isOpen = false;
    try {
      await query(`select 1 / (${STARTED} = ${String(started)})::integer; ${statement}`);
    } catch (error) {
      const state = sqlState(error);
      // It failed already, perhaps by a statement of the user: `commit` would roll it back, and not say so.
      if (state === "25P02") await query("rollback");
      if (statement === "commit") throw state === "22012" ? foreign() : error;
      if (state !== "22012" && state !== "25P02") throw error;
    }
  };
  return { query, commit: () => end("commit"), rollback: () => end("rollback") };
}

function beginning(mode: Mode): string {
  return mode === "read write" ? `begin isolation level read committed, ${mode}` : `begin ${mode}`;
}

function foreign(): LastwriteError {
  return new LastwriteError(
    "storage-unavailable",
    "the client of the store is in a transaction that is not the store's; end it, or give the store a client of its own",
  );
}

interface Debt {
  readonly text: string;
  readonly values: readonly string[];
}

/** By client, what has to be run before anything else. */
const debtsByClient = new WeakMap<PgClient, Set<Debt>>();

function debtsOf(client: PgClient): Set<Debt> {
  let debts = debtsByClient.get(client);
  if (debts === undefined) {
    debts = new Set();
    debtsByClient.set(client, debts);
  }
  return debts;
}

/** By client, the end of the last turn that was asked for. */
const turns = new WeakMap<PgClient, Promise<void>>();

/** Waits until the stores that asked before are done with the client, each with one statement or one transaction; the answer ends the turn. */
async function takeTurn(client: PgClient): Promise<() => void> {
  const former = turns.get(client);
  let endTurn = (): void => {};
  const turn = new Promise<void>((resolve) => {
    endTurn = resolve;
  });
  turns.set(client, turn);
  await former;
  return endTurn;
}

function endingTurn(transaction: Transaction, endTurn: () => void): Transaction {
  return {
    query: transaction.query,
    commit: () => transaction.commit().finally(endTurn),
    rollback: () => transaction.rollback().finally(endTurn),
  };
}

const names = new Map<string, string>();

/** One name for each text, also where two versions of this library use one client: `pg` refuses a name that has another text, so it is made of a hash (FNV-1a). */
function nameOf(text: string): string {
  let name = names.get(text);
  if (name === undefined) {
    let hash = 0x811c9dc5;
    for (let at = 0; at < text.length; at++)
      hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
    name = `lastwrite_${(hash >>> 0).toString(16)}_${text.length}`;
    names.set(text, name);
  }
  return name;
}
