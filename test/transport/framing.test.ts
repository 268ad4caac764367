import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { MESSAGE_BYTES_MAX, TEXT_LENGTH_MAX } from "../../ts/sync/limits.ts";
import type { Message } from "../../ts/transport/contract.ts";
import { Deframer, framed, type StreamForm } from "../../ts/transport/framing.ts";

const lineOfText = fc
  .string({ unit: "grapheme", minLength: 1 })
  .map((text) => `{${text.replaceAll(/\s/gu, "_").toWellFormed()}}`);

describe("messages on a stream", () => {
  test("come out whole, wherever the stream is cut", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.record({
            form: fc.constant("binary" as const),
            sent: fc.array(
              fc.oneof(
                fc.uint8Array(),
                fc.constantFrom(new Uint8Array(4096), new Uint8Array(4097)),
              ),
            ),
          }),
          fc.record({ form: fc.constant("text" as const), sent: fc.array(lineOfText) }),
        ),
        fc.boolean(),
        fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1 }),
        ({ form, sent }, isKnown, cuts) => {
          const bytes = Buffer.concat(
            (sent as Message[]).flatMap((message) => framed(message, form)),
          );
          const { received, deframer } = read(isKnown ? form : undefined, pieces(bytes, cuts));
          expect(received).toEqual(sent);
          expect(deframer.isInside).toBe(false);
          if (sent.length > 0) expect(deframer.form).toBe(form);
        },
      ),
    );
  });

  test("that are too long are refused before anything of them is kept", () => {
    const length = new Uint8Array(4);
    new DataView(length.buffer).setUint32(0, MESSAGE_BYTES_MAX + 1);
    for (const bytes of [
      length,
      Uint8Array.of(0xff, 0xff, 0xff, 0xff),
      Uint8Array.of(...length, 1),
    ]) {
      for (const cut of [1, 2, 5]) {
        expect(() => read("binary", pieces(bytes, [cut]))).toThrow(
          expect.objectContaining({ code: "corrupt-bytes" }),
        );
      }
    }
  });

  test("of which only the length came take no memory", () => {
    const before = process.memoryUsage().arrayBuffers;
    const deframers = Array.from({ length: 100 }, () => {
      const deframer = new Deframer("binary");
      deframer.push(Uint8Array.of(0, 0x10, 0, 0, 1, 2, 3), () => {});
      return deframer;
    });
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 ** 20);
    expect(deframers.every(({ isInside }) => isInside)).toBe(true);
  });

  test("of text end with a newline, may have a return before it, and empty ones are none", () => {
    const { received, deframer } = read(undefined, [
      Buffer.from('{"a":1}\r\n\n \n{"b"'),
      Buffer.from(":2}\n{"),
    ]);
    expect(received).toEqual(['{"a":1}', '{"b":2}']);
    expect(deframer.isInside).toBe(true);
  });

  test("of text that are too long, or no UTF-8, are refused", () => {
    const half = new Uint8Array(TEXT_LENGTH_MAX / 2).fill(0x20);
    for (const chunks of [
      [half, half, Uint8Array.of(0x20)],
      [half, half, Uint8Array.of(0x20, 0x0a)],
      [Uint8Array.of(0xff, 0x0a)],
    ]) {
      expect(() => read("text", chunks)).toThrow(
        expect.objectContaining({ code: "corrupt-bytes" }),
      );
    }
  });

  test("of the other form are translated, and none that says nothing", () => {
    const [line] = framed(Uint8Array.of(14, 5), "text");
    expect(Buffer.from(line ?? []).toString()).toBe('{"type":"ping","number":5}\n');
    expect(framed('{"type":"ping","number":5}', "binary")).toEqual([
      Uint8Array.of(0, 0, 0, 2, 14, 5),
    ]);
    expect(() => framed("hello", "binary")).toThrow(
      expect.objectContaining({ code: "corrupt-bytes" }),
    );
  });
});

function read(form: StreamForm | undefined, chunks: readonly Uint8Array[]) {
  const deframer = new Deframer(form);
  const received: Message[] = [];
  for (const chunk of chunks) {
    deframer.push(chunk, (message) => {
      received.push(typeof message === "string" ? message : Uint8Array.from(message));
    });
  }
  return { received, deframer };
}

function pieces(bytes: Uint8Array, cuts: readonly number[]): readonly Uint8Array[] {
  const cut: Uint8Array[] = [];
  for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
    const length = cuts[turn % cuts.length] ?? 1;
    cut.push(Uint8Array.from(bytes.subarray(at, at + length)));
    at += length;
  }
  return cut;
}
