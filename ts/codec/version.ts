/** Version frames, and how two versions compare. */

import { hasVersion, NO_DOTS, type Version } from "./dots.ts";
import { decodeBare, encodeBare, KIND } from "./header.ts";

/** How what one replica has seen stands to what another has. */
export type VersionOrder = "equal" | "before" | "after" | "concurrent";

/**
 * Compares two versions as sets of writes seen: "before" means that `b` has all of `a`, and more.
 *
 * Throws `corrupt-bytes` or `unsupported-format` for bytes that are no version.
 */
export function compareVersions(a: Uint8Array, b: Uint8Array): VersionOrder {
  const [left, right] = [decodeVersion(a), decodeVersion(b)];
  const [isBefore, isAfter] = [hasVersion(right, left), hasVersion(left, right)];
  if (isBefore && isAfter) return "equal";
  if (isBefore) return "before";
  return isAfter ? "after" : "concurrent";
}

export function decodeVersion(bytes: Uint8Array): Version {
  const { vector, end } = decodeBare(bytes, [KIND.version]);
  return { vector, exceptions: end ?? NO_DOTS.exceptions };
}

export function encodeVersion({ vector, exceptions }: Version): Uint8Array {
  return encodeBare({ kind: KIND.version, vector, end: exceptions });
}
