/** Whom a replica knows beside those it was told to connect to: a table of addresses without links, timers or a clock. docs/protocol.md, Peers. */

import { isText } from "../codec/text.ts";
import { ADDRESS_BYTES_MAX, ADDRESSES_MAX } from "./limits.ts";
import type { Peers } from "./messages.ts";

/** To how many addresses the table connects at once, if nobody says otherwise. */
export const CONNECTIONS_MAX = 8;

/** The most addresses that are known. */
const KNOWN_MAX = 256;
/** The most addresses that are known not to be wanted: those of this store, and those that no connector takes. */
const REFUSED_MAX = 256;
/** How long an address is tried. */
const TRY_MS = 30_000;
/** How long it is left alone after that; twice as long after the second time. */
const REST_MS = 60_000;
/** After so many times in a row it is forgotten. */
const TRIES_MAX = 3;
/** How long one is known that was never reached, once nobody tells it any more: who told it may be what went away. */
const KEEP_MS = 600_000;

/** What one side of a session tells the other. */
export type ToldPeers = Omit<Peers, "type">;

/** A session with another store, from the hello of that one on; the table tells it from others by its identity. */
export interface PeerSession {
  readonly storeId: string;
  /** Of `wanted`, when that led to it; else undefined. */
  readonly address: string | undefined;
  /** Whether this side made the link. */
  readonly isOpener: boolean;
}

export interface PeerTableOptions {
  readonly storeId: string;
  /** Under which others reach this store. Default: they cannot. */
  readonly address?: string | undefined;
  /** To how many addresses it connects at once. Default: 8. */
  readonly connectionsMax?: number | undefined;
  /** From 0 up to, but not, 1. */
  readonly random: () => number;
}

/** An address that somebody told. */
interface Known {
  /** The sessions that tell it. */
  readonly tellers: Set<PeerSession>;
  /** Since when nobody does. */
  untoldSinceMs: number;
  /** Of the store that was reached under it last. */
  storeId: string | undefined;
  /** While it is wanted: since when it has not been reached, or that it is. */
  state: { readonly triedSinceMs: number } | "reached" | "idle";
  /** How often in a row it was tried for nothing. */
  missCount: number;
  restsUntilMs: number;
}

/**
 * The addresses that sessions told, and which of them to be connected to. Who has one asks `wanted` after each call and at `nextMs`, keeps a connection to each of those addresses, ends the others,
 * and says `told` to each session, first and when it is another one. Times are milliseconds of any clock that does not go back.
 *
 * Addresses come from outside: at most 256 are known, none longer than 256 bytes; one that cannot be reached within 30 s, three times, is forgotten. Only those are told on that were reached, or are of a
 * store that is connected, so a wrong one goes no further than one step beyond the session that tells it.
 */
export class PeerTable {
  readonly #storeId: string;
  readonly #address: string;
  readonly #connectionsMax: number;
  readonly #random: () => number;
  readonly #known = new Map<string, Known>();
  readonly #sessions = new Map<PeerSession, ToldPeers>();
  readonly #refused = new Set<string>();
  #told: ToldPeers;

  constructor(options: PeerTableOptions) {
    const { storeId, address = "", connectionsMax = CONNECTIONS_MAX, random } = options;
    this.#storeId = storeId;
    this.#address = address;
    this.#connectionsMax = connectionsMax;
    this.#random = random;
    this.#told = { address, others: [] };
  }

  /** What to tell each session; another object when something changed. */
  get told(): ToldPeers {
    const others = this.#vouchedFor();
    const before = this.#told.others;
    const isSame = others.length === before.length && others.every((at) => before.includes(at));
    if (!isSame) this.#told = { address: this.#address, others };
    return this.#told;
  }

  /** A session has heard hello; also one that has nothing to do with the table. */
  began(session: PeerSession): void {
    this.#sessions.set(session, { address: "", others: [] });
    const { address, storeId } = session;
    const known = address === undefined ? undefined : this.#known.get(address);
    if (address === undefined || known === undefined) return;
    if (storeId === this.#storeId) {
      this.refuse(address);
      return;
    }
    known.storeId = storeId;
    known.missCount = 0;
    if (known.state !== "idle") known.state = "reached";
  }

  /** The other side of a session told where it and others are. */
  heard(session: PeerSession, told: ToldPeers, nowMs: number): void {
    const before = this.#sessions.get(session);
    if (before === undefined) return;
    const others = told.others.slice(0, ADDRESSES_MAX).filter((address) => isAddress(address));
    const address = isAddress(told.address) ? told.address : "";
    this.#sessions.set(session, { address, others });
    for (const each of [address, ...others]) this.#learn(each, session);
    for (const each of addressesOf(before)) {
      if (each !== address && !others.includes(each)) this.#unlearn(each, session, nowMs);
    }
  }

  /** A session ended. */
  ended(session: PeerSession, nowMs: number): void {
    const told = this.#sessions.get(session);
    if (told === undefined) return;
    this.#sessions.delete(session);
    for (const address of addressesOf(told)) this.#unlearn(address, session, nowMs);
    const known = session.address === undefined ? undefined : this.#known.get(session.address);
    if (known?.state === "reached") known.state = { triedSinceMs: nowMs };
  }

  /** There is no way to connect to an address: it is never wanted again. */
  refuse(address: string): void {
    this.#known.delete(address);
    this.#refused.add(address);
    if (this.#refused.size <= REFUSED_MAX) return;
    const [oldest] = this.#refused;
    if (oldest !== undefined) this.#refused.delete(oldest);
  }

  /** To which addresses to be connected from now on. */
  wanted(nowMs: number): readonly string[] {
    for (const [address, known] of this.#known) {
      if (known.state === "reached") {
        if (this.#isNeedless(address, known)) known.state = "idle";
      } else if (known.state !== "idle" && nowMs >= known.state.triedSinceMs + TRY_MS) {
        this.#miss(address, known, nowMs);
      }
      if (isSpare(known) && nowMs >= known.untoldSinceMs + KEEP_MS) this.#known.delete(address);
    }
    this.#choose(nowMs);
    return [...this.#known].flatMap(([address, { state }]) => (state === "idle" ? [] : [address]));
  }

  /** When `wanted` may answer something else though nothing was called; undefined when it will not. */
  nextMs(nowMs: number): number | undefined {
    let next = Infinity;
    const hasRoom = this.#wantedCount < this.#connectionsMax;
    for (const known of this.#known.values()) {
      if (known.state === "reached") continue;
      if (known.state !== "idle") next = Math.min(next, known.state.triedSinceMs + TRY_MS);
      else if (hasRoom && known.restsUntilMs > nowMs) next = Math.min(next, known.restsUntilMs);
    }
    return next === Infinity ? undefined : next;
  }

  get #wantedCount(): number {
    let count = 0;
    for (const { state } of this.#known.values()) if (state !== "idle") count++;
    return count;
  }

  #vouchedFor(): readonly string[] {
    const vouched = new Set<string>();
    for (const [address, { state }] of this.#known) if (state === "reached") vouched.add(address);
    for (const { address } of this.#sessions.values()) if (address !== "") vouched.add(address);
    vouched.delete(this.#address);
    return [...vouched].slice(0, ADDRESSES_MAX);
  }

  #learn(address: string, teller: PeerSession): void {
    const known = this.#known.get(address);
    if (known !== undefined) {
      known.tellers.add(teller);
      return;
    }
    if (address === "" || address === this.#address || this.#refused.has(address)) return;
    if (this.#known.size >= KNOWN_MAX && !this.#makeRoom()) return;
    this.#known.set(address, {
      tellers: new Set([teller]),
      untoldSinceMs: Infinity,
      storeId: undefined,
      state: "idle",
      missCount: 0,
      restsUntilMs: -Infinity,
    });
  }

  #unlearn(address: string, teller: PeerSession, nowMs: number): void {
    const known = this.#known.get(address);
    if (known?.tellers.delete(teller) !== true || known.tellers.size > 0) return;
    known.untoldSinceMs = nowMs;
  }

  #makeRoom(): boolean {
    for (const [address, known] of this.#known) {
      if (isSpare(known)) return this.#known.delete(address);
    }
    return false;
  }

  #miss(address: string, known: Known, nowMs: number): void {
    known.missCount++;
    known.state = "idle";
    known.restsUntilMs = nowMs + known.missCount * REST_MS;
    if (known.missCount >= TRIES_MAX) this.#known.delete(address);
  }

  /** Fills what room there is: with those that failed the least, and of these with any, so that not all choose the same. */
  #choose(nowMs: number): void {
    let room = this.#connectionsMax - this.#wantedCount;
    if (room <= 0) return;
    const candidates = [...this.#known.values()]
      .filter(({ state, restsUntilMs, storeId }) => {
        const isFree = state === "idle" && restsUntilMs <= nowMs;
        return isFree && (storeId === undefined || !this.#isConnectedTo(storeId));
      })
      .map((known) => ({ known, rank: known.missCount + this.#random() }))
      .toSorted((left, right) => left.rank - right.rank);
    for (const { known } of candidates) {
      if (room-- <= 0) return;
      known.state = { triedSinceMs: nowMs };
    }
  }

  #isConnectedTo(storeId: string): boolean {
    return [...this.#sessions.keys()].some((session) => session.storeId === storeId);
  }

  /** Whether the store that was reached is connected otherwise too, by a link that stays. Of two links that each side made one, that of the lesser store stays. */
  #isNeedless(address: string, { storeId }: Known): boolean {
    for (const session of this.#sessions.keys()) {
      if (session.storeId !== storeId || session.address === address) continue;
      if (!session.isOpener) {
        if (this.#storeId > session.storeId) return true;
      } else if (session.address === undefined || session.address < address) return true;
    }
    return false;
  }
}

/** Nobody tells it, and it was never reached; who was may be all that is left. */
function isSpare({ tellers, state, storeId }: Known): boolean {
  return tellers.size === 0 && state === "idle" && storeId === undefined;
}

function addressesOf({ address, others }: ToldPeers): readonly string[] {
  return [address, ...others];
}

/** What may be an address; whether it is one a connector has to say. */
function isAddress(text: string): boolean {
  return text !== "" && isText(text, ADDRESS_BYTES_MAX);
}
