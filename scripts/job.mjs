/**
 * Runs a job: `node scripts/job.mjs <job> [group…]`, where groups narrow the job down, as in
 * `npm test -- rust`. Sets up whatever the job needs and is not there yet.
 */
import "./node-version.mjs";
import { runSteps } from "./run.mjs";
import { stepsOf } from "./steps.mjs";

const jobs = {
  setup: [],
  build: ["build"],
  test: ["rust", "vitest"],
  lint: ["lint"],
  docs: ["docs"],
  ready: ["build", "hooks", "lint", "docs", "rust", "vitest"],
};

const [job, ...narrowed] = process.argv.slice(2);
const groups = jobs[job];
const unknown = narrowed.find((group) => !groups.includes(group));
if (unknown !== undefined) {
  console.error(
    `npm run ${job} knows no "${unknown}"; it can be narrowed down to: ${groups.join(", ")}`,
  );
  process.exit(2);
}
const ok = await runSteps(stepsOf(narrowed.length > 0 ? narrowed : groups));
process.exitCode = ok ? 0 : 1;
