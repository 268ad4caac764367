/**
 * json-joy: one `obj` of constants.
 *
 * It has no delta since a version: patches are kept and chosen by the application. This does it in the plainest
 * way; a replica loaded from a snapshot has none from before, so it cannot export all it holds.
 */
import type { Patch as JsonPatch } from "json-joy/lib/json-crdt-patch/index.js";
import type { Replica, Subject } from "../subjects.ts";
import type { Value } from "../workloads.ts";
import { pack, unpack } from "msgpackr";

export async function jsonJoy(): Promise<Subject> {
  const { Model, Patch, s } = (await import("json-joy/lib/json-crdt/index.js")).default;
  /** All replicas begin with the same empty object, or their keys would be in different ones. */
  const empty = Model.create(s.obj({}), 1_000_000).toBinary();
  const sessionOf = (writer: number) => 2_000_000 + writer;

  class JsonJoyReplica implements Replica {
    readonly model;
    readonly isWhole: boolean;
    readonly patches: JsonPatch[] = [];
    /** For each session, the time up to which its patches are known. */
    readonly seen = new Map<number, number>();
    isInBatch = false;

    constructor(writer: number, snapshot?: Uint8Array) {
      this.model = Model.load(snapshot ?? empty, sessionOf(writer));
      this.isWhole = snapshot === undefined;
    }
    get(key: string): unknown {
      return this.model.api.obj([]).node.get(key)?.view();
    }
    set(key: string, value: Value): void {
      this.model.api.obj([]).set({ [key]: s.con(value) });
      if (!this.isInBatch) this.flush();
    }
    delete(key: string): void {
      this.model.api.obj([]).del([key]);
      if (!this.isInBatch) this.flush();
    }
    version(): Uint8Array {
      return pack([...this.seen]);
    }
    deltaSince(version?: Uint8Array): Uint8Array {
      if (version === undefined && !this.isWhole)
        throw new Error("keeps no patches of a state that was loaded");
      const pairs: readonly (readonly [number, number])[] = version ? unpack(version) : [];
      const seen = new Map(pairs);
      const unseen = this.patches.filter((patch) => {
        const id = patch.getId();
        return id !== undefined && id.time >= (seen.get(id.sid) ?? 0);
      });
      return pack(unseen.map((patch) => patch.toBinary()));
    }
    merge(delta: Uint8Array): void {
      const binaries: readonly Uint8Array[] = unpack(delta);
      for (const binary of binaries) {
        const patch = Patch.fromBinary(binary);
        this.model.applyPatch(patch);
        this.#keep(patch);
      }
    }
    flush(): void {
      this.#keep(this.model.api.flush());
    }
    lastPatch(): Uint8Array {
      return pack(this.patches.slice(-1).map((patch) => patch.toBinary()));
    }
    #keep(patch: JsonPatch): void {
      const id = patch.getId();
      if (!id) return;
      this.patches.push(patch);
      this.seen.set(id.sid, id.time + patch.span());
    }
  }

  const subject: Subject<JsonJoyReplica> = {
    name: "json-joy",
    create: ({ writer, snapshot }) => new JsonJoyReplica(writer, snapshot),
    snapshot: (replica) => replica.model.toBinary(),
    batch: (replica, fn) => {
      replica.isInBatch = true;
      fn();
      replica.isInBatch = false;
      replica.flush();
    },
    push: (from) => from.lastPatch(),
    pushKnown: (from) => from.lastPatch(),
    release: () => {},
  };
  return subject;
}
