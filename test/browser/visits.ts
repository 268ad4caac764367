/** The served page for the tests of a `describe`, each in a room of its own. */

import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach } from "vitest";

import { open, type Store } from "../../ts/index.ts";
import { memoryPersistence } from "../../ts/persistence/memory.ts";
import { launchBrowser } from "./chromium.ts";
import { servePage, type ServedPage, Visitor } from "./served-page.ts";

export interface Visits {
  readonly served: ServedPage;
  /** The address of the room of this test. */
  readonly address: string;
  /** Somebody with a browser of his own, as far as anybody can see, who is nowhere yet. */
  readonly stranger: (options?: BrowserContextOptions) => Promise<Visitor>;
  /** The same in the room of this test, connected; `before` readies the page. */
  readonly visitor: (
    options?: BrowserContextOptions,
    before?: (page: Page) => Promise<unknown>,
  ) => Promise<Visitor>;
  /** A program in that room. */
  readonly client: () => Promise<Store>;
  /** Has something undone when this test is over. */
  readonly atEnd: (undo: () => unknown) => void;
}

export function withServedPage(): Visits {
  let served: ServedPage | undefined;
  let browser: Browser | undefined;
  let undoings: (() => unknown)[] = [];
  let testCount = 0;

  beforeAll(async () => {
    [served, browser] = await Promise.all([servePage(), launchBrowser()]);
  });

  afterAll(async () => {
    await browser?.close();
    await served?.close();
  });

  beforeEach(() => {
    testCount++;
  });

  afterEach(async () => {
    for (const undo of undoings.toReversed()) await undo();
    undoings = [];
  });

  const visits: Visits = {
    get served() {
      if (served === undefined) throw new Error("there is no server");
      return served;
    },
    get address() {
      return `${visits.served.address}/room-${testCount}`;
    },
    stranger: async (options) => {
      if (browser === undefined) throw new Error("there is no browser");
      const context = await browser.newContext(options);
      visits.atEnd(() => context.close());
      return new Visitor(await context.newPage());
    },
    visitor: async (options, before) => {
      const one = await visits.stranger(options);
      await before?.(one.page);
      await one.visit(visits.address);
      await one.seesStatus("Live");
      return one;
    },
    client: async () => {
      const connect = visits.address.replace("http", "ws");
      const store = await open({ persistence: memoryPersistence(), connect });
      visits.atEnd(() => store.close());
      return store;
    },
    atEnd: (undo) => void undoings.push(undo),
  };
  return visits;
}
