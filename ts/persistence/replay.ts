/** Reads what a place keeps into an engine. */

import type { EngineDictionary } from "../engine/contract.ts";
import { LastwriteError } from "../errors.ts";
import type { Persistence } from "./contract.ts";
import { type JournalHeader, readJournal } from "./journal.ts";

/** A frame that was replayed. */
export interface Replayed {
  readonly byteCount: number;
  /** Undefined for entries alone, of a place that keeps rows. */
  readonly journal: JournalHeader | undefined;
}

/**
 * Replays all that `persistence` loads into an empty dictionary, a frame for each step.
 *
 * Throws `store-corrupt` for a frame that cannot be replayed, `store-newer` for one of a later format, and what the place throws.
 */
export async function* replayAll(
  persistence: Persistence,
  entries: EngineDictionary,
): AsyncGenerator<Replayed, void, undefined> {
  let number = 0;
  for await (const frame of persistence.load()) {
    let journal: JournalHeader | undefined;
    try {
      journal = readJournal(frame);
      entries.replay(frame);
    } catch (error) {
      throw unreadable(error, persistence.name, number);
    }
    yield { byteCount: frame.length, journal };
    number++;
  }
}

/** What an engine cannot replay is damage of the medium. */
function unreadable(error: unknown, name: string, number: number): unknown {
  if (!(error instanceof LastwriteError) || error.code === "engine-poisoned") return error;
  if (error.code === "unsupported-format") {
    return new LastwriteError(
      "store-newer",
      `${name} was written by a later release; update lastwrite (${error.message})`,
      { cause: error },
    );
  }
  const reason = `frame ${number} cannot be replayed: ${error.message}`;
  return new LastwriteError("store-corrupt", `${name} is damaged: ${reason}`, {
    cause: error,
    damage: { file: name, offset: 0, reason },
  });
}
