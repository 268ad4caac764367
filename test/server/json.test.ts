/** Plain JSON, line by line of the table in docs/server.md, and beside clients of the library. */

import { describe, expect, test } from "vitest";

import { tagged } from "../../ts/codec/tagged.ts";
import type { Value } from "../../ts/codec/value.ts";
import { memoryPersistence } from "../../ts/persistence/memory.ts";
import { type JsonMember, JsonRoom } from "../../ts/server/json-room.ts";
import { type Json, jsonOf, valueOf } from "../../ts/server/json-values.ts";
import type { Room } from "../../ts/server/room.ts";
import { holds, type JsonClient, type JsonMessage, serve } from "./under-test.ts";

/** Messages of `client` from `from` on once it has heard that the sentinel was set, without that. */
async function heardUntilNow(
  client: JsonClient,
  writer: JsonClient = client,
): Promise<readonly JsonMessage[]> {
  const name = `sentinel/${client.heard.length}/${Math.random()}`;
  writer.says({ action: "set", key: name, value: true });
  await client.hears({ action: "set", key: name });
  return client.heard.filter(({ key }) => !String(key).startsWith("sentinel/"));
}

describe("on connect", () => {
  test("the sender alone gets initial_data with all that is there", async () => {
    await using served = await serve();
    const room = await served.server.room("team");
    room.set("a", 1);
    room.set("b", { c: [true, null] });
    room.set("gone", 1);
    room.delete("gone");
    const client = served.json("team");
    expect(await client.hears({})).toEqual({
      action: "initial_data",
      data: { a: 1, b: { c: [true, null] } },
    });
    const second = served.json("team");
    await second.hears({ action: "initial_data" });
    expect(await heardUntilNow(client)).toHaveLength(1);
  });

  test("it is empty where nothing is, and names like __proto__ are keys", async () => {
    await using served = await serve();
    const first = served.json("team");
    expect(await first.hears({})).toEqual({ action: "initial_data", data: {} });
    first.says({ action: "set", key: "__proto__", value: { a: 1 } });
    await first.hears({ action: "set" });
    const second = served.json("team");
    const { data } = await second.hears({});
    expect(Object.entries(data as object)).toEqual([["__proto__", { a: 1 }]]);
  });
});

describe.each(["set", "add", "update"])("%s", (action) => {
  test("everybody in the room gets it as set, once, with its time", async () => {
    await using served = await serve();
    const [one, two] = [served.json("team"), served.json("team")];
    const elsewhere = served.json("other");
    await Promise.all([one, two, elsewhere].map((each) => each.hears({ action: "initial_data" })));
    const before = Date.now();
    one.says({ action, key: "k", value: { deep: [1] } });
    await two.hears({ action: "set", key: "k" });
    for (const client of [one, two]) {
      const told = (await heardUntilNow(client, one)).slice(1);
      expect(told).toEqual([
        { action: "set", key: "k", value: { deep: [1] }, timestamp: expect.any(Number) },
      ]);
      const { timestamp } = told[0] as { timestamp: number };
      expect(timestamp).toBeGreaterThanOrEqual(before);
      expect(timestamp).toBeLessThanOrEqual(Date.now());
    }
    expect(await heardUntilNow(elsewhere)).toHaveLength(1);
  });

  test("an equal value is told again, as it is a write", async () => {
    await using served = await serve();
    const client = served.json("team");
    for (let time = 0; time < 3; time++) client.says({ action, key: "k", value: 1 });
    const told = (await heardUntilNow(client)).slice(1);
    expect(told.map(({ value }) => value)).toEqual([1, 1, 1]);
  });

  test("null is a value", async () => {
    await using served = await serve();
    const client = served.json("team");
    client.says({ action, key: "k", value: null });
    expect(await client.hears({ action: "set" })).toMatchObject({ key: "k", value: null });
    expect((await served.server.room("team")).has("k")).toBe(true);
  });
});

describe("remove", () => {
  test("everybody in the room gets it, once, with its time", async () => {
    await using served = await serve();
    const [one, two] = [served.json("team"), served.json("team")];
    await Promise.all([one, two].map((each) => each.hears({ action: "initial_data" })));
    one.says({ action: "set", key: "k", value: 1 });
    one.says({ action: "remove", key: "k" });
    for (const client of [one, two]) {
      await client.hears({ action: "remove" });
      const told = (await heardUntilNow(client, one)).slice(2);
      expect(told).toEqual([
        { action: "remove", key: "k", value: null, timestamp: expect.any(Number) },
      ]);
    }
  });

  test("of an absent key the sender alone gets not-found", async () => {
    await using served = await serve();
    const [one, two] = [served.json("team"), served.json("team")];
    await Promise.all([one, two].map((each) => each.hears({ action: "initial_data" })));
    one.says({ action: "remove", key: "k" });
    expect(await one.hears({ action: "error" })).toEqual({
      action: "error",
      error: "not-found",
      key: "k",
      message: expect.any(String),
    });
    expect(await heardUntilNow(two, one)).toHaveLength(1);
  });
});

describe("lookup", () => {
  test("the sender alone gets the value and its time, or null and null", async () => {
    await using served = await serve();
    const [one, two] = [served.json("team"), served.json("team")];
    await Promise.all([one, two].map((each) => each.hears({ action: "initial_data" })));
    one.says({ action: "set", key: "k", value: "v" });
    one.says({ action: "lookup", key: "k" });
    one.says({ action: "lookup", key: "absent" });
    one.says({ action: "remove", key: "k" });
    one.says({ action: "lookup", key: "k" });
    const heard = await heardUntilNow(one);
    const { timestamp } = heard.find(({ action }) => action === "set") as JsonMessage;
    expect(heard.filter(({ action }) => action === "lookup")).toEqual([
      { action: "lookup", key: "k", value: "v", timestamp },
      { action: "lookup", key: "absent", value: null, timestamp: null },
      { action: "lookup", key: "k", value: null, timestamp: null },
    ]);
    const others = await heardUntilNow(two, one);
    expect(others.filter(({ action }) => action === "lookup")).toEqual([]);
  });
});

describe("what cannot be done", () => {
  test.each([
    ["no JSON", "{", "invalid-json"],
    ["nothing", "", "invalid-json"],
    ["no object: a number", "1", "invalid-message"],
    ["no object: a list", "[]", "invalid-message"],
    ["no object: null", "null", "invalid-message"],
    ["no action", '{"key":"k","value":1}', "unknown-action"],
    ["an unknown action", '{"action":"constructor","key":"k"}', "unknown-action"],
    ["an action that is no text", '{"action":1,"key":"k"}', "unknown-action"],
    ["no key", '{"action":"set","value":1}', "invalid-key"],
    ["an empty key", '{"action":"set","key":"","value":1}', "invalid-key"],
    ["a key that is no text", '{"action":"lookup","key":7}', "invalid-key"],
    [
      "a key that is too long",
      `{"action":"set","key":"${"k".repeat(1025)}","value":1}`,
      "invalid-key",
    ],
    ["a key with half a letter", '{"action":"set","key":"\\ud800","value":1}', "invalid-key"],
    ["no value", '{"action":"set","key":"k"}', "invalid-value"],
    [
      "a value that is too deep",
      `{"action":"set","key":"k","value":${"[".repeat(65)}${"]".repeat(65)}}`,
      "invalid-value",
    ],
    [
      "a value that is very deep",
      `{"action":"set","key":"k","value":${"[".repeat(400_000)}${"]".repeat(400_000)}}`,
      "invalid-value",
    ],
    [
      "a form that stands for nothing",
      '{"action":"set","key":"k","value":{"$date":"yesterday"}}',
      "invalid-value",
    ],
  ])("%s: an error, and the connection goes on", async (_, message, code) => {
    await using served = await serve();
    const [one, two] = [served.json("team"), served.json("team")];
    await Promise.all([one, two].map((each) => each.hears({ action: "initial_data" })));
    one.says(message);
    expect(await one.hears({ action: "error" })).toEqual({
      action: "error",
      error: code,
      message: expect.any(String),
    });
    expect(await heardUntilNow(two, one)).toHaveLength(1);
    expect([...(await served.server.room("team")).keys({ prefix: "k" })]).toEqual([]);
  });

  test("bytes are no JSON", async () => {
    await using served = await serve();
    const client = served.json("team");
    await client.hears({ action: "initial_data" });
    client.socket.send(Buffer.from('{"action":"lookup","key":"k"}'));
    expect(await client.hears({ action: "error" })).toMatchObject({ error: "invalid-json" });
  });
});

describe("beside clients of the library", () => {
  test("changes go both ways, once each and in order", async () => {
    await using served = await serve();
    const [one, two] = await Promise.all([served.store("team"), served.store("team")]);
    const json = served.json("team");
    await json.hears({ action: "initial_data" });

    json.says({ action: "set", key: "from", value: "json" });
    await Promise.all([holds(one, "from", "json"), holds(two, "from", "json")]);
    const { timestamp } = await json.hears({ key: "from" });
    expect(one.stampOf("from")?.millis).toBe(timestamp);

    one.set("a", 1);
    await json.hears({ action: "set", key: "a", value: 1 });
    await holds(two, "a", 1);
    two.transaction(() => {
      two.set("b", 1);
      two.set("b", 2);
      two.delete("a");
    });
    await json.hears({ action: "remove", key: "a" });
    one.set("x/1", 1);
    one.set("x/2", 2);
    await json.hears({ key: "x/2" });
    one.deletePrefix("x/");
    await json.hears({ action: "remove", key: "x/2" });
    const told = (await heardUntilNow(json))
      .slice(1)
      .map(({ action, key, value }) => [action, key, value]);
    expect(told.filter(([, key]) => key === "a")).toEqual([
      ["set", "a", 1],
      ["remove", "a", null],
    ]);
    expect(told.filter(([, key]) => key === "b")).toEqual([["set", "b", 2]]);
    expect(told.filter(([, key]) => key === "x/1")).toEqual([
      ["set", "x/1", 1],
      ["remove", "x/1", null],
    ]);
    expect(told.filter(([, key]) => key === "from")).toHaveLength(1);

    json.says({ action: "remove", key: "b" });
    await holds(one, "b", undefined);
    await holds(two, "b", undefined);
  });

  test("what they write while somebody comes is in what he is told first, or told after it, and not both", async () => {
    await using served = await serve();
    const writer = await served.store("team");
    const clients: JsonClient[] = [];
    for (let at = 0; at < 200; at++) {
      writer.set(`k${at}`, at);
      if (at % 10 === 5) clients.push(served.json("team"));
      if (at % 7 === 0) await new Promise((resolve) => void setImmediate(resolve));
    }
    await writer.synced();
    for (const client of clients) {
      await client.hears({ action: "initial_data" });
      const heard = await heardUntilNow(client);
      const first = Object.keys(heard[0]?.["data"] as object).filter((key) => key.startsWith("k"));
      const later = heard.slice(1).map(({ key }) => key as string);
      expect([...first, ...later].toSorted()).toEqual(
        Array.from({ length: 200 }, (__, at) => `k${at}`).toSorted(),
      );
    }
  });
});

describe("one that does not read", () => {
  test(
    "is told later how each key stands, and not all that it was",
    { timeout: 60_000 },
    async () => {
      await using served = await serve({ limits: { queuedBytesMax: 64 * 1024 } });
      const slow = served.json("team");
      await slow.hears({ action: "initial_data" });
      const writer = await served.server.room("team");
      slow.socket.pause();
      const text = "x".repeat(10_000);
      // Some megabytes stay in the network.
      for (let round = 0; round < 3000; round++) {
        writer.set(`k${round % 50}`, `${round} ${text}`);
        if (round % 20 === 0) await writer.flush();
      }
      writer.delete("k7");
      await writer.flush();
      slow.socket.resume();
      await slow.hears({ action: "remove", key: "k7" });
      for (let at = 0; at < 50; at++) {
        if (at !== 7) await slow.hears({ key: `k${at}`, value: `${2950 + at} ${text}` });
      }
      expect(slow.heard.length).toBeLessThan(3000);
    },
  );
});

describe("a room that cannot be told", () => {
  test("as it is too large is told to nobody, and what changes later once to each", async () => {
    let isTooLarge = true;
    const listeners = new Set<(changes: readonly object[]) => void>();
    const store = {
      *entries() {
        if (isTooLarge) throw new RangeError("Invalid string length");
        yield ["a", 1];
      },
      subscribe(_: object, listener: (changes: readonly object[]) => void) {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
      stampOf: () => undefined,
    };
    const json = new JsonRoom({ store, keep: async () => {} } as unknown as Room);
    const told: string[] = [];
    const take = (text: Uint8Array): void => void told.push(new TextDecoder().decode(text));
    const member: JsonMember = {
      tell: take,
      tellChange: (_, text) => take(text),
      owe: () => {},
      close: () => {},
    };
    expect(() => json.join(member)).toThrow(expect.objectContaining({ code: "too-large" }));
    isTooLarge = false;
    json.join(member);
    for (const listener of listeners) listener([{ key: "b", value: 2 }]);
    await new Promise((resolve) => void setImmediate(resolve));
    expect(told.map((text) => JSON.parse(text) as JsonMessage)).toEqual([
      { action: "initial_data", data: { a: 1 } },
      { action: "set", key: "b", value: 2, timestamp: null },
    ]);
  });

  test("as its store is being closed sends away who did not read", async () => {
    let finish = (): void => {};
    const closing = new Promise<void>((resolve) => {
      finish = resolve;
    });
    const place = memoryPersistence();
    const close = place.close.bind(place);
    await using served = await serve({
      limits: { queuedBytesMax: 100_000 },
      persistence: () =>
        Object.assign(place, {
          close: async () => {
            await closing;
            await close();
          },
        }),
    });
    const slow = served.json("team");
    await slow.hears({ action: "initial_data" });
    const room = await served.server.room("team");
    slow.socket.pause();
    for (let at = 0; at < 40; at++) {
      room.set(`k${at}`, "y".repeat(500_000));
      await room.flush();
    }
    const closed = room.close();
    slow.socket.resume();
    expect([1012, 1013]).toContain(await slow.closed);
    finish();
    await closed;
  });
});

describe("values in JSON", () => {
  const CASES: readonly (readonly [Value, Json])[] = [
    [null, null],
    [true, true],
    [0.1, 0.1],
    ["\ud800 \u2028 \0", "\ud800 \u2028 \0"],
    [NaN, { $number: "NaN" }],
    [Infinity, { $number: "Infinity" }],
    [-Infinity, { $number: "-Infinity" }],
    [-0, { $number: "-0" }],
    [0n, { $bigint: "0" }],
    [-(2n ** 100n), { $bigint: "-1267650600228229401496703205376" }],
    [new Uint8Array([0, 255, 254]), { $bytes: "AP/+" }],
    [new Uint8Array(), { $bytes: "" }],
    [new Date(0), { $date: "1970-01-01T00:00:00.000Z" }],
    [new Date(8.64e15), { $date: "+275760-09-13T00:00:00.000Z" }],
    [tagged("decimal", "0.10"), { $tagged: { type: "decimal", text: "0.10" } }],
    [tagged("raw", new Uint8Array([1])), { $tagged: { type: "raw", bytes: "AQ==" } }],
    [
      [1n, [new Date(5)]],
      [{ $bigint: "1" }, [{ $date: "1970-01-01T00:00:00.005Z" }]],
    ],
    [{ a: { b: -0 } }, { a: { b: { $number: "-0" } } }],
    [{ $bytes: "AP/+" }, { $$bytes: "AP/+" }],
    [{ $$bytes: { $date: 1 } }, { $$$bytes: { $$date: 1 } }],
    [
      { $bytes: 1, other: 2 },
      { $bytes: 1, other: 2 },
    ],
    [{ $ref: "x" }, { $ref: "x" }],
    [{ $$ref: "x" }, { $$ref: "x" }],
    [{}, {}],
    [[], []],
    [
      JSON.parse('{"__proto__":{"$bigint":1}}') as Value,
      JSON.parse('{"__proto__":{"$$bigint":1}}') as Json,
    ],
  ];

  test.each(CASES)("%o goes there and back", (value, json) => {
    expect(JSON.stringify(jsonOf(value))).toBe(JSON.stringify(json));
    const back = valueOf(JSON.parse(JSON.stringify(json)) as Json);
    expect(back).toStrictEqual(value);
    expect(Object.is(back, value) || typeof value !== "number").toBe(true);
  });

  test.each([
    [{ $bytes: "AP/" }],
    [{ $bytes: "AP_-" }],
    [{ $bytes: 7 }],
    [{ $bigint: "1.5" }],
    [{ $bigint: "" }],
    [{ $bigint: "9".repeat(20_001) }],
    [{ $date: "2020-01-01" }],
    [{ $date: null }],
    [{ $number: "1" }],
    [{ $tagged: "x" }],
    [{ $tagged: { type: "x" } }],
    [{ $tagged: { type: "x", text: "", bytes: "" } }],
    [{ $tagged: { type: "", text: "" } }],
    [{ $tagged: null }],
  ])("%o stands for nothing", (json) => {
    expect(() => valueOf(json as Json)).toThrow(expect.objectContaining({ code: "invalid-value" }));
  });

  test("they arrive at clients of the library as they are", async () => {
    await using served = await serve();
    const store = await served.store("team");
    const json = served.json("team");
    await json.hears({ action: "initial_data" });
    CASES.forEach(([, sent], at) => json.says({ action: "set", key: `k${at}`, value: sent }));
    await json.hears({ key: `k${CASES.length - 1}` });
    while (store.size < CASES.length) await new Promise((resolve) => store.subscribe({}, resolve));
    CASES.forEach(([value], at) => expect(store.get(`k${at}`)).toStrictEqual(value));
    expect(json.heard.slice(1).map(({ value }) => JSON.stringify(value))).toEqual(
      CASES.map(([, sent]) => JSON.stringify(sent)),
    );
  });
});
