/** Who is there: small values that nobody keeps. */

import { randomBytes } from "../codec/random.ts";
import { idBytes, idText } from "../codec/entry.ts";
import { sipHash13 } from "../codec/sip.ts";
import { encodeText } from "../codec/text.ts";
import { LastwriteError } from "../errors.ts";
import { PRESENCE_BYTES_MAX } from "./limits.ts";
import type { Presence } from "./messages.ts";

/** What can be told of oneself: what JSON can say. */
export type PresenceValue =
  | null
  | boolean
  | number
  | string
  | readonly PresenceValue[]
  | { readonly [name: string]: PresenceValue };

/** Another store that is connected, and what it tells of itself. */
export interface Present {
  /** 16 hex digits, drawn anew each time that a store is opened. */
  readonly id: string;
  readonly value: PresenceValue;
}

/** How a session takes part. */
export interface PresenceMember {
  /**
   * Takes what the other side says. Throws `corrupt-bytes` for what is no JSON, and for a second name of a client; `too-large` when more are told of than
   * can be.
   */
  take(presence: Presence): void;
  /** What is to be said next, if anything is. */
  next(): Presence | undefined;
  /** The link has ended: all who were there behind it are gone. */
  leave(): void;
}

export interface PresenceMemberOptions {
  /** The other side is a client of this server: what it tells goes on to the other clients. */
  readonly isClient: boolean;
  /** There is something to be said. */
  readonly wake: () => void;
}

/** Of how many others one store knows. */
const PRESENT_MAX = 1024;

/** All who are there around one store. */
export class PresenceHub {
  /** Calls when somebody came, went, or told something else. */
  onChange: () => void = () => {};
  readonly #id = idText(randomBytes(8));
  readonly #key = randomBytes(16);
  #own: string | undefined;
  readonly #others = new Map<string, { readonly state: string; readonly through: Member }>();
  readonly #members = new Set<Member>();
  #list: readonly Present[] | undefined;

  /** All others that are there; the same array until something changes. */
  get present(): readonly Present[] {
    this.#list ??= Array.from(this.#others, ([id, { state }]) => ({
      id,
      value: JSON.parse(state) as PresenceValue,
    }));
    return this.#list;
  }

  /** Throws `invalid-argument` unless `value` is JSON of at most 4 KiB. */
  set(value: PresenceValue | undefined): void {
    const state = value === undefined ? undefined : jsonOf(value);
    if (state === this.#own) return;
    this.#own = state;
    for (const member of this.#members) member.tell(this.#id, state);
  }

  join(options: PresenceMemberOptions): PresenceMember {
    const member = new Member(this, options);
    this.#members.add(member);
    if (this.#own !== undefined) member.tell(this.#id, this.#own);
    if (options.isClient) for (const [id, { state }] of this.#others) member.tell(id, state);
    return member;
  }

  take(through: Member, { from, state }: Presence): void {
    const held = this.#others.get(from);
    if (from === this.#id || (held?.state === state && held?.through === through)) return;
    if (state === undefined) {
      // Who has come back over another link is still there.
      if (held?.through === through) this.#gone([from]);
      return;
    }
    if (held === undefined && this.#others.size >= PRESENT_MAX) {
      // A room goes on without showing all.
      if (through.isClient) return;
      throw new LastwriteError("too-large", `more than ${PRESENT_MAX} are present`);
    }
    this.#others.set(from, { state, through });
    // Who comes back as he was is another link to the same.
    if (held?.state === state) return;
    this.#tell(through, from, state);
    this.#changed();
  }

  /** Under which the others see a client: nobody who sees it can say that he is the same. */
  nameOf(from: string): string {
    const { low, high } = sipHash13(this.#key, idBytes(from));
    return [high, low].map((half) => half.toString(16).padStart(8, "0")).join("");
  }

  leave(member: Member): void {
    this.#members.delete(member);
    const gone = [...this.#others].filter(([, { through }]) => through === member);
    if (gone.length > 0) this.#gone(gone.map(([id]) => id));
  }

  #gone(ids: readonly string[]): void {
    for (const id of ids) {
      const through = this.#others.get(id)?.through;
      this.#others.delete(id);
      if (through !== undefined) this.#tell(through, id, undefined);
    }
    this.#changed();
  }

  /** What clients say of themselves, a server passes on. */
  #tell(through: Member, id: string, state: string | undefined): void {
    if (!through.isClient) return;
    for (const member of this.#members) {
      if (member !== through && member.isClient) member.tell(id, state);
    }
  }

  #changed(): void {
    this.#list = undefined;
    this.onChange();
  }
}

class Member implements PresenceMember {
  readonly isClient: boolean;
  readonly #hub: PresenceHub;
  readonly #wake: () => void;
  /** What is to be said: the last word of each. */
  readonly #due = new Map<string, string | undefined>();
  /** Who the client is. */
  #name: string | undefined;

  constructor(hub: PresenceHub, { isClient, wake }: PresenceMemberOptions) {
    this.#hub = hub;
    this.isClient = isClient;
    this.#wake = wake;
  }

  take(presence: Presence): void {
    if (presence.state !== undefined && !isJson(presence.state)) {
      throw new LastwriteError("corrupt-bytes", "presence that is no JSON");
    }
    this.#name ??= presence.from;
    if (this.isClient && this.#name !== presence.from) {
      throw new LastwriteError("corrupt-bytes", "a client has one name in its presence");
    }
    const from = this.isClient ? this.#hub.nameOf(presence.from) : presence.from;
    this.#hub.take(this, { ...presence, from });
  }

  tell(id: string, state: string | undefined): void {
    this.#due.set(id, state);
    this.#wake();
  }

  next(): Presence | undefined {
    for (const [from, state] of this.#due) {
      this.#due.delete(from);
      return { type: "presence", from, state };
    }
    return undefined;
  }

  leave(): void {
    this.#hub.leave(this);
  }
}

function jsonOf(value: PresenceValue): string {
  const state = stringified(value);
  if (state !== undefined && encodeText(state).length <= PRESENCE_BYTES_MAX) return state;
  throw new LastwriteError(
    "invalid-argument",
    "presence must be what JSON can say, in at most 4 KiB",
  );
}

function stringified(value: PresenceValue): string | undefined {
  try {
    // Lone surrogates are escaped.
    return JSON.stringify(value);
  } catch {
    return undefined;
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
