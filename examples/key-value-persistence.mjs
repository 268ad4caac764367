/**
 * An adapter of one's own: keeps a store in anything that has `get`, `set`, `delete` and `keys`, as the key-value services of many
 * platforms have. docs/persistence.md explains it; test/persistence/custom.test.ts runs it through the suite of all adapters.
 */
import { LastwriteError } from "lastwrite";

/**
 * @typedef {object} KeyValue what is asked of the service; each call is all or nothing
 * @property {(key: string) => Promise<Uint8Array | undefined>} get
 * @property {(key: string, value: Uint8Array) => Promise<void>} set
 * @property {(key: string) => Promise<void>} delete
 * @property {(prefix: string) => Promise<string[]>} keys
 */

/** Stores that are open for writing, by service and name. Processes are not told from each other here: a real service has a lock for that. */
const writers = new WeakMap();

/**
 * @param {KeyValue} service
 * @param {string} name
 * @returns {import("lastwrite").Persistence}
 */
export function keyValuePersistence(service, name) {
  /** Frames are kept under <name>/<generation>/<number>; which generation counts stands under <name>. */
  let generation = 0;
  let next = 0;
  let isWriter = false;
  const keyOf = (number) => `${name}/${generation}/${String(number).padStart(12, "0")}`;

  return {
    name: `key-value store ${name}`,

    async open({ access }) {
      const open = writers.get(service) ?? new Set();
      writers.set(service, open);
      if (access === "write" && open.has(name)) {
        throw new LastwriteError("store-locked", `${name} is open for writing already`);
      }
      isWriter = access === "write";
      if (isWriter) open.add(name);
    },

    async *load() {
      generation = Number(new TextDecoder().decode(await service.get(name)));
      const keys = (await service.keys(`${name}/${generation}/`)).toSorted();
      for (const key of keys) {
        const frame = await service.get(key);
        if (frame !== undefined) yield frame;
      }
      next = keys.length;
    },

    async append(frame) {
      await service.set(keyOf(next), frame);
      next += 1;
    },

    async replace(frames) {
      const before = { generation, next };
      generation += 1;
      next = 0;
      try {
        // What a replacement left that never became the one that counts.
        await remove(`${name}/${generation}/`);
        for (const frame of frames) await this.append(frame, { sync: true });
        // From here on the new ones count: this is the moment that is all or nothing.
        await service.set(name, new TextEncoder().encode(String(generation)));
      } catch (error) {
        ({ generation, next } = before);
        throw error;
      }
      await remove(`${name}/${before.generation}/`).catch(() => {});
    },

    async close() {
      if (isWriter) writers.get(service)?.delete(name);
      isWriter = false;
    },
  };

  async function remove(prefix) {
    for (const key of await service.keys(prefix)) await service.delete(key);
  }
}
