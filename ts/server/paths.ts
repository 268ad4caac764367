/** What the path of a request means: rooms, and names that are none. */

const ROOM = /^[A-Za-z0-9_-]{1,64}$/u;
/** Names of paths that mean something else. */
const RESERVED: ReadonlySet<string> = new Set([
  "json",
  "api",
  "healthz",
  "readyz",
  "metrics",
  "assets",
]);

/** Where a WebSocket wants to go. */
export interface Target {
  readonly room: string;
  /** The library's own protocol, or plain JSON. */
  readonly speaks: "sync" | "json";
}

export function isRoomName(name: string): boolean {
  return ROOM.test(name) && !RESERVED.has(name);
}

/** What comes after `base` in the path that a request is for, without what is asked for behind it; undefined for a path of somebody else. */
export function pathOf(url: string | undefined, base: string): string | undefined {
  const path = (url ?? "").split("?", 1)[0] ?? "";
  return path.startsWith(`${base}/`) ? path.slice(base.length) : undefined;
}

/** The room that a path is of: "/team", or "/json/team". */
export function targetOf(path: string): Target | undefined {
  const isJson = path.startsWith("/json/");
  const room = path.slice(isJson ? "/json/".length : 1);
  return isRoomName(room) ? { room, speaks: isJson ? "json" : "sync" } : undefined;
}
