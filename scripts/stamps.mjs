/** Tells whether what a step made still belongs to its inputs, by a hash kept in `target/`. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { root } from "./run.mjs";

const stampDir = join(root, "target", "stamps");

/**
 * Adds to a step that it is left out as long as its inputs are as they were and its outputs are there.
 *
 * @param {import("./steps.mjs").Step & { inputs: readonly string[], outputs: readonly string[] }} step
 *   with files and folders named from the top of the repository
 * @returns {import("./steps.mjs").Step}
 */
export function stamped({ inputs, outputs, ...step }) {
  const file = join(stampDir, step.name.replaceAll(" ", "-"));
  return {
    ...step,
    isFresh: () =>
      outputs.every((output) => existsSync(join(root, output))) &&
      existsSync(file) &&
      readFileSync(file, "utf8") === hash(inputs),
    async run() {
      // Taken before the run: a file that changes meanwhile makes the next one run again.
      const stamp = hash(inputs);
      await step.run();
      mkdirSync(stampDir, { recursive: true });
      writeFileSync(file, stamp);
    },
  };
}

function hash(inputs) {
  const sum = createHash("sha256").update(`${process.platform} ${process.arch}`);
  for (const path of inputs.flatMap((input) => filesBelow(input))) {
    const bytes = readFileSync(join(root, path));
    sum.update(`\n${path} ${bytes.length}\n`).update(bytes);
  }
  return sum.digest("hex");
}

/** All files below `path`, or `path` itself, in one order everywhere; none when there is no such thing. */
function filesBelow(path) {
  const stats = statSync(join(root, path), { throwIfNoEntry: false });
  if (stats === undefined) return [];
  if (!stats.isDirectory()) return [path];
  return readdirSync(join(root, path))
    .toSorted()
    .flatMap((name) => filesBelow(`${path}/${name}`));
}
