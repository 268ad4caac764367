/** A store as sessions see it. */

import { idBytes, idText } from "../codec/entry.ts";
import { ByteReader, ByteWriter } from "../codec/numbers.ts";
import type { Dictionary, Report } from "../dictionary/contract.ts";
import type { Changes, ChangesOptions, EngineDictionary } from "../engine/contract.ts";
import { internalsOf } from "../dictionary/internals.ts";
import { randomBytes } from "../codec/random.ts";
import { ATTRIBUTE, type Attributes } from "../persistence/attributes.ts";
import type { StoreClock } from "./clock.ts";
import type { Cursor } from "./messages.ts";
import { PresenceHub } from "./presence.ts";
import type { SyncHost } from "./run.ts";
import type { SessionReplica } from "./session.ts";

export interface HostedStore {
  readonly dictionary: Dictionary;
  readonly attributes: Attributes;
  readonly driftMaxMs: number;
  /** Others keep the same place, each with an order of arrival of its own. */
  readonly isShared: boolean;
  /** Another number after each call that may have given a write of its own, or taken one back. */
  revision(): number;
  readonly clock: StoreClock;
  /** Tells the owner. */
  report(report: Report): void;
  /** As in `SyncHost`. */
  keep(sync: boolean): Promise<void>;
  /** Something may have changed. */
  touch(): void;
  onChange(listener: () => void): () => void;
}

/** A store as its own connections see it. */
export interface StoreHost extends SyncHost {
  /** The same number as long as nothing was written here. */
  readonly revision: number;
  /** What the other side of a connection had acknowledged when this store was open the last time, or later. */
  acknowledgedOf(connection: string): Acknowledged | undefined;
  /** Keeps that with the next flush. */
  rememberAcknowledged(connection: string, acknowledged: Acknowledged): void;
}

export interface Acknowledged {
  /** 32 hex digits: who acknowledged it; empty for nobody yet. */
  readonly storeId: string;
  /** For each replica id that the store went under since all was acknowledged: up to which of its writes. */
  readonly counters: ReadonlyMap<string, number>;
}

/** Changes as they were made for a session. */
interface Shared {
  readonly place: number;
  readonly options: ChangesOptions;
  readonly changes: Changes;
}

const SHARED_MAX = 16;
const SHARED_BYTES_MAX = 64 * 1024;

/** Cursors are kept under this and the id of a store. */
const PEER = "peer/";
/** What was acknowledged, under this and the name of a connection. */
const CONNECTION = "connection/";

export function syncHostOf(store: HostedStore): StoreHost {
  const { dictionary, attributes, driftMaxMs } = store;
  const internals = internalsOf(dictionary);
  const keptEpoch = attributes.get(ATTRIBUTE.epoch) ?? new Uint8Array(8);
  const epoch = store.isShared ? randomBytes(8) : keptEpoch;
  let rereadCount = 0;
  const listeners = listenersOf(store);
  return {
    presence: new PresenceHub(),
    get revision() {
      return store.revision() + rereadCount;
    },
    acknowledgedOf: (connection) => decodeAcknowledged(attributes.get(CONNECTION + connection)),
    rememberAcknowledged: (connection, acknowledged) =>
      attributes.set(CONNECTION + connection, encodeAcknowledged(acknowledged)),
    keep: (sync) => store.keep(sync),
    onChange: (listener) => listeners.add(listener),
    replica: {
      entries: internals.entries,
      storeId: idText(attributes.get(ATTRIBUTE.storeId) ?? new Uint8Array(16)),
      epoch: idText(epoch),
      driftMaxMs,
      now: store.clock.now,
      ...sharedExportsOf(internals.entries, (listener) => store.onChange(listener)),
      merge(frame, how) {
        const result = internals.merge(frame, how);
        store.touch();
        return result;
      },
      reread(parts) {
        const result = dictionary.reread(parts);
        // What it keeps of the old state gets dots of its own.
        rereadCount++;
        store.touch();
        return result;
      },
      followClock(millis) {
        if (!store.clock.follow(millis)) return false;
        store.report({ code: "clock-corrected", offsetMs: store.clock.offsetMs });
        dictionary.restamp();
        store.touch();
        return true;
      },
      mismatched: (storeId) => store.report({ code: "digest-mismatch", storeId }),
      acknowledged() {},
      cursorOf: (storeId) => decodeCursor(attributes.get(PEER + storeId)),
      rememberCursor(storeId, cursor) {
        const before = decodeCursor(attributes.get(PEER + storeId));
        if (before?.epoch === cursor.epoch && before.place === cursor.place) return;
        attributes.set(PEER + storeId, encodeCursor(cursor));
      },
    },
  };
}

/**
 * Tells all who listen, once for all that changes at one moment, and not again before what they were told of is kept: what many write one by one is then sent together.
 */
function listenersOf(store: HostedStore): { add(listener: () => void): () => void } {
  const listeners = new Set<() => void>();
  let isTelling = false;
  let isDue = false;
  let stop = (): void => {};
  const tell = (): void => {
    isDue = false;
    for (const listener of listeners) listener();
    const told = (): void => {
      isTelling = false;
      if (isDue) note();
    };
    store.keep(false).then(told, told);
  };
  const note = (): void => {
    isDue = true;
    if (isTelling) return;
    isTelling = true;
    queueMicrotask(tell);
  };
  return {
    add(listener) {
      if (listeners.size === 0) stop = store.onChange(note);
      listeners.add(listener);
      return () => {
        listeners.delete(listener);
        if (listeners.size === 0) stop();
      };
    },
  };
}

/** What many sessions are asked for at one moment, made once: as long as nothing changes all who stand at one place are sent the same. */
function sharedExportsOf(
  entries: EngineDictionary,
  onChange: (listener: () => void) => void,
): Pick<SessionReplica, "changesSince" | "frontier" | "head"> {
  let frontier: Uint8Array | undefined;
  let head: number | undefined;
  let shared: Shared[] = [];
  onChange(() => {
    frontier = undefined;
    head = undefined;
    shared = [];
  });
  return {
    frontier: () => (frontier ??= entries.frontier()),
    head: () => (head ??= entries.head()),
    changesSince(place, options) {
      const found = shared.find((made) => made.place === place && isSame(made.options, options));
      if (found !== undefined) return found.changes;
      const changes = entries.changesSince(place, options);
      // Of first loads, which are large, each is at a place of its own.
      if (changes.frame.length <= SHARED_BYTES_MAX && shared.length < SHARED_MAX) {
        shared.push({ place, options, changes });
      }
      return changes;
    },
  };
}

function isSame(one: ChangesOptions, other: ChangesOptions): boolean {
  return (
    one.stampLimitMs === other.stampLimitMs &&
    one.since === other.since &&
    one.partBytesMax === other.partBytesMax
  );
}

function encodeCursor({ epoch, place }: Cursor): Uint8Array {
  return new ByteWriter().bytes(idBytes(epoch)).varint(place).finish();
}

function decodeCursor(bytes: Uint8Array | undefined): Cursor | undefined {
  if (bytes === undefined) return undefined;
  const reader = new ByteReader(bytes);
  return { epoch: idText(reader.take(8)), place: reader.varint() };
}

function encodeAcknowledged({ storeId, counters }: Acknowledged): Uint8Array {
  const writer = new ByteWriter().varint(storeId === "" ? 0 : 1).bytes(idBytes(storeId));
  for (const [replicaId, counter] of counters) writer.bytes(idBytes(replicaId)).varint(counter);
  return writer.finish();
}

function decodeAcknowledged(bytes: Uint8Array | undefined): Acknowledged | undefined {
  if (bytes === undefined) return undefined;
  const reader = new ByteReader(bytes);
  const storeId = reader.varint() === 0 ? "" : idText(reader.take(16));
  const counters = new Map<string, number>();
  while (reader.remaining > 0) counters.set(idText(reader.take(16)), reader.varint());
  return { storeId, counters };
}
