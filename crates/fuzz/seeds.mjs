/** Writes the frames of the vectors as files, which every target of the fuzzer begins with. */
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const histories = join(import.meta.dirname, "../../test/vectors/histories");
const frames = new Set(
  readdirSync(histories).flatMap(
    (name) => readFileSync(join(histories, name), "utf8").match(/(?<=")4c57[0-9a-f]+(?=")/g) ?? [],
  ),
);
for (const target of ["merge", "load", "entries", "replay", "version"]) {
  const corpus = join(import.meta.dirname, "corpus", target);
  mkdirSync(corpus, { recursive: true });
  for (const frame of frames) {
    const name = createHash("sha1").update(frame).digest("hex");
    writeFileSync(join(corpus, name), Buffer.from(frame, "hex"));
  }
}
console.log(`${frames.size} frames for each target`);
