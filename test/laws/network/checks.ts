/** What the laws promise of a replica after each step, and of all at the end. */

import { hasDot, type Dot, type VersionSet } from "../../suites/frames.ts";
import {
  brokenPromise,
  createOracle,
  describeWrite,
  isRemoval,
  supersedes,
  type Oracle,
  type Write,
} from "../oracle.ts";
import { dotText, fail, type Node, type Replicas } from "./replicas.ts";

/** Who knows all writes, and holds the replicas against them. */
export interface Checks {
  readonly oracle: Oracle;
  /** Which write each dot stands for, by the text of the dot. */
  readonly dotWrites: Map<string, { readonly dot: Dot; write: Write }>;
  /** To be called after everything that may have changed `node`. */
  readonly changed: (node: Node) => void;
  /** Guarantees 2 and 3, of every key, at the end. */
  readonly checkPromises: () => void;
}

export function createChecks({ setup, nodes, printOf }: Replicas): Checks {
  const { traits, keys } = setup;
  const oracle = createOracle();
  const dotWrites: Checks["dotWrites"] = new Map();

  /** To be called after everything that may have changed `node`. */
  function changed(node: Node): void {
    node.print = undefined;
    const print = printOf(node);
    const held: Write[] = [];
    for (const entry of print.entries) {
      const write = oracle.find(entry);
      if (write === undefined)
        throw fail(`${node.name} holds an entry that nobody wrote: ${entry.key} at ${entry.hlc}`);
      if (!hasDot(print.version, entry.dot))
        fail(`${node.name} holds ${describeWrite(write)}, but its version lacks the dot`);
      const text = dotText(entry.dot);
      if (dotWrites.get(text)?.write !== write) {
        dotWrites.set(text, { dot: entry.dot, write });
        write.dots.push(entry.dot);
      }
      held.push(write);
    }
    checkReturned(node, held);
    if (!traits.clones) {
      checkVersion(node, held);
      checkEqualVersions(node);
    }
  }

  /** Guarantee 3: what the author of a removal had seen does not come back where the removal arrived. */
  function checkReturned(node: Node, held: readonly Write[]): void {
    for (const removal of node.seen) {
      if (!isRemoval(removal)) continue;
      const returned = held.find(
        (write) => write !== removal && removal.seen.has(write) && supersedes(removal, write),
      );
      if (returned !== undefined)
        fail(
          `at ${node.name} ${describeWrite(returned)} came back after ${describeWrite(removal)}`,
        );
    }
  }

  /** Rule 1: what the version has is held, or superseded by what is held or was collected. */
  function checkVersion(node: Node, held: readonly Write[]): void {
    const { version, horizon } = printOf(node);
    for (const [text, { dot, write }] of dotWrites) {
      if (!hasDot(version, dot) || hasDot(horizon, dot)) continue;
      if (held.some((other) => supersedes(other, write))) continue;
      if (
        oracle.writes.some(
          (other) => isRemoval(other) && supersedes(other, write) && isBelow(other, horizon),
        )
      )
        continue;
      fail(
        `the version of ${node.name} has ${text}, but it holds nothing for ${describeWrite(write)}`,
      );
    }
  }

  /** Guarantee 1. */
  function checkEqualVersions(node: Node): void {
    const print = printOf(node);
    for (const other of nodes) {
      if (other === node) continue;
      const otherPrint = printOf(other);
      if (
        otherPrint.versionText !== print.versionText ||
        otherPrint.horizonText !== print.horizonText
      )
        continue;
      if (otherPrint.entriesText === print.entriesText) continue;
      fail(
        `${node.name} and ${other.name} have equal versions and horizons, but hold\n  ${print.entriesText}\n  ${otherPrint.entriesText}`,
      );
    }
  }

  function isBelow(removal: Write, horizon: VersionSet): boolean {
    return removal.dots.some((dot) => hasDot(horizon, dot));
  }

  /** Guarantees 2 and 3, of every key, at the end. */
  function checkPromises(): void {
    const [first] = nodes;
    if (first === undefined) return;
    const { entries, horizon } = printOf(first);
    const survivors = new Set(nodes.flatMap((node) => [...node.seen]));
    for (const key of keys) {
      const broken = brokenPromise(oracle, key, {
        held: entries,
        survivors,
        isCollected: (removal) => isBelow(removal, horizon),
      });
      if (broken !== undefined) fail(broken);
    }
  }

  return { oracle, dotWrites, changed, checkPromises };
}
