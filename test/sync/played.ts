/** What a bad network is played through, by seed; replicas that do not end equal after it throw. */

import { deepStrictEqual } from "node:assert";

import { type Engine, loadEngine } from "lastwrite";

import { Network } from "./network.ts";

/** For whoever plays it in another copy of the sources, to which engines from here are foreign. */
export function scriptEngine(): Promise<Engine> {
  return loadEngine({ backend: "script" });
}

/** Loss, doubling, reordering, crashes and wrong clocks; then all heals. */
export function playNetwork(engines: readonly Engine[], seed: number): void {
  const network = troubled(engines, seed);
  heal(network, "the network");
  network.close();
}

/** The same, and then one goes back to a backup, and writes. */
export function playRestore(engines: readonly Engine[], seed: number): void {
  const network = troubled(engines, seed);
  heal(network, "the network");
  const [node] = network.nodes;
  if (node === undefined) throw new Error("no replicas");
  network.restore(node, Math.floor(node.journals.length / 2));
  node.dictionary.set(`restored/${seed}`, seed);
  heal(network, "the network with a backup put back");
  for (const { dictionary } of network.nodes) {
    if (dictionary.get(`restored/${seed}`) !== seed) throw new Error("a write is lost");
  }
  network.close();
}

function troubled(engines: readonly Engine[], seed: number): Network {
  const network = new Network({
    engines,
    seed,
    replicaCount: 2 + (seed % 6),
    // Each of these ends a link, so that where they abound little is ever said.
    lossRate: 0.4 * ((seed % 7) / 6) ** 4,
    doubleRate: 0.5 * ((seed % 5) / 4) ** 4,
    reorderRate: seed % 3 === 0 ? 0.05 : 0,
    skewMs: seed % 2 === 0 ? 600_000 : 0,
    sendAllMax: seed % 4 === 0 ? 256 : 0,
  });
  for (let step = 1; step <= 400; step++) {
    network.step();
    if (step % 100 === 0) network.checkVersions();
  }
  return network;
}

function heal(network: Network, what: string): void {
  const rounds = network.heal(2 * network.nodes.length + 4);
  if (rounds === Infinity) throw new Error(`${what} never ends equal`);
  const [one, ...others] = network.nodes;
  for (const { dictionary } of others) {
    deepStrictEqual([...dictionary.entries()], [...(one?.dictionary.entries() ?? [])]);
  }
}
