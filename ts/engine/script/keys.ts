/** Keys and prefixes as they are given for writes. */

import { LastwriteError } from "../../errors.ts";
import { isKey, isPrefix, KEY_BYTES_MAX } from "../../codec/text.ts";

/** Refuses what is no key with `invalid-key`. */
export function checkKey(key: string): void {
  if (!isKey(key)) {
    throw new LastwriteError(
      "invalid-key",
      `a key has 1 to ${KEY_BYTES_MAX} bytes of UTF-8; choose another one`,
    );
  }
}

/** Refuses what is no prefix with `invalid-prefix`. */
export function checkPrefix(prefix: string): void {
  if (!isPrefix(prefix)) {
    throw new LastwriteError(
      "invalid-prefix",
      `a prefix is empty or ends in "/", and has at most ${KEY_BYTES_MAX} bytes of UTF-8`,
    );
  }
}
