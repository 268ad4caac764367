/** Where WebSockets come from on Node. */

import type { WebSocketClass } from "./websocket.ts";

/** Returns the one that the platform has, as Node does from 22 on, else that of `ws`. */
export async function loadWebSocket(): Promise<WebSocketClass> {
  if (typeof globalThis.WebSocket === "function") return globalThis.WebSocket;
  const { WebSocket } = await import("ws");
  return WebSocket;
}
