/** The command line of the example. */
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";

const defaults = {
  cities: "135233",
  edits: "40000",
  seed: "1",
  out: join(tmpdir(), "lastwrite-cities"),
};

/** A command line that says what cannot be done; the message says why. */
export class UsageError extends Error {}

export const usage = `Usage: npm run demo -- [options]

Edits two offline copies of a list of cities in stores of their own, kills the process that holds one of them, opens it again, synchronises and compares them.

  --cities N   so many cities, from 100 to all ${defaults.cities}. Default: all
  --edits N    so many edits on each side, from 0 to 1000000. Default: ${defaults.edits}
  --seed N     which edits: the same seed gives the same bytes. Default: ${defaults.seed}
  --out DIR    where the stores and the snapshot go. Default: ${defaults.out}
  --keep       leaves the stores there; else they are removed at the end
  --no-table   leaves out the comparison of the engines
  --help       shows this

Exit code: 0 everything was equal, 1 something was not, 2 the command line is wrong.`;

/** Throws a UsageError for what is not in `usage`. */
export function readOptions(args) {
  const values = parse(args);
  return {
    help: values.help,
    cityCount: integer("cities", values.cities, 100, Number(defaults.cities)),
    editCount: even(integer("edits", values.edits, 0, 1_000_000)),
    seed: integer("seed", values.seed, 0, 2 ** 31 - 1),
    out: resolve(values.out),
    keep: values.keep,
    table: !values["no-table"],
  };
}

function parse(args) {
  try {
    const { values } = parseArgs({
      args,
      options: {
        cities: { type: "string", default: defaults.cities },
        edits: { type: "string", default: defaults.edits },
        seed: { type: "string", default: defaults.seed },
        out: { type: "string", default: defaults.out },
        keep: { type: "boolean", default: false },
        "no-table": { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
      },
    });
    return values;
  } catch (error) {
    throw new UsageError(error.message, { cause: error });
  }
}

function integer(name, text, min, max) {
  const number = Number(text);
  if (/^\d+$/u.test(text) && number >= min && number <= max) return number;
  throw new UsageError(`--${name} must be a whole number from ${min} to ${max}, not "${text}"`);
}

/** The edits are made in two halves. */
function even(number) {
  return number - (number % 2);
}
