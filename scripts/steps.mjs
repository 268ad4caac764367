/** The table of everything that set-up, build and checks consist of. */
import { copyFileSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";

import { hasPackages, installPackages } from "./packages.mjs";
import { output, root, run, runPackage } from "./run.mjs";
import { stamped } from "./stamps.mjs";
import {
  explainCompiler,
  hasCompiler,
  hasRust,
  hasTools,
  installRust,
  installTools,
  wasmTools,
  withTools,
} from "./tools.mjs";
import { hostTriple } from "./triples.mjs";

/**
 * @typedef {object} Step
 * @property {string} name
 * @property {string} does what it does, for the user who waits
 * @property {string} usually how long it takes on a laptop
 * @property {() => boolean | Promise<boolean>} [isFresh] whether there is nothing to do; absent: there always is
 * @property {boolean} [isCheck] whether the steps after it can run although it failed
 * @property {() => Promise<void>} run
 */

const rustInputs = [
  "Cargo.toml",
  "Cargo.lock",
  "rust-toolchain.toml",
  "crates/core/src",
  "crates/core/Cargo.toml",
];
const typescriptInputs = [
  "ts",
  "package.json",
  "package-lock.json",
  "tsconfig.json",
  "tsconfig.build.json",
];

/** What a machine needs before anything can be built. */
const tools = [
  {
    name: "npm packages",
    does: "installs the npm packages of package-lock.json",
    usually: "20–60 s",
    isFresh: () => hasPackages("."),
    run: () => installPackages("."),
  },
  {
    name: "C compiler",
    does: "looks for the C compiler that Rust links with",
    usually: "1 s",
    isFresh: hasCompiler,
    run: explainCompiler,
  },
  {
    name: "Rust",
    does: "installs the compiler of rust-toolchain.toml with its WASM target",
    usually: "5–60 s",
    isFresh: hasRust,
    run: installRust,
  },
  {
    name: "WASM tools",
    does: "compiles wasm-pack and wasm-bindgen into your cache, once for all clones",
    usually: "3–5 minutes",
    isFresh: () => hasTools(wasmTools),
    run: () => installTools(wasmTools),
  },
];

const nativeAddon = nativeStep({ name: "native addon", folder: "bindings/node", features: [] });
const nativeAddonWithHooks = nativeStep({
  name: "native addon for tests",
  folder: "bindings/node/test-hooks",
  features: ["--features", "test-hooks"],
});

const wasm = wasmStep({ name: "WASM", folder: "pkg", features: [] });
const wasmWithHooks = wasmStep({
  name: "WASM for tests",
  folder: "pkg-test-hooks",
  features: ["--features", "test-hooks"],
});

const typescript = stamped({
  name: "TypeScript",
  does: "compiles ts/ to dist/",
  usually: "2 s",
  inputs: [...typescriptInputs, "bindings/wasm/pkg/lastwrite_wasm_bg.wasm"],
  outputs: ["dist/index.js", "dist/engine/lastwrite.wasm"],
  async run() {
    // Files whose source is gone must not be shipped.
    rmSync(join(root, "dist"), { recursive: true, force: true });
    await runPackage("typescript/bin/tsc", ["-p", "tsconfig.build.json"]);
    mkdirSync(join(root, "dist/engine"), { recursive: true });
    copyFileSync(
      join(root, "bindings/wasm/pkg/lastwrite_wasm_bg.wasm"),
      join(root, "dist/engine/lastwrite.wasm"),
    );
  },
});

/** After `typescript`, which empties dist/: the page is made of the package that it builds. */
const web = stamped({
  name: "web page",
  does: "bundles web/ and the package for the browser, into dist/web/",
  usually: "2 s",
  inputs: [
    ...typescriptInputs,
    "bindings/wasm/pkg/lastwrite_wasm_bg.wasm",
    "web",
    "scripts/steps.mjs",
  ],
  outputs: ["dist/web/index.html", "dist/web/sw.js"],
  run: () => runPackage("vite/bin/vite.js", ["build", "web", "--logLevel=warn"]),
});

const docsPackages = {
  name: "docs packages",
  does: "installs TypeDoc with the TypeScript that it reads",
  usually: "10 s",
  isFresh: () => hasPackages("docs"),
  run: () => installPackages("docs"),
};

const runtimes = {
  name: "Node runtimes for tests",
  does: "installs Node 22 and 24, which the packed package is tried on",
  usually: "10 s",
  // They exist for this system alone; elsewhere the test says that it leaves them out.
  isFresh: () => hostTriple()?.name !== "linux-x64-gnu" || hasPackages("test/package/runtimes"),
  // Their programs are called `node` and must not stand before the user's own on any path.
  run: () => installPackages("test/package/runtimes", ["--no-bin-links"]),
};

/**
 * The groups that a job is made of.
 *
 * @type {Record<string, readonly Step[]>}
 */
export const groups = {
  tools,
  build: [nativeAddon, wasm, typescript, web],
  hooks: [nativeAddonWithHooks, wasmWithHooks],
  lint: [
    check("format", "oxfmt and rustfmt", "2 s", async () => {
      await runPackage("oxfmt/bin/oxfmt", ["--check", "."]);
      await run("cargo", ["fmt", "--all", "--check"]);
    }),
    check("types", "tsc over sources, tests, benches and examples", "5 s", () =>
      runPackage("typescript/bin/tsc", ["-p", "tsconfig.json"]),
    ),
    check("oxlint", "oxlint with types", "5 s", () =>
      runPackage("oxlint/bin/oxlint", ["--deny-warnings"]),
    ),
    check("clippy", "clippy, pedantic, for this system and for WASM", "1 minute", async () => {
      await run("cargo", [
        "clippy",
        "--workspace",
        "--all-targets",
        "--all-features",
        "--",
        "-Dwarnings",
      ]);
      await run("cargo", [
        "clippy",
        "--package=lastwrite-wasm",
        "--all-features",
        "--target=wasm32-unknown-unknown",
        "--",
        "-Dwarnings",
      ]);
    }),
  ],
  docs: [
    docsPackages,
    check("rustdoc", "documentation of the crates", "10 s", () =>
      run("cargo", ["doc", "--workspace", "--no-deps"], { env: { RUSTDOCFLAGS: "-Dwarnings" } }),
    ),
    check("typedoc", "documentation of the package", "10 s", () =>
      run(process.execPath, [
        "docs/node_modules/typedoc/bin/typedoc",
        "--options",
        "docs/typedoc.json",
      ]),
    ),
  ],
  rust: [
    check("Rust tests", "tests of the crates", "1 minute", async () => {
      const hasNextest = (await output("cargo", ["nextest", "--version"])) !== undefined;
      const runner = hasNextest
        ? ["nextest", "run", "--no-fail-fast"]
        : ["test", "--no-fail-fast", "--lib", "--bins", "--tests"];
      await run("cargo", [...runner, "--workspace", "--all-features"]);
    }),
    check("Rust examples", "examples in the documentation of the crates", "2 s", () =>
      run("cargo", ["test", "--doc", "--workspace", "--all-features"]),
    ),
  ],
  vitest: [
    nativeAddon,
    wasm,
    typescript,
    web,
    nativeAddonWithHooks,
    wasmWithHooks,
    runtimes,
    check("vitest", "tests of the package on all engines", "5 minutes", () =>
      runPackage("vitest/vitest.mjs", ["run"]),
    ),
  ],
};

/**
 * The steps of `names` after those of set-up, each once, in order.
 *
 * @param {readonly string[]} names names of {@link groups}
 */
export function stepsOf(names) {
  return [...new Set(["tools", ...names].flatMap((name) => groups[name]))];
}

function check(name, does, usually, work) {
  return { name, does, usually, isCheck: true, run: work };
}

function nativeStep({ name, folder, features }) {
  return stamped({
    name,
    does: `compiles the Node addon into ${folder}/`,
    usually: "20–60 s",
    inputs: [
      ...rustInputs,
      "bindings/node/Cargo.toml",
      "bindings/node/build.rs",
      "bindings/node/napi.json",
      "bindings/node/src",
      "scripts/steps.mjs",
    ],
    outputs: [`${folder}/lastwrite.${hostTriple()?.name}.node`],
    run: () =>
      runPackage("@napi-rs/cli/dist/cli.js", [
        "build",
        "--platform",
        "--release",
        "--no-js",
        "--strip",
        "--manifest-path=bindings/node/Cargo.toml",
        "--config-path=bindings/node/napi.json",
        `--output-dir=${folder}`,
        ...features,
      ]),
  });
}

function wasmStep({ name, folder, features }) {
  const file = `bindings/wasm/${folder}/lastwrite_wasm_bg.wasm`;
  return stamped({
    name,
    does: `compiles the engine to WebAssembly into bindings/wasm/${folder}/ and optimises it`,
    usually: "20–60 s",
    inputs: [...rustInputs, "bindings/wasm/Cargo.toml", "bindings/wasm/src", "scripts/steps.mjs"],
    outputs: [file],
    async run() {
      await run(
        "wasm-pack",
        [
          "--log-level=warn",
          "build",
          "bindings/wasm",
          "--release",
          "--target=web",
          "--mode=no-install",
          `--out-dir=${folder}`,
          "--out-name=lastwrite_wasm",
          "--no-typescript",
          ...features,
        ],
        // A sixth smaller than at level 3, and as quick but for a few percent.
        { env: { ...withTools(wasmTools), CARGO_PROFILE_RELEASE_OPT_LEVEL: "2" } },
      );
      await runPackage("binaryen/bin/wasm-opt", ["-O3", file, "-o", file]);
    },
  });
}
