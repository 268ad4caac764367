/** Several servers on one of `node:http`, whoever came first and whoever goes first. */

import { once } from "node:events";
import { createServer as createHttpServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";

import { afterEach, beforeEach, expect, test } from "vitest";
import { WebSocket, WebSocketServer } from "ws";

import { memoryPersistence } from "../../ts/persistence/memory.ts";
import type { LogEntry, ServerOptions } from "../../ts/server/contract.ts";
import { createServer } from "../../ts/server/index.ts";

let http: Server;

beforeEach(() => {
  http = createHttpServer((request, response) => response.end(`his ${request.url}`));
});

afterEach(async () => {
  const closed = new Promise((resolve) => http.close(resolve));
  http.closeAllConnections();
  await closed;
});

async function listen(host = "127.0.0.1"): Promise<void> {
  http.listen(0, host);
  await once(http, "listening");
}

function ours(path: string, options: ServerOptions = {}): ReturnType<typeof createServer> {
  return createServer({ server: http, path, persistence: () => memoryPersistence(), ...options });
}

async function ask(path: string): Promise<{ readonly status: number; readonly text: string }> {
  const { port } = http.address() as AddressInfo;
  const answer = await fetch(`http://127.0.0.1:${port}${path}`, {
    headers: { connection: "close" },
  });
  return { status: answer.status, text: (await answer.text()).trim() };
}

/** The first message there, or what went wrong. */
function first(path: string): Promise<string> {
  const { port } = http.address() as AddressInfo;
  const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`);
  return new Promise<string>((resolve) => {
    socket.on("message", (data: Buffer) => resolve(data.toString()));
    socket.on("error", ({ message }) => resolve(message));
  }).finally(() => socket.terminate());
}

const INITIAL = '{"action":"initial_data","data":{}}';

test("sockets of others that refuse whatever is not theirs refuse nothing of ours", async () => {
  const others = new WebSocketServer({ server: http, path: "/chat" });
  others.on("connection", (socket) => socket.send("chat"));
  const server = await ours("/sync");
  await listen();
  expect(await first("/chat")).toBe("chat");
  expect(await first("/sync/json/team")).toBe(INITIAL);
  expect(await first("/nowhere")).toContain("400");
  await server.close();
  expect(await first("/chat")).toBe("chat");
  expect(await first("/sync/json/team")).toContain("400");
  others.close();
});

test.each([
  ["first", 0],
  ["last", 1],
])("of two of ours the one that came %s may go before the other", async (_, gone) => {
  const two = [await ours("/a"), await ours("/b")] as const;
  const paths = ["/a", "/b"] as const;
  await listen();
  for (const path of paths) {
    expect(await first(`${path}/json/team`)).toBe(INITIAL);
    expect((await ask(`${path}/healthz`)).text).toBe("ok");
  }
  expect(await first("/nowhere")).toContain("hang up");
  await two[gone as 0 | 1].close();
  const [left, right] = gone === 0 ? [paths[1], paths[0]] : paths;
  expect(await first(`${left}/json/team`)).toBe(INITIAL);
  expect((await ask(`${left}/healthz`)).text).toBe("ok");
  expect((await ask(`${right}/healthz`)).text).toBe(`his ${right}/healthz`);
  expect(await first(`${right}/json/team`)).toContain("hang up");
  await two[gone === 0 ? 1 : 0].close();
  expect((await ask(`${left}/healthz`)).text).toBe(`his ${left}/healthz`);
});

test("who listens after us goes on listening when we are closed", async () => {
  const server = await ours("/sync");
  http.on("request", (request) => heard.push(String(request.url)));
  const heard: string[] = [];
  await listen();
  expect((await ask("/x")).text).toBe("his /x");
  await server.close();
  expect((await ask("/y")).text).toBe("his /y");
  expect(heard).toEqual(["/x", "/y"]);
});

test("one that others can reach is served by leave only, also when it begins to listen later", async () => {
  const log: LogEntry[] = [];
  const server = await ours("/sync", { log: (entry) => log.push(entry) });
  await listen("0.0.0.0");
  expect(await first("/sync/json/team")).toContain("403");
  expect((await ask("/sync/healthz")).status).toBe(403);
  expect((await ask("/about")).text).toBe("his /about");
  expect(log.map(({ event }) => event)).toContain("not-open");
  await server.close();
  await expect(ours("/sync")).rejects.toMatchObject({ code: "invalid-argument" });

  for (const options of [{ open: true }, { authenticate: () => "anybody" }]) {
    const meant = await ours("/sync", options);
    expect((await ask("/sync/healthz")).text).toBe("ok");
    await meant.close();
  }
});
