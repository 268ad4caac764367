/** Loro: one `LoroMap`. */
import type { Replica, Subject } from "../subjects.ts";
import type { Value } from "../workloads.ts";

export async function loro(): Promise<Subject> {
  const { LoroDoc, VersionVector } = await import("loro-crdt");

  class LoroReplica implements Replica {
    readonly doc = new LoroDoc();
    readonly map = this.doc.getMap("entries");
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
      // Writes wait in a transaction that the export ends, and the version must not be behind them.
      this.doc.commit();
      return this.doc.oplogVersion().encode();
    }
    deltaSince(version?: Uint8Array): Uint8Array {
      return this.doc.export({
        mode: "update",
        ...(version && { from: VersionVector.decode(version) }),
      });
    }
    merge(delta: Uint8Array): void {
      this.doc.import(delta);
    }
    /** The update that the last write sent out to those who subscribe; from the second call on. */
    lastUpdate(base: Uint8Array): Uint8Array {
      this.doc.commit();
      if (this.#lastUpdate) return this.#lastUpdate;
      this.doc.subscribeLocalUpdates((update) => {
        this.#lastUpdate = update;
      });
      return this.deltaSince(base);
    }
  }

  const subject: Subject<LoroReplica> = {
    name: "loro",
    create: ({ writer, snapshot }) => {
      const replica = new LoroReplica();
      replica.doc.setPeerId(BigInt(writer));
      if (snapshot) replica.merge(snapshot);
      return replica;
    },
    snapshot: (replica) => replica.doc.export({ mode: "snapshot" }),
    batch: (_, fn) => fn(),
    push: (from, to) => from.deltaSince(to.version()),
    pushKnown: (from, base) => from.lastUpdate(base),
    release: (replica) => replica.doc.free(),
  };
  return subject;
}
