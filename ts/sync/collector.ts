/** The store that collects tombstones, for all: it raises the horizon to what every known replica has seen. docs/design.md, Collection. */

import { idBytes, idText } from "../codec/entry.ts";
import type { Dictionary } from "../dictionary/contract.ts";
import type { EngineDictionary } from "../engine/contract.ts";
import type { Attributes } from "../persistence/attributes.ts";
import type { Timers } from "../transport/timers.ts";
import { KnownReplicas } from "./known.ts";

export interface CollectorOptions {
  readonly dictionary: Dictionary;
  readonly entries: EngineDictionary;
  readonly attributes: Attributes;
  /** 32 hex digits. */
  readonly storeId: string;
  readonly now: () => number;
  readonly timers: Timers;
  /** The horizon was raised, or somebody became known: that has to survive a loss of power before anybody is told. */
  readonly onRaise: () => void;
  /** What fails where nobody waits for it. */
  readonly onFailed: (error: unknown) => void;
}

/** How long acknowledgements wait, so that one pass does for many. */
const COLLECT_MS = 60_000;

export class Collector {
  readonly #options: CollectorOptions;
  readonly #known: KnownReplicas;
  #cancel: (() => void) | undefined;

  /** Names this store as the one that collects, unless another one is named already. A replica that was silent for `replicaRetentionMs` is waited for no more. */
  constructor(options: CollectorOptions, replicaRetentionMs: number) {
    const { entries, attributes, storeId, now } = options;
    this.#options = options;
    this.#known = new KnownReplicas(attributes, replicaRetentionMs);
    if (entries.collector() === undefined) entries.setCollector(idBytes(storeId), now());
  }

  /** Whether it is this store that is named. */
  get isNamed(): boolean {
    const { entries, storeId } = this.#options;
    const named = entries.collector();
    return named !== undefined && idText(named) === storeId;
  }

  /** That store has everything up to `frontier`, durably. */
  acknowledged(storeId: string, frontier: Uint8Array): void {
    const { now, timers, onRaise, onFailed } = this.#options;
    // Whom it waits for it has to know after a crash, too.
    if (this.#known.acknowledged(storeId, frontier, now())) onRaise();
    this.#cancel ??= timers.after(COLLECT_MS, () => {
      this.#cancel = undefined;
      try {
        this.collect();
      } catch (error) {
        onFailed(error);
      }
    });
  }

  /** Drops the tombstones that all known replicas have seen, and answers how many. */
  collect(): number {
    const { dictionary, now, onRaise } = this.#options;

    const seen = this.isNamed ? this.#known.meet(dictionary.version(), now()) : undefined;
    if (seen === undefined) return 0;
    const before = dictionary.horizon();
    const count = dictionary.collectTombstones(seen);
    if (idText(before) !== idText(dictionary.horizon())) onRaise();
    return count;
  }

  close(): void {
    this.#cancel?.();
  }
}
