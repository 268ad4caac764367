/** Line coverage of the core: fails below 95 %. */
import "./node-version.mjs";
import { run, runSteps } from "./run.mjs";
import { stepsOf } from "./steps.mjs";
import { coverageTools, hasTools, installTools, withTools } from "./tools.mjs";

const linesPercentMin = 95;

const ok = await runSteps([
  ...stepsOf([]),
  {
    name: "coverage tool",
    does: "installs llvm-tools and compiles cargo-llvm-cov into your cache",
    usually: "1–2 minutes",
    isFresh: () => hasTools(coverageTools),
    async run() {
      await run("rustup", ["component", "add", "llvm-tools"]);
      await installTools(coverageTools);
    },
  },
  {
    name: "coverage",
    does: "runs the tests of the core and counts the lines they reach",
    usually: "2 minutes",
    isCheck: true,
    run: () =>
      run(
        "cargo",
        [
          "llvm-cov",
          "--package=lastwrite-core",
          "--all-features",
          `--fail-under-lines=${linesPercentMin}`,
        ],
        { env: withTools(coverageTools) },
      ),
  },
]);
process.exitCode = ok ? 0 : 1;
