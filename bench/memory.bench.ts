/** `npm run bench:memory`: bytes a key, everything counted, in fresh processes. See bench/README.md. */
import { main } from "./main.ts";
import { MEMORY_ROWS } from "./rows.ts";

await main(import.meta.url, MEMORY_ROWS);
