/** Yjs: one `Y.Map`. */
import type { Replica, Subject } from "../subjects.ts";
import type { Value } from "../workloads.ts";

export async function yjs(): Promise<Subject> {
  const { Doc, applyUpdate, encodeStateAsUpdate, encodeStateVector } = await import("yjs");

  class YjsReplica implements Replica {
    readonly doc = new Doc();
    readonly map = this.doc.getMap<Value>("entries");
    #lastUpdate: Uint8Array | undefined;

    get(key: string): unknown {
      return this.map.get(key);
    }
    set(key: string, value: Value): void {
      this.map.set(key, value);
    }
    delete(key: string): void {
      this.map.delete(key);
    }
    version(): Uint8Array {
      return encodeStateVector(this.doc);
    }
    deltaSince(version?: Uint8Array): Uint8Array {
      return encodeStateAsUpdate(this.doc, version);
    }
    merge(delta: Uint8Array): void {
      applyUpdate(this.doc, delta);
    }
    /** The update that the last write sent out, as providers listen for it; from the second call on. */
    lastUpdate(base: Uint8Array): Uint8Array {
      if (this.#lastUpdate) return this.#lastUpdate;
      this.doc.on("update", (update: Uint8Array) => {
        this.#lastUpdate = update;
      });
      return this.deltaSince(base);
    }
  }

  const subject: Subject<YjsReplica> = {
    name: "yjs",
    create: ({ writer, snapshot }) => {
      const replica = new YjsReplica();
      replica.doc.clientID = writer;
      if (snapshot) replica.merge(snapshot);
      return replica;
    },
    snapshot: (replica) => replica.deltaSince(),
    batch: (replica, fn) => replica.doc.transact(fn),
    push: (from, to) => from.deltaSince(to.version()),
    pushKnown: (from, base) => from.lastUpdate(base),
    release: (replica) => replica.doc.destroy(),
  };
  return subject;
}
