/** Pages of a real browser whose stores tests ask. */

import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach } from "vitest";

import { launchBrowser } from "./chromium.ts";
import type { Stores } from "./programs/stores.ts";
import type { Site } from "./site.ts";
import { serveStores } from "./stores-site.ts";

export interface Pages {
  /** Of the test that runs: nothing is kept from one to the next. */
  readonly context: BrowserContext;
  readonly origin: string;
  open(): Promise<Page>;
}

/** A browser for the tests of this `describe`. */
export function withPages(): Pages {
  let site: Site | undefined;
  let browser: Browser | undefined;
  let context: BrowserContext | undefined;
  const started = <Thing>(thing: Thing | undefined): Thing => {
    if (thing === undefined) throw new Error("the browser was not started");
    return thing;
  };

  beforeAll(async () => {
    site = await serveStores();
    browser = await launchBrowser();
  });

  afterAll(async () => {
    await browser?.close();
    site?.close();
  });

  beforeEach(async () => {
    context = await browser?.newContext();
  });

  afterEach(async () => {
    await context?.close();
  });

  return {
    get context() {
      return started(context);
    },
    get origin() {
      return started(site).address;
    },
    async open() {
      const page = await started(context).newPage();
      await page.goto(started(site).address);
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
