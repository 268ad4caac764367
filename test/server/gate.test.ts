/** Who may ask at all: names that the server goes by, and pages that may connect. */

import type { IncomingMessage } from "node:http";

import { describe, expect, test } from "vitest";

import { createServer } from "../../ts/server/index.ts";
import { Gate, isLoopback } from "../../ts/server/gate.ts";
import { exchange, keptInMemory, serve, upgradeRequest } from "./under-test.ts";

interface Asked {
  readonly host?: string;
  readonly origin?: string;
}

interface GateUnderTest {
  readonly address?: string;
  readonly hosts?: readonly string[];
  readonly origins?: readonly string[];
}

function lets(
  { host, origin }: Asked,
  { address, hosts = [], origins = [] }: GateUnderTest,
): boolean {
  const gate = new Gate({ address: () => address, hosts, origins });
  const headers = { ...(host !== undefined && { host }), ...(origin !== undefined && { origin }) };
  return gate.refusal({ headers } as IncomingMessage) === undefined;
}

describe("a name in Host", () => {
  test.each([
    ["127.0.0.1", "127.0.0.1:4040", true],
    ["127.0.0.1", "localhost:4040", true],
    ["127.0.0.1", "LOCALHOST", true],
    ["127.0.0.1", "[::1]:4040", true],
    ["127.0.0.1", "evil.example:4040", false],
    ["127.0.0.1", "localhost.evil.example", false],
    ["127.0.0.1", "localhost@evil.example", false],
    ["127.0.0.1", "127.0.0.1.evil.example", false],
    ["127.0.0.1", "192.168.1.5", false],
    ["127.0.0.1", "0.0.0.0", false],
    ["127.0.0.1", "", false],
    ["127.0.0.1", "localhost/", false],
    ["127.0.0.1", "localhost:999999", false],
    ["127.0.0.2", "127.0.0.2:1", true],
    ["::1", "[::1]:4040", true],
    ["::1", "localhost", true],
    ["0.0.0.0", "192.168.1.5:4040", true],
    ["::", "[fe80::1]:4040", true],
    ["0.0.0.0", "localhost", true],
    ["0.0.0.0", "evil.example", false],
    ["192.168.1.5", "192.168.1.5:4040", true],
    ["192.168.1.5", "192.168.1.6:4040", false],
    ["192.168.1.5", "localhost", false],
    ["fe80::1", "[fe80::1]:4040", true],
  ])("on %s: %j is %s", (address, host, isOurs) => {
    expect(lets({ host }, { address })).toBe(isOurs);
  });

  test("may be one that was allowed, with its port or whatever that is", () => {
    const gate = { address: "127.0.0.1", hosts: ["Sync.example.com", "other.example:8443"] };
    expect(lets({ host: "sync.example.com" }, gate)).toBe(true);
    expect(lets({ host: "sync.example.com:8443" }, gate)).toBe(true);
    expect(lets({ host: "other.example:8443" }, gate)).toBe(true);
    expect(lets({ host: "other.example" }, gate)).toBe(false);
    expect(lets({ host: "sub.sync.example.com" }, gate)).toBe(false);
    expect(lets({}, gate)).toBe(false);
  });

  test.each([
    ["127.0.0.1", true],
    ["127.9.9.9", true],
    ["localhost", true],
    ["::1", true],
    ["0.0.0.0", false],
    ["127.0.0.1.evil.example", false],
    ["192.168.1.5", false],
  ])("%s reaches this machine alone: %s", (address, isTrue) => {
    expect(isLoopback(address)).toBe(isTrue);
  });
});

describe("a page of another origin", () => {
  const host = "127.0.0.1:4040";
  test.each([
    ["http://127.0.0.1:4040", true],
    ["https://127.0.0.1:4040", true],
    ["http://127.0.0.1:4041", false],
    ["http://127.0.0.1", false],
    ["http://localhost:4040", false],
    ["http://evil.example", false],
    ["http://evil.example:4040", false],
    ["ws://127.0.0.1:4040", false],
    ["null", false],
    ["file://", false],
    ["", false],
    ["https://app.example.com", true],
    ["https://app.example.com:444", false],
    ["http://app.example.com", false],
    ["https://sub.app.example.com", false],
    ["https://APP.example.com", false],
    ["https://app.example.com.evil.example", false],
  ])("%j may come: %s", (origin, may) => {
    const gate = { address: "127.0.0.1", origins: ["https://app.example.com"] };
    expect(lets({ host, origin }, gate)).toBe(may);
  });

  test("a port that is left out is that of the scheme", () => {
    const gate = { address: "127.0.0.1", hosts: ["sync.example.com"] };
    expect(lets({ host: "sync.example.com", origin: "https://sync.example.com" }, gate)).toBe(true);
    expect(lets({ host: "sync.example.com:443", origin: "https://sync.example.com" }, gate)).toBe(
      true,
    );
    expect(lets({ host: "sync.example.com:80", origin: "https://sync.example.com" }, gate)).toBe(
      false,
    );
  });
});

describe("a server refuses before it becomes a WebSocket", () => {
  test.each([
    ["another Host", { host: "evil.example" }],
    ["another Origin", { origin: "http://evil.example" }],
    ["an Origin that is none", { origin: "null" }],
  ])("%s, in rooms, plain JSON and pages alike", async (_, headers) => {
    await using served = await serve();
    const all = { host: `127.0.0.1:${served.port}`, ...headers };
    for (const path of ["/team", "/json/team"]) {
      expect(await exchange(served.port, upgradeRequest(path, all))).toMatch(/^HTTP\/1.1 403 /u);
    }
    const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
    for (const path of ["/healthz", "/metrics", "/", "/team"]) {
      const request = `GET ${path} HTTP/1.1\r\n${lines.join("")}connection: close\r\n\r\n`;
      expect(await exchange(served.port, request)).toMatch(/^HTTP\/1.1 403 /u);
    }
    expect(await served.logged("refused")).toMatchObject({ status: 403 });
  });

  test("what does not speak its protocol", async () => {
    await using served = await serve();
    const none = { "sec-websocket-key": "short" };
    expect(await exchange(served.port, upgradeRequest("/team", none))).toMatch(/^HTTP\/1.1 400 /u);
    const other = { upgrade: "h2c" };
    expect(await exchange(served.port, upgradeRequest("/team", other))).toMatch(/^HTTP\/1.1 400 /u);
  });
});

describe("on an address that others reach", () => {
  test("it serves nobody unless somebody is asked, or everybody may", async () => {
    const persistence = keptInMemory();
    const shared = { port: 0, host: "0.0.0.0", persistence };
    await expect(createServer(shared)).rejects.toMatchObject({ code: "invalid-argument" });
    await (await createServer({ ...shared, open: true })).close();
    await (await createServer({ ...shared, authenticate: () => "somebody" })).close();
  });
});

describe("options that cannot be meant are refused", () => {
  test.each([
    { prot: 1 },
    { port: -1 },
    { port: 65_536 },
    { port: "4040" },
    { host: "" },
    { path: "sync" },
    { path: "/sync/" },
    { data: "a", database: "sqlite:b" },
    { data: "" },
    { origins: ["app.example.com"] },
    { origins: ["https://app.example.com/"] },
    { origins: ["*"] },
    { hosts: ["https://sync.example.com"] },
    { hosts: [""] },
    { open: "yes" },
    { authenticate: true },
    { log: "stderr" },
    { roomIdleMs: -1 },
    { limits: { roomKeyMax: 1 } },
    { limits: { roomKeysMax: 0 } },
    { limits: { roomKeysMax: 1.5 } },
    { limits: { handshakeMsMax: 2 ** 31 } },
    { limits: 7 },
    { server: {}, port: 1 },
  ])("%j", async (options) => {
    await expect(createServer(options as object)).rejects.toMatchObject({
      code: "invalid-argument",
    });
  });

  test("a port that is taken is said so", async () => {
    await using served = await serve();
    await expect(
      createServer({ port: served.port, persistence: keptInMemory() }),
    ).rejects.toMatchObject({ code: "link-failed", message: expect.stringContaining("in use") });
  });
});
