/** Keeps a store in a file of the origin's own file system: the store file of Node, in a dedicated worker. */

import { invalid } from "../dictionary/arguments.ts";
import type { Persistence } from "./contract.ts";
import { openOpfsDisk } from "./disk-opfs.ts";
import { logPersistence } from "./log-persistence.ts";

/**
 * Keeps a store in the folder `lastwrite/<name>` of the origin's own file system (OPFS), in a dedicated worker; for reading also in pages and other workers.
 *
 * One opener has it for writing, and others get `store-locked` at once: there are no tabs that share it, as with `indexedDbPersistence`. Opening rejects with
 * `storage-unavailable` where there is no such file system or no dedicated worker, writing with `store-full` when the browser gives the site no more space. Calls
 * block the worker for as long as the disk takes. Throws `invalid-argument` for an empty name.
 *
 * @example
 * ```ts no-run
 * // It needs a worker of a browser.
 * import { open } from "lastwrite";
 * import { opfsPersistence } from "lastwrite/persistence/indexeddb";
 *
 * const store = await open({ persistence: opfsPersistence("notes"), durability: "strict" });
 * store.set("tasks/42/title", "Ship it");
 * await store.flush();
 * ```
 */
export function opfsPersistence(name: string): Persistence {
  checkStoreName(name);
  // Neither slashes nor dots alone, which name no folder.
  const folder = ["lastwrite", encodeURIComponent(name).replaceAll(".", "%2E")];
  return logPersistence(`lastwrite/${name}`, async (access) => {
    const disk = await openOpfsDisk(folder, access);
    return { disk, path: FILE, release: () => disk.close() };
  });
}

/** What the one file of a store is called on its disk. */
const FILE = "store";

/** Throws `invalid-argument` for what names no store. */
export function checkStoreName(name: string): void {
  if (typeof name !== "string" || name === "") throw invalid("a store needs a name");
  if (!name.isWellFormed()) throw invalid("the name of a store cannot have a lone surrogate");
}
