/** One tab among those that have a store open: the locks, the channel and the timer around the steps of tabs.ts. */

import { randomId } from "../codec/random.ts";
import { decodeVersion } from "../codec/version.ts";
import { LastwriteError } from "../errors.ts";
import type { SharedReplica, WriteContext } from "./contract.ts";
import { asStoreError, isTriedAgain } from "./failure.ts";
import { type Message, PROTOCOL, readMessage } from "./tab-messages.ts";
import { Follower, Leader, versionOf, type Written } from "./tabs.ts";

/** What tabs share on the medium: all may change the ids, the leader alone the rest. */
export interface SharedLog {
  append(frame: Uint8Array, context: WriteContext): Promise<void>;
  replace(frames: Iterable<Uint8Array>): Promise<void>;
  nextTerm(): Promise<number>;
  replicaIds(): Promise<readonly string[]>;
  addReplicaId(replicaId: string): Promise<void>;
  removeReplicaId(replicaId: string): Promise<void>;
}

export interface TabOptions {
  /** Names locks and channel. */
  readonly name: string;
  /** Only one tab: others get `store-locked`. */
  readonly isExclusive: boolean;
  /** How long a write waits for a leader that does not answer. */
  readonly answerMaxMs: number;
}

/** After how long a take-over that failed is tried again. */
const RETRY_MS = 1000;
/** How long opening waits for a leader that does not answer. */
const WELCOME_MAX_MS = 3000;

export class TabSession {
  readonly #options: TabOptions;
  readonly #locks: LockManager;
  /** Names this tab on the channel, for as long as it has the store open. */
  readonly #id: string = randomId();
  /** Frees locks and leaves the queue, in the order of getting in. */
  readonly #releases: (() => void)[] = [];
  #log: SharedLog | undefined;
  #replica: SharedReplica | undefined;
  #channel: BroadcastChannel | undefined;
  #hasLock = false;
  /** It got the lock after it had followed: the medium may have more than was read of it. */
  #mustTakeOver = false;
  #takingOver: Promise<void> | undefined;
  /** The take-over has read the medium: only from here on may that be replaced. */
  #hasReread = false;
  /** What the replacement by a take-over keeps, once that is on its way. */
  #replaced: Uint8Array | undefined;
  /** Set while a take-over that failed waits for its next try. */
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  #leader: Leader | undefined;
  #follower: Follower | undefined;
  /** Told for the first time whether this replica has all that is kept. */
  #onCaughtUp: ((isCaughtUp: boolean) => void) | undefined;
  #lease: Lease | undefined;
  #ended: LastwriteError | undefined;

  private constructor(options: TabOptions, locks: LockManager) {
    this.#options = options;
    this.#locks = locks;
  }

  /** Takes the lead if nobody has it, else a place in the queue. */
  static async open(options: TabOptions): Promise<TabSession> {
    const { name, isExclusive } = options;
    const session = new TabSession(options, locksOf(name));
    const release = await session.#hold(name);
    if (release !== undefined) {
      session.#hasLock = true;
      session.#releases.push(release);
      return session;
    }
    if (isExclusive) {
      throw new LastwriteError("store-locked", `${name} is open in another tab; close it there`);
    }
    session.#queue().catch((error: unknown) => session.end(asStoreError(error, name)));
    return session;
  }

  /** Whether this tab is the one that writes to the medium. */
  get isLeading(): boolean {
    return this.#hasLock && !this.#mustTakeOver && this.#ended === undefined;
  }

  use(log: SharedLog): void {
    this.#log = log;
  }

  async share(replica: SharedReplica): Promise<void> {
    const log = this.#openLog();
    this.#replica = replica;
    this.#channel = new BroadcastChannel(this.#options.name);
    this.#channel.addEventListener("message", ({ data }) => this.#receive(data));
    const loaded = replica.replicaId;
    if (this.#hasLock && !this.#mustTakeOver) {
      await this.#write(await this.#leaseId(loaded));
      this.#lead(await log.nextTerm(), replica.version());
      return;
    }
    // Nobody writes under this one: what others tell of the id that was loaded is no sign of a clone then.
    replica.setReplicaId(randomId());
    // Leased before the leader is asked: whoever had it before has said all that it will ever say.
    const lease = await this.#leaseId(loaded);
    if (await this.#catchUp(replica)) {
      await this.#write(lease);
      return;
    }
    // There may be writes under that id of which this tab was not told.
    lease.release();
    await this.#write(await this.#leaseNew(randomId()));
  }

  /** The medium was read to its end. */
  loaded(): void {
    this.#hasReread = this.#takingOver !== undefined;
  }

  async append(frame: Uint8Array, context: WriteContext): Promise<void> {
    const log = this.#openLog();
    await this.#renewLease();
    if (!this.#hasLock) return this.#follow(context);
    if (this.#mustTakeOver) {
      // What was to be appended is in what replaces all, unless that was taken before: then all is replaced once more.
      const isLate = this.#replaced !== undefined;
      await this.#takeOver();
      return isLate ? this.#takeOver() : undefined;
    }
    const written = { frames: [frame], isWhole: false, sync: context.sync };
    return this.#keep(written, () => log.append(frame, context));
  }

  async replace(given: Iterable<Uint8Array>): Promise<void> {
    const log = this.#openLog();
    if (!this.#hasLock) return this.#follow({ sync: true });
    // Of one that is not shared nobody asks for the version, and nothing has to be held at once.
    const frames = this.#replica === undefined ? given : [...given];
    if (this.#mustTakeOver) {
      // Not what the take-over itself asks for: this lacks what is on the medium.
      if (!this.#hasReread) return this.#takeOver();
      this.#replaced = versionOf(frames);
    }
    return this.#keep({ frames, isWhole: true, sync: true }, () => log.replace(frames));
  }

  /** Gives the lead, or the place in the queue, to others. */
  close(): void {
    this.end(new LastwriteError("store-closed", `${this.#options.name} is closed; open it anew`));
  }

  /** As `close`, for a medium that cannot be used any more: whoever asks for something gets this error. */
  end(error: LastwriteError): void {
    if (this.#ended !== undefined) return;
    this.#leader?.end();
    this.#post({ type: "bye", from: this.#id });
    this.#ended = error;
    clearTimeout(this.#retryTimer);
    this.#follower?.fail(error);
    this.#onCaughtUp?.(false);
    this.#channel?.close();
    this.#lease?.release();
    for (const release of this.#releases) release();
  }

  #openLog(): SharedLog {
    if (this.#ended !== undefined) throw this.#ended;
    if (this.#log !== undefined) return this.#log;
    throw new LastwriteError(
      "store-closed",
      `${this.#options.name} is not open; call open() first`,
    );
  }

  #unshared(): LastwriteError {
    return new LastwriteError(
      "store-locked",
      `${this.#options.name} was open in another tab, and this opener did not share it; open it anew when that one is closed`,
    );
  }

  /** Tells the others what `write` keeps. */
  async #keep(written: Written, write: () => Promise<void>): Promise<void> {
    await (this.#leader === undefined ? write() : this.#leader.keeping(written, write));
  }

  async #follow({ sync }: WriteContext): Promise<void> {
    const follower = this.#follower;
    if (follower === undefined) throw this.#unshared();
    const timer = setTimeout(() => {
      const reason = `${this.#options.name}: the leading tab does not answer; it may be frozen`;
      follower.fail(new LastwriteError("storage-unavailable", reason));
    }, this.#options.answerMaxMs);
    try {
      await follower.append(sync);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Resolves with whether this replica has all that is kept: the leader told it, or there is none any more and this tab leads. */
  async #catchUp(replica: SharedReplica): Promise<boolean> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const isCaughtUp = await new Promise<boolean>((resolve) => {
      this.#onCaughtUp = resolve;
      timer = setTimeout(() => resolve(false), WELCOME_MAX_MS);
      this.#follower = new Follower(
        this.#id,
        replica,
        (message) => this.#post(message),
        () => resolve(true),
      );
      if (this.#hasLock) this.#succeed();
    });
    clearTimeout(timer);
    this.#onCaughtUp = undefined;
    return isCaughtUp;
  }

  /** Waits for the lead, until it comes or the store is closed. */
  async #queue(): Promise<void> {
    const leaving = new AbortController();
    this.#releases.push(() => leaving.abort());
    const release = await this.#hold(this.#options.name, leaving.signal);
    if (release === undefined) return;
    if (this.#ended !== undefined) {
      release();
      return;
    }
    this.#releases.push(release);
    this.#hasLock = true;
    this.#mustTakeOver = true;
    if (this.#follower !== undefined) this.#succeed();
  }

  /** The former leader is gone. */
  #succeed(): void {
    this.#takeOver().then(
      () => this.#onCaughtUp?.(true),
      (thrown: unknown) => {
        const error = asStoreError(thrown, this.#options.name);
        if (error.code !== "store-closed") this.#replica?.failed(error);
        this.#follower?.fail(error);
        this.#onCaughtUp?.(false);
      },
    );
  }

  #takeOver(): Promise<void> {
    clearTimeout(this.#retryTimer);
    this.#retryTimer = undefined;
    this.#takingOver ??= this.#becomeLeader()
      .catch((error: unknown) => this.#failToLead(asStoreError(error, this.#options.name)))
      .finally(() => {
        this.#takingOver = undefined;
        this.#hasReread = false;
        this.#replaced = undefined;
      });
    return this.#takingOver;
  }

  /** Tries again soon, for nobody else can lead meanwhile; or gives the lead to others, where that cannot help. */
  #failToLead(error: LastwriteError): never {
    if (this.#ended !== undefined) throw this.#ended;
    if (isTriedAgain(error)) this.#retryTimer = setTimeout(() => this.#succeed(), RETRY_MS);
    else this.end(error);
    throw error;
  }

  async #becomeLeader(): Promise<void> {
    const log = this.#openLog();
    const replica = this.#replica;
    if (replica === undefined) throw this.#unshared();
    const term = await log.nextTerm();
    this.#mustTakeOver = true;
    await replica.takeOver();
    if (this.#ended !== undefined) throw this.#ended;
    this.#mustTakeOver = false;
    this.#lead(term, this.#replaced ?? replica.version());
    // Whoever waits for the former leader's word gets it from here.
    this.#follower?.succeed();
    this.#follower = undefined;
  }

  #lead(term: number, kept: Uint8Array): void {
    if (this.#replica === undefined || this.#ended !== undefined) return;
    this.#leader?.end();
    this.#leader = new Leader(term, this.#replica, kept, (message) => this.#post(message));
  }

  /** The id that was loaded, if this store wrote under it and no tab does now; else another one of the pool; else a new one. */
  async #leaseId(loaded: string): Promise<Lease> {
    const pool = await this.#openLog().replicaIds();
    const isKnown = pool.includes(loaded) || this.#hasWritten(loaded);
    const candidates = isKnown
      ? [loaded, ...pool.filter((id) => id !== loaded)]
      : [...pool, loaded];
    for (const id of candidates) {
      const release = await this.#hold(this.#lockOf(id));
      if (release !== undefined) return { id, release, isPooled: pool.includes(id) };
    }
    return this.#leaseNew(randomId());
  }

  async #leaseNew(id: string): Promise<Lease> {
    const release = await this.#hold(this.#lockOf(id));
    return { id, release: release ?? (() => {}), isPooled: false };
  }

  /** Writes under a leased id from now on. */
  async #write(lease: Lease): Promise<void> {
    if (this.#ended !== undefined) {
      lease.release();
      throw this.#ended;
    }
    // Freed at the end, whenever that comes.
    this.#lease = lease;
    if (!lease.isPooled) await this.#openLog().addReplicaId(lease.id);
    if (this.#ended !== undefined) throw this.#ended;
    if (this.#replica?.replicaId !== lease.id) this.#replica?.setReplicaId(lease.id);
  }

  /** The replica took a new id, because another copy of the store writes under the one that was leased: nobody here leases that again. */
  async #renewLease(): Promise<void> {
    const [former, id] = [this.#lease, this.#replica?.replicaId];
    if (former === undefined || id === undefined || former.id === id) return;
    const lease = await this.#leaseNew(id);
    try {
      await this.#openLog().addReplicaId(id);
      await this.#openLog().removeReplicaId(former.id);
      if (this.#ended !== undefined) throw this.#ended;
    } catch (error) {
      // With the next append it is tried again.
      lease.release();
      throw error;
    }
    this.#lease = lease;
    former.release();
  }

  #hasWritten(id: string): boolean {
    const version = this.#replica?.version();
    return version !== undefined && decodeVersion(version).vector.has(id);
  }

  #lockOf(id: string): string {
    return `${this.#options.name}/id/${id}`;
  }

  /** Gets a lock and answers what frees it; undefined when somebody has it. With a signal waits for it instead, until that is given. */
  #hold(name: string, signal?: AbortSignal): Promise<(() => void) | undefined> {
    return new Promise((resolve, reject) => {
      const use = (lock: Lock | null): Promise<void> | undefined => {
        if (lock === null) {
          resolve(undefined);
          return undefined;
        }
        return new Promise((release) => resolve(release));
      };
      this.#locks
        .request(name, signal === undefined ? { ifAvailable: true } : { signal }, use)
        .catch((error: unknown) => {
          if (signal?.aborted === true) resolve(undefined);
          else reject(unavailableLocks(this.#options.name, error));
          // Somebody stole it.
          if (this.#hasLock && name === this.#options.name) this.end(stolen(name));
        });
    });
  }

  #receive(data: unknown): void {
    const message = readMessage(data);
    if (message === undefined || this.#ended !== undefined) return;
    if (this.#leader !== undefined) {
      this.#leader.receive(message);
      return;
    }
    this.#follower?.receive(message);
    // They wait for somebody who leads.
    if (this.#retryTimer !== undefined && "from" in message) this.#succeed();
  }

  #post(message: Message): void {
    if (this.#ended !== undefined) return;
    this.#channel?.postMessage({ protocol: PROTOCOL, ...message });
  }
}

/** A replica id that this tab alone may write under, until it frees the lock. */
interface Lease {
  readonly id: string;
  readonly release: () => void;
  /** Others find it on the medium. */
  readonly isPooled: boolean;
}

function locksOf(name: string): LockManager {
  const { locks } = globalThis.navigator ?? {};
  if (locks !== undefined && globalThis.BroadcastChannel !== undefined) return locks;
  throw new LastwriteError(
    "storage-unavailable",
    `${name}: there are no Web Locks here; they need a secure context (https, or localhost)`,
  );
}

function unavailableLocks(name: string, cause: unknown): LastwriteError {
  return new LastwriteError("storage-unavailable", `${name}: no lock: ${String(cause)}`, { cause });
}

function stolen(name: string): LastwriteError {
  return new LastwriteError(
    "store-locked",
    `the lock ${name} was taken from this tab by force; open the store anew`,
  );
}
