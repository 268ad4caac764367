/**
 * The service worker: keeps the files of the page, so that it opens without its server. The data is none of its business.
 *
 * Where there is a server, it says what the page is. Only where it does not answer in time the kept page is shown, which is whole: all its files came from one build, or it was not kept.
 */

/** The part of `ServiceWorkerGlobalScope` that is used: its types exclude those of pages. */
interface WorkerScope {
  readonly caches: CacheStorage;
  readonly clients: { claim(): Promise<void> };
  skipWaiting(): Promise<void>;
  addEventListener(type: "install" | "activate", listener: (event: Lasting) => void): void;
  addEventListener(type: "fetch", listener: (event: Asked) => void): void;
}

interface Lasting {
  waitUntil(work: Promise<unknown>): void;
}

interface Asked {
  readonly request: Request;
  respondWith(response: Promise<Response>): void;
}

/** Given by the build. */
declare const PAGE_FILES: readonly { readonly path: string; readonly integrity: string }[];
declare const PAGE_VERSION: string;

const scope = globalThis as unknown as WorkerScope;

const PREFIX = "lastwrite-page/";
const NAME = PREFIX + PAGE_VERSION;
const SERVER_WAIT_MS = 3000;
/** The page of a room; other paths are the server's alone. */
const ROOM_PATH = /^\/(?!(?:json|api|healthz|readyz|metrics|assets)$)[A-Za-z0-9_-]{0,64}$/u;

scope.addEventListener("install", (event) => event.waitUntil(install()));
scope.addEventListener("activate", (event) => event.waitUntil(activate()));
scope.addEventListener("fetch", (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  if (request.method !== "GET" || origin !== location.origin) return;
  if (request.mode !== "navigate") event.respondWith(file(request));
  else if (ROOM_PATH.test(pathname)) event.respondWith(page(request));
});

async function install(): Promise<void> {
  const cache = await scope.caches.open(NAME);
  await Promise.all(
    PAGE_FILES.map(async ({ path, integrity }) => {
      // Of another build it would not be that file.
      const response = await fetch(path, { integrity, cache: "no-cache" });
      if (!response.ok) throw new Error(`${path} answered ${response.status}`);
      await cache.put(path, response);
    }),
  );
  // Pages have loaded all that they are made of, so none is disturbed.
  await scope.skipWaiting();
}

async function activate(): Promise<void> {
  const names = await scope.caches.keys();
  const former = names.filter((name) => name.startsWith(PREFIX) && name !== NAME);
  await Promise.all(former.map((name) => scope.caches.delete(name)));
  await scope.clients.claim();
}

async function page(request: Request): Promise<Response> {
  const kept = await scope.caches.match("/", { cacheName: NAME });
  try {
    const response = await fetch(
      request,
      kept === undefined ? {} : { signal: AbortSignal.timeout(SERVER_WAIT_MS) },
    );
    // A proxy answers for a server that is gone.
    if (response.status < 500 || kept === undefined) return response;
  } catch (error) {
    if (kept === undefined) throw error;
  }
  return kept;
}

async function file(request: Request): Promise<Response> {
  return (await scope.caches.match(request, { cacheName: NAME })) ?? fetch(request);
}
