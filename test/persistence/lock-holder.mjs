/** Takes a lock in a process or thread of its own, says what became of it, and holds it until it is ended. */
import { createRequire } from "node:module";
import { parentPort, workerData } from "node:worker_threads";

const [addon, file] = workerData ?? process.argv.slice(2);
const lock = createRequire(import.meta.url)(addon).lockFile(file);

if (parentPort === null) {
  process.send(lock);
} else {
  parentPort.postMessage(lock);
}
setInterval(() => {}, 1 << 30);
