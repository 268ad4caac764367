/** Writes on two replicas that do not know of each other, and what was written, for the replay. */
import { entriesOf, isNamed, prefixOf } from "./data.mjs";

/** The census that one side takes while it is killed. */
const CENSUS_CITIES = 1_000;

/** So few that both sides keep meeting each other's keys. */
const EDITED_CITIES = 8_000;

/** One replica, and the list of all that it was given to keep. */
export class Side {
  /** Each with the stamp that the clock gave it. */
  writes;
  #dictionary;
  #clock;

  /** `writes`: those made already, when the replica was opened anew. */
  constructor(dictionary, clock, writes = []) {
    this.#dictionary = dictionary;
    this.#clock = clock;
    this.writes = writes;
  }

  set(key, value) {
    this.#dictionary.set(key, value);
    this.#record({ key, value });
  }

  delete(key) {
    // Removing what is not there writes nothing, so that it takes nothing from the other side.
    if (this.#dictionary.delete(key)) this.#record({ key, value: undefined });
  }

  deletePrefix(prefix) {
    this.#dictionary.deletePrefix(prefix);
    this.#record({ prefix });
  }

  transaction(fn) {
    const before = this.writes.length;
    try {
      this.#dictionary.transaction(fn);
    } catch (error) {
      this.writes.length = before;
      throw error;
    }
  }

  /** Records a write that another process made, at the time that the clock tells now. */
  record(key, value) {
    this.#record({ key, value });
  }

  /** Writes as of `millis`, and answers whether that won here. */
  setAt(key, value, millis) {
    return this.#dictionary.set(key, value, { stamp: { millis } });
  }

  #record(write) {
    const last = this.writes.at(-1);
    const millis = this.#clock();
    const counter = last?.millis === millis ? last.counter + 1 : 0;
    this.writes.push({ millis, counter, replicaId: this.#dictionary.replicaId, ...write });
  }
}

/** Edits the same cities on both sides, in turns that neither sees. */
export function editAtRandom({ native, wasm, time }, cities, { editCount, seed }, progress) {
  const random = seeded(seed);
  const edited = editedOf(cities);
  for (let index = 0; index < editCount; index += 1) {
    time.now += 1;
    editOnce(native, pick(edited, random), random);
    // Half of the pairs share a millisecond: then the replica id decides.
    time.now += random() < 0.5 ? 1 : 0;
    editOnce(wasm, pick(edited, random), random);
    progress(index / editCount);
  }
}

/** A census: the population of some cities, one write each, two milliseconds apart. */
export function censusOf(cities, { seed, startMillis }) {
  const random = seeded(seed);
  return editedOf(cities)
    .slice(-CENSUS_CITIES)
    .map((city, index) => ({
      key: `${prefixOf(city)}census`,
      value: { year: 2027, population: Math.floor(random() * 1e6) },
      millis: startMillis + 2 * index,
    }));
}

/** The other side counts every third of these cities too, by turns a moment earlier and later. */
export function countToo({ native, time }, census) {
  for (const [index, { key, value, millis }] of census.entries()) {
    if (index % 3 !== 0) continue;
    time.now = millis + (index % 2 === 0 ? 1 : -1);
    native.set(key, { ...value, population: value.population + 1 });
  }
}

/** How many keys have a write from each side. */
export function keysOnBothSides({ native, wasm }) {
  const keysOf = ({ writes }) => new Set(writes.flatMap(({ key }) => key ?? []));
  const there = keysOf(wasm);
  return [...keysOf(native)].filter((key) => there.has(key)).length;
}

function editedOf(cities) {
  return cities.filter((city) => !isNamed(city)).slice(-EDITED_CITIES);
}

function editOnce(side, city, random) {
  const prefix = prefixOf(city);
  const share = random();
  const population = Math.round(city.population * (0.5 + random()));
  if (share < 0.6) {
    side.set(`${prefix}population`, population);
  } else if (share < 0.75) {
    side.set(`${prefix}name`, `${city.name} (${population % 100})`);
  } else if (share < 0.95) {
    side.delete(pick(entriesOf(city), random)[0]);
  } else if (share < 0.98) {
    side.transaction(() => {
      side.set(`${prefix}population`, population);
      side.set(`${prefix}census`, { year: 2026, population });
    });
  } else {
    side.deletePrefix(prefix);
  }
}

function pick(list, random) {
  return list[Math.floor(random() * list.length)];
}

/** Numbers in [0, 1), the same for the same seed (mulberry32). */
function seeded(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
