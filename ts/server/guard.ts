/** What somebody may not write is not taken: looked at entry by entry, before any of a message is merged. */

import { hasDot, type Version } from "../codec/dots.ts";
import { compareStamps } from "../codec/entry.ts";
import { samePlain } from "../codec/plain.ts";
import { randomId } from "../codec/random.ts";
import { TAG } from "../codec/tags.ts";
import { isKey } from "../codec/text.ts";
import { decodeVersion } from "../codec/version.ts";
import { type Columns, readColumns } from "../engine/columns.ts";
import type { Engine } from "../engine/contract.ts";
import { LastwriteError } from "../errors.ts";
import type { PersistentStore } from "../store/store.ts";

/** Whether somebody may write under a key. */
export type MayWrite = (key: string) => boolean;

export class Guard {
  readonly #engine: Engine;
  readonly #store: PersistentStore;
  readonly #mayWrite: MayWrite;

  constructor(engine: Engine, store: PersistentStore, mayWrite: MayWrite) {
    this.#engine = engine;
    this.#store = store;
    this.#mayWrite = mayWrite;
  }

  /**
   * Answers whether there is anything in it to be merged. Whoever reads sends back now and then what he was told, and that he may; but nothing of a message without anything new is
   * merged, lest somebody who may write nothing says that he has seen what he has not, and what others write is taken for known.
   *
   * Throws `unauthorized`, and `corrupt-bytes` for what cannot be read. Costs, beside the entries, one pass over the keys below prefixes that he may write, however many these are.
   */
  admitFrame(frame: Uint8Array): boolean {
    const columns = readColumns(this.#engine.decodeEntries(frame));
    const version = decodeVersion(this.#store.version());
    let isNew = false;
    const prefixes: string[] = [];
    for (let at = 0; at < columns.count; at++) {
      if (!this.#isNew(columns, at, version)) continue;
      isNew = true;
      this.#check(columns.key(at));
      if (columns.tag(at) === TAG.prefix) prefixes.push(columns.key(at));
    }
    for (const prefix of outermost(prefixes)) {
      for (const key of this.#store.keys({ prefix })) this.#check(key);
    }
    return isNew;
  }

  /** For a snapshot, which takes the place of all that is there, so that only who may delete all may send one. Throws as `admitFrame`. */
  admitSnapshot(parts: readonly Uint8Array[]): void {
    this.#check("");
    for (const part of parts) {
      const columns = readColumns(this.#engine.decodeEntries(part));
      for (let at = 0; at < columns.count; at++) this.#check(columns.key(at));
    }
    for (const key of this.#store.keys()) this.#check(key);
  }

  /** Whether an entry would change anything, be it what the store has seen. */
  #isNew(columns: Columns, at: number, version: Version): boolean {
    if (!hasDot(version, columns.dot(at))) return true;
    const key = columns.key(at);
    const stamp = columns.stamp(at);
    const isLater = (held: string): boolean => {
      const other = this.#store.stampOf(held);
      return other === undefined || compareStamps(stamp, other) > 0;
    };
    if (columns.tag(at) === TAG.prefix) return !this.#hasPrefix(columns, at);
    if (isLater(key)) return true;
    const held = this.#store.stampOf(key);
    if (held !== undefined && compareStamps(stamp, held) < 0) return false;
    return !samePlain(columns.value(at), this.#store.syncHost.replica.entries.get(key));
  }

  /** Whether that prefix tombstone, or one over all of it, is there, or was and is collected: then a merge drops it. Looks at no key below, of which there may be a million. */
  #hasPrefix(columns: Columns, at: number): boolean {
    if (hasDot(decodeVersion(this.#store.horizon()), columns.dot(at))) return true;
    // Of a key that nobody can have written, so that its stamp is that of the prefix over it.
    const absent = columns.key(at) + randomId();
    if (!isKey(absent)) return false;
    const covering = this.#store.stampOf(absent);
    return covering !== undefined && compareStamps(columns.stamp(at), covering) <= 0;
  }

  #check(key: string): void {
    if (this.#mayWrite(key)) return;
    throw new LastwriteError("unauthorized", "you may not write that");
  }
}

/** Those that no other one begins. */
function outermost(prefixes: readonly string[]): readonly string[] {
  const found: string[] = [];
  for (const prefix of prefixes.toSorted()) {
    const last = found.at(-1);
    if (last === undefined || !prefix.startsWith(last)) found.push(prefix);
  }
  return found;
}
