/** Large messages in fewer bytes: docs/protocol.md, Compression. */

import { ByteReader, ByteWriter, corrupt } from "../codec/numbers.ts";
import { MESSAGE_BYTES_MAX } from "../sync/limits.ts";
import type { Message } from "./contract.ts";

/** How bytes are deflated: `#deflate` is what the platform has. */
export interface Deflate {
  /** Rejects where it cannot be had. */
  readonly deflate: (plain: Uint8Array) => Promise<Uint8Array>;
  /** The whole stream, of exactly `length` bytes; else, thrown or rejected, `corrupt-bytes`. */
  readonly inflate: (bytes: Uint8Array, length: number) => Uint8Array | Promise<Uint8Array>;
}

/** The first byte of a packed message: the type of no message. */
export const PACKED_CODE = 17;
/** What is shorter is sent as it is: it would not come sooner. */
const PACK_BYTES_MIN = 2 ** 16;
/** What stays longer than so many of its eight parts is not worth the work of the other side. */
const EIGHTHS_MAX = 7;
/** What would hold more than so many times its bytes is a bomb, that nobody makes and nobody unpacks. */
const EXPANSION_MAX = 32;

/** Whether packing may be worth it: not for what is short or packed, nor for text, which is for people. */
export function isPackable(message: Message): message is Uint8Array {
  return (
    typeof message !== "string" && message.length >= PACK_BYTES_MIN && message[0] !== PACKED_CODE
  );
}

/** Whether it is one that `unpack` takes. */
export function isPacked(message: Message): message is Uint8Array {
  return typeof message !== "string" && message[0] === PACKED_CODE;
}

/** Returns `plain` packed, or as it is where that is not worth it. Never rejects. */
export async function pack(plain: Uint8Array, { deflate }: Deflate): Promise<Uint8Array> {
  let deflated: Uint8Array;
  try {
    deflated = await deflate(plain);
  } catch {
    // Without deflate everything goes as it is.
    return plain;
  }
  const packed = new ByteWriter().u8(PACKED_CODE).varint(plain.length).bytes(deflated).finish();
  const isShorter = 8 * packed.length <= EIGHTHS_MAX * plain.length;
  return isShorter && plain.length <= EXPANSION_MAX * deflated.length ? packed : plain;
}

/**
 * Returns the message that `packed` holds: at once, or later where the platform takes its time.
 *
 * Throws, or rejects with, `corrupt-bytes` for what docs/protocol.md does not tell; before it takes memory for what is too long.
 */
export function unpack(packed: Uint8Array, { inflate }: Deflate): Uint8Array | Promise<Uint8Array> {
  const reader = new ByteReader(packed, 1);
  const length = reader.varint();
  const deflated = reader.rest();
  if (length > MESSAGE_BYTES_MAX) throw corrupt("a packed message is longer than 1 MiB and 64 KiB");
  if (length > EXPANSION_MAX * deflated.length) {
    throw corrupt(`a packed message tells more than ${EXPANSION_MAX} times its bytes`);
  }
  if (length === 0) throw corrupt("a packed message is empty");
  const plain = inflate(deflated, length);
  return plain instanceof Promise ? plain.then(checked) : checked(plain);
}

function checked(plain: Uint8Array): Uint8Array {
  if (isPacked(plain)) throw corrupt("a packed message holds another one");
  return plain;
}
