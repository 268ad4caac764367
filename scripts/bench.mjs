/**
 * Runs a benchmark on the built package: `node scripts/bench.mjs speed|memory|persistence|peers|server|size [argument…]`.
 * Sets up whatever it needs and is not there yet.
 */
import "./node-version.mjs";
import { dirname, join } from "node:path";

import { hasPackages, installPackages } from "./packages.mjs";
import { root, run, runSteps } from "./run.mjs";
import { stepsOf } from "./steps.mjs";

const files = {
  speed: "bench/speed.bench.ts",
  memory: "bench/memory.bench.ts",
  persistence: "bench/persistence.bench.ts",
  peers: "bench/peers/peers.bench.ts",
  server: "bench/server.bench.ts",
  size: "bench/size.bench.ts",
};

/** Some of the peers are what stores and servers are compared with. */
const needsPeers = new Set(["peers", "persistence", "server"]);

const peersPackages = {
  name: "peers",
  does: "installs the libraries that lastwrite is compared with",
  usually: "20 s",
  isFresh: () => hasPackages("bench/peers"),
  run: () => installPackages("bench/peers"),
};

const [name, ...args] = process.argv.slice(2);
const file = files[name];
if (file === undefined) {
  console.error(`there is no benchmark "${name}"; there are: ${Object.keys(files).join(", ")}`);
  process.exit(2);
}

const steps = [...stepsOf(["build"]), ...(needsPeers.has(name) ? [peersPackages] : [])];
if (await runSteps(steps)) {
  // Node 20 reads no TypeScript. Packages, ours too, stay outside, so that what is measured is what is published.
  const built = join(root, dirname(file), ".bench-build", `${name}.mjs`);
  // Its program is a script or a binary, as npm was allowed to install it: the module is the same for both.
  const { build } = await import("esbuild");
  await build({
    entryPoints: [join(root, file)],
    bundle: true,
    packages: "external",
    platform: "node",
    format: "esm",
    target: "node20",
    sourcemap: "inline",
    logLevel: "warning",
    outfile: built,
  });
  await run(process.execPath, ["--expose-gc", "--enable-source-maps", built, ...args]);
} else {
  process.exitCode = 1;
}
