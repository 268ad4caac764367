/** The hashes of docs/format.md, from 32-bit multiplications. */

/** Four u32: an entry hash, or a digest. */
export type Lanes = readonly [number, number, number, number];

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

/** Four bytes as a word; those beyond the end count as zeros. */
export function word(bytes: Uint8Array, at: number): number {
  if (at + 4 <= bytes.length) return wholeWord(bytes, at);
  return (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16);
}

export function wholeWord(bytes: Uint8Array, at: number): number {
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
