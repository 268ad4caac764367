/** Where WebSockets come from: everywhere but on Node. */

import { LastwriteError } from "../errors.ts";
import type { WebSocketClass } from "./websocket.ts";

/** Returns the one that the platform has. Rejects with `link-failed` where it has none. */
export async function loadWebSocket(): Promise<WebSocketClass> {
  if (typeof globalThis.WebSocket === "function") return globalThis.WebSocket;
  throw new LastwriteError("link-failed", "there are no WebSockets here; take another transport");
}
