/** The servers that are measured, each in a process of its own, over the same sockets of `ws`. */
import assert from "node:assert/strict";
import { createServer as createHttpServer } from "node:http";
import type { IncomingMessage } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { WebSocket, WebSocketServer } from "ws";
import { importPeer } from "../peer-package.ts";
import { dataset, freshKey } from "../workloads.ts";
import type { Asked } from "./processes.ts";

export const SERVERS = ["lastwrite", "y-websocket", "hocuspocus"] as const;
export type ServerName = (typeof SERVERS)[number];

interface Served {
  readonly port: number;
  /** Fills a room with so many entries, and answers how many it holds then. */
  readonly fill?: (room: string, size: number) => Promise<number>;
}

/** As many as a row asks for come from one address, and quickly. */
const LIMITS = {
  connectionsMax: 100_000,
  connectionsPerAddressMax: 100_000,
  framesPerSecondMax: 1_000_000,
  bytesPerSecondMax: 2 ** 30,
};

export async function serveAs(
  name: ServerName,
  folder: string,
): Promise<(question: Asked) => Promise<unknown>> {
  const served = await START[name](folder);
  return async ({ what, room, size }) => {
    switch (what) {
      case "port":
        return served.port;
      case "memory":
        return residentBytes();
      case "processor":
        return process.cpuUsage();
      case "fill":
        assert(served.fill);
        return served.fill(String(room), Number(size));
      default:
        throw new Error(`a server knows no ${what}`);
    }
  };
}

const START: Readonly<Record<ServerName, (folder: string) => Promise<Served>>> = {
  lastwrite: async (folder) => {
    const { createServer } = await import("lastwrite/server");
    const server = await createServer({ port: 0, data: folder, limits: LIMITS });
    return {
      port: Number(new URL(server.address).port),
      async fill(name, size) {
        const room = await server.room(name);
        for (const [entry, value] of dataset(0, size).values.entries()) {
          if (value !== undefined) room.set(freshKey(entry), value);
        }
        await room.flush();
        return room.size;
      },
    };
  },
  "y-websocket": async () => {
    const require = createRequire(join(process.cwd(), "bench/peers/package.json"));
    const { setupWSConnection } = require("y-websocket/bin/utils") as {
      setupWSConnection: (socket: WebSocket, request: IncomingMessage) => void;
    };
    return sockets(setupWSConnection);
  },
  hocuspocus: async () => {
    const { Hocuspocus } = await importPeer<{
      Hocuspocus: new (options: object) => {
        handleConnection(socket: WebSocket, request: IncomingMessage): void;
      };
    }>("@hocuspocus/server");
    const hocuspocus = new Hocuspocus({ quiet: true });
    return sockets((socket, request) => hocuspocus.handleConnection(socket, request));
  },
};

/** As their documentation has it, but without compression, which ours does not use either. */
async function sockets(
  accept: (socket: WebSocket, request: IncomingMessage) => void,
): Promise<Served> {
  const http = createHttpServer();
  new WebSocketServer({ server: http, perMessageDeflate: false }).on("connection", accept);
  await new Promise<void>((resolve) => void http.listen(0, "127.0.0.1", 10_000, resolve));
  return { port: (http.address() as AddressInfo).port };
}

/** What the process takes after a collection of garbage; the most of what is free it gives back within moments. */
async function residentBytes(): Promise<number> {
  let least = Infinity;
  for (let time = 0; time < 5; time++) {
    globalThis.gc?.();
    await new Promise((resolve) => void setTimeout(resolve, 200));
    least = Math.min(least, process.memoryUsage().rss);
  }
  return least;
}
