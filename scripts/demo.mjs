/** `npm run demo`: sets up and builds what is missing, then runs the example, with the arguments given. */
import "./node-version.mjs";
import { spawnSync } from "node:child_process";

import { root, runSteps } from "./run.mjs";
import { stepsOf } from "./steps.mjs";

if (await runSteps(stepsOf(["build"]))) {
  const args = ["examples/cities.mjs", ...process.argv.slice(2)];
  // The example draws its progress itself, so it gets the terminal whole.
  const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: "inherit" });
  process.exitCode = status ?? 1;
} else {
  process.exitCode = 1;
}
