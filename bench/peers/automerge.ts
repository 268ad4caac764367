/** Automerge: one object with a property for each key. Text is immutable, as it is one value here. */
import type { Doc } from "@automerge/automerge";
import type { Replica, Subject } from "../subjects.ts";
import type { Value } from "../workloads.ts";

export async function automerge(): Promise<Subject> {
  const Automerge = await import("@automerge/automerge");
  const { ImmutableString } = Automerge;
  type Entries = Record<string, unknown>;

  class AutomergeReplica implements Replica {
    doc: Doc<Entries>;
    /** The writes of a batch, which become one change; undefined outside one. */
    pending: ((entries: Entries) => void)[] | undefined;

    constructor(doc: Doc<Entries>) {
      this.doc = doc;
    }
    get(key: string): unknown {
      const value = this.doc[key];
      return value instanceof ImmutableString ? value.val : value;
    }
    set(key: string, value: Value): void {
      this.#change((entries) => {
        entries[key] = typeof value === "string" ? new ImmutableString(value) : value;
      });
    }
    delete(key: string): void {
      this.#change((entries) => {
        delete entries[key];
      });
    }
    version(): Uint8Array {
      return Buffer.from(Automerge.getHeads(this.doc).join(""), "hex");
    }
    deltaSince(version?: Uint8Array): Uint8Array {
      if (version === undefined) return Automerge.save(this.doc);
      return Automerge.saveSince(
        this.doc,
        Buffer.from(version).toString("hex").match(/.{64}/g) ?? [],
      );
    }
    merge(delta: Uint8Array): void {
      this.doc = Automerge.loadIncremental(this.doc, delta);
    }
    #change(write: (entries: Entries) => void): void {
      if (this.pending) this.pending.push(write);
      else this.doc = Automerge.change(this.doc, write);
    }
  }

  const subject: Subject<AutomergeReplica> = {
    name: "automerge",
    create: ({ writer, snapshot }) => {
      const actor = writer.toString(16).padStart(32, "0");
      return new AutomergeReplica(
        snapshot ? Automerge.load<Entries>(snapshot, actor) : Automerge.init<Entries>(actor),
      );
    },
    snapshot: (replica) => Automerge.save(replica.doc),
    batch: (replica, fn) => {
      const writes: ((entries: Entries) => void)[] = [];
      replica.pending = writes;
      fn();
      replica.pending = undefined;
      replica.doc = Automerge.change(replica.doc, (entries) =>
        writes.forEach((write) => write(entries)),
      );
    },
    push: (from, to) => from.deltaSince(to.version()),
    pushKnown: (from, base) => Automerge.getLastLocalChange(from.doc) ?? from.deltaSince(base),
    release: (replica) => Automerge.free(replica.doc),
  };
  return subject;
}
