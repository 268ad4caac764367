/** What plain HTTP requests are answered. */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request, type IncomingHttpHeaders } from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { gunzipSync } from "node:zlib";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { createServer } from "../../ts/server/index.ts";
import { exchange, type Served, serve } from "./under-test.ts";

let folder: string;
let served: Served;

const SCRIPT = `console.log(${JSON.stringify("x".repeat(5000))})`;

beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "pages-"));
  mkdirSync(path.join(folder, "web", "assets"), { recursive: true });
  writeFileSync(path.join(folder, "secret.txt"), "secret");
  for (const [name, text] of Object.entries({
    "index.html": "<!doctype html><title>page</title>",
    "sw.js": "// worker",
    "manifest.webmanifest": "{}",
    "assets/app-1a2b.js": SCRIPT,
    "assets/engine-3c4d.wasm": "\0asm",
  })) {
    writeFileSync(path.join(folder, "web", name), text);
  }
  served = await serve({ pages: path.join(folder, "web") });
});

afterAll(async () => {
  await served[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

interface Answer {
  readonly status: number | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

function ask(
  target: string,
  {
    method = "GET",
    headers = {},
    port = served.port,
  }: { method?: string; headers?: object; port?: number } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = request(
      { host: "127.0.0.1", port, path: target, method, headers: { ...headers }, agent: false },
      (response) => {
        const parts: Buffer[] = [];
        response.on("data", (part: Buffer) => parts.push(part));
        response.on("end", () =>
          resolve({
            status: response.statusCode,
            headers: response.headers,
            body: Buffer.concat(parts),
          }),
        );
      },
    );
    asked.on("error", reject);
    asked.end();
  });
}

describe("the page", () => {
  test.each(["/", "/team", "/Other_room-1", "/team?theme=dark"])(
    "%s is its index",
    async (target) => {
      const { status, headers, body } = await ask(target);
      expect(status).toBe(200);
      expect(body.toString()).toContain("<title>page</title>");
      expect(headers).toMatchObject({
        "content-type": "text/html; charset=utf-8",
        "cache-control": "no-cache",
        "x-content-type-options": "nosniff",
      });
    },
  );

  test("may run its own scripts and WASM, and connect to its own server alone", async () => {
    const { headers } = await ask("/");
    const policy = String(headers["content-security-policy"]).split("; ");
    const here = `127.0.0.1:${served.port}`;
    expect(policy).toContain("default-src 'self'");
    expect(policy).toContain("script-src 'self' 'wasm-unsafe-eval'");
    expect(policy).toContain(`connect-src 'self' ws://${here} wss://${here}`);
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy.join()).not.toContain("unsafe-inline");
  });

  test.each([
    [
      "/assets/app-1a2b.js",
      "text/javascript; charset=utf-8",
      "public, max-age=31536000, immutable",
    ],
    ["/assets/engine-3c4d.wasm", "application/wasm", "public, max-age=31536000, immutable"],
    ["/sw.js", "text/javascript; charset=utf-8", "no-cache"],
    ["/manifest.webmanifest", "application/manifest+json", "no-cache"],
  ])("%s is %s, kept: %s", async (target, type, kept) => {
    const { status, headers } = await ask(target);
    expect(status).toBe(200);
    expect(headers).toMatchObject({ "content-type": type, "cache-control": kept });
  });

  test("long files come packed to those who take that", async () => {
    const plain = await ask("/assets/app-1a2b.js");
    expect(plain.body.toString()).toBe(SCRIPT);
    expect(plain.headers.vary).toBe("accept-encoding");
    const packed = await ask("/assets/app-1a2b.js", { headers: { "accept-encoding": "br, gzip" } });
    expect(packed.headers["content-encoding"]).toBe("gzip");
    expect(packed.body.length).toBeLessThan(500);
    expect(gunzipSync(packed.body).toString()).toBe(SCRIPT);
    for (const refusing of ["gzip;q=0", "br, gzip; q=0.000", "identity", "gzipped"]) {
      const answer = await ask("/assets/app-1a2b.js", { headers: { "accept-encoding": refusing } });
      expect(answer.headers["content-encoding"]).toBeUndefined();
    }
    for (const taking of ["GZIP;q=0.5", "br;q=0, gzip ; q=1.0", "x-gzip"]) {
      const answer = await ask("/assets/app-1a2b.js", { headers: { "accept-encoding": taking } });
      expect(answer.headers["content-encoding"]).toBe("gzip");
    }
    const short = await ask("/sw.js", { headers: { "accept-encoding": "gzip" } });
    expect(short.headers["content-encoding"]).toBeUndefined();
  });

  test("what somebody has already is not sent again", async () => {
    const { headers } = await ask("/sw.js");
    const again = await ask("/sw.js", { headers: { "if-none-match": headers.etag } });
    expect(again).toMatchObject({ status: 304, body: Buffer.alloc(0) });
    const other = await ask("/", { headers: { "if-none-match": headers.etag } });
    expect(other.status).toBe(200);
  });

  test.each([
    "/../secret.txt",
    "/..%2fsecret.txt",
    "/assets/../../secret.txt",
    "/assets/%2e%2e/%2e%2e/secret.txt",
    "//etc/passwd",
    "/assets/",
    "/assets/none.js",
    "/index.html/",
    "/a/b",
    "/constructor/x",
    "/%00",
    "http://evil.example/",
    "*",
  ])("%s is nowhere", async (target) => {
    const answer = await exchange(
      served.port,
      `GET ${target} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n`,
    );
    expect(answer).toMatch(/^HTTP\/1.1 404 /u);
    expect(answer).not.toContain("secret");
  });

  test("without one there is none", async () => {
    await using bare = await serve();
    for (const target of ["/", "/team", "/assets/app-1a2b.js"]) {
      expect((await ask(target, { port: bare.port })).status).toBe(404);
    }
  });

  test("a folder without an index is refused at the start", async () => {
    const pages = path.join(folder, "web", "assets");
    await expect(createServer({ port: 0, pages })).rejects.toMatchObject({
      code: "storage-unavailable",
    });
    await expect(createServer({ port: 0, pages: "/nowhere" })).rejects.toMatchObject({
      code: "storage-unavailable",
    });
  });
});

describe("for those who look after it", () => {
  test("healthz and readyz answer, and readyz no longer when it closes", async () => {
    expect(await ask("/healthz")).toMatchObject({ status: 200, body: Buffer.from("ok\n") });
    expect(await ask("/readyz")).toMatchObject({ status: 200 });
    await using other = await serve();
    const answers: Promise<string>[] = [];
    const closing = other.server.close();
    answers.push(
      exchange(other.port, "GET /readyz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").catch(() => ""),
    );
    await closing;
    expect(await answers[0]).not.toContain(" 200 ");
  });

  test("metrics count, in the text of Prometheus", async () => {
    await using other = await serve();
    const store = await other.store("team");
    store.set("a", 1);
    await store.synced();
    const { headers, body } = await ask("/metrics", { port: other.port });
    expect(headers["content-type"]).toBe("text/plain; version=0.0.4; charset=utf-8");
    const rows = new Map(
      body
        .toString()
        .trim()
        .split("\n")
        .filter((line) => !line.startsWith("#"))
        .map((line) => line.split(" ") as [string, string]),
    );
    expect(rows.get("lastwrite_connections")).toBe("1");
    expect(rows.get("lastwrite_rooms_open")).toBe("1");
    expect(Number(rows.get("lastwrite_received_messages_total"))).toBeGreaterThanOrEqual(3);
    expect(Number(rows.get("lastwrite_sent_bytes_total"))).toBeGreaterThan(50);
    for (const line of body.toString().trim().split("\n")) {
      expect(line).toMatch(/^(?:# (?:HELP|TYPE) lastwrite_\w+ .+|lastwrite_\w+ \d+)$/u);
    }
    expect(body.toString()).not.toContain("team");
  });

  test("HEAD has the headers alone, and other methods are refused", async () => {
    const head = await ask("/healthz", { method: "HEAD" });
    expect(head).toMatchObject({ status: 200, body: Buffer.alloc(0) });
    expect(head.headers["content-length"]).toBe("3");
    for (const method of ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"]) {
      const answer = await ask("/team", { method });
      expect(answer.status).toBe(405);
      expect(answer.headers.allow).toBe("GET, HEAD");
    }
  });

  test("what a refused request still has to say is not taken for the next one", async () => {
    const answer = await exchange(
      served.port,
      "POST /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 1000\r\n\r\nGET /metrics HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n",
    );
    expect(answer).toMatch(/^HTTP\/1.1 405 /u);
    expect(answer.match(/HTTP\/1.1/gu)).toHaveLength(1);
  });
});
