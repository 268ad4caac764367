/** Many seeds of a bad network: after it heals, all replicas are equal. One seed again: SYNC_SEED=17 npx vitest run test/sync/network.test.ts. */

import { compareVersions, loadEngine } from "lastwrite";
import { expect, test } from "vitest";

import { Network } from "./network.ts";

const engines = [await loadEngine(), await loadEngine({ backend: "script" })];
const only = process.env["SYNC_SEED"];
const first = only === undefined ? 0 : Number(only);
const count = only === undefined ? Number(process.env["SYNC_SEEDS"] ?? 2000) : 1;

function played(seed: number): Network {
  const network = new Network({
    engines,
    seed,
    replicaCount: 2 + (seed % 6),
    lossRate: 0.4 * ((seed % 7) / 6),
    doubleRate: 0.5 * ((seed % 5) / 4),
    reorderRate: seed % 3 === 0 ? 0.2 : 0,
    skewMs: seed % 2 === 0 ? 600_000 : 0,
    sendAllMax: seed % 4 === 0 ? 256 : 0,
  });
  for (let step = 0; step < 120; step++) network.step();
  return network;
}

test("replicas end equal after loss, doubling, reordering, crashes and wrong clocks", () => {
  for (let seed = first; seed < first + count; seed++) {
    const network = played(seed);
    const rounds = network.heal(2 * network.nodes.length + 4);
    expect(rounds, `rounds after which all are equal, with SYNC_SEED=${seed}`).toBeLessThan(
      Infinity,
    );
    const [one, ...others] = network.nodes;
    for (const { dictionary } of others) {
      expect([...dictionary.entries()]).toEqual([...(one?.dictionary.entries() ?? [])]);
    }
    network.close();
  }
});

test("one that went back to a backup is found, and nothing is lost", () => {
  for (let seed = first; seed < first + Math.min(count, 200); seed++) {
    const network = played(seed);
    network.heal(2 * network.nodes.length + 4);
    const [node] = network.nodes;
    if (node === undefined) throw new Error("no replicas");
    network.restore(node, Math.floor(node.journals.length / 2));
    node.dictionary.set(`restored/${seed}`, seed);
    const rounds = network.heal(2 * network.nodes.length + 4);
    expect(rounds, `rounds, with SYNC_SEED=${seed}`).toBeLessThan(Infinity);
    for (const { dictionary } of network.nodes) {
      expect(dictionary.get(`restored/${seed}`), `SYNC_SEED=${seed}`).toBe(seed);
    }
    const [a, b] = network.nodes.map(({ dictionary }) => dictionary.version());
    if (a !== undefined && b !== undefined) expect(compareVersions(a, b)).toBeDefined();
    network.close();
  }
});
