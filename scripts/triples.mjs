/** The systems that the addon is published for. */

/**
 * One system: its name as in `@lastwrite/node-<name>`, what Rust calls it, and what npm installs it by.
 *
 * @type {readonly { name: string, rust: string, os: string, cpu: string, libc?: "glibc" | "musl" }[]}
 */
export const triples = [
  {
    name: "linux-x64-gnu",
    rust: "x86_64-unknown-linux-gnu",
    os: "linux",
    cpu: "x64",
    libc: "glibc",
  },
  {
    name: "linux-x64-musl",
    rust: "x86_64-unknown-linux-musl",
    os: "linux",
    cpu: "x64",
    libc: "musl",
  },
  {
    name: "linux-arm64-gnu",
    rust: "aarch64-unknown-linux-gnu",
    os: "linux",
    cpu: "arm64",
    libc: "glibc",
  },
  {
    name: "linux-arm64-musl",
    rust: "aarch64-unknown-linux-musl",
    os: "linux",
    cpu: "arm64",
    libc: "musl",
  },
  { name: "darwin-x64", rust: "x86_64-apple-darwin", os: "darwin", cpu: "x64" },
  { name: "darwin-arm64", rust: "aarch64-apple-darwin", os: "darwin", cpu: "arm64" },
  { name: "win32-x64-msvc", rust: "x86_64-pc-windows-msvc", os: "win32", cpu: "x64" },
];

/** The system that this process runs on; undefined when the addon is not published for it. */
export function hostTriple() {
  // Node names the version of glibc it runs with; with musl there is none.
  const libc = process.report.getReport().header.glibcVersionRuntime ? "glibc" : "musl";
  return triples.find(
    (triple) =>
      triple.os === process.platform &&
      triple.cpu === process.arch &&
      (triple.libc === undefined || triple.libc === libc),
  );
}
