/** Learns where other stores are, and says to which of them to be connected: sessions, time and chance around the table of ./peers.ts. */

import type { Connector } from "../transport/contract.ts";
import type { Timers } from "../transport/timers.ts";
import { type PeerSession, PeerTable, type ToldPeers } from "./peers.ts";

/** How a store finds others beside those it is told of. */
export interface PeerOptions {
  /**
   * Makes what connects to an address that another store told. Addresses come from outside: throw for one that you do not let through, which is then never asked for again.
   */
  readonly connector: (address: string) => Connector;
  /** Under which others reach this store, told to all of them: at most 256 bytes. Default: they cannot. */
  readonly address?: string;
  /** To how many of them to be connected at once, 1 to 256. Default: 8. */
  readonly connectionsMax?: number;
}

/** What it needs of the store beside what its owner chose. */
export interface PeerSurroundings {
  readonly storeId: string;
  readonly timers: Timers;
  /** Milliseconds that do not go back. */
  readonly now: () => number;
  /** From 0 up to, but not, 1. */
  readonly random: () => number;
}

export interface PeerExchangeOptions extends PeerOptions, PeerSurroundings {}

/** A session that takes part. */
export interface PeerMember {
  /** The other side told where it and others are. */
  heard(told: ToldPeers): void;
  /** The session has ended. */
  leave(): void;
}

export class PeerExchange {
  /** Is called with the addresses to be connected to from now on. */
  onWanted: (addresses: readonly string[]) => void = () => {};
  readonly #options: PeerExchangeOptions;
  readonly #table: PeerTable;
  readonly #tellers = new Set<(told: ToldPeers) => void>();
  #told: ToldPeers;
  #cancel = (): void => {};

  constructor(options: PeerExchangeOptions) {
    this.#options = options;
    this.#table = new PeerTable(options);
    this.#told = this.#table.told;
  }

  /** Each side has said what it has; `tell` says to the other side what there is to be told, now and later. */
  join(session: PeerSession, tell: (told: ToldPeers) => void): PeerMember {
    this.#table.began(session);
    this.#tellers.add(tell);
    tell(this.#told);
    this.#review();
    return {
      heard: (told) => {
        this.#table.heard(session, told, this.#options.now());
        this.#review();
      },
      leave: () => {
        this.#tellers.delete(tell);
        this.#table.ended(session, this.#options.now());
        this.#review();
      },
    };
  }

  connectorOf(address: string): Connector | undefined {
    try {
      return this.#options.connector(address);
    } catch {
      this.#table.refuse(address);
      return undefined;
    }
  }

  close(): void {
    this.#cancel();
    this.onWanted = () => {};
  }

  #review(): void {
    const { now, timers } = this.#options;
    this.#cancel();
    const nowMs = now();
    this.onWanted(this.#table.wanted(nowMs));
    const { told } = this.#table;
    if (told !== this.#told) {
      this.#told = told;
      for (const tell of this.#tellers) tell(told);
    }
    const nextMs = this.#table.nextMs(nowMs);
    if (nextMs !== undefined) this.#cancel = timers.after(nextMs - nowMs, () => this.#review());
  }
}
