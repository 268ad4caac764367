/** What a dictionary knows, and the few ways in which that changes. Every change can be undone. */

import { type Collector, joinCollectors } from "../../codec/collector.ts";
import { SeenDots, type Vector, type Version } from "../../codec/dots.ts";
import {
  compareStamps,
  type Dot,
  type Entry,
  followingHlc,
  type Hlc,
  HLC_ZERO,
  laterHlc,
  MILLIS_END,
  type Stamp,
} from "../../codec/entry.ts";
import type { PlainValue } from "../../codec/plain.ts";
import { ArrivalLog } from "./arrival-log.ts";
import { type EntryName, Holdings, type MergeTarget } from "./holdings.ts";
import { PendingDeltas } from "./pending-deltas.ts";
import { SortedKeys } from "./sorted-keys.ts";
import type { Known } from "./told.ts";

/** An entry in a dictionary. */
export interface HeldEntry extends Entry {
  /** Its place in the arrival log. */
  place: number;
}

/** What the own storage knows: the state at the last journal. */
export interface JournalMark {
  /** The head of the arrival log. */
  readonly place: number;
  readonly known: Known;
  readonly clock: Hlc;
  readonly floor: Hlc;
  readonly replicaId: string;
}

/** Told of each change of a value, of the empty sort too. */
export type ChangeListener = (
  key: string,
  value: PlainValue | undefined,
  previous: PlainValue | undefined,
) => void;

export class State implements MergeTarget {
  replicaId: string;
  /** The id to take when the own one turns out to be cloned. */
  spareId: string;
  readonly driftMaxMs: number;
  readonly holdings: Holdings<HeldEntry> = new Holdings();
  readonly keys: SortedKeys = new SortedKeys();
  readonly log: ArrivalLog<HeldEntry> = new ArrivalLog();
  readonly pending: PendingDeltas = new PendingDeltas();
  version: SeenDots = new SeenDots();
  horizon: Map<string, number> = new Map();
  /** The greatest collected stamp. */
  collected: Stamp | undefined;
  /** The store that is named to collect tombstones. */
  collector: Collector | undefined;
  /** The last HLC given out or seen. */
  clock: Hlc = HLC_ZERO;
  /** The greatest HLC that somebody else may know: re-stamping never goes below. */
  floor: Hlc = HLC_ZERO;
  /** None before the first journal or replay. */
  mark: JournalMark | undefined;
  /** What changed since the mark can no longer be told as a difference. */
  isJournalBroken = false;
  /** Entries came from storage without the journal that tells their places. */
  hasBareEntries = false;
  /** Grows with every change of what is held. */
  revision = 0;
  onChange: ChangeListener | undefined;
  #undo: Undo | undefined;

  constructor(replicaId: string, spareId: string, driftMaxMs: number) {
    this.replicaId = replicaId;
    this.spareId = spareId;
    this.driftMaxMs = driftMaxMs;
  }

  /** Puts an entry in the place of its rival, and at the end of the arrival log. */
  put({ key, isPrefix, value, stamp, dot, origin }: Entry): void {
    const held: HeldEntry = { key, isPrefix, value, stamp, dot, origin, place: 0 };
    const rival = this.holdings.put(held);
    if (rival !== undefined) this.log.leave(rival);
    else if (!isPrefix) this.keys.add(key);
    this.log.append(held);
    this.#changed(held, value, rival);
  }

  /** Removes an entry that is held. */
  drop(entry: EntryName): void {
    const held = this.holdings.drop(entry);
    if (held === undefined) return;
    this.log.leave(held);
    if (!held.isPrefix) this.keys.remove(held.key);
    this.#changed(held, undefined, held);
  }

  /** The next HLC of the clock. */
  tick(now: number): Hlc {
    const wall: Hlc = { millis: Math.min(now, MILLIS_END - 1), counter: 0 };
    this.clock = laterHlc(followingHlc(this.clock) ?? this.clock, wall);
    return this.clock;
  }

  isClockAhead(now: number): boolean {
    return this.isBeyondDrift(this.clock, now);
  }

  isBeyondDrift({ millis }: Hlc, now: number): boolean {
    return millis > now + this.driftMaxMs;
  }

  addOwnDot(): Dot {
    return this.version.addOwn(this.replicaId);
  }

  addDots(dots: readonly Dot[]): void {
    this.version.add(dots, this.replicaId);
  }

  adoptVersion(version: Version): void {
    this.version.adopt(version, this.replicaId);
  }

  raiseClock(hlc: Hlc): void {
    this.clock = laterHlc(this.clock, hlc);
  }

  raiseFloor(hlc: Hlc): void {
    this.floor = laterHlc(this.floor, hlc);
  }

  isCollected({ replicaId, counter }: Dot): boolean {
    return counter <= (this.horizon.get(replicaId) ?? 0);
  }

  /** Joins a horizon to the own one; whether that added anything. */
  joinHorizon(vector: Vector, collected: Stamp | undefined): boolean {
    let isRaised = false;
    for (const [id, counter] of vector) {
      if (counter <= (this.horizon.get(id) ?? 0)) continue;
      this.horizon.set(id, counter);
      isRaised = true;
    }
    if (collected !== undefined && this.#raiseCollected(collected)) isRaised = true;
    return isRaised;
  }

  /** Joins what somebody said about who collects. */
  joinCollector(collector: Collector | undefined): void {
    if (collector === undefined) return;
    this.raiseClock(collector.stamp);
    this.raiseFloor(collector.stamp);
    this.collector = joinCollectors(this.collector, collector);
  }

  /** Drops every tombstone up to the horizon, and returns how many there were. */
  dropCollected(): number {
    const dropped = [...this.holdings.all()].filter(
      (held) => held.value === undefined && this.isCollected(held.dot),
    );
    for (const tombstone of dropped) {
      this.#raiseCollected(tombstone.stamp);
      this.drop(tombstone);
      // Storage may hold what this one removed, and will not be told of it.
      if (this.mark !== undefined && tombstone.place >= this.mark.place) this.breakJournal();
    }
    return dropped.length;
  }

  /** Lets the next journal be whole; the first one is as good as that. */
  breakJournal(): void {
    if (this.mark !== undefined) this.isJournalBroken = true;
  }

  /** Ends a call that may have changed something. */
  settleLog(): void {
    if (this.#undo === undefined) this.log.packIfSparse(this.holdings.count);
  }

  get isInTransaction(): boolean {
    return this.#undo !== undefined;
  }

  begin(): void {
    this.#undo = {
      formers: [],
      version: new SeenDots(this.version),
      clock: this.clock,
      floor: this.floor,
      head: this.log.head,
    };
  }

  commit(): void {
    this.#undo = undefined;
    this.settleLog();
  }

  rollback(): void {
    const undo = this.#undo;
    if (undo === undefined) return;
    this.#undo = undefined;
    for (const { name, former } of undo.formers.toReversed()) {
      const later = former === undefined ? this.holdings.drop(name) : this.holdings.put(former);
      if (name.isPrefix) continue;
      if (former === undefined) this.keys.remove(name.key);
      else if (later === undefined) this.keys.add(name.key);
    }
    this.log.truncate(undo.head);
    for (const { former } of undo.formers) {
      if (former !== undefined && former.place < undo.head) this.log.restore(former);
    }
    this.version = undo.version;
    this.clock = undo.clock;
    this.floor = undo.floor;
    this.revision++;
  }

  #changed(name: EntryName, value: PlainValue | undefined, former: HeldEntry | undefined): void {
    this.#undo?.formers.push({ name, former });
    this.revision++;
    if (!name.isPrefix) this.onChange?.(name.key, value, former?.value);
  }

  /** Lets clock and floor know of a collected stamp, too; whether it is the greatest. */
  #raiseCollected(stamp: Stamp): boolean {
    this.raiseClock(stamp);
    this.raiseFloor(stamp);
    if (this.collected !== undefined && compareStamps(stamp, this.collected) <= 0) return false;
    this.collected = stamp;
    return true;
  }
}

/** What a transaction has to remember to be undone; nothing else changes during one. */
interface Undo {
  /** What was held before each change, oldest first. */
  readonly formers: { readonly name: EntryName; readonly former: HeldEntry | undefined }[];
  readonly version: SeenDots;
  readonly clock: Hlc;
  readonly floor: Hlc;
  readonly head: number;
}
