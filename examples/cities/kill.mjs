/** Has another process write to a store, ends it in the middle by kill -9, and looks what is there. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { isDeepStrictEqual } from "node:util";

import { Mismatch } from "./expect.mjs";

/**
 * Kills the writer when it has acknowledged half of the writes, while it is at the next ones.
 *
 * @returns {Promise<{ pid: number, keyCount: number, acknowledged: number }>} how many it has acknowledged in all before it died
 */
export async function writeUntilKilled(file, writes, progress) {
  const child = fork(fileURLToPath(new URL("holder.mjs", import.meta.url)));
  const { pid } = child;
  let keyCount = 0;
  let acknowledged = 0;
  child.on("message", (message) => {
    keyCount = message.keyCount ?? keyCount;
    acknowledged = message.acknowledged ?? acknowledged;
    progress(acknowledged / writes.length);
    if (acknowledged >= writes.length / 2) child.kill("SIGKILL");
  });
  // What it has sent before it died is read until then.
  const hungUp = once(child, "disconnect");
  child.send({ file, writes });
  const [code, signal] = await once(child, "exit");
  await hungUp;
  if (signal !== "SIGKILL") {
    throw new Mismatch(`process ${pid} ended by itself with ${signal ?? code}; see above`);
  }
  return { pid, keyCount, acknowledged };
}

/** How many of the writes are in a store. Throws a Mismatch unless these are the first ones, with all that were acknowledged. */
export function countKept(store, writes, acknowledged) {
  const isKept = ({ key, value }) => isDeepStrictEqual(store.get(key), value);
  const firstLost = writes.findIndex((write) => !isKept(write));
  const kept = firstLost < 0 ? writes.length : firstLost;
  if (kept < acknowledged) {
    throw new Mismatch(
      `${acknowledged} writes were acknowledged, and write ${kept + 1}, of ${writes[kept].key}, is lost`,
    );
  }
  const stray = writes.slice(kept).find(isKept);
  if (stray !== undefined) {
    throw new Mismatch(`${stray.key} is there, and ${writes[kept].key} is not, written before it`);
  }
  return kept;
}
