/**
 * The program `lastwrite serve`: what it says, how it ends, and that it keeps what it acknowledged however it ends.
 * KILL_ROUNDS=1000 asks for more rounds of killing it.
 */

import assert from "node:assert/strict";
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";

import { open } from "../../ts/open.ts";
import { memoryPersistence } from "../../ts/persistence/memory.ts";
import type { Store } from "../../ts/store/contract.ts";
import { numberFromEnvironment, seededRandom } from "../suites/random.ts";
import { buildLastwrite, type ProgramUnderTest, type Serving } from "./program-under-test.ts";
import { alike, jsonClient, tcp, upgradeRequest, whenStatus } from "./under-test.ts";

const ROUNDS = numberFromEnvironment("KILL_ROUNDS") ?? 8;
const HOUR_MS = 3_600_000;

let crowdCount = 0;
let program: ProgramUnderTest;
let folder: string;

beforeAll(async () => {
  program = await buildLastwrite();
});

afterAll(() => program[Symbol.dispose]());

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), "served-"));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

function serve(...args: readonly string[]): Promise<Serving> {
  return program.serve(["--data", folder, "--port", "0", ...args]);
}

function connect(url: string, room: string): Promise<Store> {
  return open({ persistence: memoryPersistence(), connect: `${url}/${room}` });
}

describe("what it says", () => {
  test("its version, its commands and their options", async () => {
    const manifest = JSON.parse(
      readFileSync(new URL("../../package.json", import.meta.url), "utf8"),
    ) as { readonly version: string };
    expect(await program.run(["--version"])).toMatchObject({
      code: 0,
      out: `${manifest.version}\n`,
    });
    const help = await program.run(["--help"]);
    expect(help).toMatchObject({ code: 0, errors: "" });
    expect(help.out).toContain("serve [options]");
    const { code, out } = await program.run(["serve", "--help"]);
    expect(code).toBe(0);
    for (const flag of [
      "--port",
      "--data",
      "--database",
      "--open",
      "--room-keys-max",
      "--no-page",
    ]) {
      expect(out).toContain(flag);
    }
  });

  test("where it listens, in one line, and what happens, a JSON object a line", async () => {
    const serving = await serve();
    const store = await connect(serving.url, "team");
    await store.synced();
    await store.close();
    serving.process.kill("SIGINT");
    const { code, out, errors } = await serving.ended;
    expect(code).toBe(0);
    expect(out).toBe(`lastwrite listens on http://127.0.0.1:${serving.port}\n`);
    const log = errors
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(log.map(({ event }) => event)).toEqual([
      "listening",
      "room-opened",
      "closing",
      "room-closed",
      "closed",
    ]);
    for (const { time, level } of log) {
      expect(new Date(String(time)).toISOString()).toBe(time);
      expect(level).toBe("info");
    }
  });

  test.each([
    [["serve", "--port", "http"], 2, "whole number"],
    [["serve", "--prot", "1"], 2, "--prot"],
    [["serve", "--port", "70000"], 2, "65,535"],
    [["serve", "--room-keys-max", "0"], 2, "roomKeysMax"],
    [["serve", "--host", "0.0.0.0"], 2, "--open"],
    [["serve", "--origin", "example.com"], 2, "origin"],
    [["serve", "--database", "mysql://x"], 2, "sqlite:"],
    [["serve", "--log-level", "loud"], 2, "none"],
    [["sreve"], 2, "sreve"],
    [[], 2, "Usage"],
  ])("%j: ends with %d and says %s", async (args, code, words) => {
    const ended = await program.run(args);
    expect(ended.code).toBe(code);
    expect(ended.out + ended.errors).toContain(words);
    expect(ended.errors).not.toMatch(/\n {4}at /u);
  });

  test("that the port is in use, the folder no folder, or the page not there", async () => {
    const { port } = await serve();
    const shared = ["serve", "--data", folder];
    const taken = await program.run([...shared, "--port", String(port)]);
    expect(taken).toMatchObject({ code: 3, out: "" });
    expect(taken.errors).toContain("in use");
    const file = path.join(folder, "file");
    writeFileSync(file, "");
    const wrong = await program.run(["serve", "--port", "0", "--data", file]);
    expect(wrong.code).toBe(4);
    expect(wrong.errors).toContain(file);
    const bare = await program.run([...shared, "--port", "0", "--page", folder]);
    expect(bare.code).toBe(4);
    expect(bare.errors).toContain("index.html");
  });

  test("that a room is in use by another server, in the log, while the client tries again", async () => {
    const first = await serve();
    const held = await connect(first.url, "team");
    await held.synced();
    const second = await serve();
    const store = await connect(second.url, "team");
    await whenStatus(store, "offline");
    expect(store.statusReason?.message).toContain("try again later");
    await held.close();
    first.process.kill("SIGTERM");
    await first.ended;
    await store.synced();
    await store.close();
    second.process.kill("SIGTERM");
    expect((await second.ended).errors).toContain('"code":"store-locked"');
  });
});

describe("when its log cannot be written", () => {
  /** Answers with the exit code, after it served many rooms and was asked to end. */
  async function codeAfterWork(serving: Serving): Promise<number | null> {
    const stores = await Promise.all(
      Array.from({ length: 20 }, (_, at) => connect(serving.url, `room${at}`)),
    );
    for (const store of stores) {
      store.set("a", 1);
      await store.synced();
      await store.close();
    }
    serving.process.kill("SIGTERM");
    return (await serving.ended).code;
  }

  test("as who read it has ended, it goes on", async () => {
    const serving = await serve();
    serving.process.stdout?.destroy();
    serving.process.stderr?.destroy();
    expect(await codeAfterWork(serving)).toBe(0);
  });

  test.skipIf(!existsSync("/dev/full"))("as its disk is full, it goes on", async () => {
    const full = openSync("/dev/full", "w");
    try {
      const serving = await program.serve(["--data", folder, "--port", "0"], full);
      expect(await codeAfterWork(serving)).toBe(0);
    } finally {
      closeSync(full);
    }
  });
});

describe("asked to end", () => {
  test("twice, it ends at once", async () => {
    const serving = await serve();
    // Says hello, and never goodbye.
    const wire = await tcp(serving.port);
    wire.write(upgradeRequest("/json/team"));
    await new Promise((resolve) => wire.once("data", resolve));
    wire.pause();
    serving.process.kill("SIGTERM");
    await new Promise<void>((resolve) => {
      serving.process.stderr?.on("data", (part: Buffer) => {
        if (part.includes('"closing"')) resolve();
      });
    });
    serving.process.kill("SIGTERM");
    expect((await serving.ended).code).toBe(1);
    wire.destroy();
  });
});

describe("however it ends, everything acknowledged is there", () => {
  test("by SIGTERM, under load: it ends with 0, and its clients go on with the next one", async () => {
    const first = await serve();
    const crowd = await Crowd.gather(first);
    await crowd.untilAcknowledged(30);
    first.process.kill("SIGTERM");
    expect((await first.ended).code).toBe(0);
    crowd.stop();
    const second = await serve("--port", String(first.port));
    await crowd.check(second);
    second.process.kill("SIGTERM");
    expect((await second.ended).code).toBe(0);
  });

  test(`by kill -9, under load, ${ROUNDS} times`, { timeout: HOUR_MS }, async () => {
    const random = seededRandom(numberFromEnvironment("SEED") ?? 1);
    let serving = await serve();
    const { port } = serving;
    let acknowledged = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const crowd = await Crowd.gather(serving);
      await crowd.untilAcknowledged(1 + random.below(40));
      serving.process.kill("SIGKILL");
      await serving.ended;
      crowd.stop();
      serving = await serve("--port", String(port));
      acknowledged += await crowd.check(serving);
    }
    console.log(`${acknowledged} writes acknowledged in ${ROUNDS} rounds`);
    expect(acknowledged).toBeGreaterThanOrEqual(ROUNDS);
    serving.process.kill("SIGTERM");
    expect((await serving.ended).code).toBe(0);
  });
});

/** Clients that write without a pause, of both sorts, and what of it they were told is kept. */
class Crowd {
  readonly #stores: readonly Store[];
  readonly #json: ReturnType<typeof jsonClient>;
  readonly #room: string;
  /** Keys that have to be there. */
  readonly #acknowledged: string[] = [];
  #isStopped = false;
  #notify = (): void => {};

  private constructor(room: string, stores: readonly Store[], json: ReturnType<typeof jsonClient>) {
    this.#room = room;
    this.#stores = stores;
    this.#json = json;
  }

  static async gather({ url }: Serving): Promise<Crowd> {
    crowdCount++;
    const room = `crowd-${crowdCount}`;
    const stores = await Promise.all([0, 1, 2].map(() => connect(url, room)));
    await Promise.all(stores.map((store) => store.synced()));
    const json = jsonClient(`${url}/json/${room}`);
    await json.hears({ action: "initial_data" });
    const crowd = new Crowd(room, stores, json);
    stores.forEach((store, at) => void crowd.#write(store, `s${at}`));
    void crowd.#writeJson();
    return crowd;
  }

  async untilAcknowledged(count: number): Promise<void> {
    while (this.#acknowledged.length < count) {
      await new Promise<void>((resolve) => (this.#notify = resolve));
    }
  }

  stop(): void {
    this.#isStopped = true;
  }

  /** Everything acknowledged is there, and everything else comes; answers how much that is. */
  async check({ url }: Serving): Promise<number> {
    const acknowledged = [...this.#acknowledged];
    const judge = await connect(url, this.#room);
    await judge.synced();
    const missing = acknowledged.filter((key) => !judge.has(key));
    assert.deepEqual(missing, []);
    await Promise.all(this.#stores.map((store) => store.synced()));
    for (const store of this.#stores) await alike(judge, store);
    await Promise.all([judge, ...this.#stores].map((store) => store.close()));
    this.#json.socket.terminate();
    return acknowledged.length;
  }

  async #write(store: Store, name: string): Promise<void> {
    for (let at = 0; !this.#isStopped; at++) {
      store.set(`${name}/${at}`, "x".repeat(100));
      await store.synced({ signal: AbortSignal.timeout(60_000) });
      this.#note(`${name}/${at}`);
    }
  }

  async #writeJson(): Promise<void> {
    for (let at = 0; !this.#isStopped; at++) {
      this.#json.says({ action: "set", key: `json/${at}`, value: at });
      const told = this.#json.hears({ action: "set", key: `json/${at}` }).then(() => "told");
      if ((await Promise.race([told, this.#json.closed])) !== "told") return;
      this.#note(`json/${at}`);
    }
  }

  #note(key: string): void {
    // What is told now may be told by the next server.
    if (this.#isStopped) return;
    this.#acknowledged.push(key);
    this.#notify();
  }
}
