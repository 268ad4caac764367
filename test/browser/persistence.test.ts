/** The cases that every adapter has to pass, in a real browser: IndexedDB in a page and in a worker, OPFS in a worker. */

import { mkdtempSync, rmSync } from "node:fs";

import type { BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { LACKING } from "../summary-reporter.ts";
import { persistenceCases } from "../suites/persistence.ts";
import { browserAbsence, launchProfile } from "./chromium.ts";
import type { Medium } from "./programs/stores.ts";
import type { Site } from "./site.ts";
import { serveStores } from "./stores-site.ts";

/** Cases that a place cannot meet, by name, each with what it lacks. */
const WITHOUT: Readonly<Record<Medium, Readonly<Record<string, string>>>> = {
  shared: {
    "a second opener is told at once, and has the place when the first is done":
      "a second opener shares the place",
  },
  exclusive: {},
  opfs: {},
};

const PLACES = [
  ["shared", "page", "wasm"],
  ["shared", "page", "script"],
  ["exclusive", "page", "wasm"],
  ["exclusive", "worker", "script"],
  ["opfs", "worker", "wasm"],
  ["opfs", "worker", "script"],
] as const;

describe.skipIf(browserAbsence !== "")("persistence in Chromium", () => {
  let site: Site;
  let folder: string;
  let browser: BrowserContext;
  let page: Page;

  beforeAll(async () => {
    site = await serveStores();
    folder = mkdtempSync("/var/tmp/lastwrite-browser-");
    browser = await launchProfile(folder);
    page = await browser.newPage();
    await page.goto(site.address);
    await page.waitForFunction(() => "ask" in globalThis);
  });

  afterAll(async () => {
    await browser?.close();
    site?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  describe.each(PLACES)("%s in a %s with %s", (medium, where, backend) => {
    test.for(persistenceCases)("$name", async ({ name }, { skip }) => {
      const reason = WITHOUT[medium][name];
      if (reason !== undefined) skip(`${LACKING}${reason}`);
      const args = [name, medium, backend];
      const running = page.evaluate(([place, given]) => globalThis.ask(place, "runCase", given), [
        where,
        args,
      ] as const);
      // The cases assert by themselves.
      await expect(running).resolves.toBeUndefined();
    });
  });
});
