const lastwrite = require("lastwrite");

const { agree } = require("./agree.mjs");

async function main() {
  for (const backend of process.argv.slice(2)) await agree(lastwrite, backend);
  const { backend } = await lastwrite.loadEngine();
  console.log(`chose ${backend}`);
}

void main();
