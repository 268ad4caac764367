/** Random bytes, and ids made of them: what the platform gives, of which nobody can guess the next. */

import { idText } from "./entry.ts";

export function randomBytes(count: number): Uint8Array {
  return globalThis.crypto.getRandomValues(new Uint8Array(count));
}

/** 32 hex digits that nobody else has. */
export function randomId(): string {
  return idText(randomBytes(16));
}
