/** A store as sessions see it. */

import { idBytes, idText } from "../codec/entry.ts";
import { ByteReader, ByteWriter } from "../codec/numbers.ts";
import type { Dictionary, Report } from "../dictionary/contract.ts";
import { internalsOf } from "../dictionary/internals.ts";
import { randomBytes } from "../codec/random.ts";
import { ATTRIBUTE, type Attributes } from "../persistence/attributes.ts";
import type { Timers } from "../transport/timers.ts";
import type { StoreClock } from "./clock.ts";
import type { Collector, CollectorOptions } from "./collector.ts";
import { keepingOf, listenersOf } from "./keeping.ts";
import type { Cursor } from "./messages.ts";
import type { PeerExchange, PeerSurroundings } from "./peer-exchange.ts";
import { PresenceHub } from "./presence.ts";
import type { SyncHost } from "./run.ts";
import { sharedExportsOf } from "./shared-exports.ts";

/** What not every store does, so that who does not need it need not load it either. */
export interface Roles {
  /** Undefined for one that does not look for others. */
  readonly peers: ((surroundings: PeerSurroundings) => PeerExchange) | undefined;
  /** Undefined for one that does not collect. */
  readonly collector: ((options: CollectorOptions) => Collector) | undefined;
}

export interface HostedStore extends Roles {
  readonly dictionary: Dictionary;
  readonly attributes: Attributes;
  readonly driftMaxMs: number;
  /** Others keep the same place, each with an order of arrival of its own. */
  readonly isShared: boolean;
  /** Another number after each call that may have given a write of its own, or taken one back. */
  revision(): number;
  readonly clock: StoreClock;
  /** Milliseconds that do not go back. */
  readonly monotonicNow: () => number;
  readonly random: () => number;
  readonly timers: Timers;
  /** Tells the owner. */
  report(report: Report): void;
  /** Something failed for which nobody waits. */
  readonly failed: (error: unknown) => void;
  /** As in `SyncHost`. */
  keep(sync: boolean): Promise<void>;
  /** Something may have changed. */
  touch(): void;
  onChange(listener: () => void): () => void;
}

/** A store as its own connections see it. */
export interface StoreHost extends SyncHost {
  /** Whether it is this store that collects tombstones for all. */
  readonly isCollector: boolean;
  /** Nothing of it goes on. */
  stop(): void;
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

/** Cursors are kept under this and the id of a store. */
const PEER = "peer/";
const CURSORS_MAX = 16_384;
/** What was acknowledged, under this and the name of a connection. */
const CONNECTION = "connection/";

export function syncHostOf(store: HostedStore): StoreHost {
  const { dictionary, attributes, driftMaxMs } = store;
  const internals = internalsOf(dictionary);
  const keptEpoch = attributes.get(ATTRIBUTE.epoch) ?? new Uint8Array(8);
  const epoch = store.isShared ? randomBytes(8) : keptEpoch;
  let rereadCount = 0;
  let staged: { readonly storeId: string; readonly parts: readonly Uint8Array[] } | undefined;
  const storeId = idText(attributes.get(ATTRIBUTE.storeId) ?? new Uint8Array(16));
  const { keep, requireSync } = keepingOf(store);
  const listeners = listenersOf(store, keep);
  const raised = (): void => {
    requireSync();
    store.touch();
  };
  const remember = rememberedOf(attributes);
  const collector = collectorOf(store, storeId, raised);
  return {
    get isCollector() {
      return collector?.isNamed ?? false;
    },
    stop() {
      collector?.close();
      this.peers?.close();
    },
    presence: new PresenceHub(),
    peers: store.peers?.({
      storeId,
      timers: store.timers,
      random: store.random,
      now: store.monotonicNow,
    }),
    get revision() {
      return store.revision() + rereadCount;
    },
    acknowledgedOf: (connection) => decodeAcknowledged(attributes.get(CONNECTION + connection)),
    rememberAcknowledged: (connection, acknowledged) =>
      attributes.set(CONNECTION + connection, encodeAcknowledged(acknowledged)),
    keep,
    onChange: (listener) => listeners.add(listener),
    replica: {
      entries: internals.entries,
      storeId,
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
      stage(other, parts) {
        staged = { storeId: other, parts };
      },
      hasStaged: (other) => staged?.storeId === other,
      takeStaged(other) {
        const parts = staged?.storeId === other ? [...staged.parts] : [];
        staged = undefined;
        return parts;
      },
      followClock(millis) {
        if (!store.clock.follow(millis)) return false;
        store.report({ code: "clock-corrected", offsetMs: store.clock.offsetMs });
        dictionary.restamp();
        raised();
        return true;
      },
      mismatched: (other) => store.report({ code: "digest-mismatch", storeId: other }),
      acknowledged: (other, frontier) => collector?.acknowledged(other, frontier),
      cursorOf: (other) => decodeCursor(attributes.get(PEER + other)),
      rememberCursor(other, cursor) {
        const before = decodeCursor(attributes.get(PEER + other));
        if (before?.epoch === cursor.epoch && before.place === cursor.place) return;
        remember(PEER + other, encodeCursor(cursor));
      },
    },
  };
}

/** Keeps so many cursors, those of whom something was heard last. */
function rememberedOf(attributes: Attributes): (name: string, value: Uint8Array) => void {
  const names = new Set([...attributes.all.keys()].filter((name) => name.startsWith(PEER)));
  return (name, value) => {
    names.delete(name);
    names.add(name);
    attributes.note(name, value);
    const [oldest] = names;
    if (names.size <= CURSORS_MAX || oldest === undefined) return;
    names.delete(oldest);
    attributes.note(oldest, undefined);
  };
}

function collectorOf(
  { dictionary, attributes, clock, timers, failed, collector: create }: HostedStore,
  storeId: string,
  onRaise: () => void,
): Collector | undefined {
  if (create === undefined) return undefined;
  const { entries } = internalsOf(dictionary);
  const { now } = clock;
  const onFailed = failed;
  const options = { dictionary, entries, attributes, storeId, now, timers, onRaise, onFailed };
  const collector = create(options);
  onRaise();
  return collector;
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
