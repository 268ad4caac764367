/** Which writes of this store the other side of a connection has acknowledged; kept across restarts. */

import { lastCounter } from "../codec/dots.ts";
import { idText } from "../codec/entry.ts";
import { decodeVersion } from "../codec/version.ts";
import type { StoreHost } from "./host.ts";

type Counters = ReadonlyMap<string, number>;

/** The own writes that came before a place in the order of arrival. */
interface Checkpoint {
  readonly place: number;
  readonly counters: Counters;
}

export class Ledger {
  readonly #host: StoreHost;
  readonly #name: string;
  /** Whose acknowledgement it is; empty for nobody yet. */
  #storeId: string;
  #acknowledged: Counters;
  /** Ascending; of this session. */
  #checkpoints: Checkpoint[] = [];
  #notedHead = -1;
  #counted: { readonly revision: number; readonly counters: Counters } | undefined;

  /** `name`: that of the connection. */
  constructor(host: StoreHost, name: string) {
    this.#host = host;
    // A lone surrogate could not be kept.
    this.#name = name.toWellFormed();
    const kept = host.acknowledgedOf(this.#name);
    this.#storeId = kept?.storeId ?? "";
    this.#acknowledged = kept?.counters ?? new Map();
    // So that what is written from here on is still known to be own under another id.
    if (!this.#acknowledged.has(this.#ownId)) this.#keep(this.#withOwn(this.#acknowledged));
  }

  /** How many writes are not acknowledged. Costs reading the version after a write, else nothing. */
  get pendingCount(): number {
    let count = 0;
    // What was counted may still have ids of which everything is acknowledged by now.
    const written = this.#written();
    for (const [id, acknowledged] of this.#withOwn(this.#acknowledged)) {
      count += Math.max(0, (written.get(id) ?? 0) - acknowledged);
    }
    return count;
  }

  /** A session begins. */
  begin(): void {
    this.#checkpoints = [];
    this.#notedHead = -1;
  }

  /** After each step of a session: the store of that id has everything up to `ackedPlace`. */
  take(storeId: string | undefined, ackedPlace: number): void {
    if (storeId !== undefined && storeId !== this.#storeId) this.#meet(storeId);
    this.#note();
    let reached: Checkpoint | undefined;
    while ((this.#checkpoints[0]?.place ?? Infinity) <= ackedPlace) {
      reached = this.#checkpoints.shift();
    }
    if (reached === undefined) return;
    // All that was written under former ids came before it.
    const own = reached.counters.get(this.#ownId) ?? 0;
    this.#keep(new Map([[this.#ownId, own]]));
  }

  get #ownId(): string {
    return idText(this.#host.replica.entries.replicaId());
  }

  /** Whoever it is has acknowledged nothing of what somebody else has. */
  #meet(storeId: string): void {
    const isFirst = this.#storeId === "";
    this.#storeId = storeId;
    const ids = [...this.#acknowledged.keys()];
    this.#keep(isFirst ? this.#acknowledged : new Map(ids.map((id) => [id, 0])));
  }

  #note(): void {
    const { entries } = this.#host.replica;
    const place = entries.head();
    if (place === this.#notedHead) return;
    this.#notedHead = place;
    const counters = this.#written();
    const last = this.#checkpoints.at(-1)?.counters;
    if (last === undefined || !isSame(last, counters)) this.#checkpoints.push({ place, counters });
  }

  /** Up to which counter there are writes under the ids that are of interest. */
  #written(): Counters {
    const { revision } = this.#host;
    const counted = this.#counted;
    if (counted?.revision === revision && counted.counters.has(this.#ownId)) {
      return counted.counters;
    }
    const counters = this.#count();
    this.#counted = { revision, counters };
    return counters;
  }

  #count(): Counters {
    const version = decodeVersion(this.#host.replica.entries.version());
    const ids = this.#withOwn(this.#acknowledged).keys();
    return new Map(Array.from(ids, (id) => [id, lastCounter(version, id)]));
  }

  #withOwn(counters: Counters): Counters {
    return counters.has(this.#ownId) ? counters : new Map([...counters, [this.#ownId, 0]]);
  }

  #keep(counters: Counters): void {
    this.#acknowledged = counters;
    this.#host.rememberAcknowledged(this.#name, { storeId: this.#storeId, counters });
  }
}

function isSame(one: Counters, other: Counters): boolean {
  if (one.size !== other.size) return false;
  for (const [id, counter] of one) if (other.get(id) !== counter) return false;
  return true;
}
