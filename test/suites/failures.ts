/** What went wrong, by shape: an engine under test may have been built with an error class of its own. */

/** The code of an error that was thrown on purpose. */
export function errorCode(error: unknown): string | undefined {
  return member(error, "code");
}

/** Who has to re-read, of a `below-horizon`. */
export function errorSide(error: unknown): string | undefined {
  return member(error, "side");
}

/** Code and side, as `below-horizon receiver`; undefined for an error that was not thrown on purpose. */
export function errorWords(error: unknown): string | undefined {
  const code = errorCode(error);
  const side = errorSide(error);
  return side === undefined ? code : `${code} ${side}`;
}

/** Passes errors with one of these codes; anything else is a failure of its own. */
export function expectCode(error: unknown, codes: readonly string[]): void {
  if (!codes.includes(errorCode(error) ?? "")) throw error;
}

function member(error: unknown, name: string): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const value: unknown = Reflect.get(error, name);
  return typeof value === "string" ? value : undefined;
}
