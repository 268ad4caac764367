/** Which room this page shows: the one that its address names. */

import { useSyncExternalStore } from "react";

/** The room of the address `/`. */
const LOBBY = "lobby";
const NAME = /^[A-Za-z0-9_-]{1,64}$/u;
/** Addresses of the server that are no rooms. */
const RESERVED: ReadonlySet<string> = new Set([
  "json",
  "api",
  "healthz",
  "readyz",
  "metrics",
  "assets",
]);

/** Why there can be no room of that name; undefined where there can. */
export function roomProblem(name: string): string | undefined {
  if (name === "") return "Give the room a name.";
  if (name.length > 64) return "The name of a room has at most 64 characters.";
  if (!NAME.test(name)) return "The name of a room consists of letters, digits, - and _ alone.";
  if (RESERVED.has(name)) return `The server keeps “${name}” for itself; take another name.`;
  return undefined;
}

/** The name in the address, whether it can be a room or not. */
export function useRoomName(): string {
  return useSyncExternalStore(subscribe, currentName);
}

/** Shows another room, to come back from by the browser's button. */
export function goToRoom(name: string): void {
  if (name === currentName()) return;
  history.pushState(null, "", `/${encodeURIComponent(name)}`);
  for (const listener of listeners) listener();
}

/** Where the server has that room. */
export function addressOfRoom(name: string): string {
  return `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/${name}`;
}

const listeners = new Set<() => void>();

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  addEventListener("popstate", listener);
  return () => {
    listeners.delete(listener);
    removeEventListener("popstate", listener);
  };
}

function currentName(): string {
  const path = location.pathname.slice(1);
  if (path === "") return LOBBY;
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}
