/** Takes a lock again and again in a thread of its own, removes its file each time, and counts how often somebody else had it too. */
import { closeSync, openSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { parentPort, workerData } from "node:worker_threads";

const [addonFile, file, count] = workerData;
const addon = createRequire(import.meta.url)(addonFile);
const held = `${file}.held`;
let taken = 0;
let doubled = 0;
while (taken < count) {
  const lock = addon.lockFile(file);
  if (lock < 0) continue;
  taken += 1;
  try {
    // Fails when it is there.
    closeSync(openSync(held, "wx"));
  } catch {
    doubled += 1;
  }
  rmSync(held, { force: true });
  rmSync(file, { force: true });
  addon.unlockFile(lock);
}
parentPort.postMessage({ taken, doubled });
