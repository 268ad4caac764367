/** What `createServer` takes and gives. */

import type { IncomingMessage, Server } from "node:http";

import type { Engine } from "../engine/contract.ts";
import type { Persistence } from "../persistence/contract.ts";
import type { Store } from "../store/contract.ts";
import type { ServerLimits } from "./limits.ts";

/** What somebody wants to do in a room. */
export type Action = "read" | "write";

/** By what somebody shows who he is. */
export interface Credentials {
  /** The request that the connection began with: its headers and address. What a browser page sends by itself, such as cookies, proves nothing of who wrote that page: see `origins`. */
  readonly request: IncomingMessage;
  /** What the client gave as `token`; empty when it gave none. */
  readonly token: string;
}

/** One line of the log. Never has tokens, keys or values in it. */
export interface LogEntry {
  readonly level: "info" | "warn" | "error";
  /** What happened, in words with hyphens; docs/server.md lists them. */
  readonly event: string;
  /** Whatever belongs to it: a room, an address, a code. */
  readonly [detail: string]: unknown;
}

/** What need not be as by default. */
export interface ServerOptions<Principal = unknown> {
  /** Default: 4040. 0 takes a free one. */
  readonly port?: number;
  /** The address to listen on. Another one than this machine's own takes `authenticate`, or `open`. Default: "127.0.0.1". */
  readonly host?: string;
  /** Serves beside what this server does: its upgrades and requests for paths of rooms, and no others. Whoever made it listens, and closes it. Default: one of its own. */
  readonly server?: Server;
  /** What all paths begin with: "/sync" makes a room "/sync/team". Default: "". */
  readonly path?: string;

  /** The folder in which each room is a file; made if it is not there. Default: "data". */
  readonly data?: string;
  /** Keeps rooms in a database instead: "sqlite:app.db", or "postgres://user@host/name". Default: none. */
  readonly database?: string;
  /** Keeps rooms wherever this says; called for each room that is opened. Default: as `data` and `database` say. */
  readonly persistence?: (room: string) => Persistence;
  /** Default: `await loadEngine()`. */
  readonly engine?: Engine;
  /** Answers milliseconds since 1970: the clock that clients go by. Default: `Date.now`. */
  readonly clock?: () => number;
  /** For how long nobody has to be in a room until it is closed, in milliseconds; it is opened again when somebody comes. Default: 60,000. */
  readonly roomIdleMs?: number;

  /** Serves on other addresses than this machine's own although nobody is asked who he is. Default: false. */
  readonly open?: boolean;
  /** Web origins that may connect beside the server's own, such as "https://app.example.com". Default: none. */
  readonly origins?: readonly string[];
  /** Names that the server may be called by beside its address and localhost, such as "sync.example.com". Default: none. */
  readonly hosts?: readonly string[];
  /** Says who it is, or throws; whatever it throws, the client hears `unauthorized`. Asked once a connection, before anything is told to it. Default: everybody may come. */
  readonly authenticate?: (credentials: Credentials) => Principal | Promise<Principal>;
  /**
   * Whether he may do that. Asked with "read" and without a key when he comes: who may read, reads all of the room; and with "write" for each key that he writes, before it is taken. One that is not allowed
   * refuses the whole message, and ends the connection. `key` is a prefix where he deletes all below it: then each key below that is there is asked for, too. Default: everybody may.
   */
  readonly authorize?: (
    principal: Principal,
    action: Action,
    room: string,
    key: string | undefined,
  ) => boolean;
  /** Default: see `ServerLimits`. */
  readonly limits?: Partial<ServerLimits>;

  /** A folder of files to serve: "/" and "/{room}" give its index.html. Read once, at the start. Default: none. */
  readonly pages?: string;
  /** Is told what happens. Default: nobody. */
  readonly log?: (entry: LogEntry) => void;
}

/** A server that runs. */
export interface LastwriteServer {
  /** Where it can be reached, such as "http://127.0.0.1:4040"; with a `server` that does not listen yet, an empty text. */
  readonly address: string;

  /**
   * The store of a room, to read and write beside its clients. It stays open until the server is closed; when you close it before, its clients are sent away and come back to the room opened anew.
   *
   * Rejects with `room-invalid` for a name that is none, `too-large` when there are too many rooms, `server-closed`, and as `open`.
   */
  room(name: string): Promise<Store>;

  /** What it counts, as `GET /metrics` tells it. */
  metrics(): string;

  /** Takes nobody in any more, keeps and acknowledges what came, sends everybody away (1012) and frees rooms and port. Takes a few seconds at most where the medium does. Harmless when done twice. */
  close(): Promise<void>;

  /** `close()`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}
