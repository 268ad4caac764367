/** A second dictionary to which all happens that happens to the first, so that looking at all of its state leaves the first one alone. */

import type { EngineDictionary } from "../../ts/engine/contract.ts";

export interface Witnessed {
  /** Every call of this one reaches both, but for those about journals. */
  readonly dictionary: EngineDictionary;
  readonly witness: EngineDictionary;
}

/** Both new, and made with the same options. */
export function withWitness(dictionary: EngineDictionary, witness: EngineDictionary): Witnessed {
  const callBoth = (name: keyof EngineDictionary, given: readonly unknown[]): unknown => {
    if (name !== "journal" && name !== "isJournalBroken") {
      try {
        call(witness, name, given);
      } catch {
        // The other one throws the same, and is heard.
      }
    }
    return call(dictionary, name, given);
  };
  return {
    witness,
    dictionary: new Proxy(dictionary, {
      get:
        (_, name: keyof EngineDictionary) =>
        (...given: readonly unknown[]): unknown =>
          callBoth(name, given),
    }),
  };
}

function call(
  dictionary: EngineDictionary,
  name: keyof EngineDictionary,
  given: readonly unknown[],
): unknown {
  return Reflect.apply(dictionary[name], dictionary, given) as unknown;
}
