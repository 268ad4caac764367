/** `npm start`: sets up and builds what is missing, then runs the server, with the arguments given. */
import "./node-version.mjs";

import { runSteps } from "./run.mjs";
import { stepsOf } from "./steps.mjs";

if (await runSteps(stepsOf(["build"]))) {
  // In this process, so that whoever stops it stops the server.
  const { run } = await import("../dist/cli/program.js");
  process.exitCode = await run(["serve", ...process.argv.slice(2)]);
} else {
  process.exitCode = 1;
}
