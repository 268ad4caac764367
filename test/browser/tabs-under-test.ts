/** Pages of a real browser whose stores tests ask. */

import { mkdtempSync, rmSync } from "node:fs";

import type { BrowserContext, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach } from "vitest";

import { launchProfile } from "./chromium.ts";
import type { Stores } from "./programs/stores.ts";
import type { Site } from "./site.ts";
import { serveStores } from "./stores-site.ts";

export interface Pages {
  /** Opens a page of the origin of this test, which has nothing from others; `before` readies it. */
  open(before?: (page: Page) => Promise<void>): Promise<Page>;
}

/** A browser for the tests of this `describe`, which keeps what it keeps on the disk. */
export function withPages(): Pages {
  let folder: string | undefined;
  let site: Site | undefined;
  let context: BrowserContext | undefined;
  let testCount = 0;

  beforeAll(async () => {
    folder = mkdtempSync("/var/tmp/lastwrite-browser-");
    site = await serveStores();
    context = await launchProfile(folder);
  });

  afterAll(async () => {
    await context?.close();
    site?.close();
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  });

  beforeEach(() => {
    testCount++;
  });

  afterEach(async () => {
    for (const page of context?.pages() ?? []) await page.close();
  });

  return {
    async open(before) {
      if (site === undefined || context === undefined) throw new Error("there is no browser");
      const page = await context.newPage();
      await before?.(page);
      // An origin of its own, which leads here as well.
      await page.goto(site.address.replace("127.0.0.1", `test-${testCount}.localhost`));
      await isReady(page);
      return page;
    },
  };
}

/** Resolves when the page can be asked. */
export async function isReady(page: Page): Promise<void> {
  await page.waitForFunction(() => "ask" in globalThis);
}

export function ask<Name extends keyof Stores>(
  page: Page,
  name: Name,
  ...args: Parameters<Stores[Name]>
): Promise<Awaited<ReturnType<Stores[Name]>>> {
  return askIn(page, "page", name, ...args);
}

export function askWorker<Name extends keyof Stores>(
  page: Page,
  name: Name,
  ...args: Parameters<Stores[Name]>
): Promise<Awaited<ReturnType<Stores[Name]>>> {
  return askIn(page, "worker", name, ...args);
}

async function askIn<Name extends keyof Stores>(
  page: Page,
  where: "page" | "worker",
  name: Name,
  ...args: Parameters<Stores[Name]>
): Promise<Awaited<ReturnType<Stores[Name]>>> {
  const answer = await page.evaluate(([place, call, given]) => globalThis.ask(place, call, given), [
    where,
    name,
    args,
  ] as const);
  return answer as Awaited<ReturnType<Stores[Name]>>;
}

/** Ends the process of a page, as a crash does. */
export async function kill(page: Page): Promise<void> {
  const crashed = page.waitForEvent("crash");
  const session = await page.context().newCDPSession(page);
  session.send("Page.crash").catch(() => {});
  await crashed;
}

/** As the user or another program does, while a page may have it open. */
export function deleteDatabase(page: Page, name: string): Promise<void> {
  return page.evaluate(
    (database) =>
      new Promise<void>((resolve, reject) => {
        const request = indexedDB.deleteDatabase(database);
        request.addEventListener("success", () => resolve());
        request.addEventListener("error", () => reject(new Error("not deleted")));
      }),
    name,
  );
}

/** How much the origin of a page may keep from now on. */
export async function setQuota(page: Page, quotaSize: number): Promise<void> {
  const session = await page.context().newCDPSession(page);
  const { origin } = new URL(page.url());
  await session.send("Storage.overrideQuotaForOrigin", { origin, quotaSize });
}
