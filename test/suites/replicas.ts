/** Replicas with ids that a reader can tell apart, and the few exchanges that all laws are about. */

import { expect } from "vitest";

import type { Engine, EngineDictionary, MergeReport } from "../../ts/engine/contract.ts";
import { readEntries, type FrameEntry } from "./frames.ts";
import { toHex } from "./bytes.ts";
import { errorWords } from "./failures.ts";

/** Five minutes, as for everybody. */
export const driftMaxMs = 300_000;

export interface ReplicaOptions {
  readonly snapshot?: readonly Uint8Array[];
  readonly driftMaxMs?: number;
}

/** The id of replica `number`: zeros, and the number in the last byte. */
export function idOf(number: number): Uint8Array {
  const id = new Uint8Array(16);
  id[15] = number;
  return id;
}

/** Replica `number`, whose spare id is `number` + 128. */
export function openReplica(
  engine: Engine,
  number: number,
  options: ReplicaOptions = {},
): EngineDictionary {
  return engine.create({
    replicaId: idOf(number),
    spareId: idOf(number + 128),
    driftMaxMs: options.driftMaxMs ?? driftMaxMs,
    ...(options.snapshot === undefined ? {} : { snapshot: options.snapshot }),
  });
}

/** The state as text: equal states give equal bytes. */
export function stateOf(dictionary: EngineDictionary): string {
  return toHex(wholeSnapshot(dictionary));
}

export function wholeSnapshot(dictionary: EngineDictionary): Uint8Array {
  return onlyPart(dictionary.snapshot());
}

export function wholeDelta(dictionary: EngineDictionary, base?: Uint8Array): Uint8Array {
  return onlyPart(dictionary.delta(base));
}

export function entriesOf(dictionary: EngineDictionary): FrameEntry[] {
  return readEntries(wholeSnapshot(dictionary));
}

/** Gives `to` all that `from` has and it has not. */
export function pull(to: EngineDictionary, from: EngineDictionary, now: number): MergeReport {
  return to.merge(wholeDelta(from, to.version()), now, 0);
}

/** Exchanges between all of these until nothing is left to say. */
export function pullAll(dictionaries: readonly EngineDictionary[], now: number): void {
  for (let round = 0; round < 2; round += 1) {
    for (const to of dictionaries) {
      for (const from of dictionaries) if (from !== to) pull(to, from, now);
    }
  }
}

/** Runs `call`, which must throw, and answers the code, and with `below-horizon` the side. */
export function codeOf(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    const words = errorWords(error);
    if (words === undefined) throw error;
    return words;
  }
  return expect.unreachable("should have thrown");
}

export function onlyPart(parts: readonly Uint8Array[]): Uint8Array {
  const [part] = parts;
  if (part === undefined || parts.length !== 1)
    throw new Error(`expected one part, got ${parts.length}`);
  return part;
}
