/** From one place to another, and out of a damaged one. */

import { encodedEntry } from "../codec/block.ts";
import { encodeFrame } from "../codec/frame.ts";
import { KIND } from "../codec/header.ts";
import { createDictionary } from "../dictionary/dictionary.ts";
import { internalsOf } from "../dictionary/internals.ts";
import type { Engine } from "../engine/contract.ts";
import { entriesOfColumns } from "../engine/entry-columns.ts";
import { loadEngine } from "../engine/load.ts";
import { LastwriteError } from "../errors.ts";
import { ATTRIBUTE, Attributes } from "./attributes.ts";
import { checkPersistence } from "./check.ts";
import type { LostBytes, Persistence } from "./contract.ts";
import { encodeAttributes } from "./journal.ts";
import { replayAll } from "./replay.ts";

/** What copying and salvaging run on. */
export interface CopyOptions {
  /** Default: `await loadEngine()`. */
  readonly engine?: Engine;
}

/** What `copyPersistence` did. */
export interface Copied {
  /** How many keys have a value. */
  readonly keyCount: number;
}

const COPY_PART_BYTES = 1024 * 1024;
/** Two stores must not go by one name. */
const NOT_COPIED: ReadonlySet<string> = new Set(Object.values(ATTRIBUTE));

/**
 * Copies a store from one place into another, which may be of another sort; both must be free, and are closed again. A store opened on either has the same
 * snapshot, byte for byte; the copy is a store of its own, which writes under a replica id of its own.
 *
 * Rejects with `invalid-argument` when there is something in `to` already, and as `open` for what is wrong with either place. Holds the whole state in memory.
 *
 * @example
 * ```ts
 * import { copyPersistence, open } from "lastwrite";
 * import { memoryPersistence } from "lastwrite/persistence/memory";
 *
 * const from = memoryPersistence();
 * const store = await open({ persistence: from });
 * store.set("title", "Ship it");
 * await store.close();
 *
 * const to = memoryPersistence();
 * const { keyCount } = await copyPersistence(from, to);
 * console.log(keyCount); // 1
 * ```
 */
export async function copyPersistence(
  from: Persistence,
  to: Persistence,
  options: CopyOptions = {},
): Promise<Copied> {
  checkPersistence(from, "what to copy from");
  checkPersistence(to, "what to copy into");
  const engine = options.engine ?? (await loadEngine());
  const dictionary = createDictionary({ engine });
  try {
    const { entries } = internalsOf(dictionary);
    const attributes = new Attributes();
    await opened(from, "read", engine, async () => {
      for await (const { journal } of replayAll(from, entries)) {
        if (journal !== undefined) attributes.load(journal.attributes);
      }
    });
    await opened(to, "write", engine, async () => {
      for await (const _ of to.load()) throw notEmpty(to);
      const kept = new Map([...attributes.all].filter(([name]) => !NOT_COPIED.has(name)));
      const whole = { whole: true, partBytesMax: COPY_PART_BYTES };
      await to.replace(entries.journal(encodeAttributes(kept), whole));
    });
    return { keyCount: dictionary.size };
  } finally {
    dictionary.close();
  }
}

/** What `salvage` found. */
export interface Salvaged {
  /** All that could be read, to be merged into another store: `store.merge(frame)`. */
  readonly frame: Uint8Array;
  /** How many keys have a value in it. */
  readonly keyCount: number;
  /** What could not be read. */
  readonly lost: readonly LostBytes[];
}

/**
 * Reads what can be read of a store that `open` refuses as `store-corrupt`; the place is left untouched.
 *
 * The frame has entries only, and no version: what got lost is not taken for seen, so that other replicas that have it still bring it back. Merge it into a new store. A
 * removal that got lost with its bytes may let an older value show again. Rejects with `invalid-argument` when the adapter knows no way past damage.
 */
export async function salvage(
  persistence: Persistence,
  options: CopyOptions = {},
): Promise<Salvaged> {
  checkPersistence(persistence, "what to salvage");
  if (persistence.salvage === undefined) {
    throw new LastwriteError("invalid-argument", `${persistence.name} cannot be read past damage`);
  }
  const engine = options.engine ?? (await loadEngine());
  const dictionary = createDictionary({ engine });
  const lost: LostBytes[] = [];
  try {
    const { entries } = internalsOf(dictionary);
    await opened(persistence, "read", engine, async () => {
      for await (const found of persistence.salvage?.() ?? []) {
        if (!(found instanceof Uint8Array)) {
          lost.push(found);
          continue;
        }
        try {
          entries.replay(found);
        } catch (error) {
          lost.push(unreadableFrame(found, error));
        }
      }
    });
    const readable = entries.journal(new Uint8Array(0), { whole: true });
    const all = readable.flatMap((frame) => entriesOfColumns(engine.decodeEntries(frame)));
    const frame = encodeFrame({ kind: KIND.changes }, all.map(encodedEntry));
    return { frame, keyCount: dictionary.size, lost };
  } finally {
    dictionary.close();
  }
}

async function opened(
  persistence: Persistence,
  access: "read" | "write",
  engine: Engine,
  use: () => Promise<void>,
): Promise<void> {
  await persistence.open({ access, engine });
  try {
    await use();
  } finally {
    await persistence.close();
  }
}

function notEmpty({ name }: Persistence): LastwriteError {
  return new LastwriteError(
    "invalid-argument",
    `${name} holds a store already; copy into an empty place`,
  );
}

function unreadableFrame(frame: Uint8Array, error: unknown): LostBytes {
  const reason = error instanceof Error ? error.message : String(error);
  return { offset: 0, byteCount: frame.length, reason };
}
