/** A disk of which single calls fail. */

import type { Disk, DiskFile } from "../../ts/persistence/disk.ts";
import { diskError } from "../../ts/persistence/disk-node.ts";

/** What happens to a call: the error of the system, and for a write which part of it is done all the same. */
export interface Fault {
  readonly code: "EIO" | "ENOSPC";
  readonly writes?: "nothing" | "half" | "everything";
}

/** Asked before each call; answers what is to go wrong with it. */
export type Judge = (call: string, name: string) => Fault | undefined;

export function faultyDisk(disk: Disk, judge: Judge): Disk {
  const tried = <Answer>(call: string, name: string, work: () => Promise<Answer>) => {
    const fault = judge(call, name);
    return fault === undefined ? work() : Promise.reject(errorOf(fault, name));
  };
  const faultyFile = (file: DiskFile, name: string): DiskFile => ({
    size: () => tried("size", name, () => file.size()),
    read: (into, at) => tried("read", name, () => file.read(into, at)),
    async write(bytes, at) {
      const fault = judge("write", name);
      if (fault === undefined) return file.write(bytes, at);
      const part = { nothing: 0, half: bytes.length >> 1, everything: bytes.length };
      await file.write(bytes.subarray(0, part[fault.writes ?? "nothing"]), at);
      throw errorOf(fault, name);
    },
    sync: () => tried("sync", name, () => file.sync()),
    truncate: (size) => tried("truncate", name, () => file.truncate(size)),
    async close() {
      await file.close();
      await tried("close", name, async () => {});
    },
  });
  return {
    open: (name, access) =>
      tried("open", name, async () => {
        const file = await disk.open(name, access);
        return file && faultyFile(file, name);
      }),
    create: (name, like) =>
      tried("create", name, async () => faultyFile(await disk.create(name, like), name)),
    rename: (from, to) => tried("rename", to, () => disk.rename(from, to)),
    remove: (name) => tried("remove", name, () => disk.remove(name)),
    syncFolder: (name) => tried("syncFolder", name, () => disk.syncFolder(name)),
    identity: (name) => tried("identity", name, () => disk.identity(name)),
  };
}

function errorOf({ code }: Fault, name: string): Error {
  return diskError(Object.assign(new Error(`${code}: as asked for`), { code }), name);
}
