import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, describe, expect, test, vi } from "vitest";
import { type Backend, createDictionary, LastwriteError, loadEngine } from "../../ts/index.ts";

/** Puts loaders that fail, or answer, in the place of those that load an addon or a WASM file. */
function pretend(loaders: {
  readonly native: () => unknown;
  readonly wasm: (source: unknown) => unknown;
}): void {
  vi.doMock("../../ts/engine/native.ts", () => ({ loadNativeEngine: loaders.native }));
  vi.doMock("../../ts/engine/wasm.ts", () => ({ loadWasmEngine: loaders.wasm }));
}

function unavailable(why: string): () => never {
  return () => {
    throw new LastwriteError("engine-unavailable", why);
  };
}

describe("loadEngine", () => {
  afterEach(() => {
    vi.doUnmock("../../ts/engine/native.ts");
    vi.doUnmock("../../ts/engine/wasm.ts");
    vi.resetModules();
  });

  test("gives the engine that was asked for", async () => {
    const engine = await loadEngine({ backend: "script" });
    expect(engine.backend).toBe("script");
    const dictionary = createDictionary({ engine });
    dictionary.set("a", 1);
    expect(dictionary.get("a")).toBe(1);
    dictionary.close();
  });

  test("gives a new engine at each call, and dictionaries of several live side by side", async () => {
    const engines = await Promise.all([
      loadEngine({ backend: "script" }),
      loadEngine({ backend: "script" }),
    ]);
    expect(engines[0]).not.toBe(engines[1]);
    const [a, b] = engines.map((engine) => createDictionary({ engine }));
    a!.set("a", 1);
    expect(b!.size).toBe(0);
    a!.close();
    b!.set("a", 1);
    b!.close();
  });

  test.each<[Backend, boolean, boolean]>([
    ["native", true, true],
    ["wasm", false, true],
    ["script", false, false],
  ])("without a wish the first that can be had is taken: %s", async (expected, native, wasm) => {
    pretend({
      native: native ? () => ({ backend: "native" }) : unavailable("no addon"),
      wasm: wasm ? () => ({ backend: "wasm" }) : unavailable("no file"),
    });
    expect((await loadEngine()).backend).toBe(expected);
  });

  test("an engine that was asked for and cannot be had is an error that says why", async () => {
    const cause = new TypeError("fetch failed");
    pretend({
      native: unavailable("no addon for this machine"),
      wasm: () => {
        throw cause;
      },
    });
    await expect(loadEngine({ backend: "native" })).rejects.toMatchObject({
      code: "engine-unavailable",
      message: "no addon for this machine",
    });
    await expect(loadEngine({ backend: "wasm" })).rejects.toMatchObject({
      code: "engine-unavailable",
      message: expect.stringContaining("fetch failed"),
      cause,
    });
  });

  test("an addon whose memory is laid out otherwise is not used", async () => {
    const folder = await mkdtemp(join(tmpdir(), "lastwrite-"));
    const file = join(folder, "addon.cjs");
    await writeFile(file, "exports.desk = new ArrayBuffer(1024);");
    const { loadNativeEngine } = await import("../../ts/engine/native.ts");
    expect(() => loadNativeEngine({ file })).toThrow(
      expect.objectContaining({ code: "engine-unavailable" }),
    );
    await rm(folder, { recursive: true });
  });

  test("the source of the WASM build is handed on", async () => {
    const load = vi.fn<(source: unknown) => object>(() => ({ backend: "wasm" }));
    pretend({ native: unavailable("no addon"), wasm: load });
    await loadEngine({ backend: "wasm", wasm: "https://example.org/lastwrite.wasm" });
    expect(load).toHaveBeenCalledWith("https://example.org/lastwrite.wasm");
  });

  test("an engine of another name is an invalid argument", async () => {
    await expect(loadEngine({ backend: "rust" as Backend })).rejects.toMatchObject({
      code: "invalid-argument",
    });
  });
});
