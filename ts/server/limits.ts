/** What a server allows, by name: the options of `createServer`, the flags of the program and the table in docs/server.md. */

import { LastwriteError } from "../errors.ts";
import { MESSAGE_BYTES_MAX } from "../sync/limits.ts";

/** Numbers from 1; what is left out has its default. */
export interface ServerLimits {
  /** Bytes of one message of a client, in bytes or text; a longer one ends its connection with 1009. Default: 1,114,112 (1 MiB and 64 KiB). */
  readonly frameBytesMax: number;
  /** Keys of a room that have a value. A room that is full takes no new ones: see docs/server.md, Full rooms. Default: 1,000,000. */
  readonly roomKeysMax: number;
  /** Bytes of the state of a room, removed keys included, as its snapshot has. Default: 268,435,456 (256 MiB). */
  readonly roomBytesMax: number;
  /** Rooms that are kept, counted since the start; in a folder those that lie there, too. Default: 10,000. */
  readonly roomsMax: number;
  /** Rooms that are open at one time. For another one that is closed which nobody has been in for longest; when somebody is in each, nobody gets into another one. Default: 1,000. */
  readonly roomsOpenMax: number;
  /** Connections at one time. Default: 16,384. */
  readonly connectionsMax: number;
  /** Connections at one time from one address. Default: 256. */
  readonly connectionsPerAddressMax: number;
  /** Messages a second of one connection; above it is read more slowly. Default: 2,000. */
  readonly framesPerSecondMax: number;
  /** Bytes a second of one connection; above it is read more slowly. Default: 4,194,304 (4 MiB). */
  readonly bytesPerSecondMax: number;
  /** Bytes that wait for one client; above, only which keys have changed is remembered. Default: 1,048,576 (1 MiB). */
  readonly queuedBytesMax: number;
  /** For how many milliseconds a client may leave that queue full and get no shorter; then its connection ends with 1013. Default: 30,000. */
  readonly queueFullMsMax: number;
  /** Milliseconds until a client has said who it is, and was let in. Default: 5,000. */
  readonly handshakeMsMax: number;
  /** Milliseconds until the head of an HTTP request is here. Default: 5,000. */
  readonly headerMsMax: number;
  /** Milliseconds until all of an HTTP request is here. Default: 10,000. */
  readonly requestMsMax: number;
}

export const LIMITS: ServerLimits = {
  frameBytesMax: MESSAGE_BYTES_MAX,
  roomKeysMax: 1_000_000,
  roomBytesMax: 2 ** 28,
  roomsMax: 10_000,
  roomsOpenMax: 1000,
  connectionsMax: 2 ** 14,
  connectionsPerAddressMax: 256,
  framesPerSecondMax: 2000,
  bytesPerSecondMax: 2 ** 22,
  queuedBytesMax: 2 ** 20,
  queueFullMsMax: 30_000,
  handshakeMsMax: 5000,
  headerMsMax: 5000,
  requestMsMax: 10_000,
};

export type LimitName = keyof ServerLimits;

export const LIMIT_NAMES: readonly LimitName[] = Object.keys(LIMITS) as LimitName[];

/** All limits, with those that were given; `invalid-argument` for one that is none. */
export function limitsOf(given: Partial<ServerLimits>): ServerLimits {
  if (typeof given !== "object" || given === null) throw invalid("`limits` is an object");
  const limits: Record<LimitName, number> = { ...LIMITS };
  for (const [name, value] of Object.entries(given) as [LimitName, number | undefined][]) {
    if (!LIMIT_NAMES.includes(name)) {
      throw invalid(`there is no limit ${name}; there are ${LIMIT_NAMES.join(", ")}`);
    }
    if (value === undefined) continue;
    if (!Number.isSafeInteger(value) || value < 1 || (name.includes("Ms") && value >= 2 ** 31)) {
      throw invalid(`the limit ${name} is a whole number from 1, not ${String(value)}`);
    }
    limits[name] = value;
  }
  return limits;
}

function invalid(message: string): LastwriteError {
  return new LastwriteError("invalid-argument", message);
}
