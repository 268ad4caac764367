/** Packages of the libraries that we are compared with. */
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

/** From the folder of the peers, whose packages are not among our own. */
export async function importPeer<T>(name: string): Promise<T> {
  const file = createRequire(join(process.cwd(), "bench/peers/package.json")).resolve(name);
  return import(pathToFileURL(file).href) as Promise<T>;
}
