/**
 * The model test notices wrong rules: each wrong variant of the script engine breaks a guarantee within its budget, in a
 * history that the right engine gets through. PLANTED=text plays only the variants whose name has that text, and prints the
 * history that was found.
 */

import { testVariants } from "./histories-on-engines.ts";
import { searchBudgetMs, variants } from "./planted.ts";

testVariants(variants, 2 * searchBudgetMs);
