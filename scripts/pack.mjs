/**
 * Writes the packages as they are published into target/package/: `lastwrite` and one package for each
 * system whose addon is built. Prints the paths of the tarballs. See docs/publishing.md.
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
import { join } from "node:path";

import { output, root } from "./run.mjs";
import { triples } from "./triples.mjs";

const target = join(root, "target", "package");
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const { version, license, author, engines } = manifest;

rmSync(target, { recursive: true, force: true });
console.log(
  await packed("lastwrite", mainManifest(), (folder) => {
    cpSync(join(root, "dist"), join(folder, "dist"), { recursive: true });
    for (const file of ["README.md", "CHANGELOG.md"]) {
      if (existsSync(join(root, file))) copyFileSync(join(root, file), join(folder, file));
    }
  }),
);
for (const triple of triples) {
  const addon = `lastwrite.${triple.name}.node`;
  const built = join(root, "bindings", "node", addon);
  if (!existsSync(built)) continue;
  const binary = `node-${triple.name}`;
  console.log(
    await packed(binary, binaryManifest(triple, addon), (folder) => {
      copyFileSync(built, join(folder, addon));
      writeFileSync(join(folder, "README.md"), `The addon of \`lastwrite\` for ${triple.rust}.\n`);
    }),
  );
}

/**
 * What users get of package.json: without what only this repository can use, and with the binary packages,
 * which cannot stand there before they are published.
 */
function mainManifest() {
  const { devDependencies: _, allowScripts: __, scripts: ___, ...published } = manifest;
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

/** Writes a package's folder, packs it, and returns the tarball's path. */
async function packed(name, packageManifest, addFiles) {
  const folder = join(target, name);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), `${JSON.stringify(packageManifest, undefined, 2)}\n`);
  copyFileSync(join(root, "LICENSE"), join(folder, "LICENSE"));
  addFiles(folder);
  const file = (await output("npm", ["pack", folder, "--silent", "--pack-destination", target]))
    ?.split("\n")
    .pop();
  if (file === undefined) throw new Error(`npm pack ${folder} failed`);
  return join(target, file);
}
