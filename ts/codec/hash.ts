/** The hashes of docs/format.md, from 32-bit multiplications. */

/** Four u32: an entry hash, or a digest. */
export type Lanes = readonly [number, number, number, number];

/** A u64 as two u32. */
export interface U64 {
  readonly high: number;
  readonly low: number;
}

/** 128 bits out of whole 16-byte blocks: the body and finish of MurmurHash3 x86_128 (Austin Appleby, public domain). */
export class Mix {
  #h1: number;
  #h2: number;
  #h3: number;
  #h4: number;
  #blockCount = 0;

  constructor(seed: Lanes) {
    [this.#h1, this.#h2, this.#h3, this.#h4] = seed;
  }

  block(k1: number, k2: number, k3: number, k4: number): this {
    this.#h1 ^= Math.imul(rotate(Math.imul(k1, C1), 15), C2);
    this.#h1 = (Math.imul(rotate(this.#h1, 19) + this.#h2, 5) + 0x561ccd1b) | 0;
    this.#h2 ^= Math.imul(rotate(Math.imul(k2, C2), 16), C3);
    this.#h2 = (Math.imul(rotate(this.#h2, 17) + this.#h3, 5) + 0x0bcaa747) | 0;
    this.#h3 ^= Math.imul(rotate(Math.imul(k3, C3), 17), C4);
    this.#h3 = (Math.imul(rotate(this.#h3, 15) + this.#h4, 5) + 0x96cd1c35) | 0;
    this.#h4 ^= Math.imul(rotate(Math.imul(k4, C4), 18), C1);
    this.#h4 = (Math.imul(rotate(this.#h4, 13) + this.#h1, 5) + 0x32ac3b17) | 0;
    this.#blockCount++;
    return this;
  }

  /** Absorbs bytes, the last block padded with zeros. */
  bytes(bytes: Uint8Array): this {
    for (let at = 0; at < bytes.length; at += 16) {
      this.block(word(bytes, at), word(bytes, at + 4), word(bytes, at + 8), word(bytes, at + 12));
    }
    return this;
  }

  finish(): Lanes {
    const length = 16 * this.#blockCount;
    const [h1, h2, h3, h4] = sums(
      this.#h1 ^ length,
      this.#h2 ^ length,
      this.#h3 ^ length,
      this.#h4 ^ length,
    );
    const [a, b, c, d] = sums(finalMix(h1), finalMix(h2), finalMix(h3), finalMix(h4));
    return [a >>> 0, b >>> 0, c >>> 0, d >>> 0];
  }
}

export function hashOfBytes(bytes: Uint8Array): Lanes {
  return new Mix([0, 0, 0, 0]).block(bytes.length, 0, 0, 0).bytes(bytes).finish();
}

/** XXH32 (Yann Collet) with seed 0. */
export function checksum(bytes: Uint8Array): number {
  const wholeEnd = bytes.length & ~15;
  let at = 0;
  let hash = P5;
  if (wholeEnd > 0) {
    let [a, b, c, d] = [P1 + P2, P2, 0, -P1];
    for (; at < wholeEnd; at += 16) {
      a = Math.imul(rotate(a + Math.imul(wholeWord(bytes, at), P2), 13), P1);
      b = Math.imul(rotate(b + Math.imul(wholeWord(bytes, at + 4), P2), 13), P1);
      c = Math.imul(rotate(c + Math.imul(wholeWord(bytes, at + 8), P2), 13), P1);
      d = Math.imul(rotate(d + Math.imul(wholeWord(bytes, at + 12), P2), 13), P1);
    }
    hash = rotate(a, 1) + rotate(b, 7) + rotate(c, 12) + rotate(d, 18);
  }
  hash = (hash + bytes.length) | 0;
  for (; at + 4 <= bytes.length; at += 4) {
    hash = Math.imul(rotate(hash + Math.imul(wholeWord(bytes, at), P3), 17), P4);
  }
  for (; at < bytes.length; at++) {
    hash = Math.imul(rotate(hash + Math.imul(byteAt(bytes, at), P5), 11), P1);
  }
  hash = Math.imul(hash ^ (hash >>> 15), P2);
  hash = Math.imul(hash ^ (hash >>> 13), P3);
  return (hash ^ (hash >>> 16)) >>> 0;
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

const C1 = 0x239b961b;
const C2 = 0xab0e9789;
const C3 = 0x38b34ae5;
const C4 = 0xa1e38b93;

const P1 = 0x9e3779b1;
const P2 = 0x85ebca77;
const P3 = 0xc2b2ae3d;
const P4 = 0x27d4eb2f;
const P5 = 0x165667b1;

function rotate(lane: number, bits: number): number {
  return (lane << bits) | (lane >>> (32 - bits));
}

function sums(h1: number, h2: number, h3: number, h4: number): [number, number, number, number] {
  const sum = (h1 + h2 + h3 + h4) | 0;
  return [sum, (h2 + sum) | 0, (h3 + sum) | 0, (h4 + sum) | 0];
}

function finalMix(lane: number): number {
  let hash = Math.imul(lane ^ (lane >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}

/** 1 when the sum of two u32 does not fit one. */
function carry(sum: number): number {
  return sum > 0xffffffff ? 1 : 0;
}

/** Four bytes as a word; those beyond the end count as zeros. */
function word(bytes: Uint8Array, at: number): number {
  if (at + 4 <= bytes.length) return wholeWord(bytes, at);
  return (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16);
}

function wholeWord(bytes: Uint8Array, at: number): number {
  return (
    byteAt(bytes, at) |
    (byteAt(bytes, at + 1) << 8) |
    (byteAt(bytes, at + 2) << 16) |
    (byteAt(bytes, at + 3) << 24)
  );
}

function byteAt(bytes: Uint8Array, at: number): number {
  return bytes[at] as number;
}
