/** A session that is kept up: made anew each time that it ends, until there is no use in it or nobody wants it any more. */

import { LastwriteError } from "../errors.ts";
import { backoff, type Backoff } from "../transport/backoff.ts";
import type { Connector, Link } from "../transport/contract.ts";
import { systemTimers, type Timers } from "../transport/timers.ts";
import type { StoreHost } from "./host.ts";
import { Ledger } from "./ledger.ts";
import { isFinalError } from "./endings.ts";
import { type RunningSession, type RunProgress, startSession } from "./run.ts";

/**
 * How far a connection is: `"connecting"` while a link is made; `"syncing"` until both sides have what the other had when it began; then `"live"`; `"offline"` until the next attempt;
 * `"closed"` when there will be none.
 */
export type ConnectionStatus = "connecting" | "syncing" | "live" | "offline" | "closed";

/** What a connection needs of the machine; tests pass their own. */
export interface Machine {
  /** Default: those of the platform. */
  readonly timers?: Timers;
  /** Milliseconds that do not go back. Default: those since the program began. */
  readonly monotonicNow?: () => number;
  /** From 0 up to, but not, 1. Default: `Math.random`. */
  readonly random?: () => number;
  /** Calls `listener` when the machine has a network again; returns a function that ends it. Default: the event `online` of the platform, where it has one. */
  readonly onOnline?: (listener: () => void) => () => void;
}

export interface ConnectionListener {
  /** Status or reason is another one. */
  statusChanged(): void;
  /** The session took a step. */
  progressed(progress: RunProgress): void;
}

export interface ConnectionOptions {
  readonly host: StoreHost;
  readonly connector: Connector;
  /** As another store told it; undefined for one that its owner named. */
  readonly address: string | undefined;
  readonly token?: string | undefined;
  readonly machine: Machine;
  readonly listener: ConnectionListener;
}

/** How long a connection has to last for the next wait to be a short one. */
const STEADY_MS = 10_000;

export class Connection {
  readonly ledger: Ledger;
  readonly #options: ConnectionOptions;
  readonly #timers: Timers;
  readonly #onOnline: (listener: () => void) => () => void;
  readonly #backoff: Backoff;
  /** What goes off when the connection has lasted. */
  #cancelSteady: (() => void) | undefined;
  readonly #stop = new AbortController();
  #status: ConnectionStatus = "connecting";
  #reason: LastwriteError | undefined;
  /** While there is a link. */
  #session: RunningSession | undefined;
  #progress: RunProgress | undefined;
  #headAtStart = 0;
  #ended: Promise<void> = Promise.resolve();
  /** Ends the wait for the next attempt. */
  #wake: (() => void) | undefined;

  constructor(options: ConnectionOptions) {
    const { machine, host, connector } = options;
    const { timers = systemTimers, random, onOnline = onPlatformOnline } = machine;
    this.#options = options;
    this.#timers = timers;
    this.#onOnline = onOnline;
    this.#backoff = backoff(random === undefined ? {} : { random });
    this.ledger = new Ledger(host, connector.name);
  }

  get status(): ConnectionStatus {
    return this.#status;
  }

  /** Why it is not better than that. */
  get reason(): LastwriteError | undefined {
    return this.#reason;
  }

  /** Where the session is; undefined without one. */
  get progress(): RunProgress | undefined {
    return this.#progress;
  }

  /** As of `RunningSession`; undefined without a session, which asks by itself what the other side has. */
  ask(): number | undefined {
    return this.#session?.ask();
  }

  /** Begins; called once. */
  start(): void {
    const stopListening = this.#onOnline(() => {
      this.#backoff.reset();
      this.#wake?.();
    });
    this.#ended = this.#run().finally(stopListening);
  }

  /** Ends the session; resolves when nothing of it is left. */
  close(reason: LastwriteError): Promise<void> {
    this.#stop.abort(reason);
    this.#wake?.();
    return this.#ended;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      this.#become("connecting", this.#reason);
      const { error, isFinal } = await this.#attempt();
      if (signal.aborted) break;
      const reason = error === undefined ? undefined : asLinkError(error);
      if (isFinal) {
        this.#become("closed", reason ?? endedForGood(this.#options.connector));
        return;
      }
      this.#become("offline", reason);
      await this.#pause();
    }
    this.#become("closed", undefined);
  }

  /** Connects and stays, and answers how that ended. */
  async #attempt(): Promise<{ readonly error: unknown; readonly isFinal: boolean }> {
    let link: Link;
    try {
      link = await this.#connected();
    } catch (error) {
      return { error, isFinal: isFinalError(error) };
    }
    const session = this.#begin(link);
    try {
      await session.ended;
      return { error: undefined, isFinal: session.isFinal };
    } catch (error) {
      return { error, isFinal: session.isFinal };
    } finally {
      this.#session = undefined;
      this.#progress = undefined;
      this.#cancelSteady?.();
      this.#cancelSteady = undefined;
    }
  }

  /** As the connector, but for one that does not listen to the signal. */
  #connected(): Promise<Link> {
    const { signal } = this.#stop;
    return new Promise((resolve, reject) => {
      const abort = (): void => reject(signal.reason as Error);
      signal.addEventListener("abort", abort, { once: true });
      const connect = async (): Promise<void> => {
        try {
          const link = await this.#options.connector.connect(signal);
          if (signal.aborted) link.close();
          else resolve(link);
        } catch (error) {
          // oxlint-disable-next-line typescript/prefer-promise-reject-errors -- whatever the connector gave
          reject(error);
        } finally {
          signal.removeEventListener("abort", abort);
        }
      };
      void connect();
    });
  }

  #begin(link: Link): RunningSession {
    const { host, token, machine, address } = this.#options;
    this.ledger.begin();
    this.#headAtStart = host.replica.entries.head();
    this.#become("syncing", this.#reason);
    const session = startSession({
      host,
      link,
      once: false,
      opened: { address },
      signal: this.#stop.signal,
      onProgress: (progress) => this.#progressed(progress),
      onComplaint: (error) => this.#become(this.#status, error),
      ...(token !== undefined && { token }),
      ...(machine.timers !== undefined && { timers: machine.timers }),
    });
    this.#session = session;
    return session;
  }

  #progressed(progress: RunProgress): void {
    this.#progress = progress;
    this.ledger.take(progress.peerStoreId, progress.ackedPlace);
    if (progress.isReceived && progress.ackedPlace >= this.#headAtStart) {
      this.#awaitSteady();
      if (this.#status !== "live") this.#become("live", undefined);
    }
    this.#options.listener.progressed(progress);
  }

  /** Only after a connection that lasted the next attempt is made soon: the other side may end each at once. */
  #awaitSteady(): void {
    this.#cancelSteady ??= this.#timers.after(STEADY_MS, () => this.#backoff.reset());
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#stop.signal.aborted) {
        resolve();
        return;
      }
      const cancel = this.#timers.after(this.#backoff.next(), () => this.#wake?.());
      this.#wake = () => {
        this.#wake = undefined;
        cancel();
        resolve();
      };
    });
  }

  #become(status: ConnectionStatus, reason: LastwriteError | undefined): void {
    if (this.#status === status && this.#reason === reason) return;
    this.#status = status;
    this.#reason = reason;
    this.#options.listener.statusChanged();
  }
}

function asLinkError(error: unknown): LastwriteError {
  if (error instanceof LastwriteError) return error;
  const why = error instanceof Error ? error.message : String(error);
  return new LastwriteError("link-failed", `the connection failed: ${why}`, { cause: error });
}

function endedForGood({ name }: Connector): LastwriteError {
  return new LastwriteError("link-failed", `${name} ended the connection for good`);
}

/** Browsers and their workers tell; Node does not. */
function onPlatformOnline(listener: () => void): () => void {
  const target: Partial<EventTarget> = globalThis;
  if (typeof target.addEventListener !== "function") return () => {};
  target.addEventListener("online", listener);
  return () => target.removeEventListener?.("online", listener);
}
