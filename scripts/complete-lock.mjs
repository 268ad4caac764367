/**
 * Completes a lock file: `node scripts/complete-lock.mjs [folder]`, to run after dependencies change.
 *
 * npm leaves out the optional packages that the registry in use does not have, as mirrors lack those of
 * other systems, and then `npm ci` refuses its own lock file, everywhere. What npm needs of such a package
 * are its version, which the package that wants it names exactly, and its system, which its name tells.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { runNpm } from "./packages.mjs";
import { root } from "./run.mjs";

const folder = process.argv[2] ?? ".";
const file = join(root, folder, "package-lock.json");
const lock = JSON.parse(readFileSync(file, "utf8"));
const { packages } = lock;
const missing = Object.entries(packages).flatMap(([path, dependant]) =>
  Object.entries(dependant.optionalDependencies ?? {})
    .filter(([name]) => !isFound(path, name))
    .map(([name, version]) => ({ name, version, dev: dependant.dev })),
);
for (const { name, version, dev } of missing) {
  packages[`node_modules/${name}`] = {
    version,
    ...systemOf(name),
    ...(dev && { dev }),
    optional: true,
  };
}
writeFileSync(file, JSON.stringify(lock));
// npm puts the file into its own order, and shows that it accepts it.
await runNpm(["install", "--package-lock-only", "--prefix", folder, "--no-audit", "--no-fund"]);
console.log(`added ${missing.length} packages to ${file}`);

/** Whether the package at `path` would find `name` where Node looks for it. */
function isFound(path, name) {
  if (`${path === "" ? "" : `${path}/`}node_modules/${name}` in packages) return true;
  const parent = path.lastIndexOf("/node_modules/");
  return path !== "" && isFound(parent === -1 ? "" : path.slice(0, parent), name);
}

function systemOf(name) {
  const cpu = /\b(arm64|arm|ia32|loong64|ppc64|riscv64|s390x|wasm32|x64)\b/.exec(name)?.[1];
  const os = /\b(android|darwin|freebsd|linux|openharmony|win32)\b/.exec(name)?.[1];
  if (cpu === undefined)
    throw new Error(`${name} is missing, and its name tells no system; add it by hand`);
  const libc = os === "linux" && /-(gnu|musl)/.exec(name)?.[1];
  return {
    cpu: [cpu],
    ...(libc && { libc: [libc === "gnu" ? "glibc" : "musl"] }),
    ...(os && { os: [os] }),
  };
}
