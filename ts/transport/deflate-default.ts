/** Deflate by the streams of the platform: everywhere but on Node. */

import { corrupt } from "../codec/numbers.ts";
import type { LastwriteError } from "../errors.ts";
import { linkFailed } from "./deliveries.ts";

/** Inflated in one go: at most a thousand times as much comes out at once. */
const PIECE_BYTES = 4096;

/** Returns `plain` as one raw deflate stream. Rejects where the platform has none. */
export async function deflate(plain: Uint8Array): Promise<Uint8Array> {
  const stream = inPieces(plain, plain.length).pipeThrough(new CompressionStream("deflate-raw"));
  const pieces: Uint8Array[] = [];
  for await (const piece of piecesOf(stream)) pieces.push(piece);
  return joined(pieces);
}

/**
 * Returns what `bytes` hold, one whole raw deflate stream of `length` bytes.
 *
 * Rejects with `corrupt-bytes` for anything else, takes no more memory than `length` and 4 MiB, and rejects with `link-failed` where the platform has no deflate.
 */
export async function inflate(bytes: Uint8Array, length: number): Promise<Uint8Array> {
  if (typeof DecompressionStream !== "function") {
    throw linkFailed("a packed message came, and there is no DecompressionStream here");
  }
  const stream = inPieces(bytes, PIECE_BYTES).pipeThrough(new DecompressionStream("deflate-raw"));
  const plain = new Uint8Array(length);
  let position = 0;
  for await (const piece of piecesOf(stream)) {
    if (position + piece.length > length) throw otherLength();
    plain.set(piece, position);
    position += piece.length;
  }
  if (position < length) throw otherLength();
  return plain;
}

function otherLength(): LastwriteError {
  return corrupt("a packed message has another length than it tells");
}

type Bytes = Uint8Array<ArrayBuffer>;

/** As the iterator that not all browsers have. Nothing is read on when its user stops. */
async function* piecesOf(stream: ReadableStream<Bytes>): AsyncGenerator<Bytes, void> {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { value } = await reader.read().catch((error: unknown) => {
        throw corrupt(`a packed message cannot be unpacked: ${String(error)}`);
      });
      if (value === undefined) return;
      yield value;
    }
  } finally {
    // How what nobody wants any more ends is of no interest either.
    reader.cancel().catch(() => {});
  }
}

/** A stream that gives a piece when it is asked for one. */
function inPieces(bytes: Uint8Array, pieceBytes: number): ReadableStream<Bytes> {
  let position = 0;
  return new ReadableStream<Bytes>(
    {
      pull: (controller) => {
        const end = Math.min(position + pieceBytes, bytes.length);
        // A stream takes no shared memory, of which messages never are.
        controller.enqueue(bytes.subarray(position, end) as Bytes);
        position = end;
        if (position === bytes.length) controller.close();
      },
    },
    { highWaterMark: 0 },
  );
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(pieces.reduce((length, piece) => length + piece.length, 0));
  let position = 0;
  for (const piece of pieces) {
    whole.set(piece, position);
    position += piece.length;
  }
  return whole;
}
