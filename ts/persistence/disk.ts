/**
 * What the store file needs of a disk. `./disk-node.ts` is Node's; the crash tests have one in memory that forgets what was not synced.
 *
 * Everything rejects with a `LastwriteError`: `store-full` where there is no room, else `storage-unavailable`.
 */

export interface Disk {
  /** Opens a file that is there; undefined where there is none. */
  open(name: string, access: "read" | "write"): Promise<DiskFile | undefined>;

  /** Makes an empty file and opens it for writing, in the place of one that is there. `like`: a file whose permissions it gets, if there is one. */
  create(name: string, like?: string): Promise<DiskFile>;

  /** Gives a file another name, in the place of the one that had it: at every moment `to` names one of the two. Both may be open, and stay it. */
  rename(from: string, to: string): Promise<void>;

  /** Removes a file; harmless where there is none. */
  remove(name: string): Promise<void>;

  /** Resolves when a loss of power no longer undoes a `create`, `rename` or `remove` beside `name`. */
  syncFolder(name: string): Promise<void>;

  /** Tells this file from each copy of it, also under another name; the same after `rename`. Empty where nothing does. */
  identity(name: string): Promise<string>;
}

/** One open file. Never asked for two things at once, but for a `read` beside others. */
export interface DiskFile {
  size(): Promise<number>;

  /** Reads from byte `at` on, and answers how many bytes it were: fewer than `into` takes only where the file ends. */
  read(into: Uint8Array, at: number): Promise<number>;

  /** Writes all of `bytes` from byte `at` on. When it rejects, any of them may be there. */
  write(bytes: Uint8Array, at: number): Promise<void>;

  /** Resolves when a loss of power no longer takes what was written, the length of the file included. */
  sync(): Promise<void>;

  truncate(size: number): Promise<void>;

  close(): Promise<void>;
}
