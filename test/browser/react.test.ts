/** The hooks of lastwrite/react with React in a real browser: what is shown, and how often components are rendered for it. */

import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { browserAbsence, launchBrowser } from "./chromium.ts";
import type { ScenarioName } from "./programs/react-page.tsx";
import type { Site } from "./site.ts";
import { servePrograms } from "./stores-site.ts";

describe.skipIf(browserAbsence !== "")("React in Chromium", () => {
  let site: Site;
  let browser: Browser;
  let page: Page;
  /** What the page and React complained of. */
  const complaints: string[] = [];

  beforeAll(async () => {
    site = await servePrograms("react-page.tsx");
    browser = await launchBrowser();
    page = await browser.newPage();
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) complaints.push(message.text());
    });
    await page.goto(site.address);
    await page.waitForFunction(() => "scenarios" in globalThis);
  });

  afterAll(async () => {
    await browser?.close();
    site?.close();
  });

  async function play(name: ScenarioName, seed = 0): Promise<unknown> {
    return page.evaluate(([which, with_]) => globalThis.scenarios[which](with_), [
      name,
      seed,
    ] as const);
  }

  test("a component is rendered for its own key, and for changes alone", async () => {
    expect(await play("otherKeys")).toEqual({
      seen: [
        ["nothingnothingnothing", { a: 1, b: 1, ab: 1 }],
        ["1nothingnothing", { a: 1 }],
        ["1nothingnothing", {}],
        ['1nothing{"deep":[1]}', { ab: 1 }],
        ['1nothing{"deep":[1]}', {}],
        ['1nothing{"deep":[1]}', {}],
        ['nothingnothing{"deep":[1]}', { a: 1 }],
        ["nothingnothingnothing", { ab: 1 }],
      ],
      subscriptionCount: 0,
    });
  });

  test("a value is the same reference until it changes, also under StrictMode", async () => {
    expect(await play("references")).toEqual({
      // Each twice, and none for equal values.
      renderCount: 8,
      kept: true,
      changed: true,
      shared: true,
      othersKept: true,
    });
  });

  test("another key, another store and none are read at once, and the former ones no more", async () => {
    expect(await play("changingKeyAndStore")).toEqual({
      seen: ["first a", "first b", "other b", "other b again", "undefined"],
      renders: {},
      subscriptionCount: 0,
    });
  });

  test("what effects write before React has subscribed is shown", async () => {
    expect(await play("writesOfEffects")).toEqual({
      text: "of a layout effect tasks/1 tasks/2 tasks/3",
      kept: true,
    });
  });

  test("entries of a range: rows are rendered that changed, and the list once for all changes of a moment", async () => {
    expect(await play("entriesOfRanges")).toEqual({
      seen: [
        ["a/1 a/2 a/3", { list: 1, "a/1": 1, "a/2": 1, "a/3": 1 }],
        ["a/1 a/2 a/3", { list: 1 }],
        ["a/1 a/2 a/3", {}],
        ["a/1 a/2 a/3", { list: 1, "a/2": 1 }],
        ["a/1 a/2 a/3", {}],
        ["a/1 a/15 a/2 a/3", { list: 1, "a/15": 1 }],
        ["a/15 a/2 a/3", { list: 1 }],
        ["a/15 a/2 a/3", { list: 1, "a/2": 1 }],
        ["b/1", { list: 1, "b/1": 1 }],
        ["a/3 a/2 a/15", { list: 1, "a/3": 1, "a/2": 1, "a/15": 1 }],
        ["a/3 a/25 a/2 a/15", { list: 1, "a/25": 1 }],
        ["a/15 a/2", { list: 1, "a/15": 1, "a/2": 1 }],
        ["a/15 a/2", {}],
        ["a/2 a/25", { list: 1, "a/25": 1 }],
      ],
      isSameArray: true,
      subscriptionCount: 0,
    });
  });

  test.each([1, 2, 3, 4])(
    "random writes of seed %i, here and elsewhere, are shown in order in every range",
    async (seed) => {
      const { size, ...answer } = (await play("randomWrites", seed)) as { readonly size: number };
      expect(answer).toEqual({ differing: [], stepCount: 150 });
      expect(size).toBeGreaterThan(20);
    },
  );

  test("a rendering that writes interrupt shows one state of the store", async () => {
    expect(await play("tearing")).toEqual({ torn: [], written: true, commits: true });
  });

  test("what a server rendered is taken over without a difference, and goes on", async () => {
    expect(await play("hydration")).toEqual({
      html: "<p>opening connecting 0 Ship it 1</p>",
      complaints: [],
      isSameElement: true,
      text: "opening connecting 0 Shipped 1",
      openedOnServer: 0,
      opened: 1,
    });
  });

  test("a store is opened once under StrictMode, and closed when its component is gone or wants another", async () => {
    expect(await play("storeOfStrictMode")).toEqual({
      seen: [
        "one open undefined 0 offline ",
        "one open Ship it 1 offline ",
        "two open undefined 0 offline ",
        "",
        "exclusive 1 open undefined 0 offline ",
        "exclusive 1 open kept 1 offline ",
        "exclusive 2 open kept 1 offline ",
        "",
      ],
      log: [
        "open one",
        "open two",
        "closed one",
        "closed two",
        // The place is taken, until the one before has left it.
        "open exclusive 1",
        "open exclusive 1",
        "closed exclusive 1",
        "open exclusive 1",
        "open exclusive 2",
        "closed exclusive 1",
        "open exclusive 2",
        "closed exclusive 2",
      ],
    });
  });

  test("a store that is not wanted any more when it comes is closed", async () => {
    expect(await play("storeGivenUp")).toEqual(["opening", "aborted", "closed"]);
  });

  test("a store that cannot be opened is a state, or an error for a boundary", async () => {
    expect(await play("storeFailed")).toEqual({
      asState: "failed: Error: no such place",
      byBoundary: "no such place",
    });
    // React tells of what a boundary caught.
    expect(complaints.splice(0).join("\n")).toContain("no such place");
  });

  test("of a closed store hooks give what they gave last", async () => {
    expect(await play("closedStore")).toEqual({
      before: "Ship it 1 offline",
      after: "Ship it 1 closed",
      other: "undefined 1 closed",
    });
  });

  test("status and pending count are shown as they change", async () => {
    expect(await play("statusOfConnection")).toEqual({
      seen: [
        "connecting 0 fine",
        "connecting 1 fine",
        // The next attempt may have begun.
        expect.stringMatching(/^(offline|connecting) 0 fine$/u),
        "closed 0 fine",
      ],
      isSame: true,
      title: "Ship it",
    });
  });

  test("a component tells of itself as long as it is there, and shows who else is", async () => {
    expect(await play("presence")).toEqual({
      seen: ['{"name":"Ada"}', '{"name":"Ben"}', '{"name":"Ada L."}', "", ""],
      isSame: true,
    });
  });

  test("neither React nor the page complained of anything else", () => {
    expect(complaints).toEqual([]);
  });
});
