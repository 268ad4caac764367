/** Packing, on what Node has and on the streams of browsers. */

import { deflateRawSync } from "node:zlib";

import { describe, expect, test } from "vitest";

import { ByteWriter } from "../../ts/codec/numbers.ts";
import { decodeMessage, encodeMessage } from "../../ts/sync/codec.ts";
import { MESSAGE_BYTES_MAX } from "../../ts/sync/limits.ts";
import type { Link, Message } from "../../ts/transport/contract.ts";
import * as ofBrowsers from "../../ts/transport/deflate-default.ts";
import * as ofNode from "../../ts/transport/deflate-node.ts";
import { type Deflate, PACKED_CODE } from "../../ts/transport/envelope.ts";
import { memoryLink, type MemoryLink, type MemoryLinkOptions } from "../../ts/transport/memory.ts";
import { packedLink } from "../../ts/transport/packed-link.ts";
import { seededRandom } from "../suites/random.ts";
import { listen, testTransport, turns } from "../suites/transport.ts";

const KIB = 2 ** 10;

const deflates: Readonly<Record<string, Deflate>> = { Node: ofNode, browsers: ofBrowsers };
const names = Object.keys(deflates);

for (const name of names) {
  testTransport(
    `memory that buffers 4 KiB, packed as ${name} can`,
    async () => packedWay(deflates[name], { bufferBytesMax: 4 * KIB }),
    { carries: "both" },
  );
}

describe.each(names)("packing as %s can", (name) => {
  const deflate = deflates[name] as Deflate;

  test("large messages take fewer bytes, and arrive as they were, in order with all others", async () => {
    const way = packedWay(deflate);
    const [left, right] = [listen(way.left), listen(way.right)];
    const sent = Array.from({ length: 40 }, (_, at) =>
      at % 4 === 0 ? wordy((64 + at) * KIB, at) : small(at),
    );
    for (const message of sent) way.left.send(message);
    for (const message of sent.toReversed()) way.right.send(message);
    await Promise.all([left.received(40), right.received(40)]);
    assertSame(right.messages, sent);
    assertSame(left.messages, sent.toReversed());
    expect(way.fromLeft.map(isPacked)).toEqual(sent.map((_, at) => at % 4 === 0));
    const [first] = way.fromLeft;
    expect(first?.length).toBeLessThan(44 * KIB);
  });

  test("a message of the greatest length fits", async () => {
    const way = packedWay(deflate);
    const right = listen(way.right);
    const whole = wordy(MESSAGE_BYTES_MAX, 1);
    way.left.send(whole);
    await right.received(1);
    assertSame(right.messages, [whole]);
    expect(way.fromLeft.map(isPacked)).toEqual([true]);
  });

  test.each([
    ["is text", "wordy ".repeat(10_000)],
    ["is short", new Uint8Array(16 * KIB - 1).fill(1)],
    ["does not shrink", seededRandom(1).bytes(64 * KIB)],
    ["shrinks so much that it would be a bomb", new Uint8Array(2 ** 20)],
  ])("what %s goes as it is", async (_why, message) => {
    const way = packedWay(deflate);
    const right = listen(way.right);
    way.left.send(message);
    await right.received(1);
    expect(way.fromLeft[0]).toBe(message);
    assertSame(right.messages, [message]);
  });

  test.each(refusals().filter(([why]) => name === "Node" || why !== TRAILING))(
    "%s ends the link with corrupt-bytes, after what came before it",
    async (_why, bad) => {
      const way = packedWay(deflate);
      const [left, right] = [listen(way.left), listen(way.right)];
      const good = wordy(20 * KIB, 2);
      way.left.send(good);
      await right.received(1);
      way.below.left.send(packedBy(good));
      way.below.left.send(bad);
      way.below.left.send("never");
      expect(await right.closed).toMatchObject({ code: 4400, error: { code: "corrupt-bytes" } });
      assertSame(right.messages, [good, good]);
      expect(await left.closed).toEqual({ code: 4400 });
    },
  );
});

test("no message begins like a packed one", () => {
  expect(() => decodeMessage(Uint8Array.of(PACKED_CODE, 0))).toThrow(
    expect.objectContaining({ code: "unsupported-format" }),
  );
});

test("the bytes of docs/protocol.md are a packed ping", async () => {
  const way = packedWay(ofNode);
  const right = listen(way.right);
  way.below.left.send(Uint8Array.from([0x11, 0x02, 0x01, 0x02, 0x00, 0xfd, 0xff, 0x0e, 0x00]));
  await right.received(1);
  expect(right.messages).toEqual([encodeMessage({ type: "ping" }, 0)]);
});

test("a link that does not ask for it packs nothing, and takes what is packed", async () => {
  const below = memoryLink();
  const right = listen(packedLink(below.right));
  const message = wordy(64 * KIB, 3);
  packedLink(below.left).send(message);
  below.left.send(packedBy(message));
  await right.received(2);
  assertSame(right.messages, [message, message]);
});

test("where nothing can be deflated everything goes as it is", async () => {
  const way = packedWay({ ...ofNode, deflate: () => Promise.reject(new Error("none here")) });
  const right = listen(way.right);
  const message = wordy(64 * KIB, 4);
  way.left.send(message);
  await right.received(1);
  expect(way.fromLeft[0]).toBe(message);
});

test("what is being packed counts as buffered until it has gone, and that is told", async () => {
  const slow = slowly(ofNode);
  const way = packedWay(slow.deflate);
  const left = listen(way.left);
  const right = listen(way.right);
  const message = wordy(64 * KIB, 5);
  way.left.send(message);
  way.left.send("behind");
  expect(way.left.bufferedBytes).toBe(64 * KIB + 6);
  await turns(20);
  expect([right.messages.length, left.drainCount]).toEqual([0, 0]);
  slow.goOn();
  await Promise.all([left.drained, right.received(2)]);
  assertSame(right.messages, [message, "behind"]);
  expect(way.left.bufferedBytes).toBe(0);
});

test("closing waits for nothing: what is being packed goes as it is, in its place", async () => {
  const slow = slowly(ofNode);
  const way = packedWay(slow.deflate);
  const [left, right] = [listen(way.left), listen(way.right)];
  const sent = [wordy(64 * KIB, 6), "behind", wordy(64 * KIB, 7)];
  for (const message of sent) way.left.send(message);
  way.left.close(1000);
  expect(await left.closed).toEqual({ code: 1000 });
  await right.closed;
  assertSame(right.messages, sent);
  expect(way.fromLeft.some(isPacked)).toBe(false);
  slow.goOn();
  await turns(20);
  expect([left.endCount, way.fromLeft.length, way.left.bufferedBytes]).toEqual([1, 3, 0]);
});

test("the end of the other side is told after what is still being unpacked", async () => {
  const slow = slowly(ofNode);
  const way = packedWay(slow.deflate);
  const right = listen(way.right);
  const message = wordy(64 * KIB, 8);
  way.below.left.send(packedBy(message));
  way.below.left.send("behind");
  way.below.left.close();
  await turns(20);
  expect([right.messages.length, right.endCount]).toEqual([0, 0]);
  slow.goOn();
  await right.closed;
  assertSame(right.messages, [message, "behind"]);
});

test("who closes while something is being unpacked hears of the end alone", async () => {
  const slow = slowly(ofNode);
  const way = packedWay(slow.deflate);
  const right = listen(way.right);
  way.below.left.send(packedBy(wordy(64 * KIB, 9)));
  way.below.left.close();
  await turns(20);
  way.right.close();
  expect(right.endCount).toBe(0);
  await right.closed;
  slow.goOn();
  await turns(20);
  expect([right.messages.length, right.endCount]).toEqual([0, 1]);
});

test("a link that breaks forgets what was being packed", async () => {
  const slow = slowly(ofNode);
  const way = packedWay(slow.deflate);
  const left = listen(way.left);
  way.left.send(wordy(64 * KIB, 10));
  way.below.cut();
  expect((await left.closed).error).toMatchObject({ code: "link-failed" });
  expect(way.left.bufferedBytes).toBe(0);
  slow.goOn();
  await turns(20);
  expect(way.fromLeft).toEqual([]);
});

test("who sends faster than can be unpacked is given up, before that takes memory", async () => {
  const slow = slowly(ofNode);
  const way = packedWay(slow.deflate);
  const right = listen(way.right);
  way.below.left.send(packedBy(wordy(64 * KIB, 11)));
  const large = new Uint8Array(2 ** 20);
  for (let at = 0; at < 17; at += 1) way.below.left.send(large);
  expect(await right.closed).toMatchObject({ code: 1009, error: { code: "link-failed" } });
  expect(right.messages).toEqual([]);
  slow.goOn();
  await turns(20);
  expect(right.endCount).toBe(1);
});

interface PackedWay {
  readonly left: Link;
  readonly right: Link;
  readonly below: MemoryLink;
  /** What `left` gave to the link below. */
  readonly fromLeft: readonly Message[];
  killRight(): void;
  remove(): void;
}

/** A packed link around each end of one that asks for it. */
function packedWay(deflate: Deflate | undefined, options: MemoryLinkOptions = {}): PackedWay {
  const below = memoryLink(options);
  const fromLeft: Message[] = [];
  const wrapped = (end: Link, onSend: (message: Message) => void): Link =>
    packedLink(preferring(end, onSend), deflate === undefined ? {} : { deflate });
  return {
    left: wrapped(below.left, (message) => fromLeft.push(message)),
    right: wrapped(below.right, () => {}),
    below,
    fromLeft,
    killRight: () => below.cut(),
    remove: () => below.cut(),
  };
}

/** As one over a network is. */
function preferring(link: Link, onSend: (message: Message) => void): Link {
  return {
    name: link.name,
    prefersPacked: true,
    get bufferedBytes() {
      return link.bufferedBytes;
    },
    start: (handler) => link.start(handler),
    send: (message) => {
      onSend(message);
      link.send(message);
    },
    close: (code, reason) => link.close(code, reason),
  };
}

/** The same, that does nothing until it is told to go on. */
function slowly({ deflate, inflate }: Deflate): {
  readonly deflate: Deflate;
  goOn(): void;
} {
  let goOn = (): void => {};
  const going = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  return {
    deflate: {
      deflate: (plain) => going.then(() => deflate(plain)),
      inflate: (bytes, length) => going.then(() => inflate(bytes, length)),
    },
    goOn: () => goOn(),
  };
}

const TRAILING = "a byte behind the stream";

/** Packed messages that nobody makes. */
function refusals(): readonly (readonly [why: string, message: Uint8Array])[] {
  const plain = wordy(20 * KIB, 12);
  const good = packedBy(plain);
  const deflated = deflateRawSync(plain);
  const nested = packedBy(packedBy(plain));
  return [
    ["a length alone", good.subarray(0, 4)],
    ["nothing but the type", Uint8Array.of(PACKED_CODE)],
    ["a stream that is cut off", good.subarray(0, -1)],
    [TRAILING, Uint8Array.of(...good, 0)],
    ["a length that is too small by one", packedAs(plain.length - 1, deflated)],
    ["a length that is too great by one", packedAs(plain.length + 1, deflated)],
    ["a length beyond the limit", packedBy(wordy(MESSAGE_BYTES_MAX + 1, 13))],
    ["a bomb", packedBy(new Uint8Array(2 ** 20))],
    ["a bomb that tells less", packedAs(1000, deflateRawSync(new Uint8Array(2 ** 20)))],
    ["an empty message", packedBy(new Uint8Array(0))],
    ["a packed message in a packed one", nested],
    ["what is not deflated", packedAs(1000, new Uint8Array(1000).fill(0xff))],
    ["a length that is not in its shortest form", Uint8Array.of(PACKED_CODE, 0x80, 0x00, 0x03)],
  ];
}

function packedBy(plain: Uint8Array): Uint8Array {
  return packedAs(plain.length, deflateRawSync(plain));
}

function packedAs(length: number, deflated: Uint8Array): Uint8Array {
  return new ByteWriter().u8(PACKED_CODE).varint(length).bytes(deflated).finish();
}

function isPacked(message: Message): boolean {
  return message[0] === PACKED_CODE;
}

/** Bytes of a message that shrink to a third or so. */
function wordy(length: number, seed: number): Uint8Array {
  const random = seededRandom(seed);
  const words = Array.from({ length: 1000 }, () => random.bytes(1 + random.below(8)));
  const bytes = new Uint8Array(length);
  let position = 0;
  while (position < length) {
    const word = random.pick(words).subarray(0, length - position);
    bytes.set(word, position);
    position += word.length;
  }
  bytes[0] = 5;
  return bytes;
}

function small(number: number): Message {
  return number % 2 === 0 ? `message ${number}` : Uint8Array.of(1, number);
}

/** Without a deep comparison, which takes seconds. */
function assertSame(received: readonly Message[], sent: readonly Message[]): void {
  expect(received.length).toBe(sent.length);
  const differs = received.findIndex(
    (message, at) => Buffer.compare(Buffer.from(message), Buffer.from(sent[at] ?? "")) !== 0,
  );
  expect(differs, "the first message that is another one").toBe(-1);
}
