/**
 * TinyBase: the keyed values of a `MergeableStore`, exchanged in JSON as its synchronizers do.
 *
 * Its version is the hash of every value, and its delta the values whose hashes differ; a live write is the
 * changes of the transaction that has just ended.
 */
import type { MergeableChanges, MergeableContent, ValueHashes } from "tinybase";
import type { Replica, Subject } from "../subjects.ts";
import type { Value } from "../workloads.ts";

/** Stands for `undefined`, a removed value, which JSON has no word for; TinyBase writes the same. */
const REMOVED = "\uFFFC";

export async function tinybase(): Promise<Subject> {
  const { createMergeableStore } = await import("tinybase");

  class TinyBaseReplica implements Replica {
    readonly store;
    lastChanges: MergeableChanges | undefined;

    constructor(writer: number, clock?: () => number) {
      this.store = createMergeableStore(`w${writer}`, clock);
      this.store.addDidFinishTransactionListener(() => {
        this.lastChanges = this.store.getTransactionMergeableChanges();
      });
    }
    get(key: string): unknown {
      return this.store.getValue(key);
    }
    set(key: string, value: Value): void {
      this.store.setValue(key, value);
    }
    delete(key: string): void {
      this.store.delValue(key);
    }
    version(): Uint8Array {
      return encode(this.store.getMergeableValueHashes());
    }
    deltaSince(version?: Uint8Array): Uint8Array {
      const hashes: ValueHashes = version ? decode(version) : {};
      const changes: MergeableChanges = [[{}], this.store.getMergeableValueDiff(hashes), 1];
      return encode(changes);
    }
    merge(delta: Uint8Array): void {
      const changes: MergeableChanges = decode(delta);
      this.store.applyMergeableChanges(changes);
    }
  }

  const subject: Subject<TinyBaseReplica> = {
    name: "tinybase",
    create: ({ writer, clock, snapshot }) => {
      const replica = new TinyBaseReplica(writer, clock);
      if (snapshot) {
        const content: MergeableContent = decode(snapshot);
        replica.store.setMergeableContent(content);
      }
      return replica;
    },
    snapshot: (replica) => encode(replica.store.getMergeableContent()),
    batch: (replica, fn) => {
      replica.store.transaction(fn);
    },
    push: (from) => encode(from.lastChanges),
    pushKnown: (from) => encode(from.lastChanges),
    release: () => {},
  };
  return subject;
}

function encode(content: unknown): Uint8Array {
  return Buffer.from(
    JSON.stringify(content, (_, value: unknown) => (value === undefined ? REMOVED : value)),
  );
}

/** Whatever it is, as `JSON.parse` answers it. */
function decode(bytes: Uint8Array): ReturnType<typeof JSON.parse> {
  return JSON.parse(Buffer.from(bytes).toString(), (_, value: unknown) =>
    value === REMOVED ? undefined : value,
  );
}
