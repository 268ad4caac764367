/** Writes what lets the page open without its server: `/sw.js`, which knows every file of the build by its hash, and `/manifest.webmanifest`. */

import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { transform } from "esbuild";
import type { Plugin } from "vite";

/** A file of the page, and what it has to be: see Subresource Integrity. */
export interface PageFile {
  readonly path: string;
  readonly integrity: string;
}

const MANIFEST = "manifest.webmanifest";
const WORKER = "sw.js";
/** Not of the page itself. */
export const LICENSES: string = "licenses.txt";

export function offline(): Plugin {
  return {
    name: "offline",
    apply: "build",
    transformIndexHtml: {
      order: "post",
      handler: () => [
        { tag: "link", attrs: { rel: "manifest", href: `/${MANIFEST}` }, injectTo: "head" },
      ],
    },
    async writeBundle({ dir }) {
      if (dir === undefined) throw new Error("the page is written to a folder");
      writeFileSync(join(dir, MANIFEST), manifestOf(namesBelow(dir)));
      const files = namesBelow(dir).map((name) => fileOf(dir, name));
      writeFileSync(join(dir, WORKER), await workerOf(files));
    },
  };
}

function manifestOf(names: readonly string[]): string {
  const icon = names.find((name) => name.endsWith(".svg"));
  if (icon === undefined) throw new Error("the page has no icon");
  return JSON.stringify({
    name: "lastwrite",
    short_name: "lastwrite",
    start_url: "/",
    display: "standalone",
    background_color: "#f6f7f8",
    theme_color: "#f6f7f8",
    icons: [{ src: `/${icon}`, sizes: "any", type: "image/svg+xml", purpose: "any" }],
  });
}

async function workerOf(files: readonly PageFile[]): Promise<string> {
  // Another file is another worker, which is how browsers find out that there is something new.
  const version = hashOf("sha256", JSON.stringify(files), "hex").slice(0, 16);
  const { code } = await transform(readFileSync(join(import.meta.dirname, "src/sw.ts"), "utf8"), {
    loader: "ts",
    minify: true,
    target: "es2022",
    define: { PAGE_FILES: JSON.stringify(files), PAGE_VERSION: JSON.stringify(version) },
  });
  return code;
}

function fileOf(dir: string, name: string): PageFile {
  return {
    path: name === "index.html" ? "/" : `/${name}`,
    integrity: `sha256-${hashOf("sha256", readFileSync(join(dir, name)), "base64")}`,
  };
}

/** The files that the page needs, with slashes on every system. */
function namesBelow(dir: string): readonly string[] {
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) =>
      join(entry.parentPath, entry.name)
        .slice(dir.length + 1)
        .replaceAll("\\", "/"),
    )
    .filter((name) => name !== WORKER && name !== LICENSES)
    .toSorted();
}

function hashOf(algorithm: string, bytes: string | Uint8Array, encoding: "hex" | "base64"): string {
  return createHash(algorithm).update(bytes).digest(encoding);
}
