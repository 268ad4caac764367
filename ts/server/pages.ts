/** Files of a folder, as pages need them: read once, at the start, so that no path leads anywhere else. */

import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import type { IncomingMessage, OutgoingHttpHeaders } from "node:http";
import path from "node:path";
import { promisify } from "node:util";
import { gzip } from "node:zlib";

import { LastwriteError } from "../errors.ts";

/** An answer to a request for a file. */
export interface Page {
  readonly status: number;
  readonly headers: OutgoingHttpHeaders;
  readonly body: Uint8Array;
}

interface File {
  readonly plain: Uint8Array;
  /** Undefined where it is not worth it. */
  readonly packed: Uint8Array | undefined;
  readonly headers: OutgoingHttpHeaders;
  readonly etag: string;
}

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json",
  ".map": "application/json",
  ".webmanifest": "application/manifest+json",
  ".wasm": "application/wasm",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".ico": "image/x-icon",
  ".woff2": "font/woff2",
  ".txt": "text/plain; charset=utf-8",
};
/** Packed already. */
const NOT_PACKED: ReadonlySet<string> = new Set([".png", ".ico", ".woff2"]);
const PACK_BYTES_MIN = 1024;
/** Names of these have the hash of what they hold, as bundlers give them. */
const HASHED = "/assets/";
const YEAR = "public, max-age=31536000, immutable";
const INDEX = "/index.html";
const NOTHING: Uint8Array = new Uint8Array();

const packed = promisify(gzip);

export class Pages {
  readonly #files: ReadonlyMap<string, File>;

  private constructor(files: ReadonlyMap<string, File>) {
    this.#files = files;
  }

  /** Rejects with `storage-unavailable` for a folder that cannot be read or has no index.html. */
  static async read(folder: string): Promise<Pages> {
    try {
      const files = new Map<string, File>();
      for (const name of await namesOf(folder)) {
        files.set(`/${name}`, await fileOf(`/${name}`, await readFile(path.join(folder, name))));
      }
      if (files.has(INDEX)) return new Pages(files);
    } catch (error) {
      throw unreadable(folder, error);
    }
    throw unreadable(folder, undefined);
  }

  /** Undefined where there is no such file; `isPage` asks for the index. */
  answer(name: string, isPage: boolean, { headers }: IncomingMessage): Page | undefined {
    const file = this.#files.get(isPage ? INDEX : name);
    if (file === undefined) return undefined;
    if (headers["if-none-match"] === file.etag) {
      return { status: 304, headers: file.headers, body: NOTHING };
    }
    const takesPacked = takesGzip(headers["accept-encoding"]?.toString() ?? "");
    if (file.packed === undefined || !takesPacked) {
      return { status: 200, headers: file.headers, body: file.plain };
    }
    const coded = { ...file.headers, "content-encoding": "gzip" };
    return { status: 200, headers: coded, body: file.packed };
  }
}

/** Whether that header takes it; "gzip;q=0" says that it does not. */
function takesGzip(acceptEncoding: string): boolean {
  return acceptEncoding
    .split(",")
    .some((each) => /^\s*(?:x-)?gzip\s*(?:;\s*q=(?!0(?:\.0*)?\s*$).*)?$/iu.test(each));
}

async function namesOf(folder: string): Promise<string[]> {
  const found = await readdir(folder, { recursive: true, withFileTypes: true });
  return found
    .filter((each) => each.isFile())
    .map((each) => path.relative(folder, path.join(each.parentPath, each.name)))
    .map((name) => name.split(path.sep).join("/"));
}

async function fileOf(name: string, plain: Uint8Array): Promise<File> {
  const extension = path.extname(name);
  const mayPack = plain.length >= PACK_BYTES_MIN && !NOT_PACKED.has(extension);
  const etag = `"${createHash("sha256").update(plain).digest("base64url").slice(0, 22)}"`;
  return {
    plain,
    packed: mayPack ? await packed(plain) : undefined,
    etag,
    headers: {
      "content-type": TYPES[extension] ?? "application/octet-stream",
      "cache-control": name.startsWith(HASHED) ? YEAR : "no-cache",
      vary: "accept-encoding",
      etag,
    },
  };
}

function unreadable(folder: string, cause: unknown): LastwriteError {
  return new LastwriteError(
    "storage-unavailable",
    `there is no page in ${path.resolve(folder)}: it has to have an index.html`,
    { cause },
  );
}
