import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { payloadOf, tagOf } from "../../ts/codec/plain.ts";
import { decodeValue } from "../../ts/codec/read-value.ts";
import { tagged } from "../../ts/codec/tagged.ts";
import { checkPayload } from "../../ts/codec/validate.ts";
import { encodeValue, type Value } from "../../ts/codec/value.ts";
import { LastwriteError } from "../../ts/errors.ts";
import { value as anyValue } from "./arbitraries.ts";

function roundTrip(value: unknown): Value {
  return decodeValue(encodeValue(value));
}

function refusal(value: unknown): string {
  try {
    encodeValue(value);
  } catch (error) {
    expect(error).toBeInstanceOf(LastwriteError);
    expect((error as LastwriteError).code).toBe("invalid-value");
    return (error as LastwriteError).message;
  }
  throw new Error("it was taken");
}

function nested(depth: number): Value {
  let value: Value = 1;
  for (let level = 0; level < depth; level += 1) value = level % 2 === 0 ? [value] : { a: value };
  return value;
}

describe("values that can be carried", () => {
  test("come back as they went in", () => {
    fc.assert(
      fc.property(anyValue, (value) => {
        expect(roundTrip(value)).toStrictEqual(value);
      }),
    );
  });

  test("are written in their canonical form, and only when JavaScript has no form of its own", () => {
    fc.assert(
      fc.property(anyValue, (value) => {
        const carried = encodeValue(value);
        checkPayload(tagOf(carried), payloadOf(carried));
        if (carried instanceof Uint8Array) expect(carried[0]).toBeGreaterThanOrEqual(7);
      }),
    );
  });

  test.each<[string, Value]>([
    ["minus zero", -0],
    ["minus zero inside", [-0, { a: -0 }]],
    ["not a number", Number.NaN],
    ["not a number inside", [Number.NaN]],
    ["the infinities", [Infinity, -Infinity]],
    ["the edges of the integer form", [2 ** 53, -(2 ** 53), 2 ** 53 + 2, -(2 ** 53) - 2]],
    ["one beyond the safe integers", 2n ** 53n + 1n],
    ["the zero of bigints", [0n, -1n, 255n, 256n]],
    ["the largest bigint", -(2n ** BigInt(8 * 8192)) + 1n],
    ["a lone surrogate", "a\ud800"],
    ["surrogates the wrong way round", ["\udc00\ud800", { "\udfff": 1 }]],
    ["a byte order mark", ["\ufeff", "\ufeffa"]],
    ["the empty ones", ["", [], {}, new Uint8Array(0)]],
    ["the edges of dates", [new Date(8.64e15), new Date(-8.64e15), new Date(-0)]],
    ["the deepest nesting", nested(64)],
    ["tagged text and bytes", [tagged("uuid", "\ud800"), tagged("0123456789abcdef", "")]],
  ])("%s", (_, value) => {
    expect(roundTrip(value)).toStrictEqual(value);
  });

  test("members keep their order", () => {
    const members = roundTrip({ b: 1, a: 2, "": 3 }) as object;
    expect(Object.keys(members)).toEqual(["b", "a", ""]);
  });

  test("__proto__ is a member like any other", () => {
    const value = JSON.parse('{"__proto__": {"polluted": true}, "constructor": 1, "toString": 2}');
    const back = roundTrip(value) as Record<string, Value>;
    expect(Object.keys(back)).toEqual(["__proto__", "constructor", "toString"]);
    expect(Object.getPrototypeOf(back)).toBe(Object.prototype);
    expect(back["polluted"]).toBeUndefined();
    expect(Object.getOwnPropertyDescriptor(back, "__proto__")?.value).toEqual({ polluted: true });
  });

  test("an object without prototype comes back as a plain one", () => {
    const value: Record<string, Value> = Object.assign(Object.create(null) as object, { a: 1 });
    expect(roundTrip(value)).toStrictEqual({ a: 1 });
  });

  test("bytes come back as a Uint8Array of their own, whatever view they were", () => {
    const buffer = new Uint8Array([9, 1, 2, 3, 9]).buffer;
    for (const view of [new Uint8Array(buffer, 1, 3), Buffer.from(buffer, 1, 3)]) {
      for (const back of [roundTrip(view), (roundTrip([view]) as Value[])[0]]) {
        expect(Object.getPrototypeOf(back)).toBe(Uint8Array.prototype);
        expect(back).toEqual(new Uint8Array([1, 2, 3]));
        expect((back as Uint8Array).buffer).not.toBe(buffer);
        expect((back as Uint8Array).buffer.byteLength).toBe(3);
      }
    }
  });

  test("1 MiB with tag and payload is taken, a byte more is not", () => {
    const most = 2 ** 20 - 1;
    expect(roundTrip(new Uint8Array(most))).toHaveLength(most);
    expect(refusal(new Uint8Array(most + 1))).toMatch(/1048576 bytes/);
    expect(refusal("\ud800".repeat(most / 2 + 1))).toMatch(/1048576 bytes/);
    expect(refusal(["x".repeat(most)])).toMatch(/1048576 bytes/);
    expect(refusal(Array.from({ length: most }, () => null))).toMatch(/1048576 bytes/);
  });

  test("the same object twice is no cycle, but counts twice", () => {
    const shared = { a: 1 };
    expect(roundTrip([shared, shared])).toStrictEqual([{ a: 1 }, { a: 1 }]);
    let bomb: Value = [1];
    for (let level = 0; level < 40; level += 1) bomb = [bomb, bomb];
    expect(refusal(bomb)).toMatch(/1048576 bytes/);
  });
});

describe("one value after another", () => {
  test("the bytes of a value stay as they are when others are encoded", () => {
    const first = encodeValue(["a", 1]) as Uint8Array;
    const copy = first.slice();
    encodeValue(["b", 2]);
    encodeValue(["x".repeat(2 ** 17)]);
    encodeValue(["c", 3]);
    expect(first).toEqual(copy);
    expect(first.buffer.byteLength).toBe(first.length);
  });

  test("a value that is refused leaves nothing in the next one", () => {
    expect(refusal({ a: [1, { b: undefined }] })).toContain("value.a[1].b: undefined");
    expect(roundTrip([1])).toStrictEqual([1]);
    expect(refusal([undefined])).toContain("value[0]: undefined");
  });

  test("a proxy may encode values while it is encoded", () => {
    const inner = { b: [2, 3] };
    const proxy = new Proxy(inner, {
      getOwnPropertyDescriptor(target, name) {
        expect(roundTrip([name, "x".repeat(100)])).toStrictEqual([name, "x".repeat(100)]);
        return Reflect.getOwnPropertyDescriptor(target, name);
      },
    });
    expect(roundTrip([1, proxy, 4])).toStrictEqual([1, inner, 4]);
  });
});

describe("what cannot be carried is refused with its path", () => {
  class Point {
    x = 1;
  }
  class List extends Array<number> {}
  const cycle: Record<string, unknown> = {};
  cycle["self"] = { again: cycle };

  test.each<[string, unknown, string]>([
    ["undefined", undefined, "value: undefined cannot be stored"],
    ["a member of undefined", { a: undefined }, "value.a: undefined cannot be stored"],
    ["a function", { a: () => 1 }, "value.a: a function cannot be stored"],
    ["a symbol", [Symbol("x")], "value[0]: a symbol cannot be stored"],
    [
      "a Map",
      { tags: [0, 1, 2, { owner: new Map() }] },
      "value.tags[3].owner: a Map cannot be stored; use a plain object, or an array of pairs",
    ],
    ["a Set", new Set(), "value: a Set cannot be stored; use an array"],
    ["a class instance", { at: new Point() }, "value.at: an instance of Point cannot be stored"],
    ["a subclass of Array", new List(), "value: an instance of List cannot be stored"],
    ["a RegExp", /x/, "value: an instance of RegExp cannot be stored"],
    ["a boxed number", Object(1), "value: an instance of Number cannot be stored"],
    ["an Error", new Error("x"), "value: an instance of Error cannot be stored"],
    ["a promise", Promise.resolve(), "value: an instance of Promise cannot be stored"],
    [
      "an ArrayBuffer",
      new ArrayBuffer(1),
      "value: a ArrayBuffer cannot be stored; use a Uint8Array",
    ],
    ["another view", new Int16Array(1), "value: a Int16Array cannot be stored; use a Uint8Array"],
    ["an invalid Date", [new Date(Number.NaN)], "value[0]: an invalid Date cannot be stored"],
    ["a cycle", cycle, "value.self.again: a cycle cannot be stored"],
    // oxlint-disable-next-line no-sparse-arrays -- what is tested
    ["a hole", [1, , 3], "value[1]: a hole of a sparse array cannot be stored"],
    [
      "more on an array",
      Object.assign([1], { x: 1 }),
      "value: an array with the further property x",
    ],
    ["a symbol as a name", { [Symbol("x")]: 1 }, "value: a member named by a symbol"],
    [
      "an accessor",
      {
        a: {
          get b() {
            return 1;
          },
        },
      },
      "value.a.b: an accessor cannot be stored",
    ],
    [
      "a hidden member",
      Object.defineProperty({}, "a b", { value: 1 }),
      'value["a b"]: a member that is not enumerable',
    ],
    ["too deep", nested(65), "nest more than 64 deep"],
    ["too big a bigint", 2n ** BigInt(8 * 8192), "value: a bigint of more than 8192 bytes"],
  ])("%s", (_, value, message) => {
    expect(refusal(value)).toContain(message);
  });

  test("a type name is 1 to 16 bytes of UTF-8", () => {
    for (const type of ["", "0123456789abcdefg", "ééééééééé", "\ud800"]) {
      expect(() => tagged(type, "x")).toThrow(LastwriteError);
    }
  });
});
