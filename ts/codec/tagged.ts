/** Values that carry the name of a type: a decimal, a date without time, a UUID and the like of a table. */

import { LastwriteError } from "../errors.ts";
import { encodeText } from "./text.ts";
import { TYPE_NAME_BYTES_MAX } from "./validate.ts";

/** A text or bytes under the name of a type; made by `tagged`, known by `isTagged`. */
export interface Tagged {
  /** 1 to 16 bytes of UTF-8. */
  readonly type: string;
  readonly text: string | Uint8Array;
}

class TaggedValue implements Tagged {
  readonly type: string;
  readonly text: string | Uint8Array;

  constructor(type: string, text: string | Uint8Array) {
    this.type = type;
    this.text = text;
    Object.freeze(this);
  }
}

/**
 * Returns a value that carries `text` (or bytes) under the name of a type, for what JavaScript has no value of its
 * own for. Nothing is parsed: what goes in comes out.
 *
 * `type` has 1 to 16 bytes of UTF-8; anything else is `invalid-value`. Bytes are copied.
 *
 * @example
 * ```ts
 * import { createDictionary, isTagged, loadEngine, tagged } from "lastwrite";
 *
 * const prices = createDictionary({ engine: await loadEngine() });
 * prices.set("apple", tagged("decimal", "0.10"));
 *
 * const price = prices.get("apple");
 * if (isTagged(price)) console.log(price.type, price.text); // decimal 0.10
 * prices.close();
 * ```
 */
export function tagged(type: string, text: string | Uint8Array): Tagged {
  if (typeof type !== "string" || !type.isWellFormed()) {
    throw new LastwriteError("invalid-value", "tagged: the type name must be well-formed text");
  }
  const byteCount = encodeText(type).length;
  if (byteCount < 1 || byteCount > TYPE_NAME_BYTES_MAX) {
    throw new LastwriteError(
      "invalid-value",
      `tagged: the type name must have 1 to ${TYPE_NAME_BYTES_MAX} bytes of UTF-8, not ${byteCount}`,
    );
  }
  if (typeof text === "string") return new TaggedValue(type, text);
  if (text instanceof Uint8Array) return new TaggedValue(type, new Uint8Array(text));
  throw new LastwriteError("invalid-value", "tagged: the text must be a string or a Uint8Array");
}

/** Whether `value` was made by `tagged`, or read from a dictionary as such; a plain object of the same members is not. */
export function isTagged(value: unknown): value is Tagged {
  return value instanceof TaggedValue;
}
