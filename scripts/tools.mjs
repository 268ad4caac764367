/** The programs that the build needs and npm does not bring: where they are, and how they get there. */
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";

import { StepError, output, root, run } from "./run.mjs";

const exe = process.platform === "win32" ? ".exe" : "";
const wasmTarget = "wasm32-unknown-unknown";

/**
 * The cargo programs kept in the user's cache, one folder for each version, so that clones share them and
 * nothing goes into the user's own installation. Built without optimisation, which halves the wait.
 */
const cargoTools = {
  wasmPack: { name: "wasm-pack", version: () => "0.15.1", locked: true },
  wasmBindgen: {
    name: "wasm-bindgen-cli",
    program: "wasm-bindgen",
    version: () => lockedVersion("wasm-bindgen"),
    // Its lock file names versions that not every registry has yet.
    locked: false,
  },
  coverage: { name: "cargo-llvm-cov", version: () => "0.9.1", locked: true },
};

/** What wasm-pack has to find: itself and wasm-bindgen at the version of Cargo.lock. */
export const wasmTools = [cargoTools.wasmPack, cargoTools.wasmBindgen];

/** What `npm run coverage` needs beyond the compiler's `llvm-tools`. */
export const coverageTools = [cargoTools.coverage];

/** An environment in which `tools` are found first. */
export function withTools(tools) {
  return {
    PATH: [...tools.map((tool) => join(folderOf(tool), "bin")), process.env.PATH].join(delimiter),
  };
}

/** Whether all of `tools` are in the cache. */
export function hasTools(tools) {
  return tools.every((tool) => existsSync(programOf(tool)));
}

/**
 * Compiles those of `tools` that are missing, side by side. Two runs at once do no harm: cargo puts a
 * program in place by renaming it.
 */
export async function installTools(tools) {
  const missing = tools.filter((tool) => !existsSync(programOf(tool)));
  const installs = missing.map((tool) =>
    run("cargo", [
      "install",
      "--quiet",
      "--debug",
      ...(tool.locked ? ["--locked"] : []),
      "--root",
      folderOf(tool),
      `${tool.name}@${tool.version()}`,
    ]),
  );
  // All are awaited, so that no compiler is left running behind a failed one.
  const failed = (await Promise.allSettled(installs)).find(({ status }) => status === "rejected");
  if (failed !== undefined) {
    throw new StepError(
      `${failed.reason.message}\n  It downloads from the crates registry; when that works, run this again.`,
    );
  }
}

/** Whether the compiler of rust-toolchain.toml is there, with the WASM target, rustfmt and clippy. */
export async function hasRust() {
  const [sysroot, version] = await Promise.all([
    output("rustc", ["--print", "sysroot"]),
    output("rustc", ["--version"]),
  ]);
  if (sysroot === undefined || version?.split(" ")[1] !== rustVersion()) return false;
  const programs = ["rustfmt", "cargo-clippy"].map((name) => join(sysroot, "bin", name + exe));
  return programs.every((program) => existsSync(program)) && hasStd(sysroot);
}

/** Installs what {@link hasRust} looks for. */
export async function installRust() {
  if ((await output("rustup", ["--version"])) === undefined) {
    throw new StepError(
      `Rust ${rustVersion()} is needed, with ${wasmTarget}, rustfmt and clippy.\n` +
        "  Install rustup as https://rustup.rs says, open a new terminal, and run this again.",
    );
  }
  try {
    await run("rustup", ["toolchain", "install"]);
  } catch (error) {
    if (process.platform !== "linux") throw error;
    console.log(
      `rustup could not install everything; trying to build ${wasmTarget} from the system's rust-src`,
    );
  }
  if (process.platform === "linux" && !(await hasRust()))
    await run("bash", ["scripts/wasm-target.sh"]);
  if (!(await hasRust())) {
    throw new StepError(
      `Rust ${rustVersion()} is incomplete; try: rustup toolchain install --force`,
    );
  }
}

/** Whether there is a C compiler, which Rust links with. On Windows rustup itself asks for one. */
export async function hasCompiler() {
  if (process.platform === "win32") return true;
  return (await output("cc", ["--version"])) !== undefined;
}

/** Says how to get a C compiler; it takes the rights of the administrator to do so. */
export async function explainCompiler() {
  const how =
    process.platform === "darwin" ? "xcode-select --install" : "apt-get install gcc libc6-dev";
  throw new StepError(`a C compiler, "cc", is needed to link Rust programs; try: ${how}`);
}

function hasStd(sysroot) {
  const folder = join(sysroot, "lib", "rustlib", wasmTarget, "lib");
  return existsSync(folder) && readdirSync(folder).some((name) => name.startsWith("libstd-"));
}

function rustVersion() {
  return /channel = "(.+)"/.exec(readFileSync(join(root, "rust-toolchain.toml"), "utf8"))[1];
}

function lockedVersion(crate) {
  const lock = readFileSync(join(root, "Cargo.lock"), "utf8").replaceAll("\r", "");
  return new RegExp(`name = "${crate}"\nversion = "(.+)"`).exec(lock)[1];
}

function programOf(tool) {
  return join(folderOf(tool), "bin", (tool.program ?? tool.name) + exe);
}

function folderOf(tool) {
  return join(cacheDir(), `${tool.name}-${tool.version()}`);
}

function cacheDir() {
  if (process.platform === "darwin") return join(homedir(), "Library", "Caches", "lastwrite");
  if (process.platform === "win32") {
    return join(
      process.env.LOCALAPPDATA ?? join(homedir(), "AppData", "Local"),
      "lastwrite",
      "Cache",
    );
  }
  return join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "lastwrite");
}
