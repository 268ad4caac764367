/** Packs the packages as they are published, and installs them far away from this repository. */
import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));

/** A folder with the programs of ./programs and the package in its `node_modules`. */
export interface Installed {
  /** The program that uses the package. */
  readonly app: string;
  /** The folder of the package as it was packed. */
  readonly folder: string;
  /** The packed package itself. */
  readonly tarball: string;
  [Symbol.dispose](): void;
}

export function installPacked(): Installed {
  const top = mkdtempSync(join(tmpdir(), "lastwrite-package-"));
  const packed = join(top, "packed");
  const app = join(top, "app");
  run(process.execPath, [join(here, "../../scripts/pack.mjs"), packed], here);
  const tarballs = readdirSync(packed).filter((name) => name.endsWith(".tgz"));
  cpSync(join(here, "programs"), app, { recursive: true });
  writeFileSync(join(app, "package.json"), '{ "private": true }\n');
  // Offline: everything needed is in the tarballs, and the addons of other systems are not to be looked for.
  run(
    "npm",
    [
      "install",
      "--offline",
      "--no-audit",
      "--no-fund",
      "--loglevel=error",
      ...tarballs.map((name) => join(packed, name)),
      // The dependencies, as they are installed here.
      join(here, "../../node_modules/commander"),
      join(here, "../../node_modules/ws"),
    ],
    app,
  );
  const main = tarballs.find((name) => /^lastwrite-\d/.test(name));
  if (main === undefined) throw new Error(`no package among ${tarballs.join(", ")}`);
  return {
    app,
    folder: join(packed, "lastwrite"),
    tarball: join(packed, main),
    [Symbol.dispose]: () => rmSync(top, { recursive: true, force: true }),
  };
}

/** Runs a program and returns what it printed; throws with all of its output when it fails. */
export function run(program: string, args: readonly string[], cwd: string): string {
  return execFileSync(program, args, { cwd, encoding: "utf8", stdio: "pipe", timeout: 100_000 });
}
