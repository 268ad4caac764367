/** The program `lastwrite` as its tests run it: built of the sources, in a process of its own. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import path from "node:path";

import { buildProgram } from "../persistence/programs/build.ts";

export interface ProgramUnderTest extends Disposable {
  /** Runs it to its end. */
  run(args: readonly string[]): Promise<Ended>;
  /** Resolves when it listens. `log` is the file that its log goes to, as a descriptor; `errors` is then empty. */
  serve(args: readonly string[], log?: number): Promise<Serving>;
}

export interface Ended {
  /** Undefined where a signal ended it. */
  readonly code: number | null;
  readonly out: string;
  readonly errors: string;
}

export interface Serving {
  readonly process: ChildProcess;
  readonly port: number;
  /** "ws://127.0.0.1:4040". */
  readonly url: string;
  readonly ended: Promise<Ended>;
  /** The number in that row of its metrics. */
  metric(name: string): Promise<number>;
}

export async function buildLastwrite(): Promise<ProgramUnderTest> {
  const source = path.resolve(import.meta.dirname, "../../ts/cli/main.ts");
  const file = await buildProgram("lastwrite", source);
  const running = new Set<ChildProcess>();
  const start = (args: readonly string[], log?: number): ChildProcess => {
    const stdio = ["ignore", "pipe", log ?? "pipe"] as const;
    const child = spawn(process.execPath, [file, ...args], { stdio: [...stdio] });
    running.add(child);
    child.on("close", () => running.delete(child));
    return child;
  };
  return {
    run: (args) => endOf(start(args)),
    async serve(args, log) {
      const child = start(["serve", "--no-page", ...args], log);
      const ended = endOf(child);
      const port = await Promise.race([
        portOf(child),
        ended.then(({ code, errors }) => {
          throw new Error(`it ended with ${code} before it listened: ${errors}`);
        }),
      ]);
      const metric = async (name: string): Promise<number> => {
        const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
        return Number(new RegExp(`^lastwrite_${name} (\\d+)$`, "mu").exec(text)?.[1]);
      };
      return { process: child, port, url: `ws://127.0.0.1:${port}`, ended, metric };
    },
    [Symbol.dispose]() {
      for (const child of running) child.kill("SIGKILL");
      rmSync(path.dirname(file), { recursive: true, force: true });
    },
  };
}

async function portOf(child: ChildProcess): Promise<number> {
  let out = "";
  for (;;) {
    const [part] = (await once(child.stdout as NodeJS.ReadableStream, "data")) as [Buffer];
    out += part.toString();
    const port = /^lastwrite listens on http:\/\/127\.0\.0\.1:(?<port>\d+)\n/u.exec(out)?.groups?.[
      "port"
    ];
    if (port !== undefined) return Number(port);
  }
}

async function endOf(child: ChildProcess): Promise<Ended> {
  let out = "";
  let errors = "";
  child.stdout?.on("data", (part: Buffer) => (out += part.toString()));
  child.stderr?.on("data", (part: Buffer) => (errors += part.toString()));
  const [code] = (await once(child, "close")) as [number | null];
  return { code, out, errors };
}
