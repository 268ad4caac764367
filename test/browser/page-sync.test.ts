/** The page beside others: pages and programs that share a room, with and without a server. */

import { createHash } from "node:crypto";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import type { BrowserContext } from "playwright-core";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { browserAbsence, launchProfile } from "./chromium.ts";
import { Visitor } from "./served-page.ts";
import { withServedPage } from "./visits.ts";

const built = join(import.meta.dirname, "../../dist/web");

describe.skipIf(browserAbsence !== "")("pages in Chromium that share a room", () => {
  const visits = withServedPage();
  const { visitor, client, atEnd } = visits;

  test("a change in one page appears in another and in a program, and the other way round", async () => {
    const [ada, ben, program] = [await visitor(), await visitor(), await client()];
    await ada.set("title", "Ship it");
    await ben.sees("title", "Ship it");
    await expect.poll(() => program.get("title")).toBe("Ship it");

    program.set("title", "Ship it on Friday");
    program.set("points", 8);
    await Promise.all([ada.sees("title", "Ship it on Friday"), ben.sees("points", "8")]);

    await ben.row("points").click();
    await ben.page.keyboard.press("Delete");
    await ada.row("points").waitFor({ state: "detached" });
    await expect.poll(() => program.has("points")).toBe(false);
    expect([...ada.complaints, ...ben.complaints]).toEqual([]);
  });

  test("a server that is killed is told at once, and what was written without it arrives when it is back", async () => {
    const [ada, ben, program] = [await visitor(), await visitor(), await client()];
    await ada.set("title", "before");
    await ben.sees("title", "before");
    await expect.poll(() => program.get("title")).toBe("before");

    await visits.served.kill();
    await Promise.all([ada.seesStatus("Offline"), ben.seesStatus("Offline")]);
    await ada.set("of/ada", "offline");
    await ben.set("of/ben", "offline");
    await ben.set("title", "by the last who wrote");
    program.set("of/program", "offline");
    await ada.seesStatus("1 change kept here");
    await ben.seesStatus("2 changes kept here");
    await ada.picture("page-offline");

    await visits.served.start();
    for (const one of [ada, ben]) {
      await one.seesStatus("All changes are sent");
      await one.sees("title", "by the last who wrote");
      for (const key of ["of/ada", "of/ben", "of/program"]) await one.sees(key, "offline");
    }
    await program.synced();
    expect([...program.keys()]).toEqual(["of/ada", "of/ben", "of/program", "title"]);
    expect([...ada.complaints, ...ben.complaints]).toEqual([]);
  });

  test("who is here is shown by the name that they gave themselves, and kept in their browser", async () => {
    const ada = await visitor();
    await ada.rename("Ada");
    const ben = await visitor();
    await ben.rename("Ben");
    const people = (one: Visitor) => one.page.getByRole("list", { name: "Who is here" });
    await people(ada).getByText("Ben", { exact: true }).waitFor();
    await people(ben).getByText("Ada", { exact: true }).waitFor();

    await ada.page.reload();
    await ada.page.getByTitle("Change your name").filter({ hasText: "Ada" }).waitFor();
    await people(ben).getByText("Ada", { exact: true }).waitFor();
    await ben.page.close();
    await people(ada).getByText("Ben", { exact: true }).waitFor({ state: "detached" });
    expect([...ada.complaints, ...ben.complaints]).toEqual([]);
  });

  test("a key tells when and by whom it was written, and what that replaced", async () => {
    const [ada, ben] = [await visitor(), await visitor()];
    await ada.rename("Ada");
    await ben.rename("Ben");
    await ada.set("title", "Ship it");
    await ben.row("title").click();
    await ben.details.getByText("Ada", { exact: true }).waitFor();
    await ben.details.getByText("Nothing that this page has seen.").waitFor();

    await ben.set("title", "Ship it on Friday");
    await ben.details.getByText("Ben (you)", { exact: true }).waitFor();
    const former = ben.details.getByRole("listitem");
    await former.getByText("Ship it", { exact: true }).waitFor();
    expect(await former.textContent()).toMatch(/, Ada/u);

    await ben.page.getByRole("button", { name: "Set back to Ship it" }).click();
    await ada.sees("title", "Ship it");
    await ada.row("title").click();
    await ada.details.getByText("Ben", { exact: true }).waitFor();
  });

  test("an editor says what became of its key meanwhile", async () => {
    const [ada, ben] = [await visitor(), await visitor()];
    await ada.set("title", "Ship it");
    await ben.row("title").dblclick();
    await ben.page.getByLabel("Value of title").fill("Written by Ben");
    await ada.set("title", "Written by Ada");
    await ben.page.getByText("Meanwhile: Written by Ada").waitFor();
    await ada.row("title").click();
    await ada.page.keyboard.press("Delete");
    await ben.page.getByText("Removed meanwhile; saving writes it again.").waitFor();
    await ben.button("Save").click();
    await ada.sees("title", "Written by Ben");
    // Who removes may take it back.
    await ada.row("title").click();
    await ada.page.keyboard.press("Delete");
    await ben.row("title").waitFor({ state: "detached" });
    await ada.button("Undo").click();
    await ben.sees("title", "Written by Ben");
    expect([...ada.complaints, ...ben.complaints]).toEqual([]);
  });

  test("who has a clock that is an hour fast is told so, and what he writes arrives", async () => {
    const ada = await visitor({}, (page) =>
      page.addInitScript(() => {
        const now = Date.now.bind(Date);
        Date.now = () => now() + 3_600_000;
      }),
    );
    const program = await client();
    await ada.page.getByText("The clock of this device is 60 minutes fast.").waitFor();
    await ada.set("title", "of another hour");
    await expect.poll(() => program.get("title")).toBe("of another hour");
    const aheadMs = (program.stampOf("title")?.millis ?? Infinity) - Date.now();
    expect(aheadMs).toBeLessThan(60_000);
    expect(ada.complaints).toEqual([]);
  });

  describe("in one browser, with what it keeps", () => {
    let folder: string;
    let profile: BrowserContext;

    beforeEach(async () => {
      folder = mkdtempSync("/var/tmp/lastwrite-profile-");
      profile = await launchProfile(folder);
    });

    afterEach(async () => {
      await profile.close();
      rmSync(folder, { recursive: true, force: true });
      await visits.served.kill();
      await visits.served.start();
    });

    async function inProfile(): Promise<Visitor> {
      const one = new Visitor(await profile.newPage());
      await one.visit(visits.address);
      return one;
    }

    test("page and data are there without a server, also after a restart of the browser, and take edits", async () => {
      const online = await inProfile();
      await online.seesStatus("Live");
      await online.set("title", "written online");
      await online.seesStatus("All changes are sent");
      await online.isKept();
      await visits.served.kill();
      await online.page.reload();
      await online.sees("title", "written online");
      await online.set("draft", "after a reload");

      await profile.close();
      profile = await launchProfile(folder);
      const again = await inProfile();
      await again.sees("title", "written online");
      await again.sees("draft", "after a reload");
      await again.set("draft", "after a restart");
      await again.seesStatus("Offline");

      await visits.served.start();
      await again.seesStatus("All changes are sent");
      const program = await client();
      await program.synced();
      expect(Object.fromEntries(program.entries())).toEqual({
        title: "written online",
        draft: "after a restart",
      });
      expect([...online.complaints, ...again.complaints]).toEqual([]);
    });

    test("two tabs show each other's writes without a server", async () => {
      const first = await inProfile();
      await first.seesStatus("Live");
      await first.isKept();
      await visits.served.kill();
      const second = await inProfile();
      await first.set("title", "of the first tab");
      await second.sees("title", "of the first tab");
      await second.set("title", "of the second tab");
      await first.sees("title", "of the second tab");
      expect([...first.complaints, ...second.complaints]).toEqual([]);
    });

    test("a later version of the page takes the place of the former one, with a server and without", async () => {
      const before = await inProfile();
      await before.seesStatus("Live");
      await before.isKept();
      await before.set("title", "kept");
      await before.page.reload();
      await before.seesStatus("Live");

      const later = laterVersion();
      atEnd(() => rmSync(later, { recursive: true, force: true }));
      await visits.served.kill();
      await visits.served.start({ page: later });
      // It asks for it when it meets the server again.
      await before.page.getByText("A later version of this page is here.").waitFor();
      expect(await before.page.locator("meta[name=later]").count()).toBe(0);
      await before.button("Load it").click();
      await before.page.locator("meta[name=later]").waitFor({ state: "attached" });
      await before.sees("title", "kept");
      expect(await before.page.evaluate(async () => caches.keys())).toHaveLength(1);

      await visits.served.kill();
      await before.page.reload();
      await before.sees("title", "kept");
      expect(await before.page.locator("meta[name=later]").count()).toBe(1);
      expect(before.complaints).toEqual([]);
    });
  });
});

/** A copy of the built page with another index, and the worker that belongs to it. */
function laterVersion(): string {
  const folder = mkdtempSync("/var/tmp/lastwrite-later-");
  cpSync(built, folder, { recursive: true });
  const index = readFileSync(join(folder, "index.html"), "utf8");
  const changed = index.replace("<head>", '<head><meta name="later" content="yes">');
  writeFileSync(join(folder, "index.html"), changed);
  const worker = readFileSync(join(folder, "sw.js"), "utf8");
  const renamed = worker
    .replace(integrityOf(index), integrityOf(changed))
    .replace(/"[0-9a-f]{16}"/u, '"0123456789abcdef"');
  writeFileSync(join(folder, "sw.js"), renamed);
  return folder;
}

function integrityOf(text: string): string {
  return `sha256-${createHash("sha256").update(text).digest("base64")}`;
}
