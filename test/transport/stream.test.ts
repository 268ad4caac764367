import { Duplex } from "node:stream";

import { describe, expect, test } from "vitest";

import { streamLink, type StreamPair } from "../../ts/transport/stream.ts";
import { manualTimers } from "../suites/timers.ts";
import { listen, testTransport, turns, type WayUnderTest } from "../suites/transport.ts";

testTransport("Duplex of Node, binary", async () => duplexWay(false), { carries: "binary" });
testTransport("Duplex of Node, lines of text", async () => duplexWay(true), { carries: "text" });
testTransport("web streams, binary", async () => webWay(false), { carries: "binary" });
testTransport("web streams, lines of text", async () => webWay(true), { carries: "text" });

describe("streams", () => {
  test("that never end are left alone in the end", async () => {
    const timers = manualTimers();
    const { readable } = new TransformStream<Uint8Array, Uint8Array>();
    const { writable } = new TransformStream<Uint8Array, Uint8Array>();
    const link = streamLink({ readable, writable }, { timers });
    const listener = listen(link);
    link.send(new Uint8Array(100));
    link.close();
    await turns(5);
    expect(listener.endCount).toBe(0);
    timers.run();
    expect(await listener.closed).toEqual({});
  });

  test("that were destroyed before they became a link end it", async () => {
    const [stream] = duplexPair();
    stream.destroy();
    await turns(2);
    const { error } = await listen(streamLink(stream)).closed;
    expect(error).toMatchObject({ code: "link-failed" });
  });

  test("that carry something else end with corrupt-bytes", async () => {
    const [left, right] = duplexPair();
    const listener = listen(streamLink(left));
    right.write("GET / HTTP/1.1\r\n");
    expect((await listener.closed).error).toMatchObject({ code: "corrupt-bytes" });
    expect(left.destroyed).toBe(true);
  });

  test("end when they are told to send what is no message, where it has to be translated", async () => {
    const [left] = duplexPair();
    const link = streamLink(left);
    const listener = listen(link);
    link.send("hello");
    expect((await listener.closed).error).toMatchObject({ code: "corrupt-bytes" });
  });
});

function duplexWay(text: boolean): WayUnderTest {
  const [left, right] = duplexPair();
  return {
    left: streamLink(left, { text }),
    right: streamLink(right, { text }),
    killRight: () => void right.destroy(new Error("killed")),
    remove: () => {
      left.destroy();
      right.destroy();
    },
  };
}

/** Two ends of a pipe, each of which takes no more before the other one has read. */
function duplexPair(): readonly [Duplex, Duplex] {
  const ends: PipeEnd[] = [new PipeEnd(), new PipeEnd()];
  const [left, right] = ends as [PipeEnd, PipeEnd];
  left.other = right;
  right.other = left;
  return [left, right];
}

class PipeEnd extends Duplex {
  other: PipeEnd | undefined;
  #wanted: (() => void) | undefined;

  override _read(): void {
    const wanted = this.#wanted;
    this.#wanted = undefined;
    wanted?.();
  }

  override _write(chunk: Uint8Array, _encoding: string, done: () => void): void {
    if (this.other === undefined || this.other.push(chunk)) done();
    else this.other.#wanted = done;
  }

  override _final(done: () => void): void {
    this.other?.push(null);
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    const { other } = this;
    if (error !== null && other?.destroyed === false) other.destroy(new Error("the pipe broke"));
    this.#wanted?.();
    done(error);
  }
}

function webWay(text: boolean): WayUnderTest {
  const there = new TransformStream<Uint8Array, Uint8Array>();
  const back = new TransformStream<Uint8Array, Uint8Array>();
  const left: StreamPair = { readable: back.readable, writable: there.writable };
  const breaking = breakable(back.writable);
  const right: StreamPair = { readable: there.readable, writable: breaking.writable };
  const [leftLink, rightLink] = [streamLink(left, { text }), streamLink(right, { text })];
  return {
    left: leftLink,
    right: rightLink,
    killRight: breaking.break,
    remove: () => {
      leftLink.close();
      rightLink.close();
    },
  };
}

/** Something to write to that can be made to fail. */
function breakable(writable: WritableStream<Uint8Array>) {
  const writer = writable.getWriter();
  return {
    writable: new WritableStream<Uint8Array>({
      write: (chunk) => writer.write(chunk),
      close: () => writer.close(),
      abort: (reason) => writer.abort(reason),
    }),
    break: () => writer.abort(new Error("killed")),
  };
}
