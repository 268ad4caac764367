/** Frames that cost little and tell what they are: the log looks at nothing but their last four bytes. */

import { checksum } from "../../ts/codec/hash.ts";
import type { Random } from "../suites/random.ts";

/** `append`: the frame of this number; `whole`: all up to this one. */
export type FrameSort = "append" | "whole";

const SORTS: readonly FrameSort[] = ["append", "whole"];

export function frameOf(sort: FrameSort, number: number, random: Random): Uint8Array {
  // Many of one length: then one may stand in the very place of another that was torn.
  if (random.once(2)) return frameOfLength(sort, number, 24);
  return frameOfLength(sort, number, 9 + random.below(random.once(8) ? 2000 : 100));
}

export function frameOfLength(sort: FrameSort, number: number, length: number): Uint8Array {
  const frame = new Uint8Array(length);
  const view = new DataView(frame.buffer);
  view.setUint8(0, SORTS.indexOf(sort));
  view.setUint32(1, number, true);
  for (let at = 5; at < length - 4; at++) frame[at] = Math.imul(number + at, 0x9e3779b1) >>> 24;
  view.setUint32(length - 4, checksum(frame.subarray(0, length - 4)), true);
  return frame;
}

/** How many appended frames there are, those that a whole one stands for included. Throws where one is missing, changed or out of place. */
export function stateOfFrames(frames: readonly Uint8Array[]): number {
  let state = 0;
  for (const [at, frame] of frames.entries()) {
    const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
    const sort = SORTS[view.getUint8(0)];
    const number = view.getUint32(1, true);
    const isNext = sort === "append" ? number === state + 1 : sort === "whole" && at === 0;
    const isSame = sort !== undefined && equal(frame, frameOfLength(sort, number, frame.length));
    if (!isNext || !isSame) {
      throw new Error(`frame ${at} is ${sort ?? "none"} ${number}, behind ${state}`);
    }
    state = number;
  }
  return state;
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}
