import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { LastwriteError } from "../../ts/errors.ts";
import { encodedEntry } from "../../ts/codec/block.ts";
import type { Entry } from "../../ts/codec/entry.ts";
import { compareDots, compareKeys } from "../../ts/codec/order.ts";
import { decodeFrame, encodeEntriesFrame, encodeFrame } from "../../ts/codec/frame.ts";
import { decodeHeader, type Header, KIND } from "../../ts/codec/header.ts";
import { checksum } from "../../ts/codec/hash.ts";
import { ByteWriter } from "../../ts/codec/numbers.ts";
import { entry, stamp, version } from "./arbitraries.ts";

const ALL_KINDS = Object.values(KIND);
const A = "000000000000000000000000000000aa";

/** Pieces of the header of a journal. */
const oneReplica = [1, 16, ...new Uint8Array(16)];
const clocks = [8, 16, ...new Uint8Array(16)];
const journalEnd = [...clocks, 9, 2, 0, 0, 0];
const journal = [...oneReplica, ...journalEnd];
/** 2^48 as a varint. */
const place48 = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40];

/** `bytes` with their checksum made right again. */
function sealed(bytes: Uint8Array): Uint8Array {
  const content = bytes.subarray(0, -4);
  return new ByteWriter().bytes(content).u32(checksum(content)).finish();
}

/** A frame of kind 5 with these bytes after the kind. */
function frameOf(kind: number, ...content: number[]): Uint8Array {
  return sealed(Uint8Array.of(0x4c, 0x57, 1, kind, ...content, 0, 0, 0, 0));
}

function codeOf(call: () => unknown): string {
  try {
    call();
    return "none";
  } catch (error) {
    if (!(error instanceof LastwriteError)) throw error;
    return error.code;
  }
}

function written(number: number): Entry {
  const dot = { replicaId: A, counter: number };
  return {
    key: `key ${number}`,
    isPrefix: false,
    value: number,
    stamp: { millis: number, counter: 0, replicaId: A },
    dot,
    origin: undefined,
  };
}

describe("frames", () => {
  test("give back the entries that went in", () => {
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 30 }), (entries) => {
        expect(decodeFrame(encodeEntriesFrame(entries), [KIND.entries]).entries).toEqual(entries);
      }),
    );
  });

  test("give back header and order of deltas, snapshots and changes", () => {
    const byDot = (a: Entry, b: Entry): number => compareDots(a.dot, b.dot);
    const kinds = [
      [KIND.delta, byDot],
      [KIND.snapshot, compareKeys],
      [KIND.changes, byDot],
    ] as const;
    for (const [kind, compare] of kinds) {
      fc.assert(
        fc.property(
          fc.array(entry),
          version,
          version,
          fc.option(stamp, { nil: undefined }),
          fc.boolean(),
          fc.boolean(),
          (entries, base, own, collected, isTainted, isNamed) => {
            const sorted = entries
              .toSorted(compare)
              .filter((current, at, all) => at === 0 || compare(all[at - 1] as Entry, current) < 0);
            const header: Header = {
              kind,
              ...(kind !== KIND.changes && {
                part: { deltaId: "0123456789abcdef", number: 2 ** 32 - 1 },
              }),
              collector:
                isNamed && collected !== undefined
                  ? { stamp: collected, storeId: "ab".repeat(16) }
                  : undefined,
              isDifference: kind === KIND.changes && isNamed,
              base: kind === KIND.delta ? base : undefined,
              vector: own.vector,
              horizon: base.vector,
              collected,
              end: own.exceptions,
              isTainted,
            };
            const bytes = encodeFrame(header, sorted.map(encodedEntry));
            expect(decodeFrame(bytes, [kind])).toEqual({ ...header, entries: sorted });
          },
        ),
      );
    }
  });

  test("hold full blocks of 4,096 entries but for the last", () => {
    const entries = Array.from({ length: 10_000 }, (_, at) => written(at + 1));
    const bytes = encodeEntriesFrame(entries);
    expect(bytes.length).toBeLessThan(10_000 * 12);
    expect(decodeFrame(bytes, [KIND.entries]).entries).toEqual(entries);
  });

  test("are refused when a byte is changed, missing or added", () => {
    const bytes = encodeEntriesFrame([written(1), written(2)]);
    for (let at = 0; at < bytes.length; at++) {
      expect(codeOf(() => decodeFrame(bytes.slice(0, at), ALL_KINDS))).toBe("corrupt-bytes");
      expect(codeOf(() => decodeFrame(bytes.with(at, (bytes[at] as number) ^ 1), ALL_KINDS))).toBe(
        "corrupt-bytes",
      );
    }
    expect(codeOf(() => decodeFrame(Uint8Array.of(...bytes, 0), ALL_KINDS))).toBe("corrupt-bytes");
  });

  test("are refused by kind and format before all else", () => {
    const bytes = encodeEntriesFrame([]);
    expect(codeOf(() => decodeFrame(bytes, [KIND.delta]))).toBe("unsupported-format");
    expect(codeOf(() => decodeFrame(sealed(bytes.with(2, 2)), ALL_KINDS))).toBe(
      "unsupported-format",
    );
    expect(codeOf(() => decodeFrame(sealed(bytes.with(3, 8)), ALL_KINDS))).toBe(
      "unsupported-format",
    );
  });

  test("either are refused or hold what encodes, whatever was changed", () => {
    fc.assert(
      fc.property(
        fc.array(entry, { minLength: 1, maxLength: 6 }),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        (entries, place, change) => {
          const bytes = encodeEntriesFrame(entries);
          const at = 4 + (place % (bytes.length - 8));
          const changed = sealed(bytes.with(at, (bytes[at] as number) ^ change));
          const code = codeOf(() => {
            const decoded = decodeFrame(changed, [KIND.entries]).entries;
            expect(decodeFrame(encodeEntriesFrame(decoded), [KIND.entries]).entries).toEqual(
              decoded,
            );
          });
          expect(["none", "corrupt-bytes", "too-large"]).toContain(code);
        },
      ),
      { numRuns: 2_000 },
    );
  });

  test("skip fields and columns of later releases", () => {
    const frame = frameOf(KIND.entries, 1, 0, 99, 2, 7, 7, 0);
    expect(decodeFrame(frame, ALL_KINDS).entries).toEqual([]);
  });

  test("of journals hold clock, floor, place, attributes and the own id", () => {
    const fields = {
      isWhole: true,
      clock: { millis: 2 ** 48 - 1, counter: 65_535 },
      floor: { millis: 1, counter: 2 },
      ownId: "a".repeat(32),
      place: 2 ** 48 - 1,
      attributes: Uint8Array.of(1, 2, 3),
    };
    const bytes = encodeFrame({ kind: KIND.journal, journal: fields });
    expect(decodeFrame(bytes, ALL_KINDS).journal).toEqual(fields);
    expect(decodeHeader(bytes, ALL_KINDS).journal).toEqual(fields);
    expect(codeOf(() => decodeFrame(frameOf(KIND.journal, ...journal), ALL_KINDS))).toBe("none");
  });

  test("are refused unless they are as the encoder writes them", () => {
    const bad: readonly (readonly [string, Uint8Array])[] = [
      ["no replicas", frameOf(KIND.entries, 0)],
      ["a field of another kind", frameOf(KIND.entries, 1, 0, 4, 1, 0, 0)],
      ["an empty vector", frameOf(KIND.version, 1, 0, 4, 1, 0, 0)],
      ["an empty end of a version", frameOf(KIND.version, 1, 0, 6, 1, 0, 0)],
      ["flags of nothing", frameOf(KIND.changes, 1, 0, 7, 1, 0, 0)],
      ["a delta without base", frameOf(KIND.delta, 1, 0, 6, 1, 0, 0)],
      ["one part without end", frameOf(KIND.delta, 1, 0, 3, 2, 0, 0, 0)],
      ["fields that do not ascend", frameOf(KIND.changes, 6, 1, 0, 1, 0, 0)],
      ["a block in a version", frameOf(KIND.version, 1, 0, 0, 1)],
      ["an empty block", frameOf(KIND.entries, 1, 0, 0, 0)],
      ["a journal without clock", frameOf(KIND.journal, ...oneReplica, 9, 2, 0, 0, 0)],
      ["a journal without place", frameOf(KIND.journal, ...oneReplica, ...clocks, 0)],
      ["a journal of nobody", frameOf(KIND.journal, 1, 0, ...clocks, 9, 2, 0, 0, 0)],
      ["a journal that is tainted", frameOf(KIND.journal, ...oneReplica, 7, 1, 1, ...journalEnd)],
      ["a delta that is whole", frameOf(KIND.changes, 1, 0, 7, 1, 2, 0)],
      ["an empty end of a journal", frameOf(KIND.journal, ...oneReplica, 6, 1, 0, ...journalEnd)],
      ["attributes of nothing", frameOf(KIND.journal, ...journal.slice(0, -1), 10, 0, 0)],
      [
        "a clock too long",
        frameOf(KIND.journal, ...oneReplica, 8, 17, ...new Uint8Array(17), 9, 2, 0, 0, 0),
      ],
      [
        "a place out of range",
        frameOf(KIND.journal, ...oneReplica, ...clocks, 9, 8, 0, ...place48, 0),
      ],
      ["a clock in a delta", frameOf(KIND.changes, 1, 0, ...clocks, 0)],
      ["a vector of an unknown writer", frameOf(KIND.version, 1, 0, 4, 3, 1, 0, 1, 0)],
    ];
    for (const [what, bytes] of bad)
      expect([what, codeOf(() => decodeFrame(bytes, ALL_KINDS))]).toEqual([what, "corrupt-bytes"]);
  });

  test("are refused when they would expand too far", () => {
    const count = 200;
    const block = new ByteWriter()
      .bytes(Uint8Array.of(0x4c, 0x57, 1, KIND.entries, 1, 16))
      .bytes(new Uint8Array(16))
      .u8(0)
      .varint(count);
    const column = (id: number, write: (column: ByteWriter) => void): void => {
      const content = new ByteWriter();
      write(content);
      block.u8(id).varint(content.length).bytes(content.finish());
    };
    // One long key, which all later entries share to the end: the encoder never does that.
    column(1, (content) => {
      content.u8(0x0f).varint(1024 - 15);
      for (let at = 1; at < count; at++) content.u8(0xf0).varint(1024 - 15);
    });
    column(2, (content) => content.bytes(new Uint8Array(1024).fill(107)));
    column(3, (content) => content.bytes(new Uint8Array(count / 2)));
    column(4, (content) => content.varint(0).varint(count - 1));
    column(5, (content) => content.varint(2 * (count - 1)));
    column(6, (content) => content.varint(4 * (count - 1)));
    const bytes = sealed(block.u8(0).u32(0).finish());
    expect(codeOf(() => decodeFrame(bytes, ALL_KINDS))).toBe("too-large");
  });

  test("never expand that far when the encoder wrote them", () => {
    const entries = Array.from({ length: 4_096 }, (_, at) => ({
      ...written(at + 1),
      key: `${"k".repeat(1_000)}${at}`,
      value: undefined,
    }));
    expect(decodeFrame(encodeEntriesFrame(entries), ALL_KINDS).entries).toEqual(entries);
  });
});
