/** The steps that tabs with one store go through, without tabs: random networks of them, with a medium that is slow and tabs that die. */

import * as fc from "fast-check";
import { createDictionary, type Dictionary, LastwriteError, loadEngine } from "lastwrite";
import { indexedDbPersistence, opfsPersistence } from "lastwrite/persistence/indexeddb";
import { describe, expect, test } from "vitest";

import { type Message, PROTOCOL, readMessage } from "../../ts/persistence/tab-messages.ts";
import { Follower, Leader, type TabReplica, versionOf } from "../../ts/persistence/tabs.ts";
import { internalsOf } from "../../ts/dictionary/internals.ts";
import { takeIn, takeInSnapshot } from "../../ts/store/take-in.ts";

const engine = await loadEngine({ backend: "script" });

/** One tab: it writes, and waits for what it wrote to be kept. */
class Tab {
  readonly id: string;
  readonly dictionary: Dictionary;
  readonly #world: World;
  leader: Leader | undefined;
  follower: Follower | undefined;
  /** What comes from each other tab, in the order in which that sent it. */
  readonly inbox = new Map<Tab, unknown[]>();
  isDead = false;
  /** One thing is written at a time. */
  #writing: Promise<void> = Promise.resolve();
  isAppending = false;
  #lastKey = 0;

  constructor(world: World, number: number) {
    this.#world = world;
    this.id = `tab ${number}`;
    const replicaId = number.toString(16).padStart(32, "0");
    this.dictionary = createDictionary({ engine, replicaId, clock: () => world.now });
  }

  /** As opening does: what is on the medium, then what the leader says. */
  open(): void {
    this.#readMedium();
    this.follower = new Follower(this.id, this.#replica, this.#send, () => {});
  }

  lead(): void {
    this.#readMedium();
    const { frames } = this.#takeJournal(true);
    this.#world.medium = frames;
    this.#world.term++;
    this.leader = new Leader(this.#world.term, this.#replica, versionOf(frames), this.#send);
    this.follower?.succeed();
    this.follower = undefined;
  }

  #readMedium(): void {
    const kept = this.#world.readMedium();
    takeIn(engine, this.dictionary, kept);
    kept.close();
  }

  /** Removes what others may not have seen, and forgets that it was there. */
  collect(): void {
    this.dictionary.set("temporary", this.id);
    this.dictionary.delete("temporary");
    this.dictionary.delete("of all");
    this.dictionary.collectTombstones(this.dictionary.version());
  }

  /** Writes one key, and appends unless that is under way. */
  write(): void {
    this.#lastKey++;
    this.dictionary.set(`${this.id}/${this.#lastKey}`, this.#lastKey);
    this.dictionary.set("of all", `${this.id} ${this.#lastKey}`);
    this.append();
  }

  append(): void {
    if (this.isAppending) return;
    this.isAppending = true;
    void this.#appended(this.#lastKey).finally(() => {
      this.isAppending = false;
    });
  }

  /** Waits no longer for the leader, or tries again. */
  retry(): void {
    const reason = "the leading tab does not answer";
    if (this.isAppending) this.follower?.fail(new LastwriteError("storage-unavailable", reason));
    else this.append();
  }

  async #appended(count: number): Promise<void> {
    try {
      await (this.leader === undefined ? this.follower?.append(true) : this.#flush());
    } catch {
      // It was refused, and is tried again with the next write.
      return;
    }
    if (this.isDead) return;
    const medium = this.#world.readMedium();
    for (let key = 1; key <= count; key++) {
      const name = `${this.id}/${key}`;
      if (!medium.has(name)) this.#world.lost.push(name);
      this.#world.kept.add(name);
    }
    medium.close();
  }

  receive(from: Tab): void {
    const message = readMessage(this.inbox.get(from)?.shift());
    if (message === undefined) return;
    (this.leader ?? this.follower)?.receive(message);
  }

  get #replica(): TabReplica {
    return {
      version: () => this.dictionary.version(),
      deltaSince: (version) => this.dictionary.deltaSince(version),
      merge: (delta) => void this.dictionary.merge(delta),
      snapshot: () => [...this.dictionary.snapshotParts()],
      reread: (parts) => takeInSnapshot(engine, this.dictionary, parts),
      flush: () => this.#flush(),
    };
  }

  /** What has to be kept from now on, or all of it. */
  #takeJournal(mustBeWhole = false): Journal {
    const { entries } = internalsOf(this.dictionary);
    const isWhole = mustBeWhole || entries.isJournalBroken();
    const frames = entries.journal(new Uint8Array(), { whole: isWhole, partBytesMax: 200 });
    return { frames, isWhole };
  }

  async #keep(before: Promise<void>): Promise<void> {
    await before;
    const { leader } = this;
    if (leader === undefined) return;
    const journal = this.#takeJournal(this.#world.random() < 0.2);
    if (journal.frames.length === 0) return;
    // What comes in meanwhile is in no frame: others must not be told that it is kept.
    await this.#world.sleep();
    await leader.keeping({ ...journal, sync: true }, () => this.#world.write(this, journal));
  }

  #flush(): Promise<void> {
    this.#writing = this.#keep(this.#writing);
    return this.#writing;
  }

  readonly #send = (message: Message): void => {
    for (const other of this.#world.tabs) {
      if (other === this || other.isDead) continue;
      const inbox = other.inbox.get(this) ?? [];
      other.inbox.set(this, inbox);
      inbox.push(structuredClone({ protocol: PROTOCOL, ...message }));
    }
  };
}

interface Journal {
  readonly frames: readonly Uint8Array[];
  readonly isWhole: boolean;
}

class World {
  now = 1_700_000_000_000;
  term = 0;
  /** The frames that are kept. */
  medium: readonly Uint8Array[] = [];
  /** What waits to go on. */
  readonly sleepers: (() => void)[] = [];
  #seed = 1;
  readonly tabs: Tab[] = [];
  /** Keys that some tab was told are kept. */
  readonly kept = new Set<string>();
  /** Those that were not there at that moment. */
  readonly lost: string[] = [];
  /** Writes of the medium that are under way. */
  readonly writes: { readonly tab: Tab; readonly finish: () => void }[] = [];

  get live(): Tab[] {
    return this.tabs.filter(({ isDead }) => !isDead);
  }

  open(): void {
    const tab = new Tab(this, this.tabs.length + 1);
    this.tabs.push(tab);
    tab.open();
    if (this.live.every(({ leader }) => leader === undefined)) this.#elect();
  }

  readMedium(): Dictionary {
    const dictionary = createDictionary({ engine, clock: () => this.now });
    for (const frame of this.medium) internalsOf(dictionary).entries.replay(frame);
    return dictionary;
  }

  /** From 0 to below 1, the same at each run. */
  random(): number {
    this.#seed = (this.#seed * 48_271) % 2_147_483_647;
    return this.#seed / 2_147_483_647;
  }

  sleep(): Promise<void> {
    return new Promise((resolve) => this.sleepers.push(resolve));
  }

  write(tab: Tab, { frames, isWhole }: Journal): Promise<void> {
    return new Promise((resolve) => {
      const finish = (): void => {
        this.medium = isWhole ? frames : [...this.medium, ...frames];
        resolve();
      };
      if (!tab.isDead) this.writes.push({ tab, finish });
    });
  }

  /** What was under way may arrive, and nobody hears of it. */
  kill(tab: Tab, isWritten: boolean): void {
    tab.isDead = true;
    tab.leader?.end();
    const own = this.writes.filter((write) => write.tab === tab);
    if (isWritten) for (const { finish } of own) finish();
    this.writes.splice(0, this.writes.length, ...this.writes.filter((write) => write.tab !== tab));
    if (tab.leader !== undefined) this.#elect();
  }

  /** Until nothing is under way any more. */
  async settle(): Promise<void> {
    for (let round = 0; round < 10_000; round++) {
      await turns();
      const [sleeper] = this.sleepers.splice(0, 1);
      if (sleeper !== undefined) {
        sleeper();
        continue;
      }
      const [write] = this.writes.splice(0, 1);
      if (write !== undefined) {
        write.finish();
        continue;
      }
      const waiting = this.live.find((tab) =>
        [...tab.inbox.values()].some((box) => box.length > 0),
      );
      if (waiting === undefined) return;
      for (const from of waiting.inbox.keys()) waiting.receive(from);
    }
    throw new Error("the tabs never come to rest");
  }

  #elect(): void {
    this.live.find(({ leader }) => leader === undefined)?.lead();
  }
}

/** What can happen next; numbers choose tabs. */
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant("write" as const), tab: fc.nat(9) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("retry" as const), tab: fc.nat(9) }) },
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constant("deliver" as const), tab: fc.nat(9), from: fc.nat(9) }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("finish" as const) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("wake" as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("open" as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("kill" as const),
      tab: fc.nat(9),
      isWritten: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("collect" as const), tab: fc.nat(9) }) },
  // A message that is lost, which no channel does; the next one makes good for it.
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("lose" as const), tab: fc.nat(9), from: fc.nat(9) }),
  },
);

type Step = typeof step extends fc.Arbitrary<infer Value> ? Value : never;

async function play(world: World, steps: readonly Step[]): Promise<void> {
  for (const next of steps) {
    const live = world.live;
    world.now += 1;
    const tab = "tab" in next ? live[next.tab % live.length] : undefined;
    const senders = tab === undefined ? [] : [...tab.inbox.keys()];
    const from = "from" in next ? senders[next.from % senders.length] : undefined;
    switch (next.do) {
      case "write":
        tab?.write();
        break;
      case "retry":
        tab?.retry();
        break;
      case "deliver":
        if (from !== undefined) tab?.receive(from);
        break;
      case "collect":
        tab?.collect();
        break;
      case "lose":
        loseNews(tab, from);
        break;
      case "finish":
        world.writes.shift()?.finish();
        break;
      case "wake":
        world.sleepers.shift()?.();
        break;
      case "open":
        if (live.length < 5) world.open();
        break;
      case "kill":
        if (live.length > 1 && tab !== undefined) world.kill(tab, next.isWritten);
        break;
    }
    await turns();
  }
}

function loseNews(tab: Tab | undefined, from: Tab | undefined): void {
  const box = from && tab?.inbox.get(from);
  const [first] = box ?? [];
  if (readMessage(first)?.type === "news") box?.shift();
}

async function turns(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}

describe("tabs", () => {
  test("lose nothing that was kept, and end equal, whoever dies when", async () => {
    const check = async (steps: readonly Step[]): Promise<void> => {
      const world = new World();
      for (let index = 0; index < 3; index++) world.open();
      await play(world, steps);
      await world.settle();
      // Whoever lacks news that were lost learns it with the next ones.
      for (let round = 0; round < 2; round++) {
        for (const tab of world.live) {
          tab.write();
          await world.settle();
        }
      }
      expect(world.lost).toEqual([]);
      const medium = world.readMedium();
      expect([...world.kept].filter((key) => !medium.has(key))).toEqual([]);
      const digests = world.live.map(({ dictionary }) => dictionary.digest());
      expect(new Set([...digests, medium.digest()]).size).toBe(1);
      expect(world.live.filter(({ leader }) => leader !== undefined)).toHaveLength(1);
      // Nobody waits for ever.
      expect(world.live.filter(({ isAppending }) => isAppending)).toEqual([]);
    };
    await fc.assert(
      fc.asyncProperty(
        fc.noBias(fc.array(step, { minLength: 50, maxLength: 150, size: "max" })),
        check,
      ),
      { numRuns: 100 },
    );
  });

  test.each([false, true])(
    "a write that its leader died of is kept by the next one (on the medium already: %s)",
    async (isWritten) => {
      const world = new World();
      for (let index = 0; index < 3; index++) world.open();
      await world.settle();
      const [first, second, third] = world.tabs as [Tab, Tab, Tab];
      third.write();
      second.receive(third);
      first.receive(third);
      await turns();
      world.sleepers.shift()?.();
      await turns();
      expect(world.writes).toHaveLength(1);
      world.kill(first, isWritten);
      await turns();
      expect(third.isAppending).toBe(true);
      await world.settle();
      expect(third.isAppending).toBe(false);
      expect([...world.kept]).toEqual(["tab 3/1"]);
      expect(world.lost).toEqual([]);
      expect(second.dictionary.digest()).toBe(third.dictionary.digest());
    },
  );

  test("what comes in while a frame is on its way is not told to be kept with it", async () => {
    const world = new World();
    for (let index = 0; index < 2; index++) world.open();
    await world.settle();
    const [first, second] = world.tabs as [Tab, Tab];
    first.write();
    await turns();
    // The frame is taken, and the other one's write is not in it.
    expect(world.sleepers).toHaveLength(1);
    second.write();
    first.receive(second);
    world.sleepers.shift()?.();
    await turns();
    second.retry();
    await turns();
    expect(second.isAppending).toBe(false);
    world.writes.shift()?.finish();
    await turns();
    while ((second.inbox.get(first)?.length ?? 0) > 0) second.receive(first);
    second.retry();
    await turns();
    expect(world.lost).toEqual([]);
    expect(second.isAppending).toBe(true);
    await world.settle();
    expect(second.isAppending).toBe(false);
    expect([...world.kept]).toEqual(["tab 1/1", "tab 2/1"]);
    expect(world.lost).toEqual([]);
  });

  test("a write that the leader cannot keep is refused with its reason, and kept later", async () => {
    const world = new World();
    for (let index = 0; index < 2; index++) world.open();
    await world.settle();
    const [, second] = world.tabs;
    expect(second?.follower).toBeDefined();
    second?.dictionary.set("a", 1);
    const append = second?.follower?.append(true);
    second?.follower?.receive(
      readMessage({
        protocol: PROTOCOL,
        type: "refused",
        term: 1,
        to: second.id,
        number: 1,
        code: "store-full",
        reason: "no space",
      }) as Message,
    );
    await expect(append).rejects.toMatchObject({ code: "store-full" });
    const again = second?.follower?.append(true);
    await world.settle();
    await expect(again).resolves.toBeUndefined();
  });

  describe("that take in another state of the store", () => {
    const now = 1_700_000_000_000;
    const make = (digit: string, at: number = now): Dictionary =>
      createDictionary({ engine, replicaId: digit.repeat(32), clock: () => at });

    /** Two that know each other, of which each then writes, removes and collects what the other has not seen. */
    function bothCollected(): [Dictionary, Dictionary] {
      const [first, second] = [make("1"), make("2")];
      for (const name of ["first", "second"]) {
        for (const key of ["kept", "removed", "changed"]) first.set(`${name}/${key}`, 0);
        first.set(`${name}/tree/leaf`, 0);
      }
      second.merge(first.deltaSince(second.version()));
      for (const [name, dictionary] of [
        ["first", first],
        ["second", second],
      ] as const) {
        dictionary.delete(`${name}/removed`);
        dictionary.deletePrefix(`${name}/tree/`);
        dictionary.collectTombstones(dictionary.version());
        dictionary.set(`${name}/changed`, 1);
        dictionary.set(`${name}/new`, 1);
        dictionary.set("both", name);
        dictionary.delete(`${name}/kept`);
        dictionary.set(`${name}/kept`, 2);
      }
      return [first, second];
    }

    const expected = [
      ["both", "second"],
      ...["first", "second"].flatMap((name) => [
        [`${name}/changed`, 1],
        [`${name}/kept`, 2],
        [`${name}/new`, 1],
      ]),
    ];

    test("lose nothing, and bring nothing back, where both have collected what the other had not seen", () => {
      const [first, second] = bothCollected();
      const other = make("3");
      other.reread(second.snapshot());
      const changes: string[] = [];
      first.subscribe({ prefix: "second/" }, (told) => changes.push(...told.map(({ key }) => key)));
      takeIn(engine, first, second);
      expect([...first.entries()]).toEqual(expected);
      expect(changes.toSorted()).toEqual([
        "second/changed",
        "second/kept",
        "second/new",
        "second/removed",
        "second/tree/leaf",
      ]);
      // And the other way round, by a snapshot from before.
      takeInSnapshot(engine, second, [...bothCollected()[0].snapshotParts()]);
      expect([...second.entries()]).toEqual(expected);
      expect(second.digest()).toBe(first.digest());
      expect(second.version()).toEqual(first.version());
      expect(second.horizon()).toEqual(first.horizon());
      // Whoever has neither is led to the same.
      other.reread(first.snapshot());
      expect(other.digest()).toBe(first.digest());
      first.set("later", 1);
      second.merge(first.deltaSince(second.version()));
      expect(second.digest()).toBe(first.digest());
    });

    test.each(["nothing", "the other", "both"])(
      "refuse nothing for stamps of a time far ahead, where %s collected",
      (who) => {
        const [here, ahead] = [make("1"), make("2", now + 86_400_000)];
        ahead.set("ahead", 1);
        ahead.set("gone", 1);
        ahead.delete("gone");
        here.set("here", 1);
        here.set("gone too", 1);
        here.delete("gone too");
        if (who !== "nothing") ahead.collectTombstones(ahead.version());
        if (who === "both") here.collectTombstones(here.version());
        takeIn(engine, here, ahead);
        expect([...here.keys()]).toEqual(["ahead", "here"]);
        takeInSnapshot(engine, here, [...ahead.snapshotParts()]);
        expect([...here.keys()]).toEqual(["ahead", "here"]);
      },
    );
  });

  test.each([
    null,
    1,
    "hello",
    [],
    {},
    { protocol: PROTOCOL },
    { protocol: PROTOCOL, type: "toString" },
    { protocol: PROTOCOL, type: "unknown to this version" },
    { protocol: PROTOCOL + 1, type: "bye", from: "a" },
    { protocol: PROTOCOL, type: "bye" },
    { protocol: PROTOCOL, type: "hello", from: "a", version: [1], wantsWhole: false },
    {
      protocol: PROTOCOL,
      type: "write",
      from: "a",
      number: 1.5,
      sync: true,
      delta: new Uint8Array(),
    },
    { protocol: PROTOCOL, type: "leader", term: "1", version: new Uint8Array() },
  ])("what is no message is none: %j", (data) => {
    expect(readMessage(data)).toBeUndefined();
  });

  test("messages with bytes that are none of ours change nothing", async () => {
    const world = new World();
    for (let index = 0; index < 2; index++) world.open();
    await world.settle();
    const [first, second] = world.tabs;
    first?.write();
    await world.settle();
    const before = [first, second].map((tab) => tab?.dictionary.digest());
    const bytes = Uint8Array.of(1, 2, 3);
    const strange: readonly Message[] = [
      { type: "hello", from: "x", version: bytes, wantsWhole: false },
      { type: "write", from: "x", number: 1, sync: true, parts: [bytes], isWhole: false },
      {
        type: "welcome",
        term: 1,
        to: second?.id ?? "",
        parts: [bytes],
        isWhole: true,
        version: bytes,
      },
      { type: "news", term: 1, delta: bytes, version: bytes, sync: true },
      { type: "kept", term: 1, to: second?.id ?? "", number: 99, version: bytes, sync: true },
    ];
    for (const message of strange) {
      first?.leader?.receive(message);
      second?.follower?.receive(message);
    }
    await world.settle();
    expect([first, second].map((tab) => tab?.dictionary.digest())).toEqual(before);
    first?.write();
    await world.settle();
    second?.write();
    await world.settle();
    expect(second?.dictionary.digest()).toBe(first?.dictionary.digest());
  });

  test.each([
    ["a", { tabs: "all" }],
    ["a", { persist: 1 }],
    ["a", { answerMaxMs: "1" }],
    ["a", { answerMaxMs: -1 }],
    ["a", { answerMaxMs: Number.NaN }],
    ["a", { answerMaxMs: 2 ** 31 }],
    ["a", null],
    ["", {}],
    ["\ud800", {}],
    [1, {}],
  ])("are not asked for what they cannot do: %j, %j", (name, options) => {
    const refused = expect.objectContaining({ code: "invalid-argument" });
    expect(() => indexedDbPersistence(name as string, options as object)).toThrow(refused);
    if (name !== "a") expect(() => opfsPersistence(name as string)).toThrow(refused);
  });
});
