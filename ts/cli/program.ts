/** Which commands there are, and what becomes of their errors. */

import { readFileSync } from "node:fs";

import { Command, CommanderError } from "commander";

import { LastwriteError } from "../errors.ts";
import { EXIT, exitCodeOf } from "./exit-code.ts";
import { serveCommand } from "./serve.ts";

/** Runs the program with these arguments, and resolves with its exit code. */
export async function run(args: readonly string[]): Promise<number> {
  try {
    await program().parseAsync(args, { from: "user" });
    return EXIT.done;
  } catch (error) {
    // It has said why itself.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage;
    console.error(`lastwrite: ${error instanceof LastwriteError ? error.message : String(error)}`);
    return exitCodeOf(error);
  }
}

function program(): Command {
  const command = new Command("lastwrite")
    .description("Keeps copies of data in step without a coordinator.")
    .version(version(), "-v, --version", "print the version")
    .helpOption("-h, --help", "print this, or with a command its options")
    .helpCommand(false)
    .showHelpAfterError("(lastwrite --help tells what there is)")
    .exitOverride();
  for (const each of [serveCommand()]) command.addCommand(each.copyInheritedSettings(command));
  return command;
}

function version(): string {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { readonly version: string }).version;
}
