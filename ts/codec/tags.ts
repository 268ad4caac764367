/** What the payload of a value is: docs/format.md, Values. */
export const TAG = {
  tombstone: 0,
  null: 1,
  false: 2,
  true: 3,
  integer: 4,
  float: 5,
  text: 6,
  wideText: 7,
  bytes: 8,
  bigint: 9,
  date: 10,
  array: 11,
  object: 12,
  tagged: 13,
  prefix: 14,
} as const;

/** Whether a payload of this tag says nothing of its own length. */
export function isMeasured(tag: number): boolean {
  return tag >= TAG.text && tag <= TAG.tagged && tag !== TAG.date;
}
