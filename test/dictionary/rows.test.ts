import { describe, expect, test } from "vitest";
import { decodeEntries, encodeEntries, type EntryRow } from "../../ts/index.ts";
import { assertRefused, id, onEachEngine } from "./engines.ts";

const NOW = 1_700_000_000_000;

onEachEngine((make, engine) => {
  describe("entries as rows", () => {
    test("a frame becomes rows, and rows a frame of the same rows", () => {
      const dictionary = make({ clock: () => NOW, replicaId: id("a") });
      dictionary.set("a", [1n]);
      dictionary.set("b", "text");
      dictionary.set("c", 1);
      dictionary.delete("c");
      dictionary.deletePrefix("d/");
      const rows = decodeEntries(engine(), dictionary.snapshot());
      const meta = (millis: number, counter: number, dot: number): object => ({
        stamp: { millis, counter, replicaId: id("a") },
        dot: { replicaId: id("a"), counter: dot },
        origin: null,
      });
      const none = new Uint8Array(0);
      expect(rows).toEqual([
        {
          key: "a",
          kind: "value",
          value: [1n],
          bytes: new Uint8Array([11, 1, 9, 2, 0, 1]),
          ...meta(NOW, 0, 1),
        },
        {
          key: "b",
          kind: "value",
          value: "text",
          bytes: new TextEncoder().encode("\x06text"),
          ...meta(NOW, 1, 2),
        },
        { key: "c", kind: "tombstone", value: undefined, bytes: none, ...meta(NOW, 3, 4) },
        { key: "d/", kind: "prefix", value: undefined, bytes: none, ...meta(NOW, 4, 5) },
      ]);
      const shuffled = [rows[2], rows[0], rows[3], rows[1]] as EntryRow[];
      const frame = encodeEntries(engine(), shuffled);
      expect(decodeEntries(engine(), frame)).toEqual(shuffled);
      expect(decodeEntries(engine(), encodeEntries(engine(), []))).toEqual([]);
      dictionary.close();
    });

    test("an origin is kept, and hex digits may be of either case", () => {
      const row: EntryRow = {
        key: "k",
        kind: "value",
        bytes: new Uint8Array([1]),
        stamp: { millis: 1, counter: 2, replicaId: id("F") },
        dot: { replicaId: id("B"), counter: 9 },
        origin: { replicaId: id("C"), counter: 3 },
      };
      expect(decodeEntries(engine(), encodeEntries(engine(), [row]))).toEqual([
        {
          ...row,
          value: null,
          stamp: { ...row.stamp, replicaId: id("f") },
          dot: { ...row.dot, replicaId: id("b") },
          origin: { replicaId: id("c"), counter: 3 },
        },
      ]);
    });

    test("a row without an origin has none", () => {
      const { origin: _, ...row }: EntryRow = {
        key: "k",
        kind: "tombstone",
        bytes: new Uint8Array(0),
        stamp: { millis: 1, counter: 2, replicaId: id("a") },
        dot: { replicaId: id("a"), counter: 9 },
        origin: null,
      };
      const frame = encodeEntries(engine(), [row as EntryRow]);
      expect(decodeEntries(engine(), frame)[0]?.origin).toBeNull();
    });

    test("the value is not looked at: the bytes count", () => {
      const dictionary = make();
      dictionary.set("k", 1);
      const rows = decodeEntries(engine(), dictionary.snapshot());
      const changed = rows.map((row) => ({ ...row, value: "something else" }));
      expect(encodeEntries(engine(), changed)).toEqual(encodeEntries(engine(), rows));
      dictionary.close();
    });

    test("rows that cannot be are refused", () => {
      const row: EntryRow = {
        key: "k",
        kind: "value",
        bytes: new Uint8Array([1]),
        stamp: { millis: 1, counter: 0, replicaId: id("a") },
        dot: { replicaId: id("a"), counter: 1 },
        origin: null,
      };
      const encode = (change: object) => () => encodeEntries(engine(), [{ ...row, ...change }]);
      assertRefused("invalid-argument", encode({ key: 5 }));
      assertRefused("invalid-argument", encode({ kind: "other" }));
      assertRefused("invalid-argument", encode({ kind: "tombstone" }));
      assertRefused("invalid-argument", encode({ bytes: new Uint8Array(0) }));
      assertRefused("invalid-argument", encode({ bytes: "x" }));
      assertRefused("invalid-argument", encode({ dot: { replicaId: "x", counter: 1 } }));
      for (const wrong of [null, undefined, "x", 5]) {
        assertRefused("invalid-argument", encode({ stamp: wrong }));
        assertRefused("invalid-argument", encode({ dot: wrong }));
        const rowsOf = (rows: unknown) => () => encodeEntries(engine(), rows as EntryRow[]);
        assertRefused("invalid-argument", rowsOf(wrong));
        assertRefused("invalid-argument", rowsOf([wrong]));
      }
      assertRefused("invalid-argument", encode({ origin: "x" }));
      assertRefused("corrupt-bytes", encode({ bytes: new Uint8Array([99]) }));
      assertRefused("corrupt-bytes", encode({ bytes: new Uint8Array([6, 0xff]) }));
      assertRefused("corrupt-bytes", encode({ dot: { replicaId: id("a"), counter: 0 } }));
      assertRefused("corrupt-bytes", encode({ key: "" }));
      assertRefused("invalid-argument", () =>
        decodeEntries(engine(), "x" as unknown as Uint8Array),
      );
      assertRefused("corrupt-bytes", () => decodeEntries(engine(), new Uint8Array(9)));
    });
  });
});
