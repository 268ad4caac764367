/**
 * Frames that nobody can read, by the thousand: the server goes on as before, and does not grow. HOSTILE_FRAMES=200000, as in CI,
 * takes half a minute on a machine that does nothing else.
 */

import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { afterAll, beforeAll, expect, test } from "vitest";
import { WebSocket } from "ws";

import { open } from "../../ts/open.ts";
import { memoryPersistence } from "../../ts/persistence/memory.ts";
import { decodeMessage, encodeMessage, encodeText } from "../../ts/sync/codec.ts";
import type { Hello } from "../../ts/sync/messages.ts";
import { createDictionary } from "../../ts/dictionary/dictionary.ts";
import { loadEngine } from "../../ts/engine/load.ts";
import { numberFromEnvironment, type Random, seededRandom } from "../suites/random.ts";
import { buildLastwrite, type ProgramUnderTest, type Serving } from "./program-under-test.ts";
import { HELLO } from "../sync/played-peer.ts";

const FRAMES =
  numberFromEnvironment("HOSTILE_FRAMES") ?? (process.env["CI"] === undefined ? 40_000 : 200_000);
const SEED = numberFromEnvironment("SEED") ?? 1;
/** Connections at one time. */
const ATTACKERS = 20;
const SLICES = 10;
/** After few the heap has not yet found the size that it stays at. */
const DRIFT_MAX: number = (FRAMES >= 200_000 ? 20 : 32) * 2 ** 20;
const HOUR_MS = 3_600_000;
const GREETING: Hello = { ...HELLO, millis: Date.now() };

let program: ProgramUnderTest;
let folder: string;
let delta: Uint8Array;

beforeAll(async () => {
  program = await buildLastwrite();
  folder = mkdtempSync(path.join(tmpdir(), "hostile-"));
  const dictionary = createDictionary({ engine: await loadEngine() });
  for (let at = 0; at < 20; at++) dictionary.set(`evil/${at}`, [at, "x".repeat(at)]);
  delta = dictionary.deltaSince();
  dictionary.close();
});

afterAll(() => {
  program[Symbol.dispose]();
  rmSync(folder, { recursive: true, force: true });
});

/** One byte of it is another, or it ends early, or goes on. */
function spoilt(random: Random, bytes: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(bytes);
  switch (random.below(3)) {
    case 0:
      copy[random.below(copy.length)] = random.below(256);
      return copy;
    case 1:
      return copy.subarray(0, random.below(copy.length));
    default:
      return Uint8Array.from([...copy, ...random.bytes(1 + random.below(20))]);
  }
}

function badMessage(random: Random, number: number): Uint8Array | string {
  switch (random.below(6)) {
    case 0:
      return random.bytes(random.below(300));
    case 1:
      return String.fromCodePoint(...random.bytes(random.below(300)));
    case 2:
      return encodeText({ type: "ping" }, number).replace("p", "q");
    case 3:
      return spoilt(random, encodeMessage(GREETING, number));
    default: {
      const message = {
        type: "delta",
        place: 20,
        isPartial: false,
        continues: random.once(2),
        remaining: 0,
      } as const;
      // The frame itself is spoilt, which only the engine sees.
      return encodeMessage({ ...message, frame: spoilt(random, delta) }, number);
    }
  }
}

/** One connection: says hello where that is asked for, and then what nobody can read, until it is sent away. */
async function attack(serving: Serving, random: Random, frames: number): Promise<number> {
  const target = random.pick(["team", "team", "json/team"]);
  const socket = new WebSocket(`${serving.url}/${target}`, { perMessageDeflate: false });
  socket.on("error", () => {});
  const closed = new Promise((resolve) => {
    socket.on("close", resolve);
  });
  await Promise.race([once(socket, "open"), closed]);
  let sent = 0;
  if (target === "team" && !random.once(4)) {
    socket.send(encodeMessage({ ...GREETING, storeId: "00".repeat(16) }, 0));
    await Promise.race([once(socket, "message"), closed]);
  }
  while (sent < frames && socket.readyState === WebSocket.OPEN) {
    socket.send(badMessage(random, sent + 1));
    sent++;
    if (sent % 4 === 0) await new Promise((resolve) => void setImmediate(resolve));
  }
  if (target !== "team") socket.close();
  setTimeout(() => socket.terminate(), 2000).unref();
  await closed;
  return sent;
}

async function attackAll(serving: Serving, random: Random, frames: number): Promise<number> {
  let sent = 0;
  let underWay = 0;
  const attackers = Array.from({ length: ATTACKERS }, async () => {
    while (sent + underWay < frames) {
      const planned = Math.min(40, frames - sent - underWay);
      underWay += planned;
      const count = await attack(serving, random, planned);
      underWay -= planned;
      sent += count;
    }
  });
  await Promise.all(attackers);
  return sent;
}

/** Half of the frames, and the most memory that was taken meanwhile. */
async function attackInSlices(
  serving: Serving,
  random: Random,
): Promise<{ readonly sent: number; readonly most: number }> {
  let sent = 0;
  let most = 0;
  for (let slice = 0; slice < SLICES; slice++) {
    sent += await attackAll(serving, random, Math.ceil(FRAMES / 2 / SLICES));
    most = Math.max(most, await serving.metric("resident_bytes"));
  }
  return { sent, most };
}

test(`${FRAMES} frames that cannot be read`, { timeout: HOUR_MS }, async () => {
  const random = seededRandom(SEED);
  const serving = await program.serve(["--data", folder, "--port", "0", "--log-level", "error"]);
  const honest = await open({
    persistence: memoryPersistence(),
    connect: `${serving.url}/team`,
  });
  const witness = await open({
    persistence: memoryPersistence(),
    connect: `${serving.url}/team`,
  });
  const over = new AbortController();
  let writeCount = 0;
  const writing = (async () => {
    while (!over.signal.aborted) {
      honest.set(`k${writeCount % 100}`, writeCount);
      writeCount++;
      await honest.synced({ signal: AbortSignal.timeout(60_000) });
    }
  })();

  // What it takes for the first ones, it takes once; then it comes and goes with the collection of garbage, so that the most counts.
  const before = await attackInSlices(serving, random);
  const after = await attackInSlices(serving, random);
  const sent = before.sent + after.sent;
  over.abort();
  await writing;

  console.log(
    `SEED=${SEED}: ${sent} frames, ${((after.most - before.most) / 2 ** 20).toFixed(1)} MiB drift from ${(before.most / 2 ** 20).toFixed(0)} MiB, ${writeCount} honest writes acknowledged`,
  );
  expect(after.most - before.most).toBeLessThan(DRIFT_MAX);
  expect(sent).toBeGreaterThanOrEqual(FRAMES);
  expect(writeCount).toBeGreaterThan(10);
  await witness.synced();
  expect(honest.status).toBe("live");
  expect([...witness.entries()]).toEqual([...honest.entries()]);
  await Promise.all([honest.close(), witness.close()]);
  serving.process.kill("SIGTERM");
  expect(await serving.ended).toMatchObject({ code: 0, errors: "" });
});

test("what is sent here is what nobody can read", () => {
  const random = seededRandom(SEED);
  let readable = 0;
  for (let at = 0; at < 1000; at++) {
    try {
      const { message } = decodeMessage(badMessage(random, at));
      // Then its frame cannot be read, or it is no message of this moment.
      if (message.type !== "delta") readable++;
    } catch {
      // As it should be.
    }
  }
  expect(readable).toBeLessThan(200);
});
