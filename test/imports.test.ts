/** Which way the sources import each other: docs/design.md, Where things are. */

import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path/posix";
import { fileURLToPath } from "node:url";

import { describe, expect, test } from "vitest";

const root = fileURLToPath(new URL("../ts/", import.meta.url));

const paths = readdirSync(root, { recursive: true, encoding: "utf8" }).map((path) =>
  path.replaceAll("\\", "/"),
);
const files = paths.filter((path) => path.endsWith(".ts"));

/** What each file may import, by the first line that fits. */
const ALLOWED: readonly (readonly [file: RegExp, imports: RegExp])[] = [
  [/^errors\.ts$/u, /^never$/u],
  [/^codec\//u, /^(errors\.ts|codec\/.*)$/u],
  // The contract is types alone, and needs none of others.
  [/^engine\/contract\.ts$/u, /^never$/u],
  [
    /^engine\/(columns|entry-columns|failure)\.ts$/u,
    /^(errors\.ts|codec\/.*|engine\/(columns|contract)\.ts)$/u,
  ],
  [/^engine\/native\.ts$/u, /^(errors\.ts|codec\/.*|engine\/[a-z-]*\.ts|node:.*)$/u],
  [/^engine\/wasm-source-node\.ts$/u, /^node:.*$/u],
  [
    /^engine\/script\//u,
    /^(errors\.ts|codec\/.*|engine\/(contract|columns)\.ts|engine\/script\/.*)$/u,
  ],
  [/^engine\//u, /^(errors\.ts|codec\/.*|engine\/.*|#native|#wasm-source)$/u],
  [/^dictionary\//u, /^(errors\.ts|codec\/.*|engine\/(contract|columns)\.ts|dictionary\/.*)$/u],
  [/^persistence\/contract\.ts$/u, /^engine\/contract\.ts$/u],
  [
    /^persistence\/(files|disk-node)\.ts$/u,
    /^(errors\.ts|engine\/native\.ts|persistence\/.*|node:.*)$/u,
  ],
  [/^persistence\/files-absent\.ts$/u, /^errors\.ts$/u],
  [
    /^persistence\/file\.ts$/u,
    /^(errors\.ts|dictionary\/arguments\.ts|persistence\/.*|#files|node:.*)$/u,
  ],
  [
    /^persistence\//u,
    /^(errors\.ts|codec\/.*|engine\/(contract|columns|entry-columns|load)\.ts|dictionary\/.*|persistence\/.*|#files)$/u,
  ],
  [/^(sync\/(messages|limits)|transport\/contract)\.ts$/u, /^never$/u],
  [/^sync\/codec.*\.ts$/u, /^(errors\.ts|codec\/.*|sync\/(codec.*|limits|messages)\.ts)$/u],
  [/^transport\/tcp\.ts$/u, /^(errors\.ts|transport\/.*|node:net)$/u],
  [/^transport\/websocket-node\.ts$/u, /^(sync\/limits\.ts|transport\/websocket\.ts|ws)$/u],
  [/^transport\/deflate-node\.ts$/u, /^(codec\/numbers\.ts|node:zlib)$/u],
  [
    /^transport\//u,
    /^(errors\.ts|codec\/.*|sync\/(codec|limits)\.ts|transport\/.*|#deflate|#websocket)$/u,
  ],
  [
    /^sync\//u,
    /^(errors\.ts|codec\/.*|engine\/contract\.ts|dictionary\/.*|persistence\/attributes\.ts|transport\/(contract|timers|backoff|packed-link)\.ts|sync\/.*)$/u,
  ],
  [
    /^store\//u,
    /^(errors\.ts|codec\/.*|engine\/contract\.ts|dictionary\/.*|persistence\/(attributes|check|contract|failure|journal|replay)\.ts|store\/.*|sync\/(clock|limits|host|peer-exchange|presence|run|connections?)\.ts|transport\/(contract|timers)\.ts)$/u,
  ],
  [
    /^react\//u,
    /^(errors\.ts|codec\/(plain|text|value)\.ts|(dictionary|store)\/contract\.ts|react\/.*|react)$/u,
  ],
  [
    /^server\//u,
    /^(errors\.ts|open\.ts|codec\/.*|dictionary\/(arguments|contract)\.ts|engine\/(contract|columns|load)\.ts|persistence\/[a-z-]*\.ts|store\/(contract|store)\.ts|sync\/(limits|messages|run)\.ts|transport\/[a-z-]*\.ts|server\/.*|node:.*|ws)$/u,
  ],
  [/^cli\//u, /^(errors\.ts|server\/.*|cli\/.*|node:.*|commander)$/u],
  [
    /^(index|open)\.ts$/u,
    /^(errors\.ts|open\.ts|(codec|engine|dictionary|persistence|store|sync|transport)\/.*)$/u,
  ],
];

describe("imports go one way", () => {
  test.each(files)("of ts/%s", (file) => {
    const allowed = ALLOWED.find(([which]) => which.test(file))?.[1];
    expect(allowed, "a file that no line of ALLOWED is about").toBeDefined();
    expect(importsOf(file).filter((path) => allowed?.test(path) !== true)).toEqual([]);
  });

  test("are found in every form", () => {
    expect(importsOf("engine/load.ts")).toEqual(
      expect.arrayContaining(["errors.ts", "engine/contract.ts", "#native", "engine/script.ts"]),
    );
    expect(importsOf("index.ts")).toContain("codec/value.ts");
  });

  test("no folder holds whatever has no place", () => {
    const names = paths.flatMap((path) => dirname(path).split("/"));
    expect(names.filter((name) => /^(utils?|common|helpers?|shared|misc)$/u.test(name))).toEqual(
      [],
    );
  });
});

/** What a file imports, types and re-exports included: from ts/ on, or as it is written. */
function importsOf(file: string): string[] {
  // Not the examples in comments.
  const source = readFileSync(join(root, file), "utf8").replaceAll(/^ *(\/\/|\*|\/\*\*).*$/gmu, "");
  const specifiers = source.matchAll(/\b(?:from |import |import\()"(?<path>[^"]+)"/gu);
  return [...specifiers].map(({ groups }) => {
    const path = groups?.["path"] ?? "";
    return path.startsWith(".") ? join(dirname(file), path) : path;
  });
}
