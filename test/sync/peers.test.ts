/** The table of peers: alone, and many of them in a world where stores come, go and cannot be reached. */

import { describe, expect, test } from "vitest";

import { ADDRESSES_MAX } from "../../ts/sync/limits.ts";
import { type PeerSession, PeerTable, type ToldPeers } from "../../ts/sync/peers.ts";
import { type Random, seededRandom } from "../suites/random.ts";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const STEP_MS = 5 * SECOND;

describe("a table", () => {
  test("connects to what it is told, as far as there is room, and tells on only what it reached", () => {
    const table = tableOf("5", { address: "me", connectionsMax: 2 });
    const friend = session("1");
    table.began(friend);
    expect(table.told).toEqual({ address: "me", others: [] });
    table.heard(friend, { address: "", others: ["a", "me", "b", "c"] }, 0);
    const wanted = table.wanted(0);
    expect(wanted).toHaveLength(2);
    expect(wanted).not.toContain("me");
    expect(table.told).toEqual({ address: "me", others: [] });

    const [first = ""] = wanted;
    table.began(session("6", first));
    expect(table.wanted(1)).toEqual(wanted);
    expect(table.told).toEqual({ address: "me", others: [first] });
    expect(table.told).toBe(table.told);
  });

  test("tells on where those are that are connected, as they say it", () => {
    const table = tableOf("5");
    const friend = session("1");
    table.began(friend);
    const before = table.told;
    table.heard(friend, { address: "a", others: ["b"] }, 0);
    expect(table.told).toEqual({ address: "", others: ["a"] });
    expect(table.told).not.toBe(before);
    table.ended(friend, 0);
    expect(table.told).toEqual({ address: "", others: [] });
  });

  test("gives an address up that cannot be reached, tries it again later, and forgets it in the end", () => {
    const table = tableOf("5");
    const friend = session("1");
    table.began(friend);
    table.heard(friend, { address: "", others: ["a"] }, 0);
    const times: string[] = [];
    let wasWanted = false;
    for (let now = 0, ends = false; !ends; now = table.nextMs(now) ?? now) {
      const isWanted = table.wanted(now).includes("a");
      if (isWanted !== wasWanted) times.push(`${isWanted ? "from" : "to"} ${now / SECOND} s`);
      wasWanted = isWanted;
      ends = table.nextMs(now) === undefined;
    }
    expect(times).toEqual([
      "from 0 s",
      "to 30 s",
      "from 90 s",
      "to 120 s",
      "from 240 s",
      "to 270 s",
    ]);
    expect(table.wanted(100 * MINUTE)).toEqual([]);
    // Told anew, it is new.
    table.heard(friend, { address: "", others: ["a"] }, 0);
    expect(table.wanted(100 * MINUTE)).toEqual(["a"]);
  });

  test("keeps the place of one that was reached for half a minute, and then gives it to another", () => {
    const table = tableOf("5", { connectionsMax: 1 });
    const [friend, peer] = [session("1"), session("6", "a")];
    table.began(friend);
    table.heard(friend, { address: "", others: ["a"] }, 0);
    expect(table.wanted(0)).toEqual(["a"]);
    table.began(peer);
    table.heard(friend, { address: "", others: ["a", "b"] }, 0);
    expect(table.wanted(10 * MINUTE)).toEqual(["a"]);
    table.ended(peer, 10 * MINUTE);
    expect(table.told.others).toEqual([]);
    expect(table.nextMs(10 * MINUTE)).toBe(10 * MINUTE + 30 * SECOND);
    expect(table.wanted(10 * MINUTE + 29 * SECOND)).toEqual(["a"]);
    expect(table.wanted(10 * MINUTE + 30 * SECOND)).toEqual(["b"]);
  });

  test("knows one that it reached also when all who told it are gone, the others not for long", () => {
    const table = tableOf("5", { connectionsMax: 1 });
    const friend = session("1");
    table.began(friend);
    table.heard(friend, { address: "", others: ["a"] }, 0);
    expect(table.wanted(0)).toEqual(["a"]);
    const peer = session("6", "a");
    table.began(peer);
    table.heard(friend, { address: "", others: ["a", "b"] }, 0);
    table.ended(friend, MINUTE);
    expect(table.wanted(20 * MINUTE)).toEqual(["a"]);
    table.ended(peer, 20 * MINUTE);
    expect(table.wanted(20 * MINUTE)).toEqual(["a"]);
    expect(table.wanted(21 * MINUTE)).toEqual([]);
    expect(table.wanted(22 * MINUTE)).toEqual(["a"]);
  });

  test("ends a connection to itself, and never makes another", () => {
    const table = tableOf("5");
    const friend = session("1");
    table.began(friend);
    table.heard(friend, { address: "", others: ["mirror"] }, 0);
    expect(table.wanted(0)).toEqual(["mirror"]);
    const own = session("5", "mirror");
    table.began(own);
    expect(table.wanted(1)).toEqual([]);
    table.ended(own, 1);
    table.heard(friend, { address: "mirror", others: ["mirror"] }, 0);
    expect(table.wanted(100 * MINUTE)).toEqual([]);
  });

  test("never wants what no connector takes", () => {
    const table = tableOf("5");
    const friend = session("1");
    table.began(friend);
    table.heard(friend, { address: "", others: ["gopher://x", "b"] }, 0);
    table.refuse("gopher://x");
    table.heard(friend, { address: "", others: ["gopher://x", "b"] }, 0);
    expect(table.wanted(0)).toEqual(["b"]);
  });

  test("makes no second link to a store that it is connected to, and of two that both made keeps that of the lesser", () => {
    for (const [own, isKept] of [
      ["5", false],
      ["0", true],
    ] as const) {
      const table = tableOf(own);
      const incoming = session("1", undefined, false);
      table.began(incoming);
      table.heard(incoming, { address: "a", others: [] }, 0);
      expect(table.wanted(0)).toEqual(["a"]);
      table.began(session("1", "a"));
      expect(table.wanted(1)).toEqual(isKept ? ["a"] : []);
    }
    // One that was asked for stays, and so does one of two addresses of a store.
    const table = tableOf("0");
    const asked = session("1");
    table.began(asked);
    table.heard(asked, { address: "", others: ["a", "b", "c"] }, 0);
    expect(table.wanted(0)).toHaveLength(3);
    const [a, b] = [session("1", "a"), session("2", "b")];
    for (const each of [a, b, session("2", "c")]) table.began(each);
    expect(table.wanted(1)).toEqual(["b"]);
    table.ended(a, 2);
    table.ended(b, 2);
    table.ended(asked, 2);
    expect(table.wanted(2)).toContain("a");
  });

  test("takes no more from one session than a message may tell, none that is too long, and 256 in all", () => {
    const table = tableOf("5", { connectionsMax: 1000 });
    const first = session("1");
    table.began(first);
    table.heard(
      first,
      {
        address: "x".repeat(257),
        others: ["", "\ud800", "é".repeat(129), "é".repeat(128), ...addresses("first", 100)],
      },
      0,
    );
    expect(table.wanted(0)).toHaveLength(ADDRESSES_MAX - 3);
    for (let number = 2; number < 10; number += 1) {
      const more = session(String(number));
      table.began(more);
      table.heard(more, { address: "", others: addresses(String(number), 64) }, 0);
    }
    expect(table.wanted(0)).toHaveLength(256);
  });

  test("forgets in a while what nobody tells any more, sooner where there is no room, and listens only to sessions that are there", () => {
    const table = tableOf("5", { connectionsMax: 1000 });
    const [one, strange] = [session("1"), session("3")];
    table.began(one);
    table.heard(strange, { address: "s", others: ["t"] }, 0);
    table.ended(strange, 0);
    expect(table.wanted(0)).toEqual([]);

    // Without having been tried.
    table.heard(one, { address: "", others: ["a"] }, 0);
    table.heard(one, { address: "", others: [] }, MINUTE);
    for (let number = 0; number < 4; number += 1) {
      const teller = session(`teller ${number}`);
      table.began(teller);
      table.heard(teller, { address: "", others: addresses(`${number}`, 64) }, MINUTE);
    }
    const wanted = table.wanted(2 * MINUTE);
    expect(wanted).toHaveLength(256);
    expect(wanted).not.toContain("a");

    for (const [minute, isKnown] of [
      [10, true],
      [11, false],
    ] as const) {
      const other = tableOf("5");
      other.began(one);
      other.heard(one, { address: "", others: ["a"] }, 0);
      other.ended(one, MINUTE);
      expect(other.wanted(minute * MINUTE)).toEqual(isKnown ? ["a"] : []);
    }
  });
});

describe("many stores that know one", () => {
  test("find each other, stay connected when that one is gone, and forget who vanished", () => {
    for (let seed = 1; seed <= 100; seed += 1) {
      const world = new World(seed, { count: 20, connectionsMax: 3 });
      world.run(3 * MINUTE);
      expect(world.problem(), `seed ${seed}`).toBeUndefined();
      world.remove([0]);
      world.run(3 * MINUTE);
      expect(world.problem(), `seed ${seed}, without the first`).toBeUndefined();
      world.remove([1, 2, 3, 4, 5, 6]);
      world.run(20 * MINUTE);
      expect(world.problem(), `seed ${seed}, without seven`).toBeUndefined();
      expect(world.staleCount, `seed ${seed}`).toBe(0);
    }
  });

  test("also where a third cannot be reached and one tells nothing but wrong addresses", () => {
    for (let seed = 1; seed <= 50; seed += 1) {
      const world = new World(seed, { count: 18, connectionsMax: 4, hiddenShare: 3, liarCount: 1 });
      world.run(15 * MINUTE);
      expect(world.problem(), `seed ${seed}`).toBeUndefined();
      expect(world.secondHandLies, `seed ${seed}`).toBe(0);
    }
  });
});

function tableOf(
  storeId: string,
  options: { readonly address?: string; readonly connectionsMax?: number } = {},
): PeerTable {
  return new PeerTable({ storeId, random: chanceOf(seededRandom(1)), ...options });
}

function addresses(from: string, count: number): string[] {
  return Array.from({ length: count }, (_, at) => `${from}/${at}`);
}

function session(storeId: string, address?: string, isOpener = true): PeerSession {
  return { storeId, address, isOpener };
}

function chanceOf(random: Random): () => number {
  return () => random.bits() / 2 ** 32;
}

interface WorldOptions {
  readonly count: number;
  readonly connectionsMax: number;
  /** One in so many has no address. Default: none. */
  readonly hiddenShare?: number;
  /** How many of the last ones tell wrong addresses. Default: 0. */
  readonly liarCount?: number;
}

/** One side of a link. */
interface End {
  readonly owner: Member;
  readonly session: PeerSession;
  /** What this side told last. */
  said: ToldPeers | undefined;
}

interface Member {
  readonly number: number;
  readonly storeId: string;
  readonly address: string;
  readonly table: PeerTable;
  readonly isLiar: boolean;
  isHere: boolean;
}

/** Stores of which all but the first were told to connect to the first; links are made and ended at once, a step takes five seconds. */
class World {
  readonly #random: Random;
  readonly #members: Member[] = [];
  readonly #options: WorldOptions;
  readonly #links = new Map<string, readonly [End, End]>();
  #nowMs = 0;

  constructor(seed: number, options: WorldOptions) {
    this.#random = seededRandom(seed);
    this.#options = options;
    const { count, connectionsMax, hiddenShare, liarCount = 0 } = options;
    for (let number = 0; number < count; number += 1) {
      const isHidden = number > 0 && hiddenShare !== undefined && number % hiddenShare === 0;
      const storeId = String(this.#random.bits());
      const address = isHidden ? "" : `at/${number}`;
      const table = new PeerTable({
        storeId,
        address,
        connectionsMax,
        random: chanceOf(seededRandom(seed * 100 + number)),
      });
      const isLiar = number >= count - liarCount;
      this.#members.push({ number, storeId, address, table, isLiar, isHere: true });
    }
  }

  get #here(): readonly Member[] {
    return this.#members.filter(({ isHere }) => isHere);
  }

  run(ms: number): void {
    const until = this.#nowMs + ms;
    for (; this.#nowMs < until; this.#nowMs += STEP_MS) this.#step();
  }

  remove(numbers: readonly number[]): void {
    for (const number of numbers) (this.#members[number] as Member).isHere = false;
    for (const [name, [left, right]] of this.#links) {
      if (!left.owner.isHere || !right.owner.isHere) this.#unlink(name);
    }
  }

  /** Addresses of those who are gone, as far as anybody knows them. */
  get staleCount(): number {
    const gone = new Set(
      this.#members.filter(({ isHere }) => !isHere).map(({ address }) => address),
    );
    return this.#here
      .flatMap(({ table }) => [...table.told.others, ...table.wanted(this.#nowMs)])
      .filter((address) => gone.has(address)).length;
  }

  /** Wrong addresses that are told by somebody else than the liar. */
  get secondHandLies(): number {
    return this.#here
      .filter(({ isLiar }) => !isLiar)
      .flatMap(({ table }) => table.told.others)
      .filter((address) => address.startsWith("lie/")).length;
  }

  /** What is wrong: somebody with too many connections, to himself or twice to one, or somebody that no way leads to. */
  problem(): string | undefined {
    const pairs = new Set<string>();
    for (const [{ owner: left }, { owner: right }] of this.#links.values()) {
      if (left === right) return `${left.number} is connected to itself`;
      const pair = [left.number, right.number].toSorted((a, b) => a - b).join("–");
      const isAsked = left.number === 0 || right.number === 0;
      if (pairs.has(pair) && !isAsked) return `${pair} twice`;
      pairs.add(pair);
    }
    for (const { number, table } of this.#here) {
      const { length } = table.wanted(this.#nowMs);
      if (length > this.#options.connectionsMax) return `${number} wants ${length} connections`;
    }
    const missing = this.#here.filter((member) => !this.#reachable().has(member));
    return missing.length === 0 ? undefined : `no way to ${missing[0]?.number}`;
  }

  #reachable(): ReadonlySet<Member> {
    const found = new Set(this.#here.slice(0, 1));
    for (const member of found) {
      for (const [{ owner: left }, { owner: right }] of this.#links.values()) {
        if (left === member) found.add(right);
        if (right === member) found.add(left);
      }
    }
    return found;
  }

  #step(): void {
    const [first] = this.#members as [Member];
    for (const member of this.#here) {
      if (member !== first && first.isHere) this.#link(member, first, undefined);
      this.#reconcile(member);
    }
    for (const [left, right] of this.#links.values()) {
      tell(left, right, this.#nowMs);
      tell(right, left, this.#nowMs);
    }
  }

  /** Has those connections that the table wants. */
  #reconcile(member: Member): void {
    const wanted = member.table.wanted(this.#nowMs);
    for (const [name, [left]] of this.#links) {
      const { address } = left.session;
      if (left.owner === member && address !== undefined && !wanted.includes(address)) {
        this.#unlink(name);
      }
    }
    for (const address of wanted) {
      const other = this.#here.find((candidate) => candidate.address === address);
      if (other !== undefined) this.#link(member, other, address);
    }
  }

  #link(from: Member, to: Member, address: string | undefined): void {
    const name = `${from.number}→${to.number} ${address}`;
    if (this.#links.has(name)) return;
    const end = (owner: Member, other: Member, isOpener: boolean): End => ({
      owner,
      session: session(other.storeId, isOpener ? address : undefined, isOpener),
      said: undefined,
    });
    const [left, right] = [end(from, to, true), end(to, from, false)];
    this.#links.set(name, [left, right]);
    from.table.began(left.session);
    to.table.began(right.session);
  }

  #unlink(name: string): void {
    for (const { owner, session: ended } of this.#links.get(name) ?? []) {
      owner.table.ended(ended, this.#nowMs);
    }
    this.#links.delete(name);
  }
}

/** Says what is new. */
function tell(from: End, to: End, nowMs: number): void {
  const told = from.owner.isLiar ? LIES : from.owner.table.told;
  if (told === from.said) return;
  from.said = told;
  to.owner.table.heard(to.session, told, nowMs);
}

const LIES: ToldPeers = {
  address: "",
  others: Array.from({ length: 64 }, (_, at) => `lie/${at}`),
};
