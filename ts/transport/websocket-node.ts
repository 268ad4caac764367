/** Where WebSockets come from on Node. */

import { TEXT_LENGTH_MAX } from "../sync/limits.ts";
import type { WebSocketClass } from "./websocket.ts";

/** Returns the one that the platform has, as Node does from 22 on, else that of `ws`. */
export async function loadWebSocket(): Promise<WebSocketClass> {
  if (typeof globalThis.WebSocket === "function") return globalThis.WebSocket;
  const { WebSocket } = await import("ws");
  return class extends WebSocket {
    constructor(url: string, protocols?: string | string[]) {
      // Deltas are packed already, and its own limit is 100 MiB.
      super(url, protocols, { perMessageDeflate: false, maxPayload: TEXT_LENGTH_MAX });
    }
  };
}
