import type { Dictionary, Value } from "lastwrite";

/** A write of the census, at its time. */
export interface CensusWrite {
  readonly key: string;
  readonly value: Value;
  readonly millis: number;
}

export function writeUntilKilled(
  file: string,
  writes: readonly CensusWrite[],
  progress: (part: number) => void,
): Promise<{ readonly pid: number; readonly keyCount: number; readonly acknowledged: number }>;

export function countKept(
  store: Pick<Dictionary, "get">,
  writes: readonly CensusWrite[],
  acknowledged: number,
): number;
