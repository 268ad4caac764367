/** What plain HTTP requests are answered. */

import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from "node:http";

import type { Pages } from "./pages.ts";
import { isRoomName } from "./paths.ts";

export interface HttpOptions {
  readonly pages: Pages | undefined;
  /** In the text format of Prometheus. */
  readonly metrics: () => string;
  /** Takes clients. */
  readonly isReady: () => boolean;
}

interface Answer {
  readonly status: number;
  readonly headers?: OutgoingHttpHeaders;
  readonly body: Uint8Array | string;
}

const TEXT = "text/plain; charset=utf-8";
/** Paths that are answered whether there is a page or not. */
const OWN: ReadonlySet<string> = new Set(["/healthz", "/readyz", "/metrics"]);

/** Whether a request for that path is answered here; beside another server everything else is his. */
export function isOwnPath(path: string, hasPages: boolean): boolean {
  return hasPages || OWN.has(path);
}

/** Answers a request for `path`. */
export function answer(
  path: string,
  request: IncomingMessage,
  response: ServerResponse,
  options: HttpOptions,
): void {
  send(request, response, answerOf(path, request, options));
}

/** Answers with a status and a line of text. */
export function refuse(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  reason: string,
): void {
  send(request, response, { status, body: `${reason}\n` });
}

function answerOf(path: string, request: IncomingMessage, options: HttpOptions): Answer {
  if (request.method !== "GET" && request.method !== "HEAD") {
    return {
      status: 405,
      headers: { allow: "GET, HEAD" },
      body: "only GET and HEAD are answered here\n",
    };
  }
  switch (path) {
    case "/healthz":
      return { status: 200, body: "ok\n" };
    case "/readyz":
      return options.isReady()
        ? { status: 200, body: "ready\n" }
        : { status: 503, body: "closing\n" };
    case "/metrics":
      return {
        status: 200,
        headers: { "content-type": "text/plain; version=0.0.4; charset=utf-8" },
        body: options.metrics(),
      };
    default:
      return pageOf(path, request, options) ?? { status: 404, body: "there is nothing here\n" };
  }
}

function pageOf(
  path: string,
  request: IncomingMessage,
  { pages }: HttpOptions,
): Answer | undefined {
  const isPage = path === "/" || isRoomName(path.slice(1));
  const page = pages?.answer(path, isPage, request);
  if (page === undefined) return undefined;
  return { ...page, headers: { ...page.headers, "content-security-policy": policyOf(request) } };
}

function send(request: IncomingMessage, response: ServerResponse, given: Answer): void {
  const body = typeof given.body === "string" ? Buffer.from(given.body) : given.body;
  response.writeHead(given.status, {
    "content-type": TEXT,
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    ...given.headers,
    ...(given.status !== 304 && { "content-length": body.length }),
    // What is still to come of a request that nobody reads must not be taken for the next.
    ...(request.complete || request.method === "GET" || request.method === "HEAD"
      ? {}
      : { connection: "close" }),
  });
  response.end(request.method === "HEAD" ? undefined : body);
}

/** Scripts of this server alone, and connections to it alone. */
function policyOf({ headers }: IncomingMessage): string {
  const host = headers.host ?? "";
  return [
    "default-src 'self'",
    "script-src 'self' 'wasm-unsafe-eval'",
    // Some browsers do not count WebSockets to 'self'. The host was checked before.
    `connect-src 'self' ws://${host} wss://${host}`,
    "img-src 'self' data:",
    "object-src 'none'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; ");
}
