/** Random histories for the network: made from a seed, played, and cut down to few steps when they fail. */

import { seededRandom, type Random } from "../suites/random.ts";
import { play } from "./network.ts";
import { wholeDelta } from "./network/exchange.ts";
import {
  Violation,
  type Action,
  type EngineOf,
  type Setup,
  type Step,
  type Traits,
} from "./network/setup.ts";

export interface History {
  readonly setup: Setup;
  readonly steps: readonly Step[];
}

export interface Failure {
  readonly seed: number;
  readonly message: string;
  /** The history after cutting down, a line a step. */
  readonly trace: readonly string[];
  readonly history: History;
}

export interface Found {
  /** Histories that were played, the failing one included. */
  readonly count: number;
  readonly failure: Failure | undefined;
}

/** Steps that lead to what is rare among random ones: see `absences` and `rumours`; `storage` is about journals and crashes. */
export type Plan = "absences" | "rumours" | "storage";

export interface SearchOptions {
  readonly firstSeed: number;
  readonly count: number;
  /** So many are played however long it takes; not more than `count`. Default: 0. */
  readonly least?: number;
  /** Stops after this time, read by `elapsedMs`; a failure is told in any case. */
  readonly budgetMs: number;
  /** Milliseconds since the search began: only says when to stop. */
  readonly elapsedMs: () => number;
  /** What all histories are about. Default: anything. */
  readonly plan?: Plan;
}

/** Plays histories of rising seeds until one fails, the count is reached, or the time is over and the least number played. */
export function search(engineOf: EngineOf, options: SearchOptions): Found {
  const { firstSeed, count, least = 0, budgetMs, elapsedMs, plan } = options;
  for (let played = 0; played < count; played += 1) {
    if (played >= least && elapsedMs() > budgetMs) return { count: played, failure: undefined };
    const seed = firstSeed + played;
    const history = randomHistory(seed, plan);
    if (failureOf(history, engineOf) !== undefined) {
      return { count: played + 1, failure: shrink(seed, history, engineOf) };
    }
  }
  return { count, failure: undefined };
}

/** The message of a history that breaks a law; any other error, as of a broken engine, counts as well. */
export function failureOf(
  { setup, steps }: History,
  engineOf: EngineOf,
  trace?: string[],
): string | undefined {
  try {
    play(setup, steps, engineOf, trace);
    return undefined;
  } catch (error) {
    if (error instanceof Violation) return error.message;
    return error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
}

export function describeFailure({ seed, message, trace, history }: Failure): string {
  const traits = Object.entries(history.setup.traits).filter(([, on]) => on);
  return [
    message,
    `history of seed ${seed}, ${history.setup.replicaCount} replicas (${traits.map(([name]) => name).join(", ")}), cut down to ${history.steps.length} steps:`,
    ...trace.map((line) => `  ${line}`),
  ].join("\n");
}

/** Leaves out steps, in halves, quarters and so on, as long as what is left still fails. */
function shrink(seed: number, history: History, engineOf: EngineOf): Failure {
  let { steps } = history;
  for (
    let size = Math.ceil(steps.length / 2);
    size >= 1;
    size = size === 1 ? 0 : Math.ceil(size / 2)
  ) {
    for (let start = 0; start < steps.length;) {
      const fewer = [...steps.slice(0, start), ...steps.slice(start + size)];
      if (failureOf({ setup: history.setup, steps: fewer }, engineOf) === undefined) start += size;
      else steps = fewer;
    }
  }
  const trace: string[] = [];
  const small = { setup: history.setup, steps };
  const message =
    failureOf(small, engineOf, trace) ?? "fails no more when played again: not deterministic";
  return { seed, message, trace, history: small };
}

/** The history of a seed, and of a plan if one is given. */
export function randomHistory(seed: number, plan?: Plan): History {
  const random = seededRandom(seed);
  const traits = traitsOf(plan, random);
  // What is planned about storage is about three, of which the last is a stranger.
  const replicaCount =
    plan === "storage" ? 3 : random.pick(traits.clones ? [2, 3, 3] : [2, 3, 3, 3, 4, 4, 5]);
  const setup: Setup = {
    seed,
    replicaCount,
    keys: allKeys.slice(0, random.pick([3, 3, 4, 5, 6])),
    prefixes: random.once(2) ? ["p/", "p/q/"] : ["p/", "p/q/", ""],
    traits,
    known: Array.from({ length: replicaCount }, (_, number) => number).filter((number) =>
      plan === "storage" ? number < 2 : !random.once(3),
    ),
  };
  const actions = weighted(traits);
  const mixed = (count: number): Step[] =>
    Array.from({ length: count }, () => randomStep(random.pick(actions), random));
  const steps: Step[] = [];
  for (const step of plannedSteps(plan, replicaCount, traits, random)) {
    if (random.once(plan === "storage" ? 6 : 2)) steps.push(...mixed(1));
    steps.push(step);
  }
  return { setup, steps: steps.length > 0 ? steps : mixed(12 + random.below(50)) };
}

/** Without a plan: none for a third of the histories with collection, and for all without. */
function plannedSteps(
  plan: Plan | undefined,
  replicaCount: number,
  { collection }: Traits,
  random: Random,
): Step[] {
  if (plan === "storage") return collection ? stored(random) : [];
  const chosen =
    plan ?? (collection ? [undefined, "absences", "rumours"][random.below(3)] : undefined);
  if (chosen === "absences") return absences(replicaCount, random);
  return chosen === "rumours" ? rumours(replicaCount, random) : [];
}

const plannedTraits: Traits = {
  collection: true,
  clones: false,
  drift: false,
  crashes: false,
  relaxed: false,
  streams: false,
  explicit: true,
  journals: false,
};

/** One removes what only he has heard of, and others hear of the removal alone. */
function rumours(replicaCount: number, random: Random): Step[] {
  const steps: Step[] = [];
  for (let round = 1 + random.below(2); round > 0; round -= 1) {
    const author = random.below(replicaCount);
    const witness = random.below(replicaCount);
    const key = random.below(2 ** 16);
    steps.push(
      { action: "push", numbers: [author, key, 1, 1 << witness] },
      { action: "push", numbers: [witness, key, random.below(3), random.below(2 ** 16)] },
      randomStep("acknowledge", random, witness),
      randomStep("acknowledge", random),
      randomStep(random.pick(["collect", "collect", "gather"]), random),
      randomStep("exchange", random, random.pick([author, 0])),
      randomStep("deliver", random),
      randomStep("deliver", random),
    );
  }
  return steps;
}

/** Some are away while others remove and collect, come back, and go again: what most rules are about. */
function absences(replicaCount: number, random: Random): Step[] {
  const steps: Step[] = [];
  for (let round = 1 + random.below(3); round > 0; round -= 1) {
    const absent = Array.from(
      { length: 1 + random.below(2) },
      () => 1 + random.below(replicaCount - 1),
    );
    const some = (most: number, actions: readonly Action[], ofAbsent = false): void => {
      for (let left = random.below(most + 1); left > 0; left -= 1) {
        const replica = ofAbsent && random.once(2) ? random.pick(absent) : undefined;
        steps.push(randomStep(random.pick(actions), random, replica));
      }
    };
    some(4, ["set", "push", "push", "writeAt", "delete", "deletePrefix"], true);
    some(4, ["exchange", "exchange", "push", "send", "deliver"], true);
    for (const replica of absent) steps.push(randomStep("leave", random, replica));
    some(3, ["set", "set", "push", "writeAt", "delete"], true);
    some(4, ["delete", "push", "deletePrefix", "set", "exchange", "send", "acknowledge"]);
    steps.push(randomStep(random.pick(["gather", "gather", "collect"]), random));
    some(3, ["gather", "set", "push", "delete", "writeAt", "collect"]);
    for (const replica of absent) steps.push(randomStep("return", random, replica));
    some(5, ["exchange", "deliver", "deliver", "send", "push", "gather", "set"], true);
  }
  return steps;
}

/** What a journal that only tells of what is held would not tell: see docs/engine.md, The own storage. */
function stored(random: Random): Step[] {
  const [first, second] = random.once(2) ? [1, 0] : [2, 0];
  const step = (action: Action, a: number, b = 0, c = wholeDelta, d = 1): Step => ({
    action,
    numbers: [a, b, c, d],
  });
  const remove = random.once(2) ? step("delete", 0, first) : step("deletePrefix", 0);
  const toOne = step("exchange", 0, 0);
  const reread = [step("reread", 2, 0), step("deliver", 0, 1)];
  const collect = [step("acknowledge", 1), step("collect", 0)];
  const reopen = (replica: number): Step[] => [step("save", replica), step("crash", replica, 1)];
  return random.pick([
    // A tombstone comes and is collected between two journals.
    [
      step("push", 0, first, 1, 6),
      step("save", 2),
      step("push", 0, first, 0, 6),
      ...collect,
      step("push", 0, second, 1, 6),
      ...reopen(2),
    ],
    // An entry comes that is older than what was removed and collected.
    [
      step("set", 2, first),
      step("set", 0, first),
      toOne,
      remove,
      toOne,
      ...collect,
      ...reread,
      step("exchange", 2, 1),
      ...reopen(1),
    ],
    // A re-read drops what a snapshot does not have.
    [
      step("set", 0, first),
      step("exchange", 0, 1),
      step("save", 2),
      remove,
      toOne,
      ...collect,
      ...reread,
      ...reopen(2),
    ],
    // A removal is restamped below what it removed.
    [
      step("skew", 1, 5),
      step("set", 1, first),
      step("save", 1),
      step("deletePrefix", 1),
      step("skew", 1, 0),
      step("restamp", 1),
      ...reopen(1),
    ],
    // An entry is sent, and the crash comes before that is known to storage.
    [
      step("skew", 1, 4),
      step("skew", 0, 3),
      step("set", 1, first),
      step("exchange", 1, 1),
      step("crash", 1, 1),
      step("skew", 1, 0),
      step("restamp", 1),
    ],
  ]);
}

/** A step whose first number, that of the replica as a rule, may be given. */
function randomStep(action: Action, random: Random, replica?: number): Step {
  const number = (): number => random.below(2 ** 16);
  return { action, numbers: [replica ?? number(), number(), number(), number()] };
}

/** Nested below prefixes, and one equal to a prefix. */
const allKeys = ["k", "p/x", "p/q/y", "p/q/", "z", "p/"];

function traitsOf(plan: Plan | undefined, random: Random): Traits {
  if (plan === undefined) return randomTraits(random);
  if (plan !== "storage") return plannedTraits;
  return { ...randomTraits(random), crashes: true, journals: true };
}

function randomTraits(random: Random): Traits {
  const collection = !random.once(3);
  const clones = !collection && random.once(2);
  return {
    collection,
    clones,
    drift: random.once(5),
    crashes: random.once(3),
    relaxed: !clones && random.once(6),
    streams: random.once(3),
    explicit: random.once(2),
    journals: false,
  };
}

function weighted(traits: Traits): Action[] {
  const weights: readonly (readonly [Action, number])[] = [
    ["set", 12],
    ["delete", 7],
    ["deletePrefix", 2],
    ["writeAt", traits.explicit ? 5 : 0],
    ["push", 8],
    ["send", 7],
    ["exchange", 9],
    ["deliver", 16],
    ["lose", 2],
    ["stream", traits.streams ? 4 : 0],
    ["receive", traits.streams ? 10 : 0],
    ["breakStream", traits.streams ? 1 : 0],
    ["acknowledge", traits.collection ? 4 : 0],
    ["collect", traits.collection ? 3 : 0],
    ["gather", traits.collection ? 8 : 0],
    ["save", traits.journals ? 9 : 2],
    ["crash", traits.crashes ? 3 : 0],
    ["leave", traits.collection ? 2 : 0],
    ["return", traits.collection ? 3 : 0],
    // Among copies a snapshot's version proves nothing of what it lacks, and without collection nobody has to re-read.
    ["reread", traits.clones ? 0 : traits.journals ? 3 : 1],
    ["copy", traits.clones ? 2 : 0],
    ["time", 4],
    ["skew", traits.drift ? 4 : 0],
    ["restamp", traits.drift ? 4 : 0],
    ["name", traits.drift ? 3 : 1],
  ];
  return weights.flatMap(([action, weight]) => Array.from({ length: weight }, () => action));
}
