/** Passes everything on between the thread that made this one and a port, which stands for the other end in the same test. */

import { parentPort, workerData } from "node:worker_threads";

const { port } = workerData;

parentPort.on("message", (message) => port.postMessage(message));
port.on("message", (message) => parentPort.postMessage(message));
parentPort.postMessage("ready");
