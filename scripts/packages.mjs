/** Installs npm packages, when those that are there are not those of the lock file. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { root, run } from "./run.mjs";

/**
 * Whether `node_modules` of `folder` holds what its lock file says. Compares the lists themselves: dates
 * change with every checkout.
 */
export function hasPackages(folder) {
  const installedFile = join(root, folder, "node_modules", ".package-lock.json");
  if (!existsSync(installedFile)) return false;
  const installed = packagesOf(installedFile);
  const wanted = packagesOf(join(root, folder, "package-lock.json"));
  const isRight = ([path, { version, optional, devOptional }]) =>
    path === "" ||
    // Packages for other systems are in the lock file alone.
    (path in installed ? installed[path].version === version : optional || devOptional);
  return (
    Object.entries(wanted).every(isRight) && Object.keys(installed).every((path) => path in wanted)
  );
}

/** Installs the packages of the lock file of `folder`. */
export function installPackages(folder, args = []) {
  return runNpm(["ci", "--prefix", folder, "--no-audit", "--no-fund", "--loglevel=error", ...args]);
}

/** Runs npm. Under Windows it is no program but a script, which only the path that npm itself tells can start. */
export function runNpm(args) {
  const npm = process.env.npm_execpath;
  return npm === undefined ? run("npm", args) : run(process.execPath, [npm, ...args]);
}

function packagesOf(file) {
  return JSON.parse(readFileSync(file, "utf8")).packages;
}
