/** Who is there: small values of sessions that nobody keeps. */

import { encodeText } from "../codec/text.ts";
import { LastwriteError } from "../errors.ts";
import { PRESENCE_BYTES_MAX } from "./codec.ts";
import type { Presence } from "./messages.ts";

/** What a session has told of itself. */
export interface PresenceChange {
  /** 16 hex digits: the session that it is of, which may lie behind the other side. */
  readonly from: string;
  /** JSON, at most 4 KiB; undefined when that session has taken it back, or has gone. */
  readonly state: string | undefined;
}

/** Sessions behind one link that are present at a time. */
const PRESENT_MAX = 4096;

/** Who is present behind one link. */
export class Present {
  #ids = new Set<string>();

  /** Throws `corrupt-bytes` for what is no JSON, `too-large` when too many are there. */
  take({ from, state }: Presence): PresenceChange {
    if (state !== undefined && !isJson(state)) {
      throw new LastwriteError("corrupt-bytes", "presence that is no JSON");
    }
    if (state === undefined) this.#ids.delete(from);
    else this.#ids.add(from);
    if (this.#ids.size > PRESENT_MAX) {
      throw new LastwriteError("too-large", `more than ${PRESENT_MAX} sessions are present`);
    }
    return { from, state };
  }

  /** All who were there are gone. */
  clear(): readonly PresenceChange[] {
    const gone = [...this.#ids].map((from) => ({ from, state: undefined }));
    this.#ids = new Set();
    return gone;
  }
}

/** Throws `invalid-argument` for what the other side would refuse. */
export function checkPresence(state: string | undefined): void {
  if (state === undefined) return;
  if (encodeText(state).length <= PRESENCE_BYTES_MAX && isJson(state)) return;
  throw new LastwriteError("invalid-argument", "presence must be JSON of at most 4 KiB");
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
