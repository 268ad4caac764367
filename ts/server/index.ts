/** A server of rooms for any number of clients: see docs/server.md. */

export type { Action, Credentials, LastwriteServer, LogEntry, ServerOptions } from "./contract.ts";
export type { ServerLimits } from "./limits.ts";
export { createServer } from "./server.ts";
