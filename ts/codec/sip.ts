/** The keyed hash of docs/format.md. */

import { wholeWord, word } from "./hash.ts";

/** A u64 as two u32. */
export interface U64 {
  readonly high: number;
  readonly low: number;
}

/** SipHash-1-3 (Aumasson, Bernstein) under a key of 16 bytes. */
export function sipHash13(key: Uint8Array, bytes: Uint8Array): U64 {
  const state = new Sip(key);
  const wholeEnd = bytes.length & ~7;
  for (let at = 0; at < wholeEnd; at += 8)
    state.absorb(wholeWord(bytes, at + 4), wholeWord(bytes, at));
  state.absorb(word(bytes, wholeEnd + 4) | (bytes.length << 24), word(bytes, wholeEnd));
  return state.finish();
}

/** The four lanes of SipHash, each as its high and low half. */
class Sip {
  #v0h: number;
  #v0l: number;
  #v1h: number;
  #v1l: number;
  #v2h: number;
  #v2l: number;
  #v3h: number;
  #v3l: number;

  constructor(key: Uint8Array) {
    this.#v0h = word(key, 4) ^ 0x736f6d65;
    this.#v0l = word(key, 0) ^ 0x70736575;
    this.#v1h = word(key, 12) ^ 0x646f7261;
    this.#v1l = word(key, 8) ^ 0x6e646f6d;
    this.#v2h = word(key, 4) ^ 0x6c796765;
    this.#v2l = word(key, 0) ^ 0x6e657261;
    this.#v3h = word(key, 12) ^ 0x74656462;
    this.#v3l = word(key, 8) ^ 0x79746573;
  }

  absorb(high: number, low: number): void {
    this.#v3h ^= high;
    this.#v3l ^= low;
    this.#round();
    this.#v0h ^= high;
    this.#v0l ^= low;
  }

  finish(): U64 {
    this.#v2l ^= 0xff;
    for (let round = 0; round < 3; round++) this.#round();
    return {
      high: (this.#v0h ^ this.#v1h ^ this.#v2h ^ this.#v3h) >>> 0,
      low: (this.#v0l ^ this.#v1l ^ this.#v2l ^ this.#v3l) >>> 0,
    };
  }

  #round(): void {
    // v0 += v1; v1 = rotl(v1, 13) ^ v0; v0 = rotl(v0, 32)
    let low = (this.#v0l >>> 0) + (this.#v1l >>> 0);
    let high = (this.#v0h + this.#v1h + carry(low)) | 0;
    low |= 0;
    let rotatedHigh = (this.#v1h << 13) | (this.#v1l >>> 19);
    this.#v1l = ((this.#v1l << 13) | (this.#v1h >>> 19)) ^ low;
    this.#v1h = rotatedHigh ^ high;
    this.#v0h = low;
    this.#v0l = high;

    // v2 += v3; v3 = rotl(v3, 16) ^ v2
    low = (this.#v2l >>> 0) + (this.#v3l >>> 0);
    this.#v2h = (this.#v2h + this.#v3h + carry(low)) | 0;
    this.#v2l = low | 0;
    rotatedHigh = (this.#v3h << 16) | (this.#v3l >>> 16);
    this.#v3l = ((this.#v3l << 16) | (this.#v3h >>> 16)) ^ this.#v2l;
    this.#v3h = rotatedHigh ^ this.#v2h;

    // v0 += v3; v3 = rotl(v3, 21) ^ v0
    low = (this.#v0l >>> 0) + (this.#v3l >>> 0);
    this.#v0h = (this.#v0h + this.#v3h + carry(low)) | 0;
    this.#v0l = low | 0;
    rotatedHigh = (this.#v3h << 21) | (this.#v3l >>> 11);
    this.#v3l = ((this.#v3l << 21) | (this.#v3h >>> 11)) ^ this.#v0l;
    this.#v3h = rotatedHigh ^ this.#v0h;

    // v2 += v1; v1 = rotl(v1, 17) ^ v2; v2 = rotl(v2, 32)
    low = (this.#v2l >>> 0) + (this.#v1l >>> 0);
    high = (this.#v2h + this.#v1h + carry(low)) | 0;
    low |= 0;
    rotatedHigh = (this.#v1h << 17) | (this.#v1l >>> 15);
    this.#v1l = ((this.#v1l << 17) | (this.#v1h >>> 15)) ^ low;
    this.#v1h = rotatedHigh ^ high;
    this.#v2h = low;
    this.#v2l = high;
  }
}

/** 1 when the sum of two u32 does not fit one. */
function carry(sum: number): number {
  return sum > 0xffffffff ? 1 : 0;
}
