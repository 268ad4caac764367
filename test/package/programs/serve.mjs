/** The program of the package: says its version, serves its page, and a room that a store connects to. */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { open } from "lastwrite";
import { memoryPersistence } from "lastwrite/persistence/memory";
import { createServer } from "lastwrite/server";

const program = join(import.meta.dirname, "node_modules/lastwrite/dist/cli/main.js");
console.log(execFileSync(process.execPath, [program, "--version"], { encoding: "utf8" }).trim());

const folder = mkdtempSync(join(tmpdir(), "served-"));
const args = [program, "serve", "--port", "0", "--data", folder, "--log-level", "warn"];
const serving = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
const [line] = await once(serving.stdout, "data");
const address = /http:\S+/.exec(String(line))[0];
const page = await (await fetch(`${address}/team`)).text();
console.log(page.includes("<title>lastwrite</title>"));
await exchanges(`${address.replace("http", "ws")}/team`);
serving.kill();
await once(serving, "exit");
rmSync(folder, { recursive: true });

const server = await createServer({ port: 0, persistence: () => memoryPersistence() });
await exchanges(`${server.address.replace("http", "ws")}/team`);
await server.close();
console.log("exchanged");

async function exchanges(connect) {
  const one = await open({ persistence: memoryPersistence(), connect });
  const other = await open({ persistence: memoryPersistence(), connect });
  const isThere = new Promise((resolve) => {
    other.subscribe({}, resolve);
  });
  one.set("tasks/42/title", "Ship it");
  await isThere;
  if (other.get("tasks/42/title") !== "Ship it") throw new Error("it did not arrive");
  await one.close();
  await other.close();
}
