/**
 * What stores say to each other, for programs that speak the protocol themselves (docs/protocol.md): gateways, inspectors, clients in other languages' runtimes. To synchronise stores none of
 * this is needed: see `connect` of `open`, and `Store.sync`.
 *
 * @example
 * ```ts
 * import { decodeMessage, encodeText } from "lastwrite/sync";
 *
 * const { number, message } = decodeMessage(new Uint8Array([0x0e, 0x07]));
 * console.log(number, message.type); // 7 ping
 * console.log(encodeText(message, 8)); // {"type":"ping","number":8}
 * ```
 */

export { decodeMessage, encodeMessage, encodeText, type NumberedMessage } from "./codec.ts";
export type {
  Ack,
  Clock,
  Compared,
  Credit,
  Cursor,
  Delta,
  Failure,
  Hashes,
  Have,
  Held,
  Hello,
  Need,
  Peers,
  Ping,
  Pong,
  Presence,
  Ranges,
  Restart,
  SnapshotPart,
  SyncMessage,
  VectorPiece,
  Wanted,
} from "./messages.ts";
export { PROTOCOL_MAX, PROTOCOL_MIN } from "./messages.ts";
