/** The end of a history: everybody exchanges everything, until all hold the same. */

import { REPAIR } from "../../../ts/engine/contract.ts";
import { sameBytes } from "../../suites/bytes.ts";
import { onlyPart } from "../../suites/replicas.ts";
import { wholeDelta, type Exchange } from "./exchange.ts";
import { fail, type Node, type Replicas } from "./replicas.ts";

/** Makes the call that does so. */
export function createHealing(
  { setup, nodes, nodeAt, log, exported, printOf }: Replicas,
  exchanges: Exchange,
): () => void {
  const { traits } = setup;

  function exchangeAll(): void {
    for (let round = 0; round < nodes.length * 3 + 3; round += 1) {
      // All give to one, which gives to all: another one each round.
      const middle = nodeAt(round);
      for (const node of nodes) if (node !== middle) heal(node, middle);
      for (const node of nodes) if (node !== middle) heal(middle, node);
      const [first, ...others] = nodes.map(({ dictionary }) => onlyPart(dictionary.snapshot()));
      if (first !== undefined && others.every((snapshot) => sameBytes(snapshot, first))) return;
    }
    fail(
      `the replicas stay different:\n${nodes.map((node) => `  ${node.name} ${printOf(node).versionText} H ${printOf(node).horizonText}: ${printOf(node).entriesText}`).join("\n")}`,
    );
  }

  function heal(sender: Node, receiver: Node): void {
    const pending = exchanges.messages;
    exchanges.messages = [];
    exchanges.exchange(sender, receiver, [0, 0, wholeDelta, 0], false);
    for (const message of exchanges.messages) exchanges.receive(message);
    exchanges.messages = pending;
    const [left, right] = [printOf(sender), printOf(receiver)];
    if (
      traits.clones &&
      left.versionText === right.versionText &&
      left.entriesText !== right.entriesText
    ) {
      log(`${sender.name} and ${receiver.name} have equal versions and other data`);
      repair(sender, receiver);
      repair(receiver, sender);
    }
  }

  /** The repair of law 7b: every entry by its hash. */
  function repair(sender: Node, receiver: Node): void {
    const seed = new Uint8Array(16);
    const [whole] = [sender.dictionary.hashes(seed, new Uint8Array(9))];
    const count = new DataView(whole.buffer, whole.byteOffset).getUint32(0, true);
    const keyHashes = new Uint8Array(count * 8);
    for (let index = 0; index < count; index += 1) {
      keyHashes.set(whole.subarray(4 + index * 16, 12 + index * 16), index * 8);
    }
    const frame = exported(sender, (dictionary) => dictionary.entriesByHash(seed, keyHashes));
    exchanges.merge(receiver, sender, frame, sender.seen, REPAIR);
  }

  return exchangeAll;
}
