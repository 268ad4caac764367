/** `lastwrite serve`: the server of rooms as a program. */

import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { Command, InvalidArgumentError, Option } from "commander";

import { LastwriteError } from "../errors.ts";
import { isLoopback } from "../server/gate.ts";
import type { LastwriteServer, LogEntry, ServerOptions } from "../server/contract.ts";
import { LIMIT_NAMES, type LimitName, LIMITS, type ServerLimits } from "../server/limits.ts";
import { createServer } from "../server/server.ts";

type Level = LogEntry["level"] | "none";

/** Flags, by their names as commander gives them. */
interface Flags extends Partial<ServerLimits> {
  readonly port: number;
  readonly host: string;
  readonly data?: string;
  readonly database?: string;
  readonly open?: boolean;
  readonly origin: readonly string[];
  readonly allowHost: readonly string[];
  readonly roomIdleMs: number;
  /** False with `--no-page`; undefined where nothing is said. */
  readonly page?: string | false;
  readonly logLevel: Level;
}

/** From the least to the most important. */
const LEVELS: readonly Level[] = ["info", "warn", "error", "none"];
/** How long a server may take to close: those who stop programs wait for 10 s. */
const CLOSE_MAX_MS = 9000;

/** What a limit is of, in a few words: its option, without the number. */
const LIMIT_HELP: Readonly<Record<LimitName, string>> = {
  frameBytesMax: "bytes of one message",
  roomKeysMax: "keys of a room",
  roomBytesMax: "bytes of a room",
  roomsMax: "rooms",
  roomsOpenMax: "rooms that are open at one time",
  connectionsMax: "connections",
  connectionsPerAddressMax: "connections from one address",
  framesPerSecondMax: "messages a second of one connection, which is read more slowly above",
  bytesPerSecondMax: "bytes a second of one connection, which is read more slowly above",
  queuedBytesMax: "bytes that wait for one client; above, only what has changed is remembered",
  queueFullMsMax: "milliseconds that this may last until the connection ends",
  handshakeMsMax: "milliseconds until a client has said who it is and was let in",
  headerMsMax: "milliseconds until the head of an HTTP request is here",
  requestMsMax: "milliseconds until all of an HTTP request is here",
};

export function serveCommand(): Command {
  const command = new Command("serve")
    .description("Serve rooms that any number of clients share, and the web page.")
    .option("-p, --port <number>", "port to listen on; 0 takes a free one", whole, 4040)
    .option("--host <address>", "address to listen on", "127.0.0.1")
    .option("--data <folder>", "folder in which each room is a file (default: data)")
    .option("--database <url>", "keep rooms in sqlite:<path> or postgres://user@host/name instead")
    .option("--open", "serve on other addresses although everybody may read and write")
    .option("--origin <origin>", "web origin that may connect, too; repeatable", gather, [])
    .option("--allow-host <name>", "name that the server goes by, too; repeatable", gather, [])
    .option("--page <folder>", "web page to serve instead of the one that comes along")
    .option("--no-page", "serve no web page")
    .option("--room-idle-ms <number>", "close a room that nobody is in for so long", whole, 60_000)
    .addOption(
      new Option("--log-level <level>", "least level of the log on standard error")
        .choices(LEVELS)
        .default("info"),
    );
  for (const name of LIMIT_NAMES) command.addOption(limitOption(name));
  return command.action((flags: Flags) => serve(flags));
}

async function serve(flags: Flags): Promise<void> {
  if (!isLoopback(flags.host) && flags.open !== true) {
    throw new LastwriteError(
      "invalid-argument",
      `on ${flags.host} others can reach the server, and nobody is asked who he is: say --open if everybody may read and write`,
    );
  }
  // Who reads the log may end before the server.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
  const server = await createServer(optionsOf(flags));
  console.log(`lastwrite listens on ${server.address}`);
  await stopped();
  await closed(server);
}

function optionsOf(flags: Flags): ServerOptions {
  const { port, host, data, database, open, origin, allowHost, roomIdleMs } = flags;
  const pages = pageFolder(flags.page);
  return {
    port,
    host,
    ...(data !== undefined && { data }),
    ...(database !== undefined && { database }),
    open: open === true,
    origins: origin,
    hosts: allowHost,
    roomIdleMs,
    ...(pages !== undefined && { pages }),
    limits: Object.fromEntries(LIMIT_NAMES.map((name) => [name, flags[name]])),
    log: logAbove(flags.logLevel),
  };
}

/** The page that comes with the package, unless another one is asked for, or none. */
function pageFolder(page: string | false | undefined): string | undefined {
  if (page === false) return undefined;
  const own = fileURLToPath(new URL("../../dist/web/", import.meta.url));
  return page ?? (existsSync(own) ? own : undefined);
}

/** One JSON object a line, on standard error. */
function logAbove(level: Level): (entry: LogEntry) => void {
  return (entry) => {
    if (LEVELS.indexOf(entry.level) < LEVELS.indexOf(level)) return;
    process.stderr.write(`${JSON.stringify({ time: new Date().toISOString(), ...entry })}\n`);
  };
}

/** Resolves when somebody asks the program to end; who asks twice does not want to wait. */
function stopped(): Promise<void> {
  return new Promise((resolve) => {
    let isAsked = false;
    const ask = (): void => {
      if (isAsked) process.exit(1);
      isAsked = true;
      resolve();
    };
    process.on("SIGTERM", ask);
    process.on("SIGINT", ask);
  });
}

async function closed(server: LastwriteServer): Promise<void> {
  const late = setTimeout(() => {
    console.error("lastwrite: closing takes too long; what was not acknowledged may be lost");
    process.exit(1);
  }, CLOSE_MAX_MS);
  try {
    await server.close();
  } finally {
    clearTimeout(late);
  }
}

function limitOption(name: LimitName): Option {
  const flag = name.replaceAll(/[A-Z]/gu, (letter) => `-${letter.toLowerCase()}`);
  const help = `${LIMIT_HELP[name]} (default: ${LIMITS[name]})`;
  return new Option(`--${flag} <number>`, help).argParser(whole);
}

function whole(text: string): number {
  if (!/^\d{1,15}$/u.test(text)) throw new InvalidArgumentError("It is a whole number.");
  return Number(text);
}

function gather(text: string, before: readonly string[]): readonly string[] {
  return [...before, text];
}
