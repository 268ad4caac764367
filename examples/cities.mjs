/**
 * Two offline copies of a real data set, edited at the same time, brought together and checked: `npm start`.
 *
 * 135,000 cities are loaded on the native engine and copied to the WASM engine. Both copies are then written without knowing of each
 * other: tens of thousands of edits and removals of the same keys, a country withdrawn by one prefix delete while the other side still
 * works on it, transactions. One exchange of versions and deltas makes them equal to the byte; a snapshot on disk gives the same data on
 * the script engine. Whatever is not equal is named, and ends this with exit code 1.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { compareVersions, createDictionary, loadEngine } from "lastwrite";

import { namedConflicts } from "./cities/conflicts.mjs";
import { entriesOf, readCities } from "./cities/data.mjs";
import { editAtRandom, keysOnBothSides, Side } from "./cities/edits.mjs";
import { compareEngines } from "./cities/engines.mjs";
import { expectEqual, expectReplay, expectSame, Mismatch } from "./cities/expect.mjs";
import { readOptions, usage, UsageError } from "./cities/options.mjs";
import { bytes, count, print, step, table } from "./cities/terminal.mjs";

const HOUR_MS = 3_600_000;

try {
  const options = readOptions(process.argv.slice(2));
  if (options.help) print(usage);
  else await run(options);
} catch (error) {
  if (error instanceof UsageError) {
    console.error(`${error.message}\n\n${usage}`);
    process.exitCode = 2;
  } else if (error instanceof Mismatch) {
    console.error(`\n✗ not equal: ${error.message}`);
    process.exitCode = 1;
  } else {
    throw error;
  }
}

async function run({ cityCount, editCount, seed, out, table: withTable }) {
  // Every write and merge asks its clock, and nothing else reads time: with a clock of its own each run gives the same bytes.
  const time = { now: Date.UTC(2026, 0, 1) };
  const clock = () => time.now;
  const [nativeEngine, wasmEngine, scriptEngine] = await Promise.all(
    ["native", "wasm", "script"].map((backend) => loadEngine({ backend })),
  );

  print("Load");
  const cities = await step("read the cities", () => readCities(cityCount), {
    says: (all) => `${count(all.length)} cities`,
  });
  const entries = cities.flatMap((city) => entriesOf(city));
  // Programs leave the replica ids out and get random ones; these make runs comparable.
  const native = createDictionary({ engine: nativeEngine, replicaId: "1".repeat(32), clock });
  await step(
    "set each key on the native engine",
    (progress) => {
      for (const [index, [key, value]] of entries.entries()) {
        native.set(key, value);
        progress(index / entries.length);
      }
    },
    { says: () => `${count(native.size)} keys` },
  );
  const copied = await step("export a snapshot", () => native.snapshot(), {
    says: (snapshot) =>
      `${bytes(snapshot.length)}, ${(snapshot.length / native.size).toFixed(1)} bytes a key`,
  });
  const wasm = await step(
    "open it on the WASM engine",
    () =>
      createDictionary({
        engine: wasmEngine,
        replicaId: "2".repeat(32),
        clock,
        snapshot: copied,
      }),
    { says: (copy) => `${bytes(copied.length)} moved, ${count(copy.size)} keys` },
  );
  expectSame("the native replica", native, "its copy in WASM", wasm);

  print("\nEdit both offline, at the same time");
  time.now += HOUR_MS;
  const sides = { native: new Side(native, clock), wasm: new Side(wasm, clock), time };
  const conflicts = namedConflicts(cities);
  const editHalf = (half, says) =>
    step(
      `${count(editCount / 2)} edits on each side`,
      (progress) =>
        editAtRandom(sides, cities, { editCount: editCount / 2, seed: seed + half }, progress),
      { says },
    );
  await editHalf(0, () => `${count(keysOnBothSides(sides))} keys written on both sides`);
  await step(
    "some conflicts by hand, with city/NO/ deleted whole",
    () => conflicts.forEach((conflict) => conflict.write(sides)),
    { says: () => `${count(conflicts.length)} conflicts` },
  );
  await editHalf(1, () => `${count(keysOnBothSides(sides))} keys written on both sides`);
  expectEqual(
    "the order of two versions of which each has writes that the other has not",
    compareVersions(native.version(), wasm.version()),
    "concurrent",
  );

  print("\nSynchronise");
  const versions = { native: native.version(), wasm: wasm.version() };
  const toWasm = await step(
    "native exports what WASM has not seen",
    () => native.deltaSince(versions.wasm),
    { says: (delta) => `${bytes(versions.wasm.length)} of version in, ${bytes(delta.length)} out` },
  );
  const toNative = await step(
    "WASM exports what native has not seen",
    () => wasm.deltaSince(versions.native),
    {
      says: (delta) => `${bytes(versions.native.length)} of version in, ${bytes(delta.length)} out`,
    },
  );
  const says = ({ applied, ignored }) => `${count(applied)} entries won, ${count(ignored)} lost`;
  const merges = [
    await step("native merges", () => native.merge(toNative), { says }),
    await step("WASM merges", () => wasm.merge(toWasm), { says }),
  ];
  for (const { complete, refused } of merges) {
    expectEqual(
      "whether a merge was complete, and what it refused",
      [complete, refused],
      [true, []],
    );
  }
  await step(
    "compare versions, digests and snapshots",
    () => expectSame("native", native, "WASM", wasm),
    {
      says: () => `digest ${native.digest()}`,
    },
  );
  await step(
    "compare each key with a replay of all writes by stamp",
    () => expectReplay(native, entries, [...sides.native.writes, ...sides.wasm.writes]),
    { says: () => `${count(native.size)} keys` },
  );

  print("\nWhat became of some conflicts");
  table(
    ["key", "native", "WASM", "now", "because"],
    conflicts.map(({ key, tellsNative, tellsWasm, expected, law }) => {
      for (const [side, replica] of [
        ["native", native],
        ["WASM", wasm],
      ]) {
        expectEqual(`${key} on ${side}, where ${law}`, replica.get(key), expected);
      }
      return [key, tellsNative, tellsWasm, expected ?? "–", law];
    }),
  );

  print("\nSave");
  const file = join(out, "cities.lastwrite");
  const saved = await step(
    "write a snapshot to disk",
    () => {
      mkdirSync(out, { recursive: true });
      const snapshot = wasm.snapshot();
      writeFileSync(file, snapshot);
      return snapshot;
    },
    { says: (snapshot) => `${bytes(snapshot.length)} in ${file}` },
  );
  const script = await step(
    "open it on the script engine",
    () => createDictionary({ engine: scriptEngine, clock, snapshot: readFileSync(file) }),
    { says: (opened) => `${count(opened.size)} keys` },
  );
  await step(
    "compare it with the native replica",
    () => expectSame("native", native, "what the script engine read", script),
    { says: () => `digest ${script.digest()}, ${bytes(saved.length)} each` },
  );
  for (const dictionary of [native, wasm, script]) dictionary.close();

  if (withTable) {
    print("\nThe engines beside a last-write-wins map written by hand");
    await compareEngines(cityCount);
  }
  print("\n✓ everything was equal");
}
