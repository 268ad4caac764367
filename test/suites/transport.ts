/** What every link has to do, whatever it is made of. */

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { LACKING } from "../summary-reporter.ts";
import type { Link, LinkEnd, LinkHandler, Message } from "../../ts/transport/contract.ts";
import { encodeMessage, encodeText } from "../../ts/sync/codec.ts";
import { seededRandom } from "./random.ts";

/** The two ends of one way. */
export interface WayUnderTest {
  readonly left: Link;
  readonly right: Link;
  /** Ends the side of `right` without a word, as if its process had died. */
  killRight?(): void | Promise<void>;
  /** Frees whatever is left. */
  remove(): void | Promise<void>;
}

export interface TransportTestOptions {
  /** What it carries; what is of the other form it translates. */
  readonly carries: "both" | "binary" | "text";
  /** Cases that this transport cannot meet, by name, each with what it lacks. */
  readonly without?: Readonly<Record<string, string>>;
}

const MIB = 2 ** 20;

/** Runs the cases on ways that `make` gives, a new one each time, with neither end started. */
export function testTransport(
  name: string,
  make: () => Promise<WayUnderTest>,
  { carries, without = {} }: TransportTestOptions,
): void {
  describe(`transport: ${name}`, () => {
    let way: WayUnderTest;

    beforeEach(async ({ task, skip }) => {
      const reason = without[task.name];
      if (reason !== undefined) skip(`${LACKING}${reason}`);
      way = await make();
    });

    // A case that was skipped has none, and one that ran is done with it.
    afterEach(async () => {
      await way?.remove();
    });

    test("messages of 0 bytes to 1 MiB arrive both ways, whole and in order", async () => {
      const sent = messagesOf(carries);
      const [left, right] = [listen(way.left), listen(way.right)];
      for (const message of sent) {
        way.left.send(message);
        way.right.send(message);
      }
      await Promise.all([left.received(sent.length), right.received(sent.length)]);
      assertSame(left.messages, sent);
      assertSame(right.messages, sent);
    });

    test("what is sent in the other form arrives, and says the same", async () => {
      const ping = { type: "ping" } as const;
      const sent = [encodeMessage(ping, 0), encodeText(ping, 1)];
      const right = listen(way.right);
      listen(way.left);
      for (const message of sent) way.left.send(message);
      await right.received(2);
      const [first, second] = right.messages;
      expect([encodeMessage(ping, 0), encodeText(ping, 0)]).toContainEqual(first);
      expect([encodeMessage(ping, 1), encodeText(ping, 1)]).toContainEqual(second);
    });

    test("ten thousand small messages arrive once each, in order", async () => {
      const count = 10_000;
      const sent = Array.from({ length: count }, (_, at) => numbered(carries, at));
      const [left, right] = [listen(way.left), listen(way.right)];
      for (const message of sent) {
        way.left.send(message);
        way.right.send(message);
      }
      await Promise.all([left.received(count), right.received(count)]);
      assertSame(right.messages, sent);
      assertSame(left.messages, sent);
      way.left.close();
      await Promise.all([left.closed, right.closed]);
      expect([left.messages.length, right.messages.length]).toEqual([count, count]);
    });

    test("what came before it was started is delivered after", async () => {
      const left = listen(way.left);
      way.left.send(numbered(carries, 1));
      way.left.send(numbered(carries, 2));
      await turns(20);
      const right = listen(way.right);
      expect(right.messages).toEqual([]);
      await right.received(2);
      assertSame(right.messages, [numbered(carries, 1), numbered(carries, 2)]);
      way.right.send(numbered(carries, 3));
      await left.received(1);
    });

    test("an end that is sent to before it was started can answer", async () => {
      way.left.send(numbered(carries, 1));
      const right = listen(way.right, (message) => way.right.send(message));
      const left = listen(way.left);
      await Promise.all([right.received(1), left.received(1)]);
      assertSame(left.messages, [numbered(carries, 1)]);
    });

    test("the user is never called from inside his own calls", async () => {
      let depth = 0;
      let wasInside = false;
      const inside = (act: () => void): void => {
        depth += 1;
        act();
        depth -= 1;
      };
      const handler = (link: Link): LinkHandler => ({
        message: () => {
          wasInside ||= depth > 0;
          inside(() => link.close());
        },
        drained: () => {
          wasInside ||= depth > 0;
        },
        closed: () => {
          wasInside ||= depth > 0;
        },
      });
      inside(() => way.left.send(numbered(carries, 0)));
      const right = watch(way.right, handler(way.right));
      inside(() => way.right.start(right.handler));
      const left = watch(way.left, handler(way.left));
      inside(() => way.left.start(left.handler));
      await Promise.all([left.closed, right.closed]);
      expect(wasInside).toBe(false);
    });

    test("a link that is closed ends on both sides in the regular way, after what was sent", async () => {
      const [left, right] = [listen(way.left), listen(way.right)];
      const sent = Array.from({ length: 100 }, (_, at) => numbered(carries, at));
      for (const message of sent) way.left.send(message);
      way.left.close();
      const ends = await Promise.all([left.closed, right.closed]);
      assertSame(right.messages, sent);
      for (const end of ends) expect(end.error).toBeUndefined();
    });

    test("a link can be closed from the other side too", async () => {
      const [left, right] = [listen(way.left), listen(way.right)];
      way.left.send(numbered(carries, 0));
      await right.received(1);
      way.right.close();
      for (const end of await Promise.all([left.closed, right.closed])) {
        expect(end.error).toBeUndefined();
      }
    });

    test("a link can be closed while much is on its way to both", async () => {
      const [left, right] = [listen(way.left), listen(way.right)];
      for (let at = 0; at < 16; at += 1) {
        way.left.send(large(carries));
        way.right.send(large(carries));
      }
      way.left.close();
      way.right.close();
      await Promise.all([left.closed, right.closed]);
      expect(left.messages).toEqual([]);
      expect(right.messages).toEqual([]);
    });

    test("closing twice, and sending afterwards, does nothing", async () => {
      const [left, right] = [listen(way.left), listen(way.right)];
      way.left.close();
      way.left.close();
      way.left.send(numbered(carries, 0));
      await Promise.all([left.closed, right.closed]);
      way.left.send(numbered(carries, 1));
      way.right.send(numbered(carries, 2));
      way.left.close();
      way.right.close();
      await turns(50);
      expect(left.endCount + right.endCount).toBe(2);
      expect([...left.messages, ...right.messages]).toEqual([]);
      expect([way.left.bufferedBytes, way.right.bufferedBytes]).toEqual([0, 0]);
    });

    test("a link that was closed before it was started says so once it is", async () => {
      way.left.close();
      await turns(20);
      const [left, right] = [listen(way.left), listen(way.right)];
      await Promise.all([left.closed, right.closed]);
      expect(left.endCount + right.endCount).toBe(2);
    });

    test("a link has one user", () => {
      listen(way.left);
      expect(() => listen(way.left)).toThrow(expect.objectContaining({ code: "invalid-argument" }));
    });

    test("the death of the other side ends a link, once", async () => {
      const [left, right] = [listen(way.left), listen(way.right)];
      way.left.send(numbered(carries, 0));
      await right.received(1);
      await way.killRight?.();
      const { error } = await left.closed;
      if (error !== undefined) expect(error).toMatchObject({ code: "link-failed" });
      way.left.send(numbered(carries, 1));
      await turns(50);
      expect(left.endCount).toBe(1);
    });

    test("bytes that nobody reads are told, and so is that they have gone", async () => {
      const left = listen(way.left);
      const sent: Message[] = [];
      // What systems keep between two sockets is some MiB.
      for (let at = 0; at < 24; at += 1) sent.push(large(carries));
      for (const message of sent) way.left.send(message);
      await turns(50);
      const waiting = way.left.bufferedBytes;
      expect(waiting).toBeGreaterThan(MIB);
      expect(waiting).toBeLessThanOrEqual(25 * MIB);
      expect(left.drainCount).toBe(0);
      const right = listen(way.right);
      await Promise.all([right.received(sent.length), left.drained]);
      assertSame(right.messages, sent);
      expect(way.left.bufferedBytes).toBe(0);
    });
  });
}

interface Listener {
  readonly handler: LinkHandler;
  readonly messages: readonly Message[];
  readonly endCount: number;
  readonly drainCount: number;
  readonly closed: Promise<LinkEnd>;
  readonly drained: Promise<void>;
  received(count: number): Promise<void>;
}

/** Starts a link, and keeps what it says. */
export function listen(link: Link, onMessage: (message: Message) => void = () => {}): Listener {
  const listener = watch(link, { message: onMessage, drained: () => {}, closed: () => {} });
  link.start(listener.handler);
  return listener;
}

function watch(link: Link, inner: LinkHandler): Listener {
  const messages: Message[] = [];
  let waiting:
    | {
        readonly count: number;
        readonly resolve: () => void;
        readonly reject: (error: Error) => void;
      }
    | undefined;
  let endCount = 0;
  let drainCount = 0;
  const [closed, onClosed] = eventual<LinkEnd>();
  const [drained, onDrained] = eventual<void>();
  return {
    messages,
    closed,
    drained,
    get endCount() {
      return endCount;
    },
    get drainCount() {
      return drainCount;
    },
    handler: {
      message: (message) => {
        messages.push(message);
        if (messages.length === waiting?.count) waiting.resolve();
        inner.message(message);
      },
      drained: () => {
        drainCount += 1;
        inner.drained();
        onDrained();
      },
      closed: (end) => {
        endCount += 1;
        waiting?.reject(new Error(`${link.name} ended`, { cause: end.error }));
        inner.closed(end);
        onClosed(end);
      },
    },
    received: (count) =>
      new Promise((resolve, reject) => {
        waiting = { count, resolve, reject };
        if (messages.length >= count) resolve();
      }),
  };
}

function eventual<Value>(): readonly [Promise<Value>, (value: Value) => void] {
  let settle: (value: Value) => void = () => {};
  const promise = new Promise<Value>((resolve) => {
    settle = resolve;
  });
  return [promise, settle];
}

/** Lets everything that is ready happen, so many times. */
export async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}

function messagesOf(carries: TransportTestOptions["carries"]): readonly Message[] {
  const random = seededRandom(5);
  const lengths = [0, 1, 2, 3, 125, 126, 127, 4095, 4096, 65_535, 65_536, 70_000, MIB - 1, MIB];
  const binary = lengths.map((length) => random.bytes(length));
  const text = lengths
    .filter((length) => length > 0)
    .map((length) => `${"é\u{1F600}\\ ".repeat(length / 8)}${"x".repeat(length % 8)}.`);
  if (carries === "both") return binary.flatMap((bytes, at) => [bytes, text[at] ?? ""]);
  return carries === "binary" ? binary : text;
}

function numbered(carries: TransportTestOptions["carries"], number: number): Message {
  if (carries === "text" || (carries === "both" && number % 2 === 1)) return `message ${number}`;
  return Uint8Array.of(number & 0xff, number >>> 8, 7);
}

function large(carries: TransportTestOptions["carries"]): Message {
  return carries === "text" ? "x".repeat(MIB) : new Uint8Array(MIB);
}

/** Without a deep comparison, which takes seconds for a MiB. */
function assertSame(received: readonly Message[], sent: readonly Message[]): void {
  expect(received.length).toBe(sent.length);
  const differs = received.findIndex((message, at) => !isSame(message, sent[at]));
  expect(differs, "the first message that is another one").toBe(-1);
}

function isSame(left: Message | undefined, right: Message | undefined): boolean {
  if (typeof left === "string" || typeof right === "string") return left === right;
  return left !== undefined && right !== undefined && Buffer.compare(left, right) === 0;
}
