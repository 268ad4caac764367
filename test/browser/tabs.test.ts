/** Several tabs of a real browser that have one store open: one leads, the others follow, and nothing that was kept is lost. */

import type { Page } from "playwright-core";
import { beforeEach, describe, expect, test, vi } from "vitest";

import { decodeVersion } from "../../ts/codec/version.ts";
import { browserAbsence } from "./chromium.ts";
import type { OpenStore, StoreState } from "./programs/stores.ts";
import { ask, deleteDatabase, isReady, kill, setQuota, withPages } from "./tabs-under-test.ts";

const NAME = "shared store";
const LOCK = `lastwrite/${NAME}`;

describe.skipIf(browserAbsence !== "")("tabs in Chromium", () => {
  const pages = withPages();
  /** Keys of which some tab was told that they are kept. */
  let kept: Set<string>;

  beforeEach(() => {
    kept = new Set();
  });

  async function openTab(request: Partial<OpenStore> = {}): Promise<Page> {
    const page = await pages.open();
    await ask(page, "open", { name: NAME, durability: "strict", ...request });
    return page;
  }

  /** Remembers what these tabs were told is kept, and answers how many keys there are by now. */
  async function noteKept(tabs: readonly Page[]): Promise<number> {
    for (const page of tabs) for (const key of await ask(page, "takeKept")) kept.add(key);
    return kept.size;
  }

  async function leadersOf(tabs: readonly Page[]): Promise<number> {
    const states = await Promise.all(tabs.map((page) => ask(page, "state")));
    return states.filter(({ isLeader }) => isLeader).length;
  }

  /** Waits until all tabs hold the same, and answers what that is. */
  async function settled(tabs: readonly Page[]): Promise<StoreState> {
    await expect
      .poll(
        async () => {
          const states = await Promise.all(tabs.map((page) => ask(page, "state")));
          return new Set(states.map(({ digest, version }) => `${digest} ${version}`)).size;
        },
        { timeout: 20_000 },
      )
      .toBe(1);
    return ask(tabs[0] as Page, "state");
  }

  test.each([
    [1000, "leading", "killed"],
    [250, "leading", "closed"],
    [250, "following", "killed"],
  ] as const)(
    "of four tabs that write %i entries each, a %s one is %s: nothing that was kept is lost",
    async (count, role, end) => {
      const tabs: Page[] = [];
      for (let index = 0; index < 4; index++) tabs.push(await openTab());
      expect(await leadersOf(tabs)).toBe(1);
      const watch = await watched(await pages.open());

      const lost = tabs[role === "leading" ? 0 : 2] as Page;
      const others = tabs.filter((tab) => tab !== lost);
      const writing = new Map(
        tabs.map((tab, index) => [
          tab,
          ask(tab, "write", `tab ${index}/`, 0, count).catch((error: unknown) => String(error)),
        ]),
      );
      await expect
        .poll(() => noteKept(tabs), { timeout: 120_000, interval: 5 })
        .toBeGreaterThan(count);
      if (end === "closed") await lost.close();
      else await kill(lost);

      const counts = await Promise.all(others.map(async (tab) => writing.get(tab)));
      expect(counts).toEqual([count, count, count]);
      expect(await noteKept(others)).toBeGreaterThanOrEqual(3 * count);
      const state = await settled(others);
      expect(await leadersOf(others)).toBe(1);
      for (const tab of others) expect(await ask(tab, "missing", [...kept])).toEqual([]);
      expect(state.unflushedCount).toBe(0);
      expect(writersOf(state)).toBeLessThanOrEqual(4);
      expect(state.reports).toEqual([]);

      // What is kept is what they hold.
      for (const tab of others) await tab.close();
      const again = await openTab();
      expect(await ask(again, "missing", [...kept])).toEqual([]);
      expect((await ask(again, "state")).size).toBe(state.size);

      const { heldMax, terms } = await watch.seen();
      expect(heldMax).toBe(1);
      expect(terms).toEqual([...new Set(terms)].toSorted((left, right) => left - right));
    },
    300_000,
  );

  test("what one tab writes the others show, and what all write goes on as one", async () => {
    const tabs = [await openTab(), await openTab({ durability: "relaxed" }), await openTab()];
    await ask(tabs[1] as Page, "set", "from", "follower");
    await ask(tabs[1] as Page, "flush");
    await ask(tabs[0] as Page, "set", "of", "leader");
    await ask(tabs[0] as Page, "flush");
    const state = await settled(tabs);
    expect(state.size).toBe(2);
    for (const tab of tabs) expect(await ask(tab, "get", "from")).toBe("follower");
    // What came from another tab is kept already, which each learns when it wants to keep it itself.
    for (const tab of tabs) {
      await vi.waitFor(async () => expect((await ask(tab, "state")).unflushedCount).toBe(0));
    }
  });

  test("a tab that has not seen what the leading one collected reads all anew, and loses nothing", async () => {
    const [first, second] = [await openTab(), await openTab()];
    await ask(second, "write", "second/", 0, 2);
    expect(await ask(first, "collect")).toBe(1);
    await ask(second, "write", "second/", 2, 4);
    expect((await settled([first, second])).size).toBe(4);
    // And the other way round: the leading tab is the one that has not seen it.
    expect(await ask(second, "collect")).toBe(1);
    await ask(first, "write", "first/", 0, 2);
    expect((await settled([first, second])).size).toBe(6);
    await first.close();
    await ask(second, "write", "second/", 4, 6);
    expect((await ask(second, "state")).size).toBe(8);
  });

  test("tabs that both collected what the other had not seen lose nothing, also through the next leader", async () => {
    const [first, second] = [await openTab(), await openTab()];
    await ask(second, "write", "second/", 0, 2);
    const collected = await Promise.all([ask(first, "collect"), ask(second, "collect")]);
    expect(collected).toEqual([1, 1]);
    await ask(second, "write", "second/", 2, 4);
    await ask(first, "write", "first/", 0, 2);
    expect((await settled([first, second])).size).toBe(6);

    // What neither can tell the other any more.
    const frozen = await freeze(first);
    const third = await openTab({ options: { answerMaxMs: 100 } });
    const collecting = ask(third, "collect");
    await expect(collecting).rejects.toThrow("storage-unavailable");
    await frozen.kill();
    await ask(second, "write", "second/", 4, 6);
    await expect.poll(() => ask(third, "flushCode")).toBe("");
    expect((await settled([second, third])).size).toBe(8);
  });

  test("a tab that has no space to take over goes on trying, and tells so", async () => {
    const [first, second] = [await pages.open(), await pages.open()];
    // Before anything is open: what a browser grants it may grant for a while. And from the page that stays.
    await setQuota(second, 2_000_000);
    for (const page of [first, second]) {
      await ask(page, "open", { name: NAME, durability: "strict" });
    }
    expect(await ask(first, "fill", 100)).toBe("store-full");
    const { size } = await ask(second, "state");
    await first.close();
    await expect
      .poll(async () => (await ask(second, "state")).errors, { timeout: 20_000 })
      .toContain("store-full");
    expect((await ask(second, "state")).isLeader).toBe(false);
    await setQuota(second, 200_000_000);
    // Nobody writes.
    await expect
      .poll(async () => (await ask(second, "state")).isLeader, { timeout: 20_000 })
      .toBe(true);
    expect((await ask(second, "state")).size).toBeGreaterThanOrEqual(size);
  });

  test("a leader whose database was deleted gives the lead to the next tab", async () => {
    const first = await openTab();
    await ask(first, "write", "first/", 0, 1);
    await deleteDatabase(first, LOCK);
    const second = await openTab({ options: { answerMaxMs: 300 } });
    expect(await ask(second, "write", "second/", 0, 2)).toBe(2);
    expect((await ask(second, "state")).isLeader).toBe(true);
    expect((await ask(first, "state")).isLeader).toBe(false);
    await ask(first, "set", "later", "1");
    expect(await ask(first, "flushCode")).toBe("storage-unavailable");
  });

  test("a tab that is closed cleanly gives the lead to the next one, with all that was written", async () => {
    const [first, second] = [await openTab(), await openTab()];
    await ask(first, "set", "first", "1");
    await ask(first, "close");
    await expect.poll(async () => (await ask(second, "state")).isLeader).toBe(true);
    await ask(second, "set", "second", "2");
    await ask(second, "flush");
    await ask(first, "open", { name: NAME });
    expect((await ask(first, "state")).isLeader).toBe(false);
    expect(await ask(first, "missing", ["first", "second"])).toEqual([]);
  });

  test("what a follower wrote while its leader died is kept by the next", async () => {
    const [first, second, third] = [await openTab(), await openTab(), await openTab()];
    await ask(second, "write", "before/", 0, 5);
    const stopped = await freeze(first);
    const waiting = [ask(second, "write", "second/", 0, 3), ask(third, "write", "third/", 0, 3)];
    await noteKept([second, third]);
    expect([...kept].filter((key) => !key.startsWith("before/"))).toEqual([]);
    await stopped.kill();
    expect(await Promise.all(waiting)).toEqual([3, 3]);
    const state = await settled([second, third]);
    expect(state.size).toBe(11);
    expect(await leadersOf([second, third])).toBe(1);
  });

  test("a tab opens beside a leader that is frozen; its writes are refused, and kept when that goes on", async () => {
    const first = await openTab();
    await ask(first, "write", "first/", 0, 3);
    const frozen = await freeze(first);
    const second = await openTab({ options: { answerMaxMs: 300 } });
    expect((await ask(second, "state")).size).toBe(3);
    await ask(second, "set", "second", "2");
    await expect(ask(second, "flush")).rejects.toThrow("storage-unavailable");
    await frozen.goOn();
    await expect
      .poll(async () => (await ask(second, "state")).unflushedCount, { timeout: 30_000 })
      .toBe(0);
    expect((await settled([first, second])).size).toBe(4);
  });

  test("a page that is loaded again and again goes on under one replica id", async () => {
    const page = await pages.open();
    const ids = new Set<string | undefined>();
    for (let load = 0; load < 10; load++) {
      await ask(page, "open", { name: NAME, durability: "relaxed" });
      await ask(page, "set", `load/${load}`, "1");
      await ask(page, "flush");
      const state = await ask(page, "state");
      ids.add(state.replicaId);
      expect(state.size).toBe(load + 1);
      expect(state.reports).toEqual([]);
      // Nothing is closed.
      await page.reload();
      await isReady(page);
    }
    expect(ids.size).toBe(1);
  });

  test("tabs that come and go lease few replica ids", async () => {
    const first = await openTab();
    await ask(first, "write", "first/", 0, 1);
    for (let round = 0; round < 2; round++) {
      const [second, third] = [await openTab(), await openTab()];
      await ask(second, "write", `second/${round}/`, 0, 2);
      await ask(third, "write", `third/${round}/`, 0, 2);
      await second.close();
      await kill(third);
    }
    const state = await ask(first, "state");
    expect(state.size).toBe(9);
    expect(writersOf(state)).toBe(3);
  });

  test("with one tab alone the second one is told at once", async () => {
    const options = { tabs: "exclusive" } as const;
    const first = await openTab({ options });
    const second = await pages.open();
    const refused = ask(second, "open", { name: NAME, options });
    await expect(refused).rejects.toThrow("store-locked");
    await first.close();
    await expect
      .poll(async () => {
        try {
          await ask(second, "open", { name: NAME, options });
          return "open";
        } catch (error) {
          return String(error);
        }
      })
      .toBe("open");
  });

  test("a lock that is stolen ends the tab that had it", async () => {
    const [first, second] = [await openTab(), await pages.open()];
    await ask(first, "write", "first/", 0, 1);
    await second.evaluate(
      (name) => void navigator.locks.request(name, { steal: true }, () => new Promise(() => {})),
      LOCK,
    );
    // The browser tells it a moment later; what is kept until then is kept.
    await vi.waitFor(async () => {
      await ask(first, "set", "later", "1").catch(() => {});
      await expect(ask(first, "flush")).rejects.toThrow("store-locked");
    });
  });
});

function writersOf({ version }: StoreState): number {
  return decodeVersion(Buffer.from(version, "hex")).vector.size;
}

/** Stops the scripts of a page. */
async function freeze(page: Page): Promise<{ goOn(): Promise<void>; kill(): Promise<void> }> {
  const session = await page.context().newCDPSession(page);
  await session.send("Debugger.enable");
  const paused = new Promise<void>((resolve) => {
    session.once("Debugger.paused", () => resolve());
  });
  // At the next thing that the page runs, which is nothing of its own.
  await session.send("Debugger.pause");
  void page.evaluate(() => {}).catch(() => {});
  await paused;
  return {
    async goOn() {
      await session.send("Debugger.resume");
    },
    kill: () => kill(page),
  };
}

/** Looks at locks and messages from another tab. */
async function watched(
  page: Page,
): Promise<{ seen(): Promise<{ heldMax: number; terms: number[] }> }> {
  await page.evaluate((lock) => {
    const seen = { heldMax: 0, terms: [] as number[] };
    Object.assign(globalThis, { seen });
    const channel = new BroadcastChannel(lock);
    channel.addEventListener(
      "message",
      ({ data }: MessageEvent<{ type: string; term: number }>) => {
        if (data.type === "leader") seen.terms.push(data.term);
      },
    );
    const look = async (): Promise<void> => {
      const { held = [] } = await navigator.locks.query();
      const count = held.filter(({ name }) => name === lock).length;
      seen.heldMax = Math.max(seen.heldMax, count);
    };
    setInterval(() => void look(), 20);
  }, LOCK);
  return {
    seen: () =>
      page.evaluate(() => Reflect.get(globalThis, "seen") as { heldMax: number; terms: number[] }),
  };
}
