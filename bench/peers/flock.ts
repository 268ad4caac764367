/** Flock, by the makers of Loro: last-write-wins entries at composite keys, exchanged in JSON. */
import type { ExportBundle, VersionVector } from "@loro-dev/flock";
import type { Replica, Subject } from "../subjects.ts";
import type { Value } from "../workloads.ts";

export async function flock(): Promise<Subject> {
  const { Flock } = await import("@loro-dev/flock");

  class FlockReplica implements Replica {
    readonly flock;
    readonly clock: () => number;

    constructor(writer: number, clock: () => number = Date.now) {
      this.flock = new Flock(writer.toString(16).padStart(32, "0"));
      this.clock = clock;
    }
    get(key: string): unknown {
      return this.flock.get([key]);
    }
    set(key: string, value: Value): void {
      this.flock.put([key], value, this.clock());
    }
    delete(key: string): void {
      this.flock.delete([key], this.clock());
    }
    version(): Uint8Array {
      return Buffer.from(JSON.stringify(this.flock.version()));
    }
    deltaSince(version?: Uint8Array): Uint8Array {
      if (version === undefined) return Buffer.from(JSON.stringify(this.flock.exportJson()));
      const vector: VersionVector = JSON.parse(Buffer.from(version).toString());
      return Buffer.from(JSON.stringify(this.flock.exportJson(vector)));
    }
    merge(delta: Uint8Array): void {
      const bundle: ExportBundle = JSON.parse(Buffer.from(delta).toString());
      this.flock.importJson(bundle);
    }
  }

  const subject: Subject<FlockReplica> = {
    name: "flock",
    create: ({ writer, clock, snapshot }) => {
      const replica = new FlockReplica(writer, clock);
      if (snapshot) replica.merge(snapshot);
      return replica;
    },
    snapshot: (replica) => replica.deltaSince(),
    batch: (replica, fn) => replica.flock.txn(fn),
    push: (from, to) => from.deltaSince(to.version()),
    pushKnown: (from, base) => from.deltaSince(base),
    release: () => {},
  };
  return subject;
}
