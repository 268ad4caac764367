/** Stamps as an engine answers them. */

import { idText } from "../codec/entry.ts";
import type { Stamp } from "./contract.ts";

/** A stamp of 24 bytes: u64 HLC, replica id. */
export function readStamp(bytes: Uint8Array): Stamp {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return {
    // The HLC has 48 bits of milliseconds over 16 of counter: more than a number holds.
    millis: view.getUint32(4, true) * 2 ** 16 + view.getUint16(2, true),
    counter: view.getUint16(0, true),
    replicaId: idText(bytes.subarray(8)),
  };
}
