/** Links over TCP, on Node: messages after their length, or lines of JSON, as netcat speaks them. */

import { connect as connectSocket, type Socket } from "node:net";

import { LastwriteError } from "../errors.ts";
import type { Connector, Link } from "./contract.ts";
import { connecting } from "./connecting.ts";
import { linkFailed } from "./deliveries.ts";
import { NodePipe } from "./stream.ts";
import { StreamLink } from "./stream-link.ts";
import type { Timers } from "./timers.ts";

/** Where to connect to, and in which form. */
export interface TcpConnectorOptions {
  /** A name or an address. */
  readonly host: string;
  readonly port: number;
  /** Lines of JSON instead of bytes. Default: false. */
  readonly text?: boolean;
  /** Default: those of this process. */
  readonly timers?: Timers;
}

/** In which form the link speaks, and what it is called. */
export interface SocketLinkOptions {
  /** Lines of JSON, or bytes. Default: what the first byte of the other side tells, until which nothing is sent. */
  readonly text?: boolean;
  /** Default: those of this process. */
  readonly timers?: Timers;
}

/**
 * Makes links to one port. The side that connects speaks first.
 *
 * Throws `invalid-argument` for a port that is none.
 */
export function tcpConnector({ host, port, text = false, timers }: TcpConnectorOptions): Connector {
  if (!Number.isInteger(port) || port < 1 || port > 0xffff) {
    throw new LastwriteError("invalid-argument", "`port` must be a whole number from 1 to 65535");
  }
  if (host === "") throw new LastwriteError("invalid-argument", "`host` is empty");
  const name = `tcp://${host.includes(":") ? `[${host}]` : host}:${port}`;
  const options = { text, ...(timers !== undefined && { timers }) };
  return {
    name,
    connect: (signal) =>
      connecting(name, signal, options.timers, (settle) => {
        const socket = connectSocket({ host, port });
        socket.once("connect", () => settle.resolve(linkTo(socket, name, options)));
        socket.once("error", (error) =>
          settle.reject(linkFailed(`${name} cannot be reached`, error)),
        );
        return () => void socket.destroy();
      }),
  };
}

/** Returns a link over a connected socket that nobody else reads or writes, of TCP, TLS or a local path. As `streamLink`, but for the form. */
export function linkOfSocket(socket: Socket, options: SocketLinkOptions = {}): Link {
  const { remoteAddress = "socket", remotePort } = socket;
  const name = remotePort === undefined ? remoteAddress : `${remoteAddress}:${remotePort}`;
  return linkTo(socket, name, options);
}

function linkTo(socket: Socket, name: string, { text, timers }: SocketLinkOptions): Link {
  // Small messages are answered at once.
  socket.setNoDelay(true);
  const form = text === undefined ? undefined : text ? "text" : "binary";
  return new StreamLink(new NodePipe(socket), {
    name,
    form,
    ...(timers !== undefined && { timers }),
  });
}
