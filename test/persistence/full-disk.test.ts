/** A real disk of 1 MiB is filled by a strict store: what is there stays readable, and the store goes on when there is room again. */

import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { open, type Store } from "lastwrite";
import { filePersistence } from "lastwrite/persistence/file";
import { describe, expect, test } from "vitest";

import { fastestEngine } from "../suites/engines.ts";
import { errorCode } from "../suites/failures.ts";

const MIB = 1024 * 1024;
const ROUNDS = 10;

/** Where it has to be tried, a test without such a disk fails; elsewhere it is skipped where everyone sees it. */
const isRequired = (process.env["CI"] ?? "") !== "";
const absence = absenceOfMounts();
const because = absence === undefined ? "" : ` (${absence})`;

describe.skipIf(absence !== undefined && !isRequired)(`a full disk${because}`, () => {
  test("is store-full; old data is readable, and with room again writes go on", async () => {
    using disk = smallDisk();
    const file = path.join(disk.path, "store.lw");
    const ballast = path.join(disk.path, "ballast");
    const engine = fastestEngine();
    const kept = new Map<string, number>();
    let store = await open({ persistence: filePersistence(file), engine, durability: "strict" });
    for (let round = 0; round < ROUNDS; round++) {
      const { bavail, bsize } = statfsSync(disk.path);
      writeFileSync(ballast, new Uint8Array(Math.max(0, bavail * bsize - 64 * 1024)));
      expect(await fill(store, kept, round)).toBe("store-full");
      const reader = await open({ persistence: filePersistence(file), engine, readOnly: true });
      for (const [key, value] of kept) expect(reader.get(key)).toBe(value);
      await reader.close();

      // What was refused is in memory, and goes along with the first frame that finds room.
      rmSync(ballast);
      await store.flush();
      for (const key of kept.keys()) kept.set(key, Number(store.get(key)));
      store.deletePrefix("filler/");
      store.set(`after/${round}`, round);
      await store.flush();
      kept.set(`after/${round}`, round);
      if (round % 3 === 2) {
        await store.close();
        store = await open({ persistence: filePersistence(file), engine, durability: "strict" });
        for (const [key, value] of kept) expect(store.get(key)).toBe(value);
      }
    }
    await store.close();
    expect(readdirSync(disk.path).toSorted()).toEqual(["store.lw", "store.lw.lock"]);
  });

  test("that has no room for a new store says so, and leaves no file that is not one", async () => {
    using disk = smallDisk();
    const file = path.join(disk.path, "store.lw");
    const ballast = path.join(disk.path, "ballast");
    const { bavail, bsize } = statfsSync(disk.path);
    writeFileSync(ballast, new Uint8Array(bavail * bsize));
    const refused = await codeOf(() => open({ persistence: filePersistence(file) }));
    expect(refused).toBe("store-full");
    rmSync(ballast);
    const store = await open({ persistence: filePersistence(file), durability: "strict" });
    store.set("a", 1);
    await store.close();
    expect(readdirSync(disk.path)).not.toContain("store.lw.new");
  });
});

/** Writes until it is refused, and answers the code; `kept` gets what was acknowledged. */
async function fill(store: Store, kept: Map<string, number>, round: number): Promise<unknown> {
  for (let at = 0; at < 10_000; at++) {
    const key = `key/${at % 50}`;
    const value = round * 10_000 + at;
    store.set(key, value);
    store.set(`filler/${at}`, "x".repeat(4000));
    const code = await codeOf(() => store.flush());
    if (code !== "none") return code;
    kept.set(key, value);
  }
  return "none";
}

async function codeOf(work: () => Promise<unknown>): Promise<string | undefined> {
  try {
    await work();
    return "none";
  } catch (error) {
    return errorCode(error) ?? String(error);
  }
}

function smallDisk(): { readonly path: string; [Symbol.dispose](): void } {
  const folder = mkdtempSync(path.join(tmpdir(), "lastwrite-full-"));
  execFileSync("mount", ["-t", "tmpfs", "-o", `size=${MIB}`, "tmpfs", folder]);
  return {
    path: folder,
    [Symbol.dispose]: () => {
      execFileSync("umount", ["--lazy", folder]);
      rmSync(folder, { recursive: true });
    },
  };
}

/** Why no disk can be mounted, in words. */
function absenceOfMounts(): string | undefined {
  if (process.platform !== "linux") return "only Linux has tmpfs";
  try {
    smallDisk()[Symbol.dispose]();
    return undefined;
  } catch {
    return "mounting a tmpfs needs the rights of root";
  }
}
