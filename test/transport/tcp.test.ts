import { connect, createServer, type Server, type Socket } from "node:net";
import type { AddressInfo } from "node:net";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { encodeMessage } from "../../ts/sync/codec.ts";
import type { Link } from "../../ts/transport/contract.ts";
import { linkOfSocket, tcpConnector } from "../../ts/transport/tcp.ts";
import { manualTimers } from "../suites/timers.ts";
import { listen, testTransport, type WayUnderTest } from "../suites/transport.ts";

const host = "127.0.0.1";
const never = new AbortController().signal;
let server: Server;
let port: number;
const accepted: ((socket: Socket) => void)[] = [];

beforeAll(async () => {
  server = createServer((socket) => accepted.shift()?.(socket));
  port = await listening(server);
});

afterAll(() => {
  server.close();
});

testTransport("TCP, binary", () => socketWay({ text: false }), { carries: "binary" });
testTransport("TCP, lines of text", () => socketWay({ text: true }), { carries: "text" });
testTransport(
  "TCP, with a server that heeds the first byte",
  () => socketWay({ text: true, isGuessed: true }),
  { carries: "text" },
);

describe("TCP", () => {
  test("a server speaks the form in which the other side begins, and holds back what it sends until then", async () => {
    for (const [first, answer] of [
      ['{"type":"ping","number":0}\n', '{"type":"pong","number":0}\n'],
      [Buffer.from([0, 0, 0, 2, 14, 0]), Buffer.from([0, 0, 0, 2, 15, 0])],
    ] as const) {
      const socket = nextAccepted();
      const client = connect({ host, port });
      const link = linkOfSocket(await socket);
      listen(link);
      link.send(encodeMessage({ type: "pong" }, 0));
      expect(link.bufferedBytes).toBe(2);
      const answered = new Promise<Buffer>((resolve) => {
        client.once("data", resolve);
      });
      client.write(first);
      expect(await answered).toEqual(Buffer.from(answer));
      expect(link.bufferedBytes).toBe(0);
      client.destroy();
    }
  });

  test("a length that cannot be ends the link with corrupt-bytes, on this side alone", async () => {
    const socket = nextAccepted();
    const client = connect({ host, port });
    client.on("error", () => {});
    const right = listen(linkOfSocket(await socket, { text: false }));
    client.write(Uint8Array.of(0xff, 0xff, 0xff, 0xff));
    expect((await right.closed).error).toMatchObject({ code: "corrupt-bytes" });
    client.destroy();
  });

  test("an end inside a message is an error, one between messages is none", async () => {
    for (const [bytes, code] of [
      [Uint8Array.of(0, 0, 0, 1, 7), undefined],
      [Uint8Array.of(0, 0, 0, 2, 7), "link-failed"],
    ] as const) {
      const socket = nextAccepted();
      const client = connect({ host, port });
      const right = listen(linkOfSocket(await socket, { text: false }));
      client.end(bytes);
      expect((await right.closed).error).toEqual(
        code === undefined ? undefined : expect.objectContaining({ code }),
      );
    }
  });

  test("a link that is closed ends in time, whoever does not read", async () => {
    const timers = manualTimers();
    const socket = nextAccepted();
    const client = connect({ host, port });
    client.pause();
    client.on("error", () => {});
    const link = linkOfSocket(await socket, { text: false, timers });
    const right = listen(link);
    for (let at = 0; at < 24; at += 1) link.send(new Uint8Array(2 ** 20));
    link.close();
    timers.run();
    expect(await right.closed).toEqual({});
    client.destroy();
  });

  test("wrong hosts and ports end in link-failed", async () => {
    const closed = createServer();
    const unused = await listening(closed);
    await new Promise((resolve) => {
      closed.close(resolve);
    });
    for (const wrong of [
      { host, port: unused },
      { host: "host.invalid", port: 4040 },
    ]) {
      await expect(tcpConnector(wrong).connect(never)).rejects.toMatchObject({
        code: "link-failed",
      });
    }
    for (const wrong of [
      { host, port: 0 },
      { host, port: 65_536 },
      { host: "", port: 1 },
    ]) {
      expect(() => tcpConnector(wrong)).toThrow(
        expect.objectContaining({ code: "invalid-argument" }),
      );
    }
  });

  test("a signal ends connecting, before and while", async () => {
    await expect(
      tcpConnector({ host, port }).connect(AbortSignal.abort(new Error("no more"))),
    ).rejects.toThrow("no more");
    const controller = new AbortController();
    const connecting = tcpConnector({ host, port }).connect(controller.signal);
    controller.abort(new Error("enough"));
    await expect(connecting).rejects.toThrow("enough");
  });

  test("an attempt without an answer ends", async () => {
    const timers = manualTimers();
    const connecting = tcpConnector({ host, port, timers }).connect(never);
    timers.run();
    await expect(connecting).rejects.toMatchObject({ code: "link-failed" });
  });

  test("a link is named by its address", async () => {
    expect(tcpConnector({ host: "::1", port: 1 }).name).toBe("tcp://[::1]:1");
    const socket = nextAccepted();
    const link = await tcpConnector({ host, port }).connect(never);
    expect(link.name).toBe(`tcp://${host}:${port}`);
    listen(link);
    link.close();
    (await socket).destroy();
  });
});

async function socketWay({
  text,
  isGuessed = false,
}: {
  text: boolean;
  isGuessed?: boolean;
}): Promise<WayUnderTest> {
  const socket = nextAccepted();
  const left: Link = await tcpConnector({ host, port, text }).connect(never);
  const accepting = await socket;
  return {
    left,
    right: linkOfSocket(accepting, isGuessed ? {} : { text }),
    killRight: () => void accepting.resetAndDestroy(),
    remove: () => {
      left.close();
      accepting.destroy();
    },
  };
}

function nextAccepted(): Promise<Socket> {
  return new Promise((resolve) => {
    accepted.push(resolve);
  });
}

async function listening(created: Server): Promise<number> {
  await new Promise<void>((resolve) => {
    created.listen(0, host, resolve);
  });
  return (created.address() as AddressInfo).port;
}
