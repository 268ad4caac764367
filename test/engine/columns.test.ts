import fc from "fast-check";
import { describe, expect, test } from "vitest";

import {
  columnsOfChanges,
  columnsOfEntries,
  columnsOfValues,
  META,
  readColumns,
  VALUES,
} from "../../ts/engine/columns.ts";
import { entriesOfColumns } from "../../ts/engine/entry-columns.ts";
import { scriptEngine } from "../../ts/engine/script.ts";
import { LastwriteError } from "../../ts/errors.ts";
import { entry, key, plain } from "../codec/arbitraries.ts";

const engine = scriptEngine();
const corruptBytes = expect.objectContaining({ code: "corrupt-bytes" });

describe("columns", () => {
  test("give back the entries that went in, and the frame that they came from", () => {
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 20 }), (entries) => {
        const columns = columnsOfEntries(entries);
        expect(entriesOfColumns(columns)).toEqual(entries);
        expect(engine.decodeEntries(engine.encodeEntries(columns))).toEqual(columns);
      }),
    );
  });

  test("give back changes", () => {
    const change = fc.record({
      key,
      value: fc.option(plain, { nil: undefined }),
      previous: fc.option(plain, { nil: undefined }),
    });
    fc.assert(
      fc.property(fc.array(change), (changes) => {
        const columns = readColumns(columnsOfChanges(changes));
        const back = changes.map((_, at) => ({
          key: columns.key(at),
          value: columns.value(at),
          previous: columns.previous(at),
        }));
        expect(back).toEqual(changes);
      }),
    );
  });

  test("begin each section at a multiple of 8 bytes", () => {
    const columns = columnsOfValues([
      {
        key: "k",
        isPrefix: false,
        value: "text",
        stamp: { millis: 1, counter: 0, replicaId: "" },
        dot: { replicaId: "", counter: 1 },
        origin: undefined,
      },
    ]);
    const header = [1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0];
    const ends = [1, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0];
    expect([...columns]).toEqual([
      ...header,
      ...ends,
      6,
      0,
      0,
      0,
      0,
      0,
      0,
      0,
      107,
      0,
      0,
      0,
      0,
      0,
      0,
      0,
      116,
      101,
      120,
      116,
    ]);
    expect([...columnsOfEntries([])]).toEqual([
      0,
      0,
      0,
      0,
      VALUES | META,
      ...Array<number>(19).fill(0),
    ]);
  });

  test("from outside are refused as corrupt when anything about them is wrong", () => {
    fc.assert(
      fc.property(
        fc.array(entry, { minLength: 1, maxLength: 4 }),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        (entries, place, change) => {
          const columns = columnsOfEntries(entries);
          const at = place % columns.length;
          try {
            engine.encodeEntries(columns.with(at, (columns[at] as number) ^ change));
          } catch (error) {
            expect(error).toBeInstanceOf(LastwriteError);
            expect(error).toEqual(corruptBytes);
          }
        },
      ),
      { numRuns: 3_000 },
    );
    const columns = columnsOfEntries([]);
    for (let end = 0; end < columns.length; end++)
      expect(() => engine.encodeEntries(columns.slice(0, end))).toThrow(corruptBytes);
    expect(() => engine.encodeEntries(Uint8Array.of(...columns, 0))).toThrow(corruptBytes);
    expect(() => engine.encodeEntries(columnsOfValues([]))).toThrow(corruptBytes);
    expect(() => engine.encodeEntries(columnsOfChanges([]))).toThrow(corruptBytes);
  });
});
