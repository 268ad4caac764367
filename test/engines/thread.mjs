/** One of the threads of threads.test.ts: an engine with one dictionary. */
import { parentPort, workerData } from "node:worker_threads";

import { createDictionary, loadEngine } from "lastwrite";

const { backend, thread } = workerData;

const engine = await loadEngine({ backend });
const dictionary = createDictionary({ engine, clock: () => 1_700_000_000_000 });

parentPort.on("message", ({ write, merge = [] }) => {
  if (write !== undefined) {
    // Most keys are written by all of them at the same time.
    for (let index = 0; index < 200; index += 1) {
      const key = `key/${(index * (write + 1)) % 150}`;
      if (index % 7 === 0) dictionary.delete(key);
      else dictionary.set(key, `${thread} wrote ${index}`);
    }
  }
  for (const delta of merge) dictionary.merge(delta);
  const state = {
    digest: dictionary.digest(),
    size: dictionary.size,
    delta: dictionary.deltaSince(),
  };
  parentPort.postMessage(state);
});
