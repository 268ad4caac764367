/** A process that holds a store and writes to it until it is killed: forked by kill.mjs, which tells it what to write. */
import { loadEngine, open } from "lastwrite";
import { filePersistence } from "lastwrite/persistence/file";

/** So many writes are under way at any time. */
const IN_FLIGHT = 16;

// Else it would go on alone when the example ends early.
process.on("disconnect", () => process.exit(1));

process.once("message", async ({ file, writes }) => {
  let now = writes[0].millis;
  const store = await open({
    persistence: filePersistence(file),
    engine: await loadEngine({ backend: "wasm" }),
    durability: "strict",
    clock: () => now,
  });
  process.send({ keyCount: store.size });
  const inFlight = [];
  for (const [index, { key, value, millis }] of writes.entries()) {
    now = millis;
    store.set(key, value);
    // Said only once it is on the disk.
    inFlight.push(store.flush().then(() => process.send({ acknowledged: index + 1 })));
    if (inFlight.length === IN_FLIGHT) await inFlight.shift();
  }
});
