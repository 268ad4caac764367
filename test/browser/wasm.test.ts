/** The WASM engine of the built package in a real browser: in a page and in a worker, beside the native engine in Node. */

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { deflateRawSync, inflateRawSync } from "node:zlib";

import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import * as lastwrite from "../../ts/index.ts";
import { browserAbsence, isBrowserRequired, launchBrowser } from "./chromium.ts";
import { createPlace, type Outcome, type Place, type State } from "./programs/place.ts";
import { serveSite, type Site } from "./site.ts";

const pictures = join(import.meta.dirname, "../../target/browser");

test.skipIf(browserAbsence !== "" && !isBrowserRequired)(
  `Chromium is there${browserAbsence && `: ${browserAbsence}`}`,
  () => {
    expect(browserAbsence).toBe("");
  },
);

describe.skipIf(browserAbsence !== "")("in Chromium", () => {
  let site: Site;
  let browser: Browser;
  let page: Page;
  /** What the page and its scripts complained of. */
  const complaints: string[] = [];
  /** The same calls in Node, on the native engine. */
  let native: Place;

  beforeAll(async () => {
    native = createPlace(await lastwrite.loadEngine({ backend: "native" }), lastwrite);
    site = await serveSite();
    browser = await launchBrowser();
    page = await browser.newPage();
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("console", (message) => {
      if (message.type() === "error") complaints.push(message.text());
    });
    await page.goto(site.address);
    await page.waitForFunction(() => "tests" in globalThis);
  });

  afterAll(async () => {
    if (page !== undefined) {
      mkdirSync(pictures, { recursive: true });
      await page.screenshot({ path: join(pictures, "wasm.png"), fullPage: true });
    }
    await browser?.close();
    site?.close();
  });

  async function ask<Name extends keyof Place>(
    where: "page" | "script" | "worker",
    name: Name,
    ...args: Parameters<Place[Name]>
  ): Promise<ReturnType<Place[Name]>> {
    const answer = await page.evaluate(
      ([place, call, given]) => globalThis.tests.ask(place, call, given),
      [where, name, args] as const,
    );
    return answer as ReturnType<Place[Name]>;
  }

  const show = (line: string): Promise<void> =>
    page.evaluate((text) => globalThis.tests.show(text), line);

  test("WASM is chosen, and the native engine refused", async () => {
    expect(await page.evaluate(() => globalThis.tests.choice())).toBe("wasm");
    const refusal = await page.evaluate(() => globalThis.tests.refusal({ backend: "native" }));
    expect(refusal).toMatch(/^engine-unavailable: /u);
  });

  test.each([
    ["page", "wasm"],
    ["worker", "wasm"],
    ["script", "script"],
  ] as const)(
    "a history in the %s gives the bytes of the native engine",
    async (where, backend) => {
      expect(await ask(where, "backend")).toBe(backend);
      const [there, here] = [await ask(where, "history"), native.history()];
      expect(summary(there)).toEqual(summary(here));
      expect(there).toEqual(here);
      await show(`${where}: ${there.states[0]?.size} keys, digest ${there.states[0]?.digest}`);
    },
  );

  test.each(["page", "worker", "script"] as const)(
    "values of every type come back in the %s as they went in",
    async (where) => {
      expect(await ask(where, "changedValues")).toEqual([]);
    },
  );

  test.each(["/dist/engine/lastwrite.wasm", "/untyped.wasm"])(
    "an engine can be had from every kind of source of %s",
    async (address) => {
      const digests = await page.evaluate((at) => globalThis.tests.sources(at), address);
      const expected = native.history().states[0]?.digest;
      const names = Object.keys(digests);
      expect(names).toHaveLength(8);
      expect(digests).toEqual(Object.fromEntries(names.map((name) => [name, expected])));
      await show(`${address} as ${names.join(", ")}: equal`);
    },
  );

  test("a compiled module can be posted to a worker", async () => {
    const digest = await page.evaluate(() => globalThis.tests.postedModule("/lastwrite.wasm"));
    expect(digest).toBe(native.history().states[0]?.digest);
  });

  test("an address without an engine is refused with the reason", async () => {
    const refusal = await page.evaluate(() =>
      globalThis.tests.refusal({ backend: "wasm", wasm: "/nothing.wasm" }),
    );
    expect(refusal).toMatch(/^engine-unavailable: .* answered 404$/u);
    // The browser itself tells of the missing file.
    expect(complaints.splice(0)).toEqual([expect.stringContaining("404")]);
  });

  test("several engines in one page have memory of their own", async () => {
    const { before, after } = await page.evaluate(() => globalThis.tests.severalEngines(4));
    expect(before).toEqual([1, 2, 3, 4]);
    expect(new Set(after).size).toBe(1);
  });

  test("page, worker and Node merge crosswise and end equal", async () => {
    const replicas = {
      page: remote("page"),
      worker: remote("worker"),
      node: remote(undefined),
    };
    // So many that the memory of the WASM engines grows on the way.
    const counts = { page: 3_000, worker: 2_000, node: 20_000 };
    for (const [index, [name, replica]] of Object.entries(replicas).entries()) {
      await replica("open", String(index + 1).repeat(32));
      await replica("write", counts[name as keyof typeof counts]);
    }
    const ring = [replicas.page, replicas.worker, replicas.node];
    // Twice around, so that what the last one wrote comes to the first by way of others.
    for (let step = 0; step < 2 * ring.length; step += 1) {
      const [from, to] = [ring[step % 3], ring[(step + 1) % 3]] as [Replica, Replica];
      const delta = await from("deltaSince", await to("version"));
      expect(await to("merge", delta)).toBe(true);
    }
    const states: State[] = [];
    for (const replica of ring) states.push(await replica("state"));
    expect(states[0]?.size).toBe(25_000 + 20_000);
    expect(states[1]).toEqual(states[0]);
    expect(states[2]).toEqual(states[0]);
    await show(`page, worker and Node: ${states[0]?.size} keys, digest ${states[0]?.digest}`);
  });

  test("what is deflated in the page Node inflates, and the other way; what is no whole stream of that length is refused", async () => {
    const plain = Buffer.from("deflated in a page, inflated in Node; ".repeat(5000));
    const stream = deflateRawSync(plain);
    const streams = [
      stream,
      stream.subarray(0, -1),
      Buffer.concat([stream, Buffer.of(0)]),
      deflateRawSync(Buffer.concat([plain, Buffer.of(0)])),
      deflateRawSync(plain.subarray(1)),
      Buffer.alloc(100, 0xff),
      // A bomb of 64 MiB.
      deflateRawSync(Buffer.alloc(2 ** 26)),
    ].map((bytes) => Array.from(bytes));
    const { deflated, inflated } = await page.evaluate(
      ([bytes, all]) => globalThis.tests.deflate(bytes, all),
      [[...plain], streams] as const,
    );
    expect(inflateRawSync(Buffer.from(deflated)).equals(plain)).toBe(true);
    const [whole, ...refused] = inflated;
    expect(Buffer.from(whole as number[]).equals(plain)).toBe(true);
    expect(refused).toEqual(refused.map(() => "corrupt-bytes"));
    await show(`deflate: ${plain.length} bytes in ${deflated.length}`);
  });

  test("neither page nor worker complained", () => {
    expect(complaints).toEqual([]);
  });

  type Replica = <Name extends keyof Place>(
    name: Name,
    ...args: Parameters<Place[Name]>
  ) => Promise<ReturnType<Place[Name]>>;

  function remote(where: "page" | "worker" | undefined): Replica {
    return async (name, ...args) => {
      if (where !== undefined) return ask(where, name, ...args);
      const call = native[name] as (...given: typeof args) => ReturnType<Place[typeof name]>;
      return call(...args);
    };
  }
});

/** What to look at first when outcomes differ: snapshots are long. */
function summary({ states, answers }: Outcome): unknown {
  return {
    answers,
    states: states.map(({ digest, size, snapshot }) => ({ digest, size, bytes: snapshot.length })),
  };
}
