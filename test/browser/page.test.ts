/** The page alone: what can be written and seen, with a keyboard alone too, by whom it can be read, and how it looks. */

import axe from "axe-core";
import type { BrowserContextOptions } from "playwright-core";
import { describe, expect, test } from "vitest";

import type { Value } from "../../ts/index.ts";
import { browserAbsence } from "./chromium.ts";
import { withServedPage } from "./visits.ts";

const WIDE: BrowserContextOptions = { viewport: { width: 1280, height: 800 } };
const NARROW: BrowserContextOptions = { viewport: { width: 390, height: 844 }, hasTouch: true };

describe.skipIf(browserAbsence !== "")("the page in Chromium", () => {
  const visits = withServedPage();
  const { stranger, visitor, client, atEnd } = visits;

  test.each<[type: string, typed: string, shown: string, value: Value]>([
    ["Text", "Ship it\non Friday", "Ship it on Friday", "Ship it\non Friday"],
    ["Number", "-1.5e3", "-1500", -1500],
    ["Number", "-0", "-0", -0],
    ["Boolean", "false", "false", false],
    ["Null", "", "null", null],
    [
      "Bigint",
      "123456789012345678901234567890",
      "123456789012345678901234567890",
      123456789012345678901234567890n,
    ],
    ["Bytes (Base64)", "AP+A", "AP+A", new Uint8Array([0, 255, 128])],
    [
      "JSON",
      '{"tags":["a",{"$date":"2026-01-31T00:00:00.000Z"}]}',
      "2026-01-31T00:00:00.000Z",
      { tags: ["a", new Date("2026-01-31T00:00:00Z")] },
    ],
    ["JSON", '{"$tagged":{"type":"decimal","text":"0.10"}}', "0.10", undefined as never],
  ])("%s: %j is written as that, and shown", async (type, typed, shown, value) => {
    const [one, program] = [await visitor(), await client()];
    await one.set("key", typed, type);
    await one.row("key").locator(".text", { hasText: shown }).waitFor();
    await expect.poll(() => program.has("key")).toBe(true);
    if (value === undefined)
      expect(program.get("key")).toMatchObject({ type: "decimal", text: "0.10" });
    else expect(program.get("key")).toEqual(value);
    expect(one.complaints).toEqual([]);
  });

  test("a date is written in the time of the place", async () => {
    const [one, program] = [await visitor({ ...WIDE, timezoneId: "Asia/Tokyo" }), await client()];
    await one.set("due", "2026-01-31T18:00", "Date");
    await one.sees("due", "2026-01-31T09:00:00.000Z");
    await expect.poll(() => program.get("due")).toEqual(new Date("2026-01-31T09:00:00Z"));
    await one.row("due").dblclick();
    expect(await one.page.getByLabel("Value of due").inputValue()).toBe("2026-01-31T18:00");
  });

  test.each<[what: string, key: string, type: string, typed: string, words: string | RegExp]>([
    ["an empty key", "", "Text", "x", "Give the value a key: an empty one cannot be kept."],
    ["a key of 1,025 letters", "k".repeat(1025), "Text", "x", /^A key is a text of at most 1,024/u],
    [
      "a word",
      "key",
      "Number",
      "twelve",
      "“twelve” is no number; one looks like 42, -1.5 or 6e23.",
    ],
    ["no number", "key", "Number", "", "“” is no number; one looks like 42, -1.5 or 6e23."],
    ["half an object", "key", "JSON", "{nonsense", /^This is no JSON: /u],
    [
      "half a date",
      "key",
      "JSON",
      '{"$date": 5}',
      "A member $date alone in an object has to hold a text.",
    ],
    ["no date", "key", "Date", "", "Choose a date and a time."],
    ["a fraction", "key", "Bigint", "1.5", /^A bigint consists of digits alone/u],
    ["a question mark", "key", "Bytes (Base64)", "?", /^This is no Base64/u],
    ["more than 1 MiB", "key", "Text", "x".repeat(2 ** 20 + 1), /split it over several keys/u],
  ])("%s is refused in words, and nothing is written", async (_what, key, type, value, words) => {
    const one = await visitor();
    await one.type(key, type, value);
    await one.button("Set").click();
    const alert = one.page.getByRole("alert").filter({ hasText: words });
    await alert.waitFor();
    const field = await one.page.evaluate(() => ({
      isInvalid: document.activeElement?.getAttribute("aria-invalid"),
      describedBy: document.activeElement?.getAttribute("aria-describedby"),
    }));
    expect(field).toEqual({ isInvalid: "true", describedBy: await alert.getAttribute("id") });
    await one.page.getByText("0 keys").waitFor();
    expect(one.complaints).toEqual([]);
  });

  test("a key that is not there cannot be removed, and one that is can", async () => {
    const one = await visitor();
    await one.set("here", "yes");
    await one.keyField.fill("there");
    await one.button("Remove").click();
    await one.page.getByText("There is no key “there”.").waitFor();
    await one.keyField.fill("here");
    await one.button("Remove").click();
    await one.page.getByText("Removed “here”.").waitFor();
    await one.page.getByText("0 keys").waitFor();
    expect(one.complaints).toEqual([]);
  });

  test("the room is the one in the address, and another is a word away", async () => {
    const one = await visitor();
    const other = `${new URL(one.page.url()).pathname.slice(1)}-2`;
    await one.set("in", "the first");
    const field = one.page.getByLabel("Room", { exact: true });
    for (const [name, words] of [
      ["no spaces", "letters, digits, - and _ alone"],
      ["x".repeat(65), "at most 64 characters"],
      ["metrics", "keeps “metrics” for itself"],
    ] as const) {
      await field.fill(name);
      await one.page.keyboard.press("Enter");
      await one.page.getByRole("alert").filter({ hasText: words }).waitFor();
    }
    await field.fill(other);
    await one.page.keyboard.press("Enter");
    await one.page.getByText("Nothing is here yet.").waitFor();
    expect(new URL(one.page.url()).pathname).toBe(`/${other}`);
    expect(await one.page.title()).toBe(`${other} · lastwrite`);
    await one.set("in", "the second");
    await one.page.goBack();
    await one.sees("in", "the first");
    await one.page.goForward();
    await one.sees("in", "the second");
    await one.page.goto(visits.served.address);
    await one.grid.waitFor();
    expect(new URL(one.page.url()).pathname).toBe("/lobby");
    expect(one.complaints).toEqual([]);
  });

  test("a browser that keeps nothing is told so in words, and can go on without", async () => {
    const one = await stranger();
    await one.page.addInitScript(() => {
      Object.defineProperty(navigator, "locks", { value: undefined });
    });
    await one.page.goto(visits.address);
    const alert = one.page.getByRole("alert").filter({ hasText: "cannot be opened" });
    expect(await alert.textContent()).toContain("The browser keeps nothing for this page");
    await one.button("Try again").click();
    await alert.waitFor();
    await one.button("Go on without keeping anything here").click();
    await one.seesStatus("Live");
    const program = await client();
    await one.set("title", "from memory");
    await expect.poll(() => program.get("title")).toBe("from memory");
    expect(one.complaints).toEqual([]);
  });

  test("100,000 entries scroll, are sorted and found, with few rows in the document, while others write", async () => {
    const program = await client();
    const count = 100_000;
    for (let first = 0; first < count; first += 10_000) {
      program.transaction(() => {
        for (let at = first; at < first + 10_000; at++) {
          program.set(`users/${String(at).padStart(6, "0")}`, (at * 7919) % count);
        }
      });
    }
    await program.synced();
    const one = await visitor();
    await one.page.getByText("100,000 keys").waitFor();
    const rowCount = (): Promise<number> => one.grid.getByRole("row").count();
    expect(await one.grid.getAttribute("aria-rowcount")).toBe("100001");
    expect(await rowCount()).toBeLessThan(50);

    let written = 0;
    const writing = setInterval(
      () => program.set(`users/${String(written++ % 100).padStart(6, "0")}`, -written),
      20,
    );
    atEnd(() => clearInterval(writing));
    await one.grid.focus();
    await one.page.keyboard.press("End");
    await one.sees("users/099999", String((99_999 * 7919) % count));
    expect(await one.row("users/099999").getAttribute("aria-rowindex")).toBe("100001");
    const gaps = await one.page.evaluate(scrollThrough);
    expect(await rowCount()).toBeLessThan(50);

    await one.page.getByRole("button", { name: "Value" }).click();
    await one.page
      .getByRole("columnheader", { name: "Value", exact: false })
      .and(one.page.locator("[aria-sort=ascending]"))
      .waitFor();
    await one.grid.focus();
    await one.page.keyboard.press("End");
    await one.grid.getByText("99999", { exact: true }).waitFor();
    await one.page.getByRole("button", { name: "Written" }).click();
    await one.page.keyboard.press("Tab");
    await one.grid.focus();
    await one.page.keyboard.press("Home");
    clearInterval(writing);
    await one.page.getByLabel("Filter by key or value").fill("users/05432");
    await one.page.getByText("10 of 100,000 keys").waitFor();
    expect(await rowCount()).toBe(11);
    // Told, not judged: machines of tests are busy.
    console.log(
      `100,000 entries, ${written} writes: frames came after ${gaps.median} ms in the middle, ${gaps.longest} ms at most`,
    );
    expect(one.complaints).toEqual([]);
  }, 180_000);

  test("everything can be done with the keyboard", async () => {
    const one = await visitor();
    const { keyboard } = one.page;
    const press = async (...keys: readonly string[]): Promise<void> => {
      for (const key of keys) await keyboard.press(key);
    };
    /** Goes on by Tab until the control of this name has the focus, which has to be seen. */
    const tabTo = async (name: string): Promise<void> => {
      for (let left = 30; left > 0; left--) {
        await press("Tab");
        const { label, isSeen } = await one.page.evaluate(focused);
        expect(isSeen, `the focus on ${label} can be seen`).toBe(true);
        if (label === name || label.startsWith(`${name}.`)) return;
      }
      throw new Error(`Tab does not lead to ${name}`);
    };
    await tabTo("Key");
    await keyboard.type("tasks/1");
    await tabTo("Value");
    await keyboard.type("first");
    await press("Enter");
    await one.sees("tasks/1", "first");
    await keyboard.type("tasks/2");
    await tabTo("Type");
    await keyboard.type("Num");
    await tabTo("Value");
    await keyboard.type("2");
    await press("Enter");
    await one.sees("tasks/2", "2");

    await tabTo("Keys and values");
    await press("ArrowDown", "ArrowDown");
    const active = await one.grid.getAttribute("aria-activedescendant");
    expect(active).toBe(await one.row("tasks/2").getAttribute("id"));
    expect(await one.row("tasks/2").getAttribute("aria-selected")).toBe("true");
    await press("Enter");
    await one.page.getByLabel("Value of tasks/2").waitFor();
    await press("ControlOrMeta+a");
    await keyboard.type("22");
    await press("Enter");
    await one.sees("tasks/2", "22");
    // Back where it was.
    await press("Home", "F2");
    await one.page.getByLabel("Value of tasks/1").waitFor();
    await keyboard.type("not this");
    await press("Escape");
    await one.sees("tasks/1", "first");
    await press("Delete");
    await one.row("tasks/1").waitFor({ state: "detached" });
    expect(await one.row("tasks/2").getAttribute("aria-selected")).toBe("true");
    await tabTo("Undo");
    await press("Enter");
    await one.sees("tasks/1", "first");
    // What had the focus is gone.
    expect((await one.page.evaluate(focused)).label).toContain("Keys and values");
    await tabTo("Close this panel");
    await press("Enter");
    await one.details.waitFor({ state: "detached" });
    expect((await one.page.evaluate(focused)).label).toContain("Keys and values");
    await tabTo("Change your name");
    await press("Enter", "ControlOrMeta+a");
    await keyboard.type("Ada");
    await press("Enter");
    await one.page.getByTitle("Change your name").filter({ hasText: "Ada" }).waitFor();
    expect((await one.page.evaluate(focused)).label).toBe("Change your name");
    expect(one.complaints).toEqual([]);
  });

  describe.each([
    ["light", WIDE],
    ["dark", WIDE],
    ["light", NARROW],
    ["dark", NARROW],
  ] as const)("%s, %j", (colorScheme, size) => {
    const name = `page-${colorScheme}${size === NARROW ? "-narrow" : ""}`;

    test("axe finds nothing to complain of, whatever is shown", async () => {
      const one = await visitor({ ...size, colorScheme });
      const found: Record<string, readonly string[]> = {};
      const look = async (what: string): Promise<void> => {
        // Colours on their way are none of those that were chosen.
        await one.page.evaluate(() => document.getAnimations().map((each) => each.finish()));
        await one.page.evaluate(axe.source);
        found[what] = await one.page.evaluate(violations);
      };
      await look("empty");
      await one.set("tasks/1/title", "Ship it");
      await one.set("tasks/1/done", "true", "Boolean");
      await one.set("tasks/1/meta", '{"tags": ["docs", "sync"]}', "JSON");
      await one.set(
        "tasks/2/title",
        "Write the documentation of every byte, and of all that it stands for",
      );
      await one.set("tasks/1/title", "Ship it on Friday");
      await look("entries");
      await one.picture(`${name}-entries`);
      await one.row("tasks/1/title").click();
      await one.details.getByText("What it replaced").waitFor();
      await look("details");
      await one.picture(`${name}-details`);
      await one.details.getByRole("button", { name: "Close this panel" }).click();

      // As fingers do: a second tap would meet the panel that the first one opened.
      await one.row("tasks/1/meta").click();
      await one.details.getByRole("button", { name: "Edit" }).click();
      await one.page.getByLabel("Value of tasks/1/meta").fill("{");
      await one.button("Save").click();
      await one.page.getByText("This is no JSON").waitFor();
      await look("editor with a problem");
      await one.picture(`${name}-editor`);
      await one.button("Cancel").click();
      await one.button("Set").click();
      await one.page.getByText("Give the value a key").waitFor();
      await look("form with a problem");
      await one.page.getByLabel("Filter by key or value").fill("nothing of that name");
      await one.page.getByText("No key or value contains").waitFor();
      await look("nothing found");
      await one.page.getByTitle("Change your name").click();
      await look("own name");
      await one.page.evaluate(() => window.scrollTo(0, 0));
      await visits.served.kill();
      await one.seesStatus("Offline");
      await look("offline");
      await one.picture(`${name}-offline`);
      await visits.served.start();
      await one.seesStatus("Live");
      expect(
        Object.fromEntries(Object.entries(found).filter(([, each]) => each.length > 0)),
      ).toEqual({});
      expect(Object.keys(found)).toHaveLength(8);
      expect(one.complaints).toEqual([]);
    });
  });
});

/** In the page: goes through the list in steps, and answers how long frames took. */
async function scrollThrough(): Promise<{ readonly median: number; readonly longest: number }> {
  const grid = document.querySelector("[role=grid]");
  if (grid === null) throw new Error("there is no list");
  const frame = (): Promise<number> => new Promise((resolve) => requestAnimationFrame(resolve));
  const gaps: number[] = [];
  let last = await frame();
  for (let step = 0; step < 120; step++) {
    grid.scrollTop = (grid.scrollHeight / 120) * step;
    const now = await frame();
    gaps.push(Math.round(now - last));
    last = now;
  }
  gaps.sort((one, other) => one - other);
  return { median: gaps[60] ?? 0, longest: gaps.at(-1) ?? 0 };
}

/** In the page: what has the focus, and whether that can be seen. */
function focused(): { readonly label: string; readonly isSeen: boolean } {
  const element = document.activeElement as HTMLElement & {
    readonly labels?: NodeListOf<HTMLElement>;
  };
  const label = element.getAttribute("aria-label") ?? element.title ?? "";
  const named =
    label === "" ? (element.labels?.[0]?.textContent ?? element.textContent ?? "") : label;
  const { outlineStyle, outlineWidth } = getComputedStyle(element);
  const isPage = element === document.body;
  return { label: named, isSeen: isPage || (outlineStyle !== "none" && outlineWidth !== "0px") };
}

/** In the page: what axe finds, with where. */
async function violations(): Promise<readonly string[]> {
  const { axe: inPage } = globalThis as unknown as { readonly axe: typeof axe };
  const result = await inPage.run(document, {
    runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
  });
  return result.violations.flatMap(({ id, nodes }) =>
    nodes.map((node) => `${id}: ${node.target.join(" ")}: ${node.failureSummary ?? ""}`),
  );
}
