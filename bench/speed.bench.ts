/** `npm run bench`: lastwrite's three engines beside the map that one would write by hand. See bench/README.md. */
import { main } from "./main.ts";
import { SPEED_ROWS } from "./rows.ts";

await main(import.meta.url, SPEED_ROWS);
