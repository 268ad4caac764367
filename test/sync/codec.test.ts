import { readFileSync, writeFileSync } from "node:fs";

import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { decodeMessage, encodeMessage, encodeText } from "../../ts/sync/codec.ts";
import {
  FRAME_BYTES_MAX,
  HASHES_MAX,
  MESSAGE_BYTES_MAX,
  PRESENCE_BYTES_MAX,
  RANGES_MAX,
  ROOM_BYTES_MAX,
  TEXT_LENGTH_MAX,
  TOKEN_BYTES_MAX,
  VECTOR_PIECE_BYTES_MAX,
} from "../../ts/sync/limits.ts";
import type { Have, Hello, SyncMessage } from "../../ts/sync/messages.ts";
import { fromHex, sameBytes, toHex } from "../suites/bytes.ts";
import { errorCode } from "../suites/failures.ts";
import { messageNumber, messageTypes, syncMessage } from "./arbitraries.ts";

const VECTORS_PATH = new URL("../vectors/messages.json", import.meta.url);

interface MessageVector {
  readonly name: string;
  readonly number: number;
  /** Bytes as `{ "hex": … }`; a member that is undefined is left out. */
  readonly message: Readonly<Record<string, unknown>>;
  readonly binary: string;
  readonly text: string;
}

interface RefusedVector {
  readonly name: string;
  readonly binary?: string;
  readonly text?: string;
  readonly code: string;
}

interface Vectors {
  readonly why: string;
  readonly messages: readonly MessageVector[];
  readonly refused: readonly RefusedVector[];
}

const vectors = JSON.parse(readFileSync(VECTORS_PATH, "utf8")) as Vectors;

const hello: Hello = {
  type: "hello",
  protocolMin: 1,
  protocolMax: 1,
  storeId: "00112233445566778899aabbccddeeff",
  millis: 1_800_000_000_000,
  driftMaxMs: 300_000,
  windowBytes: 1_048_576,
  isServer: false,
  room: "",
  token: "",
};

const have: Have = {
  type: "have",
  log: { epoch: "0123456789abcdef", place: 1_000_000 },
  versionHash: "1111111111111111",
  horizonHash: "2222222222222222",
  digest: "3333333333333333",
  entryCount: 1_000_000,
  cursor: { epoch: "fedcba9876543210", place: 1_000_000 },
};

describe("messages", () => {
  test("come back from both forms", () => {
    fc.assert(
      fc.property(syncMessage, messageNumber, (message, number) => {
        expect(decodeMessage(encodeMessage(message, number))).toEqual({ number, message });
        expect(decodeMessage(encodeText(message, number))).toEqual({ number, message });
      }),
      { numRuns: 500 },
    );
  });

  test("have one binary form for each text, and one text for each binary form", () => {
    fc.assert(
      fc.property(syncMessage, messageNumber, (message, number) => {
        const [binary, text] = [encodeMessage(message, number), encodeText(message, number)];
        const [ofBinary, ofText] = [decodeMessage(binary), decodeMessage(text)];
        expect(toHex(encodeMessage(ofText.message, ofText.number))).toBe(toHex(binary));
        expect(encodeText(ofBinary.message, ofBinary.number)).toBe(text);
      }),
    );
  });

  test("of text are one line", () => {
    fc.assert(
      fc.property(syncMessage, messageNumber, (message, number) => {
        expect(encodeText(message, number)).not.toMatch(/[\r\n]/u);
      }),
    );
  });

  test("of text may be typed by hand, with spaces and in another order", () => {
    const typed = ' {"number" : 3,\t"place": 7e0, "type":"\\u0061ck" } ';
    expect(decodeMessage(typed)).toEqual({ number: 3, message: { type: "ack", place: 7 } });
  });

  test("that say that nothing has changed take less than 200 bytes on both sides together", () => {
    const oneSide = encodeMessage(hello, 0).length + encodeMessage(have, 1).length;
    expect(2 * oneSide).toBeLessThan(200);
    // A stream adds a length of four bytes to each.
    expect(2 * (oneSide + 8)).toBeLessThan(200);
  });

  test("keep their bytes when they are a view of others", () => {
    const frame = Uint8Array.of(0, 1, 2, 3, 4).subarray(1, 4);
    const message: SyncMessage = { type: "vector", remaining: 0, bytes: frame };
    for (const form of [encodeMessage(message, 0), encodeText(message, 0)]) {
      expect(decodeMessage(form).message).toEqual({ ...message, bytes: Uint8Array.of(1, 2, 3) });
    }
  });
});

describe("limits", () => {
  test.each([
    { what: "a frame", of: frameOf, max: FRAME_BYTES_MAX },
    {
      what: "a room",
      of: (length: number) => helloWith({ room: "r".repeat(length) }),
      max: ROOM_BYTES_MAX,
    },
    {
      what: "a token of two-byte letters",
      of: (half: number) => helloWith({ token: "é".repeat(half) }),
      max: TOKEN_BYTES_MAX / 2,
    },
    { what: "a state", of: presenceOf, max: PRESENCE_BYTES_MAX },
    { what: "a piece of a vector", of: vectorOf, max: VECTOR_PIECE_BYTES_MAX },
    { what: "ranges", of: rangesOf, max: RANGES_MAX },
    { what: "what is wanted", of: wantedOf, max: HASHES_MAX },
  ])("$what: as long as allowed, and no longer", ({ of, max }) => {
    const [longest, tooLong] = [of(max), of(max + 1)];
    const binary = encodeMessage(longest, Number.MAX_SAFE_INTEGER);
    for (const encode of [encodeMessage, encodeText]) {
      const { number, message } = decodeMessage(encode(longest, Number.MAX_SAFE_INTEGER));
      // A deep comparison of a million bytes takes seconds.
      expect(sameBytes(encodeMessage(message, number), binary)).toBe(true);
      expect(() => encode(tooLong, 0)).toThrow(
        expect.objectContaining({ code: "invalid-argument" }),
      );
    }
    expect(binary.length).toBeLessThanOrEqual(MESSAGE_BYTES_MAX);
  });

  test("a message beyond its limit is refused as a whole", () => {
    expect(refusal(new Uint8Array(MESSAGE_BYTES_MAX + 1).fill(14))).toBe("corrupt-bytes");
    expect(refusal(`{"type":"ping","number":0}${" ".repeat(TEXT_LENGTH_MAX)}`)).toBe(
      "corrupt-bytes",
    );
  });

  test.each([
    ["a place that is no whole number", { type: "ack", place: 0.5 }],
    ["a negative place", { type: "ack", place: -1 }],
    ["a place beyond 2^48", { type: "ack", place: 2 ** 48 }],
    ["a negative zero", { type: "credit", byteCount: -0 }],
    ["half a surrogate pair", { ...hello, token: "\uD800" }],
    ["hex in capitals", { ...hello, storeId: "A".repeat(32) }],
    [
      "a seed of another length",
      { type: "wanted", seed: new Uint8Array(15), hashes: new Uint8Array(0) },
    ],
    [
      "a range of more digits than there are",
      {
        type: "ranges",
        seed: new Uint8Array(16),
        depth: 16,
        prefixes: new Uint8Array(0),
        fingerprints: new Uint8Array(0),
      },
    ],
    ["a cursor with more in it", { ...have, log: { ...have.log, more: 1 } }],
  ] as const)("%s is not written", (_name, message) => {
    for (const encode of [encodeMessage, encodeText]) {
      expect(() => encode(message as SyncMessage, 0)).toThrow(
        expect.objectContaining({ code: "invalid-argument" }),
      );
    }
  });
});

describe("what is no message", () => {
  test("is refused, and nothing else happens", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(refusal(bytes) ?? "read").toMatch(/^(read|corrupt-bytes|unsupported-format)$/u);
      }),
      { numRuns: 5000 },
    );
    fc.assert(
      fc.property(fc.oneof(fc.json(), fc.string()), (text) => {
        expect(refusal(text) ?? "read").toMatch(/^(read|corrupt-bytes|unsupported-format)$/u);
      }),
      { numRuns: 1000 },
    );
  });

  test("because of a changed byte is refused, or is another message with this form alone", () => {
    fc.assert(
      fc.property(syncMessage, fc.nat(), fc.nat(255), (message, at, byte) => {
        const bytes = encodeMessage(message, 1);
        bytes[at % bytes.length] = byte;
        if (refusal(bytes) !== undefined) return;
        const read = decodeMessage(bytes);
        expect(toHex(encodeMessage(read.message, read.number))).toBe(toHex(bytes));
      }),
      { numRuns: 3000 },
    );
    fc.assert(
      fc.property(
        syncMessage,
        fc.nat(),
        fc.constantFrom("{", "}", "[", "]", '"', ",", ":", "0", "-", "\\", "n", "x", "="),
        (message, at, unit) => {
          const text = encodeText(message, 1);
          const changed =
            text.slice(0, at % text.length) + unit + text.slice((at % text.length) + 1);
          expect(refusal(changed) ?? "read").toMatch(/^(read|corrupt-bytes|unsupported-format)$/u);
        },
      ),
      { numRuns: 3000 },
    );
  });

  test("because it was cut off, or goes on, is refused", () => {
    fc.assert(
      fc.property(syncMessage, fc.nat(), (message, at) => {
        const bytes = encodeMessage(message, 1);
        expect(refusal(bytes.subarray(0, at % bytes.length))).toBe("corrupt-bytes");
        expect(refusal(Uint8Array.of(...bytes, 0))).toBe("corrupt-bytes");
        const text = encodeText(message, 1);
        expect(refusal(text.slice(0, at % text.length))).toBe("corrupt-bytes");
      }),
    );
  });

  test("because its type is unknown is told apart", () => {
    const known = new Set<number>(vectors.messages.map(({ binary }) => fromHex(binary)[0] ?? 0));
    expect(known.size).toBe(messageTypes.length);
    for (let code = 0; code < 256; code += 1) {
      if (known.has(code)) continue;
      expect(refusal(Uint8Array.of(code, 0, 9, 9))).toBe("unsupported-format");
    }
    expect(refusal('{"type":"later","number":0,"and":"more"}')).toBe("unsupported-format");
    expect(refusal('{"type":"__proto__","number":0}')).toBe("unsupported-format");
    expect(refusal('{"type":"constructor","number":0}')).toBe("unsupported-format");
  });

  test("takes no memory, whatever it claims to be", () => {
    const claims = new Uint8Array(64).fill(0xff);
    claims.set([5, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f]);
    const long = 2 ** 22;
    const hostile: readonly (Uint8Array | string)[] = [
      claims,
      "[".repeat(TEXT_LENGTH_MAX),
      "[],".repeat(long / 4),
      `{"type":"ping","number":0,"a":${"[".repeat(long)}${"]".repeat(long - 32)}}`,
      `{${'"":1,'.repeat(long / 4)}"":1}`,
      `{"type":"ping","number":${"1".repeat(long)}}`,
      `{"type":"${"\\\\".repeat(long / 2 - 16)}"}`,
      `{"type":"vector","number":0,"remaining":0,"bytes":"${"A".repeat(long)}"}`,
      `{"type":"presence","number":0,"from":"0000000000000000","state":"${"\u2028".repeat(long / 4)}"}`,
    ];
    for (const data of hostile) {
      // A text in memory is as long as it will be before it is weighed.
      if (typeof data === "string") data.codePointAt(data.length >> 1);
      expect(refusal(data)).toBeDefined();
      const before = heldBytes();
      expect(refusal(data)).toBeDefined();
      expect(heldBytes() - before).toBeLessThan(4 * data.length + 2 ** 20);
    }
  });

  test("costs little time where backslashes abound", () => {
    // A quadratic search would not end within the limit of a test.
    expect(refusal(`{"type":"${"\\".repeat(TEXT_LENGTH_MAX - 11)}"`)).toBe("corrupt-bytes");
    expect(refusal(`{"type":"${'\\"'.repeat(TEXT_LENGTH_MAX / 2 - 8)}`)).toBe("corrupt-bytes");
  });
});

describe("vectors", () => {
  if (process.env["VECTORS"] === "write") {
    writeFileSync(VECTORS_PATH, `${JSON.stringify(written(vectors), undefined, 2)}\n`);
  }

  test.each(vectors.messages)("$name", ({ number, message, binary, text }) => {
    const object = fromVector(message);
    expect(toHex(encodeMessage(object, number))).toBe(binary);
    expect(encodeText(object, number)).toBe(text);
    // `toEqual` takes a member that is undefined for one that is not there.
    expect(decodeMessage(fromHex(binary))).toEqual({ number, message: object });
    expect(decodeMessage(text)).toEqual({ number, message: object });
  });

  test.each(vectors.refused)("refused: $name", ({ binary, text, code }) => {
    expect(refusal(text ?? fromHex(binary ?? ""))).toBe(code);
  });

  test("are there for every type", () => {
    expect([...new Set(vectors.messages.map(({ message }) => message["type"]))]).toEqual(
      messageTypes,
    );
  });
});

function helloWith(part: Partial<Hello>): SyncMessage {
  return { ...hello, ...part };
}

function frameOf(length: number): SyncMessage {
  const place = 2 ** 48 - 1;
  const remaining = Number.MAX_SAFE_INTEGER;
  return {
    type: "delta",
    place,
    isPartial: false,
    continues: true,
    remaining,
    frame: new Uint8Array(length),
  };
}

function presenceOf(length: number): SyncMessage {
  return { type: "presence", from: "0123456789abcdef", state: "p".repeat(length) };
}

function vectorOf(length: number): SyncMessage {
  return { type: "vector", remaining: 0, bytes: new Uint8Array(length) };
}

function rangesOf(count: number): SyncMessage {
  return {
    type: "ranges",
    seed: new Uint8Array(16),
    depth: 15,
    prefixes: new Uint8Array(8 * count),
    fingerprints: new Uint8Array(13 * 16 * Math.min(count, RANGES_MAX)),
  };
}

function wantedOf(count: number): SyncMessage {
  return { type: "wanted", seed: new Uint8Array(16), hashes: new Uint8Array(8 * count) };
}

/** The code that bytes or text are refused with; undefined when they are a message. Any other error is none of ours. */
function refusal(data: Uint8Array | string): string | undefined {
  try {
    decodeMessage(data);
    return undefined;
  } catch (error) {
    const code = errorCode(error);
    if (code === undefined) throw error;
    return code;
  }
}

function heldBytes(): number {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

function fromVector(message: Readonly<Record<string, unknown>>): SyncMessage {
  const members = Object.entries(message).map(([name, value]) => [name, bytesOf(value) ?? value]);
  return Object.fromEntries(members) as SyncMessage;
}

function bytesOf(value: unknown): Uint8Array | undefined {
  if (typeof value !== "object" || value === null || !("hex" in value)) return undefined;
  return fromHex(String(value.hex));
}

function written({ why, messages, refused }: Vectors): Vectors {
  return {
    why,
    messages: messages.map(({ name, number, message }) => {
      const object = fromVector(message);
      const [binary, text] = [toHex(encodeMessage(object, number)), encodeText(object, number)];
      return { name, number, message, binary, text };
    }),
    refused,
  };
}
