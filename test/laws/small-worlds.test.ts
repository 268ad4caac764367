/**
 * Every small world: three replicas make four writes to two keys, with equal stamps among them, and what they push is
 * delivered in every order. SMALL_WORLDS=331776 plays all of them; CI as many as fit its time, spread over all,
 * and 2,000 in any case.
 */

import { expect, test } from "vitest";

import type { EngineDictionary } from "../../ts/engine/contract.ts";
import { toHex } from "../suites/bytes.ts";
import { fastestEngine } from "../suites/engines.ts";
import { readVersion, versionText } from "../suites/frames.ts";
import { numberFromEnvironment } from "../suites/random.ts";
import { idOf, openReplica, wholeDelta } from "../suites/replicas.ts";
import { closeAll, permutations } from "./writes.ts";

const engine = fastestEngine();
const now = 5;

type Write = (replica: EngineDictionary, number: number, index: number) => void;

/** Two writes of one stamp for all replicas, and two of the clock that stands still. */
const writes: readonly Write[] = ["p/x", "k"].flatMap((key): Write[] => [
  (replica, number) => void replica.writeAt(key, number, now, 0, idOf(9), now),
  (replica, _, index) => void replica.set(key, index, now),
  (replica) => void replica.delete(key, now),
  (replica) => void replica.deletePrefix(key === "k" ? "" : "p/", now),
]);
const replicaCount = 3;
const writeCount = 4;
const choices = replicaCount * writes.length;
const worldCount = choices ** writeCount;
const orders = [...permutations(Array.from({ length: writeCount }, (_, index) => index))];

/** Prime to the number of worlds, so that every world comes once, and neighbours come far apart. */
const stride = 100_003;

/** For CI, however slow the machine is. */
const worldsMin = 2_000;

test(
  `all orders of delivery end equal in small worlds (${engine.backend})`,
  { timeout: 24 * 60 * 60 * 1_000 },
  () => {
    const asked = numberFromEnvironment("SMALL_WORLDS");
    const goal = Math.min(asked ?? worldCount, worldCount);
    const budgetMs = asked === undefined ? 20_000 : Infinity;
    const start = performance.now();
    const goesOn = (count: number): boolean =>
      count < goal && (count < worldsMin || performance.now() - start < budgetMs);
    let count = 0;
    for (; goesOn(count); count += 1) assertEndsEqual((count * stride) % worldCount);
    console.log(
      `small worlds: ${count} of ${worldCount}, ${orders.length} orders each, in ${((performance.now() - start) / 1_000).toFixed(1)} s`,
    );
  },
);

function assertEndsEqual(world: number): void {
  const replicas = Array.from({ length: replicaCount }, (_, index) =>
    openReplica(engine, index + 1),
  );
  const pushes: Uint8Array[] = [];
  let rest = world;
  for (let index = 0; index < writeCount; index += 1) {
    const choice = rest % choices;
    rest = Math.floor(rest / choices);
    const number = choice % replicaCount;
    const replica = replicas[number];
    const write = writes[Math.floor(choice / replicaCount)];
    if (replica === undefined || write === undefined) throw new Error("a world without replicas");
    const base = replica.version();
    write(replica, number, index);
    pushes.push(wholeDelta(replica, base));
  }
  const states = new Set<string>();
  for (const order of orders) {
    const reader = openReplica(engine, 50);
    for (const index of order) reader.merge(pushes[index] ?? new Uint8Array(), now, 0);
    states.add(stateText(reader));
    reader.close();
  }
  for (const replica of replicas) {
    for (const push of pushes) replica.merge(push, now, 0);
    states.add(stateText(replica));
  }
  if (states.size !== 1)
    expect.unreachable(`world ${world} ends in ${states.size} states:\n${[...states].join("\n")}`);
  closeAll(replicas);
}

/** Digest and dots: how these are split into vector and exceptions depends on what came first. */
function stateText(replica: EngineDictionary): string {
  return `${toHex(replica.digest())} ${replica.size()} ${versionText(readVersion(replica.version()))}`;
}
