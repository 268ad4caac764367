/**
 * Engines that are wrong on purpose, to show that the model test would notice. Each is the script engine with a few
 * words of its source replaced; a replacement that no longer fits fails, and then has to follow the source.
 */

import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

import { build } from "esbuild";

import type { Engine } from "../../ts/engine/contract.ts";
import { failureOf, randomHistory, search, type Failure, type Plan } from "./history.ts";

export interface Edit {
  /** Below ts/. */
  readonly file: string;
  /** Must stand in the file exactly once; white space may differ. */
  readonly from: string;
  readonly to: string;
}

export interface Variant {
  readonly name: string;
  readonly edits: readonly Edit[];
  /** Where to look for what is rare elsewhere. */
  readonly plan?: Plan;
}

/**
 * The rows of the table of wrong variants, then what its counterexamples forbid and random histories notice; the others
 * are held by counterexamples.test.ts alone.
 */
export const variants: readonly Variant[] = [
  {
    name: "the sender's version is adopted without looking at the base",
    edits: [
      {
        file: "engine/script/merge.ts",
        from: "canAdopt : hasVersion(state.version, frame.base ?? NO_DOTS)",
        to: "canAdopt : true",
      },
    ],
  },
  {
    name: "the sender's version is adopted with the last part, though others are missing",
    edits: [
      {
        file: "engine/script/merge.ts",
        from: "frame.part === undefined ? sender",
        to: "frame.end !== undefined ? sender",
      },
    ],
  },
  {
    name: "the sender's version is adopted after a tainted delta",
    edits: [{ file: "engine/script/merge.ts", from: "!complete.isTainted &&", to: "" }],
  },
  {
    name: "a stream's version is adopted before its head",
    edits: [
      {
        file: "engine/script/export.ts",
        from: "end: atHead ? told.end : undefined,",
        to: "end: told.end,",
      },
    ],
  },
  {
    name: "a merge does not join who collects",
    edits: [
      {
        file: "engine/script/merge.ts",
        from: "if (!isCollectorAhead) state.joinCollector(frame.collector);",
        to: "",
      },
    ],
  },
  {
    name: "whoever came last says who collects",
    edits: [
      {
        file: "engine/script/state.ts",
        from: "this.collector = joinCollectors(this.collector, collector);",
        to: "this.collector = collector;",
      },
    ],
  },
  {
    name: "a collector from the future is joined",
    edits: [
      {
        file: "engine/script/merge.ts",
        from: "if (!isCollectorAhead) state.joinCollector(frame.collector);",
        to: "state.joinCollector(frame.collector);",
      },
    ],
  },
  {
    name: "a difference leaves out exceptions that are others now",
    edits: [
      {
        file: "engine/script/export.ts",
        from: ": stateSince(state, decodeFrame(since, [KIND.frontier]));",
        to: ": { ...stateSince(state, decodeFrame(since, [KIND.frontier])), end: new Map() };",
      },
    ],
  },
  {
    name: "a difference leaves out a horizon that is another now",
    edits: [
      {
        file: "engine/script/export.ts",
        from: ": stateSince(state, decodeFrame(since, [KIND.frontier]));",
        to: ": { ...stateSince(state, decodeFrame(since, [KIND.frontier])), horizon: new Map() };",
      },
    ],
  },
  {
    name: "exceptions are folded into the vector because they are contiguous",
    plan: "rumours",
    edits: [
      {
        file: "codec/dots.ts",
        from: "settle(ownId: string): void {",
        to: `settle(ownId: string): void {
          for (const [id, [run]] of [...this.exceptions]) {
            if (run !== undefined && run.first === (this.vector.get(id) ?? 0) + 1) this.#raise(id, run.last);
          }`,
      },
    ],
  },
  {
    name: "exceptions are folded into the vector, contiguous or not",
    edits: [
      {
        file: "codec/dots.ts",
        from: "settle(ownId: string): void {",
        to: `settle(ownId: string): void {
          for (const id of [...this.exceptions.keys()]) this.#raise(id, lastCounter(this, id));`,
      },
    ],
  },
  {
    name: "the dot of a refused entry joins the exceptions",
    edits: [
      {
        file: "engine/script/merge.ts",
        from: "seeEntries(state, accepted);",
        to: "seeEntries(state, accepted); state.addDots(refused.map(({ dot }) => dot));",
      },
    ],
  },
  {
    name: "an explicit write that loses takes a dot",
    edits: [
      {
        file: "engine/script/local.ts",
        from: "compareBeforeDot(held, write) >= 0) return 0;",
        to: "compareBeforeDot(held, write) >= 0) { state.addOwnDot(); return 0; }",
      },
    ],
  },
  {
    name: "exceptions are derived from what is held, so that the dot of a superseded entry is forgotten",
    plan: "absences",
    edits: [
      {
        file: "engine/script/state.ts",
        from: "settleLog(): void {",
        to: `settleLog(): void {
          const { exceptions } = this.version;
          const own = exceptions.get(this.replicaId);
          exceptions.clear();
          if (own !== undefined) exceptions.set(this.replicaId, own);
          for (const { dot, origin } of this.holdings.all()) {
            this.addDots(origin === undefined ? [dot] : [dot, origin]);
          }`,
      },
    ],
  },
  {
    name: "exceptions are dropped when they are many",
    edits: [
      {
        file: "codec/dots.ts",
        from: "settle(ownId: string): void {",
        to: `settle(ownId: string): void {
          for (const [id, runs] of [...this.exceptions]) {
            if (id !== ownId && runs.length > 1) this.exceptions.delete(id);
          }`,
      },
    ],
  },
  {
    name: "ties are decided by arrival",
    edits: [
      {
        file: "engine/script/holdings.ts",
        from: "compareRank(entry, rival) > 0",
        to: "compareStamps(entry.stamp, rival.stamp) > 0",
      },
    ],
  },
  {
    name: "relays renew stamps",
    edits: [
      {
        file: "engine/script/merge.ts",
        from: "const winners = mergeEntries(state, accepted);",
        to: `const winners = mergeEntries(
          state,
          accepted.map((entry) => ({ ...entry, stamp: { ...entry.stamp, ...state.tick(now) } })),
        );`,
      },
    ],
  },
  {
    name: "tombstones are collected by time alone",
    edits: [
      { file: "engine/script/local.ts", from: "state.joinHorizon(target, undefined);", to: "" },
      {
        file: "engine/script/state.ts",
        from: "held.value === undefined && this.isCollected(held.dot),",
        to: "held.value === undefined,",
      },
    ],
  },
  {
    name: "an explicit stamp below collected ones is taken",
    edits: [
      {
        file: "engine/script/local.ts",
        from: "if (state.collected !== undefined && compareStamps(stamp, state.collected) <= 0) {",
        to: "if (compareStamps(stamp, stamp) > 0) {",
      },
    ],
  },
  {
    name: "an entry below the horizon is ignored only where the key is absent",
    plan: "absences",
    edits: [
      {
        file: "engine/script/merge.ts",
        from: "(!state.isCollected(entry.dot) || (isRepair && entry.value !== undefined)),",
        to: "!(state.isCollected(entry.dot) && state.holdings.rivalOf(entry) === undefined),",
      },
    ],
  },
  {
    name: "a re-read takes the snapshot's word only up to the horizon",
    plan: "absences",
    edits: [
      {
        file: "engine/script/reread.ts",
        from: "if (hasDot(seen, held.dot) || (held.origin !== undefined && hasDot(seen, held.origin)))",
        to: "if (held.dot.counter <= (snapshot.horizon.get(held.dot.replicaId) ?? 0) && hasDot(seen, held.dot))",
      },
    ],
  },
  {
    name: "the horizon is joined after the merge",
    plan: "absences",
    edits: [
      {
        file: "engine/script/merge.ts",
        from: "joinHorizon(state, frame.horizon, frame.collected);\n  const isCollectorAhead",
        to: "const isCollectorAhead",
      },
      {
        file: "engine/script/merge.ts",
        from: "const isTainted = frame.isTainted ||",
        to: "joinHorizon(state, frame.horizon, frame.collected); const isTainted = frame.isTainted ||",
      },
    ],
  },
  {
    name: "a sender below the horizon is not refused",
    edits: [
      {
        file: "engine/script/merge.ts",
        from: "if (!vectorCovers(senderVector, state.horizon)) {",
        to: "if (senderVector.size < 0) {",
      },
    ],
  },
  {
    name: "a receiver below the horizon is not refused",
    edits: [
      {
        file: "engine/script/merge.ts",
        from: "if (!vectorCovers(state.version.vector, senderHorizon)) {",
        to: "if (senderHorizon.size < 0) {",
      },
    ],
  },
  {
    name: "an entry that was sent is restamped",
    edits: [
      {
        file: "engine/script/export.ts",
        from: "if (dot.replicaId === state.replicaId) state.raiseFloor(stamp);",
        to: "",
      },
    ],
  },
  {
    name: "a clone goes on under its id",
    edits: [{ file: "engine/script/merge.ts", from: "if (isCloned) takeSpareId(state);", to: "" }],
  },
];

/** How long `noticed` may search. */
export const searchBudgetMs = 60_000;

/** The script engine with these edits. */
export async function plantedEngine({ edits }: Variant): Promise<Engine> {
  const missing = new Set(edits);
  const folder = await mkdtemp(path.join(tmpdir(), "lastwrite-planted-"));
  try {
    const { outputFiles } = await build({
      entryPoints: [path.join(sources, "engine/script.ts")],
      bundle: true,
      write: false,
      format: "esm",
      platform: "neutral",
      plugins: [
        {
          name: "planted",
          setup: (hooks) => {
            hooks.onLoad({ filter: /\.ts$/ }, async ({ path: file }) => {
              let contents = await readFile(file, "utf8");
              for (const edit of edits) {
                if (path.join(sources, edit.file) !== file) continue;
                contents = edited(contents, edit);
                missing.delete(edit);
              }
              return { contents, loader: "ts" };
            });
          },
        },
      ],
    });
    if (missing.size > 0)
      throw new Error(
        `not part of the script engine: ${[...missing].map(({ file }) => file).join(", ")}`,
      );
    const file = path.join(folder, "engine.mjs");
    await writeFile(file, outputFiles[0]?.contents ?? "");
    const module: unknown = await import(/* @vite-ignore */ pathToFileURL(file).href);
    return (module as { scriptEngine: () => Engine }).scriptEngine();
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Looks for a history that the variant does not get through, and the right engine does. */
export async function noticed(
  variant: Variant,
): Promise<{ readonly count: number; readonly failure: Failure | undefined }> {
  const rightEngine = await plantedEngine({ name: "nothing", edits: [] });
  const engine = await plantedEngine(variant);
  const start = performance.now();
  const { plan } = variant;
  let count = 0;
  for (;;) {
    const found = search(() => engine, {
      firstSeed: count + 1,
      count: historyCount - count,
      budgetMs: searchBudgetMs,
      elapsedMs: () => performance.now() - start,
      ...(plan === undefined ? {} : { plan }),
    });
    count += found.count;
    if (found.failure === undefined) return { count, failure: undefined };
    const isOwn =
      failureOf(randomHistory(found.failure.seed, plan), () => rightEngine) === undefined;
    if (isOwn) return { count, failure: found.failure };
  }
}

const historyCount = 20_000;
const sources = fileURLToPath(new URL("../../ts", import.meta.url));

function edited(source: string, { file, from, to }: Edit): string {
  const words = from
    .trim()
    .split(/\s+/)
    .map((word) => word.replaceAll(/[$()*+.?[\\\]^{|}]/g, String.raw`\$&`));
  const parts = source.split(new RegExp(words.join(String.raw`\s+`), "g"));
  if (parts.length !== 2)
    throw new Error(`“${from}” stands ${parts.length - 1} times in ts/${file}, not once`);
  return parts.join(to);
}
