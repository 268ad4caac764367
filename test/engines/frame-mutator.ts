/** Frames taken apart, changed where it hurts, and put together again with lengths and checksum that fit. */

import { xxh32 } from "../suites/frames.ts";
import type { Random } from "../suites/random.ts";

/** A field of a header, or a column of a block. */
interface Piece {
  id: number;
  bytes: Uint8Array;
}

interface Block {
  count: number;
  columns: Piece[];
}

interface Pieces {
  readonly head: Uint8Array;
  fields: Piece[];
  blocks: Block[];
}

/** A frame with one to three changes of its structure; what is inside need not make sense any more. */
export function mutant(frame: Uint8Array, random: Random): Uint8Array {
  const pieces = split(frame);
  for (let changes = 1 + random.below(3); changes > 0; changes -= 1) change(pieces, random);
  return join(pieces);
}

/** The bytes of a frame, its last four made the checksum of the others. */
export function sealed(frame: Uint8Array): Uint8Array {
  const copy = frame.slice();
  if (copy.length >= 4) {
    new DataView(copy.buffer).setUint32(copy.length - 4, xxh32(copy.subarray(0, -4)), true);
  }
  return copy;
}

function change(pieces: Pieces, random: Random): void {
  const block = pieces.blocks.length === 0 ? undefined : random.pick(pieces.blocks);
  if (block === undefined || random.once(4)) {
    pieces.fields = changedPieces(pieces.fields, random);
  } else if (random.once(8)) {
    block.count = random.pick([
      0,
      1,
      block.count + 1,
      Math.max(0, block.count - 1),
      4_096,
      4_097,
      2 ** 40,
    ]);
  } else if (random.once(20)) {
    pieces.blocks = random.once(2) ? [...pieces.blocks, block] : pieces.blocks.slice(1);
  } else {
    block.columns = changedPieces(block.columns, random);
  }
}

function changedPieces(pieces: readonly Piece[], random: Random): Piece[] {
  const changed = pieces.map(({ id, bytes }) => ({ id, bytes }));
  if (changed.length === 0) return [{ id: random.below(14), bytes: random.bytes(random.below(4)) }];
  const at = random.below(changed.length);
  const piece = changed[at] as Piece;
  switch (random.below(10)) {
    case 0:
      changed.splice(at, 1);
      break;
    case 1:
      changed.splice(at, 0, { ...piece });
      break;
    case 2: {
      const other = changed[random.below(changed.length)] as Piece;
      [piece.bytes, other.bytes] = [other.bytes, piece.bytes];
      break;
    }
    case 3:
      piece.id = random.below(16);
      break;
    case 4:
      changed.push({
        id: random.pick([1, 7, 8, 9, 10, 13, 200]),
        bytes: random.bytes(random.below(5)),
      });
      changed.sort((left, right) => left.id - right.id);
      break;
    default:
      piece.bytes = changedBytes(piece.bytes, random);
  }
  return changed;
}

function changedBytes(bytes: Uint8Array, random: Random): Uint8Array {
  if (bytes.length === 0) return random.bytes(1);
  const at = random.below(bytes.length);
  const byte = bytes[at] as number;
  const spliced = (removed: number, ...inserted: readonly number[]): Uint8Array =>
    Uint8Array.from([...bytes.subarray(0, at), ...inserted, ...bytes.subarray(at + removed)]);
  switch (random.below(9)) {
    case 0:
      return spliced(1, byte ^ (1 << random.below(8)));
    case 1:
      return spliced(1, random.below(256));
    case 2:
      return spliced(1, (byte + 1) & 255);
    case 3:
      return spliced(1, (byte + 255) & 255);
    case 4:
      return spliced(0, random.below(256));
    case 5:
      return spliced(1);
    case 6:
      // A varint that is not in its shortest form, if this was one of a byte.
      return spliced(1, byte | 0x80, 0);
    case 7:
      // One that promises much.
      return spliced(
        1,
        ...random.pick([
          [0xff, 0xff, 0x03],
          [0xff, 0xff, 0xff, 0xff, 0x0f],
          [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f],
        ]),
      );
    default: {
      // Two ids, or two values of eight bytes, change places; or what is there comes twice.
      const width =
        bytes.length % 16 === 0 && bytes.length >= 32 ? 16 : Math.max(1, bytes.length >> 1);
      const [first, second] = [bytes.subarray(0, width), bytes.subarray(width, 2 * width)];
      return Uint8Array.from(
        random.once(2) ? [...second, ...first, ...bytes.subarray(2 * width)] : [...bytes, ...first],
      );
    }
  }
}

function split(frame: Uint8Array): Pieces {
  let at = 4;
  const varint = (): number => {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = frame[at] as number;
      at += 1;
      value += (byte & 0x7f) * factor;
      if (byte < 128) return value;
    }
  };
  const pieces = (): Piece[] => {
    const read: Piece[] = [];
    for (let id = frame[at++] as number; id !== 0; id = frame[at++] as number) {
      const length = varint();
      read.push({ id, bytes: frame.subarray(at, at + length) });
      at += length;
    }
    return read;
  };
  const fields = pieces();
  const blocks: Block[] = [];
  while (at < frame.length - 4) blocks.push({ count: varint(), columns: pieces() });
  return { head: frame.subarray(0, 4), fields, blocks };
}

function join({ head, fields, blocks }: Pieces): Uint8Array {
  const bytes = [...head];
  const put = (pieces: readonly Piece[]): void => {
    for (const piece of pieces)
      bytes.push(piece.id, ...varintBytes(piece.bytes.length), ...piece.bytes);
    bytes.push(0);
  };
  put(fields);
  for (const { count, columns } of blocks) {
    bytes.push(...varintBytes(count));
    put(columns);
  }
  return sealed(Uint8Array.from([...bytes, 0, 0, 0, 0]));
}

function varintBytes(number: number): number[] {
  const bytes: number[] = [];
  let rest = number;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  return [...bytes, rest];
}
