/** Seeded randomness: the same seed gives the same test on every machine. */

export interface Random {
  /** The next 32 bits, unsigned. */
  bits(): number;
  /** An integer from 0 to `bound` − 1. */
  below(bound: number): number;
  /** True once in `oneIn` times on average. */
  once(oneIn: number): boolean;
  pick<Item>(items: readonly Item[]): Item;
  bytes(length: number): Uint8Array;
}

/** sfc32 (Chris Doty-Humphrey, public domain), the seed spread over its state. */
export function seededRandom(seed: number): Random {
  let a = seed >>> 0;
  let b = Math.imul(seed, 0x9e3779b9) >>> 0;
  let c = (seed ^ 0xdeadbeef) >>> 0;
  let counter = 1;

  const bits = (): number => {
    const sum = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + sum) | 0;
    return sum >>> 0;
  };
  for (let round = 0; round < 12; round += 1) bits();

  const below = (bound: number): number => Math.floor((bits() / 2 ** 32) * bound);
  return {
    bits,
    below,
    once: (oneIn) => below(oneIn) === 0,
    pick: (items) => {
      const item = items[below(items.length)];
      if (item === undefined) throw new Error("nothing to pick from");
      return item;
    },
    bytes: (length) => Uint8Array.from({ length }, () => below(256)),
  };
}

/** A number from the environment, by which longer runs and replays are asked for. */
export function numberFromEnvironment(name: string): number | undefined {
  const text = process.env[name];
  if (text === undefined || text === "") return undefined;
  const number = Number(text);
  if (!Number.isSafeInteger(number)) throw new Error(`${name} must be an integer, got ${text}`);
  return number;
}
