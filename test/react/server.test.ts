/** The hooks of lastwrite/react on a server: what is rendered there, and that nothing is opened for it. */

import { createElement, type ReactNode, StrictMode } from "react";
import { renderToString } from "react-dom/server";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";

import { open, type Store } from "../../ts/index.ts";
import { memoryPersistence } from "../../ts/persistence/memory.ts";
import { useEntries, useEntry, useStatus, useStore } from "../../ts/react/index.ts";

describe("on a server", () => {
  let store: Store;

  beforeAll(async () => {
    store = await open({ persistence: memoryPersistence() });
    store.set("tasks/1", "write");
    store.set("tasks/2", { is: "test" });
    store.set("title", "Ship it");
  });

  afterAll(() => store.close());

  /** What a component that answers this is rendered as. */
  function rendered(read: () => unknown): unknown {
    const View = (): ReactNode => JSON.stringify(read() ?? "nothing");
    const html = renderToString(createElement(StrictMode, null, createElement(View)));
    return JSON.parse(html.replaceAll("&quot;", '"'));
  }

  test("a store is read as it is", () => {
    expect(rendered(() => useEntry(store, "tasks/2"))).toEqual({ is: "test" });
    expect(rendered(() => useEntry(store, "absent"))).toBe("nothing");
    expect(rendered(() => useEntries(store, { prefix: "tasks/", reverse: true }))).toEqual([
      ["tasks/2", { is: "test" }],
      ["tasks/1", "write"],
    ]);
    expect(rendered(() => useEntries(store, { limit: 1 }))).toEqual([["tasks/1", "write"]]);
  });

  test("connections are a matter of the browser", () => {
    expect(store.status).toBe("offline");
    expect(rendered(() => useStatus(store))).toEqual({ status: "connecting", pendingCount: 0 });
  });

  test("without a store there is nothing to read", () => {
    expect(rendered(() => useEntry(undefined, "title"))).toBe("nothing");
    expect(rendered(() => useEntries(undefined))).toEqual([]);
    expect(rendered(() => useStatus(undefined))).toEqual({ status: "connecting", pendingCount: 0 });
  });

  test("no store is opened", () => {
    const opener = vi.fn<() => Promise<Store>>();
    expect(rendered(() => useStore(opener))).toEqual({ state: "opening" });
    expect(opener).not.toHaveBeenCalled();
  });

  test("a key that is none is an error of the rendering", () => {
    expect(() => rendered(() => useEntry(store, ""))).toThrow(
      expect.objectContaining({ code: "invalid-key" }),
    );
  });

  test("nothing is left subscribed", () => {
    const subscribe = vi.spyOn(store, "subscribe");
    rendered(() => [useEntry(store, "title"), useEntries(store)]);
    expect(subscribe).not.toHaveBeenCalled();
  });
});
