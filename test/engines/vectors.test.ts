/**
 * The vectors of test/vectors on every engine. `VECTORS=write` puts the answers of the script engine into the files: for
 * new vectors, and to see in `git diff` what a change of the format changes.
 */

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";

import { checksum, hashOfBytes } from "../../ts/codec/hash.ts";
import { sipHash13 } from "../../ts/codec/sip.ts";
import { decodeValue } from "../../ts/codec/read-value.ts";
import { tagged } from "../../ts/codec/tagged.ts";
import { encodeValue, type Value } from "../../ts/codec/value.ts";
import { payloadOf, tagOf } from "../../ts/codec/plain.ts";
import type { EngineValue } from "../../ts/engine/contract.ts";
import { scriptEngine } from "../../ts/engine/script.ts";
import { fromHex, toHex } from "../suites/bytes.ts";
import { describeEngines } from "../suites/engines.ts";
import { codeOf, openReplica } from "../suites/replicas.ts";
import { type History, type Json, play } from "../vectors/player.ts";

const folder = join(import.meta.dirname, "../vectors");
const historyFiles = readdirSync(join(folder, "histories")).filter((name) =>
  name.endsWith(".json"),
);

/** A value in words; see test/README.md. */
type Described = { readonly type: string; readonly [member: string]: Json };

interface ValueVector {
  readonly name: string;
  readonly why: string;
  /** Absent where the bytes are refused. */
  readonly value?: Described;
  readonly canonical: string;
}

interface HashVectors {
  readonly bytes: readonly {
    readonly text: string;
    readonly xxh32: string;
    readonly mix: string;
    readonly siphash: string;
  }[];
  readonly siphashKey: string;
}

if (process.env["VECTORS"] === "write") {
  for (const file of historyFiles) writeHistories(file);
}

describeEngines("vectors", (engine) => {
  for (const file of historyFiles) {
    describe(`in ${file}`, () => {
      test.each(readHistories(file))("$name", (history) => {
        expect(play(history, engine)).toEqual(history);
      });
    });
  }

  test.each(readValues().filter(({ value }) => value !== undefined))(
    "value: $name",
    ({ canonical, value }) => {
      const dictionary = openReplica(engine, 1);
      dictionary.set("key", encodeValue(described(value as Described)), 1_000);
      expect(canonicalHex(dictionary.get("key"))).toBe(canonical);
      dictionary.set("key", fromHex(canonical), 1_001);
      const carried = dictionary.get("key") as EngineValue;
      expect(canonicalHex(carried)).toBe(canonical);
      expect(decodeValue(carried)).toStrictEqual(described(value as Described));
      dictionary.close();
    },
  );

  test.each(readValues().filter(({ value }) => value === undefined))(
    "not a value: $name",
    ({ canonical }) => {
      const dictionary = openReplica(engine, 1);
      expect(codeOf(() => dictionary.set("key", fromHex(canonical), 1_000))).toBe("invalid-value");
      expect(dictionary.head()).toBe(0);
      dictionary.close();
    },
  );
});

test("the hashes of the script engine are those of the vectors", () => {
  const { bytes, siphashKey } = readJson("hashes.json") as HashVectors;
  for (const { text, xxh32, mix, siphash } of bytes) {
    const input = Buffer.from(text);
    const { high, low } = sipHash13(fromHex(siphashKey), input);
    expect({
      xxh32: hex32(checksum(input)),
      mix: hashOfBytes(input).map(hex32).join(""),
      siphash: hex32(high) + hex32(low),
    }).toEqual({ xxh32, mix, siphash });
  }
});

function readHistories(file: string): History[] {
  return readJson(`histories/${file}`) as History[];
}

function readValues(): ValueVector[] {
  return readJson("values.json") as ValueVector[];
}

function readJson(file: string): unknown {
  return JSON.parse(readFileSync(join(folder, file), "utf8"));
}

/** A step a line, so that a changed answer is a changed line. */
function writeHistories(file: string): void {
  const engine = scriptEngine();
  const texts = readHistories(file).map((history) => {
    const { name, why, steps, end } = play(history, engine);
    const lines = steps.map((step) => `      ${JSON.stringify(step)}`).join(",\n");
    const ends = Object.entries(end).map(
      ([replica, state]) => `      ${JSON.stringify(replica)}: ${JSON.stringify(state)}`,
    );
    return [
      "  {",
      `    "name": ${JSON.stringify(name)},`,
      `    "why": ${JSON.stringify(why)},`,
      `    "steps": [\n${lines}\n    ],`,
      `    "end": {\n${ends.join(",\n")}\n    }`,
      "  }",
    ].join("\n");
  });
  writeFileSync(join(folder, "histories", file), `[\n${texts.join(",\n")}\n]\n`);
}

function described({ type, value, units, hex, items, members, name, depth }: Described): Value {
  switch (type) {
    case "arrays": {
      let array: Value = [];
      for (let left = depth as number; left > 1; left -= 1) array = [array];
      return array;
    }
    case "number":
      return Number(value);
    case "text":
      return units === undefined ? (value as string) : String.fromCharCode(...(units as number[]));
    case "bytes":
      return fromHex(hex as string);
    case "bigint":
      return BigInt(value as string);
    case "date":
      return new Date(value as number);
    case "array":
      return (items as Described[]).map(described);
    case "object": {
      const entries = members as [Described, Described][];
      return Object.fromEntries(
        entries.map(([key, member]) => [described(key), described(member)]),
      );
    }
    case "tagged":
      return tagged(name as string, described(value as Described) as string | Uint8Array);
    case "boolean":
      return value as boolean;
    default:
      return null;
  }
}

function canonicalHex(carried: EngineValue | undefined): string {
  if (carried instanceof Uint8Array) return toHex(carried);
  return toHex(Uint8Array.of(tagOf(carried), ...payloadOf(carried)));
}

function hex32(number: number): string {
  return number.toString(16).padStart(8, "0");
}
