/**
 * Sessions that are wrong on purpose, to show that the bad network would notice: the network with a few words of the sources replaced, over the script engine.
 * A replacement that no longer fits fails, and then has to follow the source.
 */

import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

import { build } from "esbuild";

import type * as played from "./played.ts";

export interface Fault {
  /** As in “it is noticed when …”. */
  readonly name: string;
  readonly edits: readonly {
    /** In ts/sync. Default: `"session.ts"`. */
    readonly file?: string;
    /** Must stand there exactly once. */
    readonly from: string;
    readonly to: string;
  }[];
}

export const faults: readonly Fault[] = [
  {
    name: "a version is adopted though an entry before it was withheld",
    edits: [
      {
        from: "    this.#isBroken = true;\n    if (this.#isDrifted) return;",
        to: "    if (this.#isDrifted) return;",
      },
      { from: 'if (!this.#isBroken) this.#noteDrift("something', to: 'void ("something' },
    ],
  },
  {
    name: "what was written here counts as an echo",
    edits: [
      {
        file: "outbound.ts",
        from: "if (this.#sentPlace !== before || after === before) return;",
        to: "if (this.#sentPlace === undefined || after === before) return;",
      },
    ],
  },
  {
    name: "a place counts as reached, though an entry on the way there was withheld",
    edits: [{ from: "if (!result.complete) {", to: "if (place < 0) {" }],
  },
];

const folderOfSync = fileURLToPath(new URL("../../ts/sync", import.meta.url));

/** The network of ./played.ts with a fault in it; undefined for none. */
export async function plantedNetwork(fault: Fault | undefined): Promise<typeof played> {
  const folder = await mkdtemp(path.join(tmpdir(), "lastwrite-planted-"));
  try {
    const { outputFiles } = await build({
      entryPoints: [fileURLToPath(new URL("played.ts", import.meta.url))],
      bundle: true,
      write: false,
      format: "esm",
      platform: "node",
      conditions: ["lastwrite-source"],
      plugins: [
        {
          name: "planted",
          setup: (hooks) => {
            hooks.onLoad({ filter: /\/ts\/sync\/[^/]*\.ts$/ }, async ({ path: file }) => {
              const contents = await readFile(file, "utf8");
              return {
                contents: edited(contents, path.relative(folderOfSync, file), fault),
                loader: "ts",
              };
            });
          },
        },
      ],
    });
    const file = path.join(folder, "network.mjs");
    await writeFile(file, outputFiles[0]?.contents ?? "");
    return (await import(/* @vite-ignore */ pathToFileURL(file).href)) as typeof played;
  } finally {
    await rm(folder, { recursive: true });
  }
}

function edited(source: string, name: string, fault: Fault | undefined): string {
  const edits = fault?.edits.filter(({ file = "session.ts" }) => file === name) ?? [];
  return edits.reduce((text, { from, to }) => {
    const parts = text.split(from);
    if (parts.length !== 2) throw new Error(`“${from}” stands ${parts.length - 1} times, not once`);
    return parts.join(to);
  }, source);
}
