import * as lastwrite from "lastwrite";

import { agree } from "./agree.mjs";

for (const backend of process.argv.slice(2)) await agree(lastwrite, backend);
const { backend } = await lastwrite.loadEngine();
console.log(`chose ${backend}`);
