/** Clients that ask for much and read nothing: the server does not keep it for them, serves others meanwhile, and ends when it is asked to. */

import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { afterAll, beforeAll, expect, test } from "vitest";
import { WebSocket } from "ws";

import { createDictionary } from "../../ts/dictionary/dictionary.ts";
import { loadEngine } from "../../ts/engine/load.ts";
import { open } from "../../ts/open.ts";
import { memoryPersistence } from "../../ts/persistence/memory.ts";
import { encodeMessage } from "../../ts/sync/codec.ts";
import { buildLastwrite, type ProgramUnderTest, type Serving } from "./program-under-test.ts";
import { jsonClient, serve, type Served } from "./under-test.ts";
import { HELLO } from "../sync/played-peer.ts";

const MIB = 2 ** 20;
const GROWTH_MAX = 80 * MIB;
const ASKING_MS = 3000;
const REPLICAS = 3000;

let program: ProgramUnderTest;
let folder: string;

beforeAll(async () => {
  program = await buildLastwrite();
  folder = mkdtempSync(path.join(tmpdir(), "greedy-"));
});

afterAll(() => {
  program[Symbol.dispose]();
  rmSync(folder, { recursive: true, force: true });
});

/** Sends 200 messages ten times a second, and meanwhile asks as somebody who reads; answers how much memory it took at most, and how often the other was answered. */
async function askMuch(
  serving: Serving,
  greedy: WebSocket,
  message: () => Uint8Array | string,
): Promise<{ readonly grown: number; readonly answers: number }> {
  const before = await serving.metric("resident_bytes");
  const other = jsonClient(`${serving.url}/json/other`);
  await other.hears({ action: "initial_data" });
  greedy.pause();
  let most = before;
  let answers = 0;
  const until = performance.now() + ASKING_MS;
  while (performance.now() < until) {
    for (let at = 0; at < 200 && greedy.readyState === WebSocket.OPEN; at++) greedy.send(message());
    const from = other.heard.length;
    other.says({ action: "lookup", key: "k" });
    await other.hears({ action: "lookup" }, from);
    answers++;
    most = Math.max(most, await serving.metric("resident_bytes"));
    await new Promise((resolve) => void setTimeout(resolve, 100));
  }
  other.socket.terminate();
  return { grown: most - before, answers };
}

/** Resolves when somebody else, who asked later, has his answer. */
async function lateEnough(served: Served): Promise<void> {
  const other = served.json("team");
  await other.hears({ action: "initial_data" });
  other.says({ action: "lookup", key: "absent" });
  await other.hears({ action: "lookup" });
}

async function endsQuickly(serving: Serving): Promise<void> {
  const askedAt = performance.now();
  serving.process.kill("SIGTERM");
  expect((await serving.ended).code).toBe(0);
  expect(performance.now() - askedAt).toBeLessThan(8000);
}

test(
  "a client of plain JSON that looks up a megabyte again and again",
  { timeout: 60_000 },
  async () => {
    const serving = await program.serve(["--data", folder, "--port", "0", "--log-level", "error"]);
    const greedy = jsonClient(`${serving.url}/json/team`);
    await greedy.hears({ action: "initial_data" });
    greedy.says({ action: "set", key: "big", value: "x".repeat(1_000_000) });
    await greedy.hears({ action: "set", key: "big" });
    const lookup = JSON.stringify({ action: "lookup", key: "big" });
    const { grown, answers } = await askMuch(serving, greedy.socket, () => lookup);
    console.log(
      `lookups: it grew by ${(grown / MIB).toFixed(1)} MiB, ${answers} answers to others`,
    );
    expect(grown).toBeLessThan(GROWTH_MAX);
    expect(answers).toBeGreaterThan(5);
    await endsQuickly(serving);
    greedy.socket.terminate();
  },
);

test("who asks for much and then reads is answered to the last, in order", async () => {
  await using served = await serve({ limits: { queuedBytesMax: 1000, frameBytesMax: 250_000 } });
  const client = served.json("team");
  await client.hears({ action: "initial_data" });
  const value = "x".repeat(200_000);
  client.says({ action: "set", key: "big", value });
  await client.hears({ action: "set" });
  client.socket.pause();
  for (let at = 0; at < 100; at++) {
    client.says({ action: "lookup", key: "big" });
    client.says({ action: "lookup", key: `absent/${at}` });
  }
  await lateEnough(served);
  client.socket.resume();
  await client.hears({ action: "lookup", key: "absent/99" });
  const heard = client.heard.slice(2).map(({ key }) => key);
  expect(heard).toEqual(Array.from({ length: 100 }, (_, at) => ["big", `absent/${at}`]).flat());
});

test(
  "a client of the library that asks for the version again and again",
  { timeout: 60_000 },
  async () => {
    const serving = await program.serve(["--data", folder, "--port", "0", "--log-level", "error"]);
    const engine = await loadEngine();
    const seed = await open({
      persistence: memoryPersistence(),
      connect: `${serving.url}/versions`,
    });
    for (let at = 0; at < REPLICAS; at++) {
      const dictionary = createDictionary({ engine });
      dictionary.set(`k${at}`, at);
      seed.merge(dictionary.deltaSince());
      dictionary.close();
    }
    await seed.synced();
    await seed.close();

    const greedy = new WebSocket(`${serving.url}/versions`, { perMessageDeflate: false });
    greedy.on("error", () => {});
    await once(greedy, "open");
    const hello = { ...HELLO, millis: Date.now() };
    let number = 0;
    greedy.send(encodeMessage(hello, number));
    await once(greedy, "message");
    const { grown, answers } = await askMuch(serving, greedy, () => {
      number++;
      return encodeMessage({ type: "need", what: "version", held: undefined }, number);
    });
    console.log(
      `versions: it grew by ${(grown / MIB).toFixed(1)} MiB, ${answers} answers to others`,
    );
    expect(grown).toBeLessThan(GROWTH_MAX);
    expect(answers).toBeGreaterThan(5);
    await endsQuickly(serving);
    greedy.terminate();
  },
);
