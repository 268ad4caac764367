/**
 * Power is lost before each call to the disk, in each of several ways, also while what is found is read again. CRASH_RECOVERIES=1000000 asks for more, SEED=n for others.
 */

import { expect, test } from "vitest";

import { type LogFile, openLogFile } from "../../ts/persistence/log-file.ts";
import { numberFromEnvironment, type Random, seededRandom } from "../suites/random.ts";
import { CrashDisk, type Outcome, OUTCOMES } from "./crash-disk.ts";
import { frameOf, stateOfFrames } from "./log-frames.ts";

const RECOVERIES = numberFromEnvironment("CRASH_RECOVERIES") ?? 116_000;
const SEED = numberFromEnvironment("SEED") ?? 1;
const NAME = "store";

/** What was asked for, and what was promised: numbers of appended frames, which count from 1. */
interface History {
  /** All up to this one are durable. */
  kept: number;
  /** This one may be there. */
  begun: number;
}

test(
  `nothing acknowledged is lost in ${RECOVERIES} losses of power`,
  { timeout: 1000 * 60 * 60 },
  async () => {
    const counts = { recoveries: 0, workloads: 0 };
    for (let seed = SEED; counts.recoveries < RECOVERIES; seed++) {
      const crashes = new Crashes(seededRandom(seed), counts);
      try {
        await crashes.play();
      } catch (error) {
        throw new Error(`SEED=${seed}: ${String(error)}`, { cause: error });
      }
      counts.workloads++;
    }
    console.log(`${counts.recoveries} recoveries of ${counts.workloads} workloads`);
    expect(counts.recoveries).toBeGreaterThanOrEqual(RECOVERIES);
  },
);

/** One workload of random calls, and all the crashes on its way. */
class Crashes {
  readonly #random: Random;
  readonly #counts: { recoveries: number };
  readonly #history: History = { kept: 0, begun: 0 };
  #disk = new CrashDisk();

  constructor(random: Random, counts: { recoveries: number }) {
    this.#random = random;
    this.#counts = counts;
  }

  async play(): Promise<void> {
    const random = this.#random;
    this.#disk.hook = () => this.#crash();
    let log = await this.#open();
    for (let step = 0; step < 20; step++) {
      const chance = random.below(20);
      if (chance < 8) await this.#append(log, true);
      else if (chance < 14) await this.#append(log, false);
      else if (chance < 17) await this.#replace(log);
      else if (chance < 18) log = await this.#reopen(log);
      else if (random.once(2)) log = await this.#goOnAfterCrash();
      // The process was killed, and the disk still has in memory what was not synced.
      else log = await this.#open();
    }
    await log.close();
    await this.#crash();
  }

  async #open(): Promise<LogFile> {
    const log = await openLogFile(this.#disk, NAME, { access: "write" });
    const state = await stateOf(log);
    this.#check(state);
    // What was found once stays.
    this.#history.kept = state;
    this.#history.begun = state;
    return log;
  }

  async #append(log: LogFile, sync: boolean): Promise<void> {
    const number = ++this.#history.begun;
    await log.append(frameOf("append", number, this.#random), { sync });
    if (sync) this.#history.kept = number;
  }

  async #replace(log: LogFile): Promise<void> {
    const { begun } = this.#history;
    const replacing = log.replace([frameOf("whole", begun, this.#random)]);
    for (let count = this.#random.below(9); count > 0; count--) {
      await this.#append(log, this.#random.once(2));
    }
    await replacing;
    this.#history.kept = Math.max(this.#history.kept, begun);
  }

  async #reopen(log: LogFile): Promise<LogFile> {
    await log.close();
    this.#history.kept = this.#history.begun;
    return this.#open();
  }

  async #goOnAfterCrash(): Promise<LogFile> {
    const before = this.#disk;
    before.hook = undefined;
    this.#disk = before.afterPowerLoss(this.#random.pick(OUTCOMES), this.#random);
    this.#disk.hook = () => this.#crash();
    return this.#open();
  }

  /** Every way of losing power at this moment. */
  async #crash(): Promise<void> {
    // So that appends and a replacement meet in many ways.
    for (let turns = this.#random.below(3); turns > 0; turns--) await Promise.resolve();
    for (const outcome of OUTCOMES) await this.#recover(this.#disk, outcome, this.#history, true);
  }

  async #recover(
    crashed: CrashDisk,
    outcome: Outcome,
    { kept, begun }: History,
    isFirst: boolean,
  ): Promise<void> {
    const random = this.#random;
    // What is under way goes on meanwhile.
    const history = { kept, begun };
    const disk = crashed.afterPowerLoss(outcome, random);
    const isNested = isFirst && random.once(6);
    if (isNested) {
      disk.hook = () => this.#recover(disk, random.pick(OUTCOMES), history, false);
    }
    const log = await openLogFile(disk, NAME, { access: "write" });
    const state = await stateOf(log);
    this.#counts.recoveries++;
    this.#check(state, history);
    disk.hook = undefined;
    if (!isFirst || !random.once(4)) return;
    // What was read stands, and so does what is written behind it.
    const found = { kept: state, begun: state };
    if (random.once(2)) {
      await log.append(frameOf("append", state + 1, random), { sync: true });
      found.kept = found.begun = state + 1;
    }
    await this.#recover(disk, random.pick(OUTCOMES), found, false);
  }

  #check(state: number, { kept, begun }: History = this.#history): void {
    if (state >= kept && state <= begun) return;
    throw new Error(`found ${state} frames; ${kept} were kept, ${begun} written`);
  }
}

async function stateOf(log: LogFile): Promise<number> {
  const frames: Uint8Array[] = [];
  for await (const frame of log.load()) frames.push(frame);
  return stateOfFrames(frames);
}
