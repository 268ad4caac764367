/** Who may ask at all: whether a request names this server, and a page of this server or an allowed one made it. Against pages of others, and names that lead here by trickery. */

import type { IncomingMessage } from "node:http";
import { isIP } from "node:net";

export interface GateOptions {
  /** The address that is listened on, as far as it is known by now. */
  readonly address: () => string | undefined;
  /** Other names, with or without a port. */
  readonly hosts: readonly string[];
  readonly origins: readonly string[];
}

/** Why a request is refused. */
export interface Refused {
  readonly status: number;
  readonly reason: string;
}

const LOOPBACK: ReadonlySet<string> = new Set(["localhost", "127.0.0.1", "[::1]"]);
const ANYWHERE: ReadonlySet<string> = new Set(["0.0.0.0", "::"]);

export class Gate {
  readonly #address: () => string | undefined;
  readonly #hosts: ReadonlySet<string>;
  readonly #origins: ReadonlySet<string>;

  constructor({ address, hosts, origins }: GateOptions) {
    this.#address = address;
    this.#hosts = new Set(hosts.map((host) => host.toLowerCase()));
    this.#origins = new Set(origins);
  }

  /** Undefined when nothing speaks against it. */
  refusal({ headers }: IncomingMessage): Refused | undefined {
    const host = (headers.host ?? "").toLowerCase();
    if (!this.#isOurs(host)) return { status: 403, reason: "this server does not go by that name" };
    const { origin } = headers;
    if (origin === undefined || this.#origins.has(origin) || isSameOrigin(origin, host)) {
      return undefined;
    }
    return { status: 403, reason: "pages of that origin may not connect here" };
  }

  #isOurs(host: string): boolean {
    const name = /^(?<name>\[[0-9a-f:.]+\]|[^:@/?#[\]]+)(?::\d{1,5})?$/u.exec(host)?.groups?.[
      "name"
    ];
    if (name === undefined) return false;
    if (this.#hosts.has(name) || this.#hosts.has(host)) return true;
    const address = this.#address();
    // Where everything is listened on any number may lead here; a page cannot be called by one that is not its own.
    if (address === undefined || ANYWHERE.has(address))
      return isNumber(name) || name === "localhost";
    if (isLoopback(address) && LOOPBACK.has(name)) return true;
    return name === address || name === `[${address}]`;
  }
}

/** Whether only this machine can reach that address. */
export function isLoopback(address: string): boolean {
  return address === "localhost" || address === "::1" || /^127\.\d+\.\d+\.\d+$/u.test(address);
}

function isNumber(name: string): boolean {
  return isIP(name.replace(/^\[(.*)\]$/u, "$1")) !== 0;
}

/** Whether a page of `origin` has the same host and port as the request; a proxy before us may speak https for us. */
function isSameOrigin(origin: string, host: string): boolean {
  if (!URL.canParse(origin)) return false;
  const { protocol, host: of } = new URL(origin);
  const isWeb = protocol === "http:" || protocol === "https:";
  return (
    isWeb && URL.canParse(`${protocol}//${host}`) && new URL(`${protocol}//${host}`).host === of
  );
}
