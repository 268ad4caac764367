/**
 * Two offline copies of a real data set, edited at the same time, one of them killed while it wrote, brought together and checked: `npm run demo`.
 *
 * 135,000 cities are loaded into a store on the native engine and copied to one on the WASM engine, each in a file of its own. Both are then written
 * without knowing of each other: tens of thousands of edits and removals of the same keys, a country withdrawn by one prefix delete while the
 * other side still works on it, transactions. Another process goes on with the WASM store and is killed while it writes; all that it had acknowledged is there, and its work
 * is finished here. One exchange of versions and deltas makes the stores equal to the byte, each opens on the other's engine, and a snapshot gives
 * the same data on the script engine. Whatever is not equal is named, and ends this with exit code 1.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { compareVersions, createDictionary, loadEngine, open } from "lastwrite";
import { filePersistence } from "lastwrite/persistence/file";

import { namedConflicts } from "./cities/conflicts.mjs";
import { entriesOf, readCities } from "./cities/data.mjs";
import { censusOf, countToo, editAtRandom, keysOnBothSides, Side } from "./cities/edits.mjs";
import { compareEngines } from "./cities/engines.mjs";
import { expectEqual, expectReplay, expectSame, Mismatch } from "./cities/expect.mjs";
import { countKept, writeUntilKilled } from "./cities/kill.mjs";
import { readOptions, usage, UsageError } from "./cities/options.mjs";
import { bytes, count, print, step, table } from "./cities/terminal.mjs";

const HOUR_MS = 3_600_000;

try {
  const options = readOptions(process.argv.slice(2));
  if (options.help) print(usage);
  else await runIn(options);
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

/** The stores lie in a folder of this run; when something was not equal they stay, to be looked at. */
async function runIn(options) {
  mkdirSync(options.out, { recursive: true });
  const folder = mkdtempSync(join(options.out, "stores-"));
  const keep = () => print(`\nThe stores are in ${folder}`);
  try {
    await run(options, folder);
  } catch (error) {
    keep();
    throw error;
  }
  if (options.keep) keep();
  else rmSync(folder, { recursive: true });
}

async function run({ cityCount, editCount, seed, out, table: withTable }, folder) {
  // Every write and merge asks its clock, and nothing else reads time: with a clock of its own each run gives the same bytes.
  const time = { now: Date.UTC(2026, 0, 1) };
  const clock = () => time.now;
  const files = { native: join(folder, "native.lw"), wasm: join(folder, "wasm.lw") };
  const openFile = (file, engine, options) =>
    open({ persistence: filePersistence(file), engine, clock, ...options });
  const [nativeEngine, wasmEngine, scriptEngine] = await Promise.all(
    ["native", "wasm", "script"].map((backend) => loadEngine({ backend })),
  );

  print("Load");
  const cities = await step("read the cities", () => readCities(cityCount), {
    says: (all) => `${count(all.length)} cities`,
  });
  const entries = cities.flatMap((city) => entriesOf(city));
  // Programs leave the replica ids out and get random ones; these make runs comparable.
  const native = await openFile(files.native, nativeEngine, { replicaId: "1".repeat(32) });
  await step(
    "set each key in a store on the native engine",
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
  // Strict: what it acknowledges is on the disk, and not only handed to the system.
  const durability = "strict";
  let wasm = await openFile(files.wasm, wasmEngine, { replicaId: "2".repeat(32), durability });
  await step("merge it into a store on the WASM engine", () => wasm.merge(copied), {
    says: () => `${bytes(copied.length)} moved, ${count(wasm.size)} keys`,
  });
  await step("wait until both are on disk", () => Promise.all([native.flush(), wasm.flush()]), {
    says: () => `${bytes(sizeOf(files.native))} and ${bytes(sizeOf(files.wasm))}`,
  });
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

  print("\nKill one of them");
  const census = censusOf(cities, { seed, startMillis: time.now + HOUR_MS });
  const keyCount = wasm.size;
  await step("close the WASM store", () => wasm.close(), {
    says: () => bytes(sizeOf(files.wasm)),
  });
  const killed = await step(
    "another process opens it and writes; kill -9",
    (progress) => writeUntilKilled(files.wasm, census, progress),
    {
      says: ({ pid, acknowledged }) =>
        `process ${pid}, ${count(acknowledged)} of ${count(census.length)} writes acknowledged`,
    },
  );
  expectEqual("the number of keys that the other process found", killed.keyCount, keyCount);
  countToo(sides, census);
  time.now = census[0].millis;
  await step(
    "open it here, at the first try",
    async () => {
      wasm = await openFile(files.wasm, wasmEngine, { durability });
    },
    { says: () => `${count(wasm.size)} keys` },
  );
  const keptCount = await step(
    "look for its writes",
    () => countKept(wasm, census, killed.acknowledged),
    {
      says: (kept) =>
        `all ${count(killed.acknowledged)} are there, and ${count(kept - killed.acknowledged)} that it had not acknowledged yet`,
    },
  );
  sides.wasm = new Side(wasm, clock, sides.wasm.writes);
  await step(
    "write the rest",
    () => {
      for (const [index, { key, value, millis }] of census.entries()) {
        time.now = millis;
        if (index < keptCount) sides.wasm.record(key, value);
        else sides.wasm.set(key, value);
      }
      time.now += HOUR_MS;
    },
    { says: () => `${count(census.length - keptCount)} writes` },
  );
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
    { says: (digest) => `digest ${digest}` },
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
      for (const [side, replica] of Object.entries({ native, WASM: wasm })) {
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
  const digest = await step(
    "compare it with the native replica",
    () => expectSame("native", native, "what the script engine read", script),
    { says: (same) => `digest ${same}, ${bytes(saved.length)} each` },
  );
  script.close();
  await step("close both stores", () => Promise.all([native.close(), wasm.close()]), {
    says: () => `${bytes(sizeOf(files.native))} and ${bytes(sizeOf(files.wasm))}`,
  });
  const swapped = await step(
    "open each on the other's engine",
    () => Promise.all([openFile(files.native, wasmEngine), openFile(files.wasm, nativeEngine)]),
    { says: (stores) => stores.map(({ size }) => `${count(size)} keys`).join(" and ") },
  );
  await step(
    "compare them with what they were",
    () => swapped.forEach((store) => expectEqual("a digest", store.digest(), digest)),
    { says: () => `digest ${digest}` },
  );
  await Promise.all(swapped.map((store) => store.close()));

  if (withTable) {
    print("\nThe engines beside a last-write-wins map written by hand");
    await compareEngines(cityCount);
  }
  print("\n✓ everything was equal");
}

function sizeOf(file) {
  return statSync(file).size;
}
