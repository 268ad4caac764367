/**
 * A disk in memory that knows what was synced, and can lose power: then of what was not, any part may be there, or other bytes in its place.
 *
 * Data is durable after `sync` of its file, names after `syncFolder`; nothing else makes them.
 */

import type { Disk, DiskFile } from "../../ts/persistence/disk.ts";
import type { Random } from "../suites/random.ts";

/** What became of the bytes that were not synced. */
export const OUTCOMES = [
  "nothing",
  "everything",
  "prefix",
  "subset",
  "zeros",
  "flips",
  "stale",
] as const;

export type Outcome = (typeof OUTCOMES)[number];

/** Called before each call that changes something, or makes it durable. */
export type DiskHook = (call: string) => Promise<void>;

type Change =
  | { readonly at: number; readonly bytes: Uint8Array }
  | { readonly truncatedTo: number };

/** New owners of names; undefined for a name that is gone. */
type NameChange = readonly (readonly [name: string, file: StoredFile | undefined])[];

interface StoredFile {
  readonly identity: string;
  durable: Uint8Array;
  current: Uint8Array;
  changes: Change[];
}

export class CrashDisk implements Disk {
  hook: DiskHook | undefined;
  #names = new Map<string, StoredFile>();
  #durableNames = new Map<string, StoredFile>();
  #nameChanges: NameChange[] = [];
  #fileCount = 0;

  async open(name: string): Promise<DiskFile | undefined> {
    const file = this.#names.get(name);
    return file && this.#handle(file);
  }

  async create(name: string): Promise<DiskFile> {
    await this.hook?.("create");
    const identity = `file ${this.#fileCount++}`;
    const empty = new Uint8Array(0);
    const file = { identity, durable: empty, current: empty, changes: [] };
    this.#rename([[name, file]]);
    return this.#handle(file);
  }

  async rename(from: string, to: string): Promise<void> {
    await this.hook?.("rename");
    const file = this.#names.get(from);
    if (file === undefined) throw new Error(`${from} is not there to be renamed`);
    this.#rename([
      [to, file],
      [from, undefined],
    ]);
  }

  async remove(name: string): Promise<void> {
    if (!this.#names.has(name)) return;
    await this.hook?.("remove");
    this.#rename([[name, undefined]]);
  }

  async syncFolder(): Promise<void> {
    await this.hook?.("syncFolder");
    this.#nameChanges = [];
    this.#durableNames = new Map(this.#names);
  }

  async identity(name: string): Promise<string> {
    return this.#names.get(name)?.identity ?? "";
  }

  /** The names that files have now. */
  get names(): readonly string[] {
    return [...this.#names.keys()];
  }

  /** The bytes of a file, to look at or to damage. */
  contentOf(name: string): Uint8Array {
    const file = this.#names.get(name);
    if (file === undefined) throw new Error(`there is no ${name}`);
    return file.current;
  }

  /** Puts a file there, synced; another than all that were there before. */
  put(name: string, bytes: Uint8Array): void {
    const identity = `file ${this.#fileCount++}`;
    const file = { identity, durable: bytes, current: bytes, changes: [] };
    this.#names.set(name, file);
    this.#durableNames.set(name, file);
  }

  /** The disk as it may be found after a loss of power now. This one goes on as it was. */
  afterPowerLoss(outcome: Outcome, random: Random): CrashDisk {
    const disk = new CrashDisk();
    disk.#fileCount = this.#fileCount;
    const names = new Map(this.#durableNames);
    for (const change of survivors(this.#nameChanges, outcome, random)) {
      for (const [name, file] of change) setName(names, name, file);
    }
    for (const [name, file] of names) {
      const content = contentAfter(file, outcome, random);
      const { identity } = file;
      const found = { identity, durable: content, current: content, changes: [] };
      disk.#names.set(name, found);
      disk.#durableNames.set(name, found);
    }
    return disk;
  }

  #rename(change: NameChange): void {
    for (const [name, file] of change) setName(this.#names, name, file);
    this.#nameChanges.push(change);
  }

  #handle(file: StoredFile): DiskFile {
    const changed = async (call: string, change: Change): Promise<void> => {
      await this.hook?.(call);
      file.changes.push(change);
      file.current = applied(file.current, change);
    };
    return {
      size: async () => file.current.length,
      read: async (into, at) => {
        const bytes = file.current.subarray(at, at + into.length);
        into.set(bytes);
        return bytes.length;
      },
      write: (bytes, at) => changed("write", { at, bytes: bytes.slice() }),
      truncate: (size) => changed("truncate", { truncatedTo: size }),
      sync: async () => {
        await this.hook?.("sync");
        file.durable = file.current;
        file.changes = [];
      },
      close: async () => {},
    };
  }
}

function setName(names: Map<string, StoredFile>, name: string, file: StoredFile | undefined): void {
  if (file === undefined) names.delete(name);
  else names.set(name, file);
}

/** Names change by whole steps; a journal keeps their order, but need not. */
function survivors(
  changes: readonly NameChange[],
  outcome: Outcome,
  random: Random,
): readonly NameChange[] {
  if (outcome === "nothing") return [];
  if (outcome === "everything") return changes;
  if (outcome === "subset") return changes.filter(() => random.once(2));
  return changes.slice(0, random.below(changes.length + 1));
}

function contentAfter(file: StoredFile, outcome: Outcome, random: Random): Uint8Array {
  const { durable, current, changes } = file;
  if (changes.length === 0 || outcome === "nothing") return durable;
  switch (outcome) {
    case "everything":
      return current;
    case "prefix":
      return prefix(durable, changes, random);
    case "flips":
      return flipped(current, changes, random);
    default:
      return mixed(file, outcome, random);
  }
}

/** Some of the changes in their order, the last one in part. */
function prefix(durable: Uint8Array, changes: readonly Change[], random: Random): Uint8Array {
  const count = random.below(changes.length);
  let content = durable;
  for (const change of changes.slice(0, count)) content = applied(content, change);
  const last = changes[count] as Change;
  if ("truncatedTo" in last) return content;
  const bytes = last.bytes.subarray(0, random.below(last.bytes.length));
  return bytes.length === 0 ? content : applied(content, { at: last.at, bytes });
}

function flipped(current: Uint8Array, changes: readonly Change[], random: Random): Uint8Array {
  const content = current.slice();
  for (let count = 1 + random.below(3); count > 0; count--) {
    const change = random.pick(changes);
    if ("truncatedTo" in change) continue;
    const at = change.at + random.below(change.bytes.length);
    if (at < content.length) content[at] = (content[at] as number) ^ (1 << random.below(8));
  }
  return content;
}

/** Each sector that was written is there or not; where it is not, but the file is as long, there are zeros or what once stood elsewhere. */
function mixed({ durable, changes }: StoredFile, outcome: Outcome, random: Random): Uint8Array {
  const sectorBytes = random.pick([1, 8, 64, 512, 4096]);
  let content: Uint8Array = durable.slice();
  for (const change of changes) {
    if ("truncatedTo" in change) {
      if (random.once(2)) content = applied(content, change);
      continue;
    }
    const { at, bytes } = change;
    const end = at + bytes.length;
    if (end > content.length) {
      if (outcome === "subset" && random.once(2)) continue;
      const hole = end - content.length;
      const filler = outcome === "stale" ? staleBytes(durable, hole, random) : new Uint8Array(hole);
      content = applied(content, { at: content.length, bytes: filler });
    }
    const keepsAll = random.once(4);
    for (let from = 0; from < bytes.length;) {
      const to = Math.min(bytes.length, from + sectorBytes - ((at + from) % sectorBytes));
      if (keepsAll || random.once(2)) content.set(bytes.subarray(from, to), at + from);
      from = to;
    }
  }
  return content;
}

/** Blocks are used again: what was in this file once may come up in another place of it. */
function staleBytes(durable: Uint8Array, length: number, random: Random): Uint8Array {
  const bytes = new Uint8Array(length);
  if (durable.length > 0)
    bytes.set(durable.subarray(random.below(durable.length)).subarray(0, length));
  return bytes;
}

function applied(content: Uint8Array, change: Change): Uint8Array {
  if ("truncatedTo" in change) {
    if (change.truncatedTo <= content.length) return content.slice(0, change.truncatedTo);
    const longer = new Uint8Array(change.truncatedTo);
    longer.set(content);
    return longer;
  }
  const { at, bytes } = change;
  const result = new Uint8Array(Math.max(content.length, at + bytes.length));
  result.set(content);
  result.set(bytes, at);
  return result;
}
