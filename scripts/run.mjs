/** Runs programs and steps, and says what they do, how long that usually takes, and how long it took. */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

/** The folder of the repository. */
export const root = fileURLToPath(new URL("..", import.meta.url));

/** An expected failure, whose message is all that the user needs. */
export class StepError extends Error {}

/**
 * Runs a program in the repository, with its output on this terminal, and resolves when it ends with 0.
 *
 * @param {string} program
 * @param {readonly string[]} args
 * @param {{ env?: Record<string, string> }} [options] `env` is added to that of this process
 */
export async function run(program, args, { env = {} } = {}) {
  const { code, signal } = await ended(start(program, args, env, "inherit"), program);
  if (code !== 0)
    throw new StepError(`${[program, ...args].join(" ")} ended with ${signal ?? code}`);
}

/**
 * What a program writes to its standard output, or undefined when it is missing or fails.
 *
 * @param {string} program
 * @param {readonly string[]} args
 * @returns {Promise<string | undefined>}
 */
export async function output(program, args) {
  const child = start(program, args, {}, "pipe");
  let text = "";
  child.stdout.on("data", (chunk) => (text += chunk));
  const { code } = await ended(child, program).catch(() => ({ code: undefined }));
  return code === 0 ? text.trim() : undefined;
}

/** Runs a JavaScript program of an installed npm package; `.bin` differs between systems. */
export function runPackage(file, args, options) {
  return run(process.execPath, [`${root}node_modules/${file}`, ...args], options);
}

/**
 * Runs steps in their order: first those of set-up and build, where the first failure ends all, then the
 * checks, all of which run so that one call shows everything that is wrong.
 *
 * @param {readonly import("./steps.mjs").Step[]} steps
 * @returns {Promise<boolean>} whether all succeeded
 */
export async function runSteps(steps) {
  const fresh = [];
  const taken = [];
  for (const step of steps) {
    if (step.isFresh !== undefined && (await step.isFresh())) {
      fresh.push(step.name);
      continue;
    }
    console.log(`\n▸ ${step.name}: ${step.does} (usually ${step.usually})`);
    const startMs = performance.now();
    let error;
    try {
      await step.run();
    } catch (caught) {
      error = caught;
    }
    const took = `${((performance.now() - startMs) / 1_000).toFixed(1)} s`;
    taken.push({ name: step.name, took, error });
    // At once, because the summary is lost when a time limit ends the run.
    console.log(`  ${error === undefined ? "done" : "failed"} after ${took}`);
    if (error === undefined) continue;
    console.error(error instanceof StepError ? `\n✗ ${step.name}: ${error.message}` : error);
    if (!step.isCheck) break;
  }
  if (fresh.length > 0) console.log(`\nAlready there: ${fresh.join(", ")}`);
  for (const { name, took, error } of taken) {
    console.log(`${error === undefined ? "✓" : "✗"} ${name.padEnd(28)} ${took.padStart(8)}`);
  }
  return taken.every(({ error }) => error === undefined);
}

function start(program, args, env, stdout) {
  return spawn(program, args, {
    cwd: root,
    // Else rustup installs in silence what a step of its own announces.
    env: { ...process.env, RUSTUP_AUTO_INSTALL: "0", ...env },
    stdio: ["ignore", stdout, stdout === "pipe" ? "ignore" : "inherit"],
  });
}

function ended(child, program) {
  return new Promise((resolve, reject) => {
    child.on("error", (cause) => reject(new StepError(`cannot run ${program}: ${cause.message}`)));
    child.on("close", (code, signal) => resolve({ code, signal }));
  });
}
