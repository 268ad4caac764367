/** Engines whose journals are wrong on purpose, to show that storage.test.ts would notice: see planted.ts. */

import type { Edit, Variant } from "./planted.ts";

const journal = "engine/script/journal.ts";

export const storageVariants: readonly Variant[] = [
  wrong("a journal forgets what changed in the exceptions", {
    file: journal,
    from: "const told = stateSince(state, mark.known);",
    to: "const told = { ...stateSince(state, mark.known), end: NO_DOTS.exceptions };",
  }),
  wrong("a journal forgets what changed in the vector", {
    file: journal,
    from: "const told = stateSince(state, mark.known);",
    to: `const told = stateSince(state, mark.known);
      if (mark !== NOTHING) told.vector = NO_DOTS.vector;`,
  }),
  wrong("a journal forgets that the horizon rose", {
    file: journal,
    from: "return { ...told, horizon: state.horizon, collected: state.collected };",
    to: `return mark === NOTHING
      ? { ...told, horizon: state.horizon, collected: state.collected }
      : { ...told, horizon: NO_DOTS.vector, collected: undefined };`,
  }),
  wrong("a journal with no entries is left out, whatever else changed", {
    file: journal,
    from: "attributes.length === 0 && isSame) return [];",
    to: "attributes.length === 0) return [];",
  }),
  wrong("entries are told only up to a place before the head", {
    file: journal,
    from: "return { place: state.log.head, known:",
    to: "return { place: state.log.head + 1, known:",
  }),
  wrong("the place of a journal is that of the mark", {
    file: journal,
    from: "const place = state.log.head - entries.length; const journal",
    to: "const place = mark.place; const journal",
  }),
  wrong("a replay keeps the greater rank instead of the later entry", {
    file: journal,
    from: "state.put(entry); if",
    to: `const rival = state.holdings.rivalOf(entry);
      if (rival === undefined || compareStamps(entry.stamp, rival.stamp) >= 0) state.put(entry);
      if`,
  }),
  wrong("a replay holds entries against the prefix tombstones that stand already", {
    file: journal,
    from: "state.put(entry); if",
    to: "if (!state.holdings.isCovered(entry)) state.put(entry); if",
  }),
  wrong("a replayed prefix tombstone drops nothing", {
    file: journal,
    from: "if (entry.isPrefix) dropCoveredBy(state, entry);",
    to: "",
  }),
  wrong("a replay drops no tombstones below the horizon", {
    file: journal,
    from: "if (state.joinHorizon(horizon, collected)) state.dropCollected();",
    to: "state.joinHorizon(horizon, collected);",
  }),
  wrong("the clock is not put back", {
    file: journal,
    from: "state.clock = journal.clock;",
    to: "",
  }),
  wrong("the floor is not put back", {
    file: journal,
    from: "state.floor = journal.floor;",
    to: "",
  }),
  wrong("the own id is not put back", {
    file: journal,
    from: "state.replicaId = journal.ownId;",
    to: "",
  }),
  wrong("a re-read does not break the journal", {
    file: "engine/script/reread.ts",
    from: "state.breakJournal();",
    to: "",
  }),
  wrong("a restamp does not break the journal", {
    file: "engine/script/local.ts",
    from: "if (beyond.length > 0) state.breakJournal();",
    to: "",
  }),
  wrong("a collection does not break the journal", {
    file: "engine/script/state.ts",
    from: "if (this.mark !== undefined && tombstone.place >= this.mark.place) this.breakJournal();",
    to: "",
  }),
  wrong("entries of a former id are restamped", {
    file: journal,
    from: "if (dot.replicaId === state.replicaId) state.raiseFloor(stamp);",
    to: "",
  }),
];

function wrong(name: string, edit: Edit): Variant {
  return { name, plan: "storage", edits: [edit] };
}
