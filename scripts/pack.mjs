/**
 * Writes the packages as they are published, as folders and as tarballs: `lastwrite`, and one package for
 * each system whose addon is built. `node scripts/pack.mjs [folder]`; default: target/package. See
 * docs/publishing.md.
 */
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join, resolve } from "node:path";

import { runNpm } from "./packages.mjs";
import { root } from "./run.mjs";
import { triples } from "./triples.mjs";

const target = resolve(process.argv[2] ?? join(root, "target", "package"));
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const { version, license, author, engines } = manifest;

for (const needed of ["dist/index.js", "dist/engine/lastwrite.wasm"]) {
  if (existsSync(join(root, needed))) continue;
  console.error(`${needed} is missing; run "npm run build" first`);
  process.exit(1);
}
rmSync(target, { recursive: true, force: true });
await pack("lastwrite", mainManifest(), (folder) => {
  cpSync(join(root, "dist"), join(folder, "dist"), { recursive: true });
  for (const file of ["README.md", "CHANGELOG.md"]) {
    if (existsSync(join(root, file))) copyFileSync(join(root, file), join(folder, file));
  }
});
for (const triple of triples) {
  const addon = `lastwrite.${triple.name}.node`;
  const built = join(root, "bindings", "node", addon);
  if (!existsSync(built)) continue;
  await pack(`node-${triple.name}`, binaryManifest(triple, addon), (folder) => {
    copyFileSync(built, join(folder, addon));
    writeFileSync(join(folder, "README.md"), `The addon of \`lastwrite\` for ${triple.rust}.\n`);
  });
}

/**
 * What users get of package.json: without what only this repository can use, and with the binary packages,
 * which cannot stand there before they are published.
 */
function mainManifest() {
  const published = Object.fromEntries(
    Object.entries(manifest).filter(
      ([field]) => !["scripts", "devDependencies", "allowScripts"].includes(field),
    ),
  );
  return {
    ...published,
    imports: withoutSources(manifest.imports),
    exports: withoutSources(manifest.exports),
    optionalDependencies: Object.fromEntries(
      triples.map(({ name }) => [`@lastwrite/node-${name}`, version]),
    ),
  };
}

function binaryManifest({ name, rust, os, cpu, libc }, addon) {
  return {
    name: `@lastwrite/node-${name}`,
    version,
    description: `The addon of lastwrite for ${rust}`,
    license,
    author,
    main: addon,
    files: [addon],
    os: [os],
    cpu: [cpu],
    ...(libc === undefined ? {} : { libc: [libc] }),
    engines,
  };
}

/** The same conditions without the one that leads to ts/, which is not published. */
function withoutSources(conditions) {
  if (typeof conditions === "string") return conditions;
  return Object.fromEntries(
    Object.entries(conditions)
      .filter(([condition]) => condition !== "lastwrite-source")
      .map(([condition, path]) => [condition, withoutSources(path)]),
  );
}

/** Writes a package's folder and packs it. */
async function pack(name, packageManifest, addFiles) {
  const folder = join(target, name);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), `${JSON.stringify(packageManifest, undefined, 2)}\n`);
  copyFileSync(join(root, "LICENSE"), join(folder, "LICENSE"));
  addFiles(folder);
  await runNpm(["pack", folder, "--loglevel=error", "--pack-destination", target]);
}
