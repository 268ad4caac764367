/** Version and horizon of a replica, in pieces that fit into messages. */

import { ByteReader, ByteWriter } from "../codec/numbers.ts";
import { LastwriteError } from "../errors.ts";
import type { VectorPiece } from "./messages.ts";

/** The version of a replica, and up to where it collected tombstones: version frames both. */
export interface Vectors {
  readonly version: Uint8Array;
  readonly horizon: Uint8Array;
}

const PIECE_BYTES = 256 * 1024;
/** Some two million writers. */
const VECTOR_BYTES_MAX = 64 * 1024 * 1024;

export function vectorPieces({ version, horizon }: Vectors): VectorPiece[] {
  const writer = new ByteWriter().varint(version.length).bytes(version).bytes(horizon);
  const whole = writer.finish();
  const pieces: VectorPiece[] = [];
  for (let at = 0; at < whole.length; at += PIECE_BYTES) {
    const bytes = whole.subarray(at, at + PIECE_BYTES);
    pieces.push({ type: "vector", bytes, remaining: whole.length - at - bytes.length });
  }
  return pieces;
}

/** Puts pieces together as they come. */
export class VectorPieces {
  #pieces: Uint8Array[] = [];
  #length = 0;
  /** What the piece before said that comes after it. */
  #remaining: number | undefined;

  /** Answers the whole with the last piece, before that undefined. Throws `corrupt-bytes` or `too-large`. */
  add({ bytes, remaining }: VectorPiece): Vectors | undefined {
    const isNext = this.#remaining === undefined || this.#remaining === remaining + bytes.length;
    this.#length += bytes.length;
    if (!isNext || bytes.length === 0) {
      throw new LastwriteError("corrupt-bytes", "the pieces of a version do not fit together");
    }
    if (this.#length + remaining > VECTOR_BYTES_MAX) {
      throw new LastwriteError("too-large", "a version is longer than 64 MiB");
    }
    this.#pieces.push(bytes);
    this.#remaining = remaining;
    if (remaining > 0) return undefined;

    const whole = new ByteWriter();
    for (const piece of this.#pieces) whole.bytes(piece);
    this.#pieces = [];
    this.#length = 0;
    this.#remaining = undefined;
    const reader = new ByteReader(whole.finish());
    const version = reader.take(reader.length());
    return { version, horizon: reader.take(reader.remaining) };
  }
}
