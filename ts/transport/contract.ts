/** What a session needs of the way between two replicas. */

/** A message: bytes in the binary form, text in the form of JSON Lines. */
export type Message = Uint8Array | string;

/** Why a link ended. */
export interface LinkEnd {
  /** Undefined when the other side or the user closed it in the regular way. */
  readonly error?: Error;
  /** A close code of WebSockets, where the transport has one. */
  readonly code?: number;
}

/** Who uses a link: called in the order in which things happen, never from inside `send` or `close`. */
export interface LinkHandler {
  /** A message of the other side came. */
  message(message: Message): void;
  /** All that was sent has left this process, or nearly all. */
  drained(): void;
  /** Nothing comes after it. Called once, whoever closed. */
  closed(end: LinkEnd): void;
}

/**
 * A way on which messages go both ways, whole and in order, until it breaks. One that loses, doubles or changes the order of messages does not damage anything: a session notices
 * by their numbers, and ends.
 */
export interface Link {
  /** Names the other side in messages: an address, the name of a channel. */
  readonly name: string;
  /** Begins; called once. What came before is delivered after it. */
  start(handler: LinkHandler): void;
  /** Never throws; messages to a link that ended are dropped. */
  send(message: Message): void;
  /** Bytes that wait here to be sent; 0 where nothing tells. */
  readonly bufferedBytes: number;
  /** Nothing more should be sent that need not be, until `drained`. Default: as soon as 1 MiB waits. */
  readonly isFull?: boolean;
  /**
   * Whether large messages had better be packed (docs/protocol.md, Compression): bytes on it cost more than the work, and it takes binary messages as they are. Asked before each; what the other
   * side packs is taken in any case. Default: false.
   */
  readonly prefersPacked?: boolean;
  /** Ends the link; `closed` is called. Harmless when done twice. `code` and `reason` are told where the transport can. */
  close(code?: number, reason?: string): void;
}

/** Makes links to one place: the first, and after each break another one. */
export interface Connector {
  readonly name: string;
  /** Rejects with `link-failed`, or with the signal's reason; never waits longer than 20 s. */
  connect(signal: AbortSignal): Promise<Link>;
}
