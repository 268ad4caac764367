/** Whose a store is that was read from its place: it keeps its ids, or takes new ones where a copy may go by the old. */

import { lastCounter } from "../codec/dots.ts";
import { randomBytes, randomId } from "../codec/random.ts";
import { decodeVersion } from "../codec/version.ts";
import { invalid } from "../dictionary/arguments.ts";
import type { Dictionary, Report } from "../dictionary/contract.ts";
import { internalsOf } from "../dictionary/internals.ts";
import { ATTRIBUTE, type Attributes, OPEN } from "../persistence/attributes.ts";
import type { Persistence } from "../persistence/contract.ts";

/** A store that was read. */
export interface ReadStore {
  readonly dictionary: Dictionary;
  readonly attributes: Attributes;
  readonly persistence: Persistence;
  /** The place held nothing. */
  readonly isNew: boolean;
  /** The one that its user asks for. */
  readonly replicaId: string | undefined;
  readonly report: (report: Report) => void;
}

/** Gives the store a name, and a new one where another copy may go by the old one. */
export function settleIdentity(store: ReadStore): void {
  const { dictionary, attributes, persistence, isNew, replicaId, report } = store;
  const isCopy = persistence.isCopy === true;
  const isNameless = attributes.get(ATTRIBUTE.storeId) === undefined;
  const left = attributes.get(ATTRIBUTE.open)?.[0];
  // The openers of a shared place never close it, and take ids that nobody has.
  const wasLeft = left === OPEN.relaxed && persistence.share === undefined;
  // What was handed out last may not be marked so; as if it had been, nothing of it is ever re-stamped.
  if (left !== undefined) internalsOf(dictionary).setReplicaId(dictionary.replicaId);
  if (isNameless || isCopy) attributes.set(ATTRIBUTE.storeId, randomBytes(16));
  // Others may know more of the order of arrival than is here.
  if (isNameless || isCopy || wasLeft) attributes.set(ATTRIBUTE.epoch, randomBytes(8));
  if (isNew) return;

  const hasUsed = replicaId !== undefined && counterOf(dictionary, replicaId.toLowerCase()) > 0;
  if (isNameless || isCopy || wasLeft) {
    const previousReplicaId = dictionary.replicaId;
    const hadWritten = ownCounter(dictionary) > 0;
    // An id that was written under here is not used again, whoever asks for it.
    takeNewId(dictionary, hasUsed ? undefined : replicaId);
    if (!isNameless && hadWritten) {
      report({ code: "replica-cloned", previousReplicaId, replicaId: dictionary.replicaId });
    }
  } else if (replicaId !== undefined && !hasUsed) {
    if (ownCounter(dictionary) > 0) {
      throw invalid(
        `the store has the replica id ${dictionary.replicaId}; open it without \`replicaId\``,
      );
    }
    takeNewId(dictionary, replicaId);
  }
}

/** Goes on under another replica id. */
export function takeNewId(dictionary: Dictionary, replicaId: string = randomId()): void {
  internalsOf(dictionary).setReplicaId(replicaId);
}

/** How many writes were made under the present replica id. */
export function ownCounter(dictionary: Dictionary): number {
  return counterOf(dictionary, dictionary.replicaId);
}

function counterOf(dictionary: Dictionary, replicaId: string): number {
  return lastCounter(decodeVersion(dictionary.version()), replicaId);
}
