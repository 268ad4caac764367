/** What this library throws on purpose, and the closed list of codes to tell it apart by. */

/** Everything this library throws on purpose carries one of these. */
export type ErrorCode =
  | "invalid-argument"
  | "invalid-key"
  | "invalid-prefix"
  | "invalid-value"
  | "corrupt-bytes"
  | "unsupported-format"
  | "too-large"
  | "clock-drift"
  | "below-horizon"
  | "not-collector"
  | "transaction-open"
  | "closed"
  | "engine-poisoned"
  | "engine-unavailable"
  | "store-locked"
  | "store-corrupt"
  | "store-full"
  | "store-poisoned"
  | "store-closed"
  | "store-newer"
  | "store-read-only"
  | "storage-unavailable"
  | "link-failed"
  | "link-timeout"
  | "unsupported-protocol"
  | "unauthorized"
  | "rate-limited"
  | "room-invalid"
  | "server-closed";

/** Who must re-read when a part is refused as `below-horizon`. */
export type Side = "receiver" | "sender";

/** Where stored bytes are damaged. */
export interface Damage {
  /** The file, table or database that holds them. */
  readonly file: string;
  /** From which byte on; 0 where the medium does not count in bytes. */
  readonly offset: number;
  /** What is wrong there. */
  readonly reason: string;
}

/** The cause of an error, and what it is about. */
export interface LastwriteErrorOptions extends ErrorOptions {
  /** Only with `below-horizon` from `merge` and `reread`: who has to re-read. */
  readonly side?: Side;
  /** Only with `store-corrupt`: where. */
  readonly damage?: Damage;
}

/** An error to tell apart by `code`, never by its message. */
export class LastwriteError extends Error {
  override readonly name = "LastwriteError";
  readonly code: ErrorCode;
  /** Who has to re-read, when `code` is `below-horizon`; else undefined. */
  readonly side: Side | undefined;
  /** Where stored bytes are damaged, when `code` is `store-corrupt`; else undefined. */
  readonly damage: Damage | undefined;

  constructor(code: ErrorCode, message: string, options?: LastwriteErrorOptions) {
    super(message, options);
    this.code = code;
    this.side = options?.side;
    this.damage = options?.damage;
  }
}
