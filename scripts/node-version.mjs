/** Ends the process with a message when Node is too old for anything else here. Import it first. */
const [major, minor] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(
    `Node ${process.versions.node} is too old; lastwrite needs 20.19 or later. See https://nodejs.org/en/download`,
  );
  process.exit(1);
}
