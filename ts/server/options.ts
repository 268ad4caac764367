/** Whether what `createServer` is given can be meant. */

import { checkFunction, checkOptions, invalid } from "../dictionary/arguments.ts";
import type { ServerOptions } from "./contract.ts";
import { isLoopback } from "./gate.ts";

const OPTION_NAMES: readonly (keyof ServerOptions)[] = [
  "port",
  "host",
  "server",
  "path",
  "data",
  "database",
  "persistence",
  "engine",
  "clock",
  "roomIdleMs",
  "open",
  "origins",
  "hosts",
  "authenticate",
  "authorize",
  "limits",
  "pages",
  "log",
];

/** Throws `invalid-argument`; `limits` are looked at by `limitsOf`. */
export function checkServerOptions(options: ServerOptions): void {
  checkOptions(options, OPTION_NAMES, "createServer");
  const { port, host, server, path, data, database, persistence } = options;
  if (port !== undefined && !(Number.isInteger(port) && port >= 0 && port <= 65_535)) {
    throw invalid(`\`port\` is a whole number from 0 to 65,535, not ${String(port)}`);
  }
  if (path !== undefined && !/^(?:\/[A-Za-z0-9_~.-]+)*$/u.test(path)) {
    throw invalid('`path` is empty or begins with a slash and ends without one, such as "/sync"');
  }
  for (const [name, given] of Object.entries({ host, data, database })) {
    if (given !== undefined && (typeof given !== "string" || given === "")) {
      throw invalid(`\`${name}\` is a text, and not empty`);
    }
  }
  if (server !== undefined && (port !== undefined || host !== undefined)) {
    throw invalid("a `server` listens where its maker says: leave out `port` and `host`");
  }
  if ([data, database, persistence].filter((given) => given !== undefined).length > 1) {
    throw invalid("rooms are kept in one place: give one of `data`, `database` and `persistence`");
  }
  checkLists(options);
  checkHooks(options);
  if (typeof options.open !== "boolean" && options.open !== undefined) {
    throw invalid("`open` is true or false");
  }
  if (server === undefined) checkReach(options, host);
}

function checkLists({ origins = [], hosts = [] }: ServerOptions): void {
  for (const origin of origins) {
    if (!URL.canParse(origin) || new URL(origin).origin !== origin) {
      throw invalid(
        `an origin is a scheme, a host and, where it is another than by default, a port, such as "https://app.example.com", not ${JSON.stringify(origin)}`,
      );
    }
  }
  for (const host of hosts) {
    if (typeof host !== "string" || !/^[^\s/?#@]+$/u.test(host)) {
      throw invalid(`a host is a name such as "sync.example.com", not ${JSON.stringify(host)}`);
    }
  }
}

function checkHooks(options: ServerOptions): void {
  for (const name of ["authenticate", "authorize", "persistence", "clock", "log"] as const) {
    const hook = options[name];
    if (hook !== undefined) checkFunction(hook, `\`${name}\``);
  }
  const { roomIdleMs } = options;
  if (roomIdleMs !== undefined && !(roomIdleMs >= 0 && roomIdleMs < 2 ** 31)) {
    throw invalid(`\`roomIdleMs\` is a number of milliseconds from 0, not ${roomIdleMs}`);
  }
}

/** Throws `invalid-argument` where others can reach `host` and everybody would be let in, unless that is meant. */
export function checkReach(
  { open = false, authenticate }: ServerOptions,
  host = "127.0.0.1",
): void {
  if (isLoopback(host) || open || authenticate !== undefined) return;
  throw invalid(
    `on ${host} others can reach the server, and nobody is asked who he is: give \`authenticate\`, or \`open: true\` if everybody may read and write`,
  );
}
