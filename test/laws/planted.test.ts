/**
 * The model test notices wrong rules: each wrong variant of the script engine breaks a guarantee within its budget, in a
 * history that the right engine gets through. PLANTED=text plays only the variants whose name has that text, and prints the
 * history that was found.
 */

import { expect, test } from "vitest";

import { describeFailure } from "./history.ts";
import { noticed, searchBudgetMs, variants } from "./planted.ts";

const only = process.env["PLANTED"];

for (const variant of variants.filter(({ name }) => only === undefined || name.includes(only))) {
  test(`it is noticed when ${variant.name}`, { timeout: 2 * searchBudgetMs }, async () => {
    const { count, failure } = await noticed(variant);
    console.log(
      `planted: ${variant.name}: ${failure === undefined ? "not found" : "found"} after ${count} histories`,
    );
    if (failure !== undefined && only !== undefined) console.log(describeFailure(failure));
    expect(failure, `in ${count} histories`).toBeDefined();
  });
}
