import { fileURLToPath } from "node:url";
import { MessageChannel, Worker } from "node:worker_threads";

import { describe, expect, expectTypeOf, test } from "vitest";

import { messagePortLink, type PortLike } from "../../ts/transport/message-port.ts";
import { listen, testTransport, turns, type WayUnderTest } from "../suites/transport.ts";

testTransport("MessagePort of Node", async () => portWay(), { carries: "both" });
testTransport("MessagePort as browsers have it", async () => portWay(asInBrowsers), {
  carries: "both",
});
testTransport("Worker of worker_threads", workerWay, { carries: "both" });

describe("message ports", () => {
  test("of browsers and of Node have the shape that is asked for", () => {
    expectTypeOf<globalThis.MessagePort>().toExtend<PortLike>();
    expectTypeOf<globalThis.Worker>().toExtend<PortLike>();
    expectTypeOf<Worker>().toExtend<PortLike>();
  });

  test("may carry other messages too, which are left alone", async () => {
    const { port1, port2 } = new MessageChannel();
    const others: unknown[] = [];
    port2.on("message", (message) => others.push(message));
    const left = listen(messagePortLink(port1));
    const right = listen(messagePortLink(port2));
    for (const foreign of [
      null,
      1,
      "text",
      { type: "message" },
      { lastwrite: 2 },
      { lastwrite: 1, posted: { type: "message", message: 1 } },
    ]) {
      port1.postMessage(foreign);
    }
    messageOf(port1);
    await right.received(1);
    expect(right.messages).toEqual(["ours"]);
    expect(others.length).toBe(7);
    port1.close();
    await Promise.all([left.closed, right.closed]);
  });

  test("stay open when their link is closed, and can have another one", async () => {
    const { port1, port2 } = new MessageChannel();
    for (const word of ["first", "second"]) {
      const [left, right] = [messagePortLink(port1), messagePortLink(port2)];
      const [leftEnd, rightEnd] = [listen(left), listen(right)];
      left.send(word);
      await rightEnd.received(1);
      expect(rightEnd.messages).toEqual([word]);
      right.close();
      await Promise.all([leftEnd.closed, rightEnd.closed]);
    }
    port1.close();
  });

  test("are not given the whole of a buffer of which a message is a part", async () => {
    const { port1, port2 } = new MessageChannel();
    const right = listen(messagePortLink(port2));
    const left = messagePortLink(port1);
    listen(left);
    left.send(new Uint8Array(1000).subarray(10, 20));
    await right.received(1);
    expect((right.messages[0] as Uint8Array).buffer.byteLength).toBe(10);
    port1.close();
    await turns(1);
  });
});

function messageOf(port: PortLike): void {
  port.postMessage({ lastwrite: 1, posted: { type: "message", message: "ours" } });
}

function portWay(as: (port: PortLike) => PortLike = (port) => port): WayUnderTest {
  const { port1, port2 } = new MessageChannel();
  return {
    left: messagePortLink(as(port1)),
    right: messagePortLink(as(port2)),
    killRight: () => port2.close(),
    remove: () => {
      port1.close();
      port2.close();
    },
  };
}

/** Only what browsers have, too. Those of today tell when a port was closed. */
function asInBrowsers(port: PortLike): PortLike {
  return {
    postMessage: (message) => port.postMessage(message),
    addEventListener: (type: never, listener: never) => port.addEventListener?.(type, listener),
    removeEventListener: (type: never, listener: never) =>
      port.removeEventListener?.(type, listener),
    start: () => port.start?.(),
  };
}

/** The thread passes on what it gets over its own link, to the port of the other end. */
async function workerWay(): Promise<WayUnderTest> {
  const { port1, port2 } = new MessageChannel();
  const worker = new Worker(fileURLToPath(new URL("./thread.mjs", import.meta.url)), {
    workerData: { port: port2 },
    transferList: [port2],
  });
  await new Promise((resolve) => {
    worker.once("message", resolve);
  });
  return {
    left: messagePortLink(worker),
    right: messagePortLink(port1),
    killRight: async () => {
      await worker.terminate();
    },
    remove: async () => {
      port1.close();
      await worker.terminate();
    },
  };
}
