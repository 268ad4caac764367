/** The processes of a measurement: a server on one core, its clients on the others. */
import { type ChildProcess, fork, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";

/** A question to one of them, and whatever comes back. */
export interface Asked {
  readonly what: string;
  readonly [detail: string]: unknown;
}

export interface Helper {
  /** Rejects with what went wrong over there. */
  ask<Answer>(question: Asked): Promise<Answer>;
  stop(): Promise<void>;
}

type Reply = { readonly answer: unknown } | { readonly error: string };

const canPin = process.platform === "linux" && spawnSync("taskset", ["--version"]).status === 0;

/** Starts this program anew in a role; `core` keeps all its threads on that one, where the system can. */
export async function start(
  program: string,
  role: readonly string[],
  core: number | undefined,
): Promise<Helper> {
  const flags = ["--expose-gc", "--enable-source-maps", "--max-old-space-size=8192"];
  const child =
    canPin && core !== undefined
      ? spawn("taskset", ["-c", String(core), process.execPath, ...flags, program, ...role], {
          stdio: ["ignore", "inherit", "inherit", "ipc"],
        })
      : fork(program, [...role], { execArgv: flags });
  await nextReply(child);
  return {
    async ask<Answer>(question: Asked): Promise<Answer> {
      child.send(question);
      const reply = await nextReply(child);
      if ("error" in reply) throw new Error(reply.error);
      return reply.answer as Answer;
    },
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill("SIGKILL");
      await once(child, "exit");
    },
  };
}

/** In the process that was started: answers questions until it is killed. */
export function serveQuestions(answer: (question: Asked) => Promise<unknown>): void {
  const reply = (message: Reply): void => void process.send?.(message);
  process.on("message", (question: Asked) => {
    answer(question).then(
      (answered) => reply({ answer: answered }),
      (error: unknown) =>
        reply({ error: error instanceof Error ? String(error.stack) : String(error) }),
    );
  });
  reply({ answer: "ready" });
}

function nextReply(child: ChildProcess): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const ended = (code: number | null, signal: string | null): void =>
      reject(new Error(`a process ended with ${signal ?? code}`));
    child.once("exit", ended);
    child.once("message", (message) => {
      child.off("exit", ended);
      resolve(message as Reply);
    });
  });
}
