/** Replicas that crash, and come back as they were when they saved. */

import { fromHex, sameBytes, toHex } from "../../suites/bytes.ts";
import { hasDot, readEntries, readVersion } from "../../suites/frames.ts";
import type { Checks } from "./checks.ts";
import { factsOf, fail, wholeJournal, type Node, type Replicas, type Saved } from "./replicas.ts";

/** Makes the call that crashes a replica; `number` chooses how. */
export function createCrash(
  { setup, freshId, open, save, log }: Replicas,
  { dotWrites, changed }: Checks,
): (node: Node, number: number) => void {
  const { traits } = setup;

  function crash(node: Node, number: number): void {
    // A store that is closed has nothing to lose, and knows what it sent.
    const isClosed = traits.journals && number % 5 === 0;
    if (isClosed) {
      node.dirty = true;
      node.mustSync = true;
      save(node);
    }
    const relaxed = traits.relaxed && !isClosed && number % 2 === 0;
    const saved = relaxed ? node.saves[(number >>> 1) % node.saves.length] : node.saves.at(-1);
    if (saved === undefined) throw new Error("nothing was ever saved");
    const version = readVersion(saved.frame);
    for (const [text, { dot }] of dotWrites) {
      // What was never sent is gone, and its dots will be given out again.
      if (!relaxed && dot.replica === saved.id && !hasDot(version, dot)) dotWrites.delete(text);
    }
    node.id = relaxed ? freshId() : saved.id;
    node.dictionary.close();
    Object.assign(node, open(node.number, node.id, saved.frames));
    checkReopened(node, saved);
    // What was sent since the last journal is not known any more.
    if (!isClosed) node.dictionary.setReplicaId(fromHex(node.id));
    node.seen = new Set(saved.seen);
    node.known = new Map(saved.known);
    node.saves = [{ ...saved, id: node.id }];
    node.dirty = false;
    node.mustSync = false;
    node.epoch += 1;
    log(`${node.name} crashes${relaxed ? " far back, and takes a new id" : ""}`);
    changed(node);
  }

  /** A replica that comes back is as it was when it saved. */
  function checkReopened(node: Node, saved: Saved): void {
    const facts = factsOf(node.dictionary);
    if (facts !== saved.facts)
      fail(`${node.name} came back as\n  ${facts}, and was\n  ${saved.facts}`);
    const frame = wholeJournal(node.witness);
    if (!sameBytes(frame, saved.frame))
      fail(`${node.name} came back as\n  ${toHex(frame)}, and was\n  ${toHex(saved.frame)}`);
    if (!traits.journals) return;
    const { dictionary } = open(node.number, node.id, saved.frames);
    const keysInOrder = readEntries(dictionary.changesSince(0).frame).map(({ key }) => key);
    dictionary.close();
    if (
      keysInOrder.join("|") !==
      readEntries(frame)
        .map(({ key }) => key)
        .join("|")
    )
      fail(`${node.name} came back with its changes in another order`);
  }

  return crash;
}
