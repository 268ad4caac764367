/**
 * Those in a room who speak plain JSON. Everything that is said to them waits in one line until what came before it is kept durably, so each hears every change
 * once, in order, and nobody hears of what a crash can take back.
 */

import type { Change, Stamp } from "../dictionary/contract.ts";
import { encodeText } from "../codec/text.ts";
import type { Value } from "../codec/value.ts";
import { LastwriteError } from "../errors.ts";
import { jsonOf } from "./json-values.ts";
import type { Room } from "./room.ts";

/** Somebody who is told. */
export interface JsonMember {
  /** Takes a change; the bytes are shared. */
  tellChange(key: string, text: Uint8Array): void;
  /** Something of that length is for him alone, and on its way. */
  owe(byteCount: number): void;
  /** Takes what is for him alone: what was owed. */
  tell(text: Uint8Array): void;
  /** He has to go. */
  close(code: number, reason: string): void;
}

/** Something to be said, to one or, about `key`, to all who came before it. */
interface Saying {
  readonly text: Uint8Array;
  readonly key: string | undefined;
  readonly to: JsonMember | undefined;
  readonly number: number;
}

/** Try again later. */
const CLOSE_LATER = 1013;

export class JsonRoom {
  readonly #room: Room;
  /** With the number of the saying that tells each of them what was there when he came. */
  readonly #members = new Map<JsonMember, number>();
  #line: Saying[] = [];
  #count = 0;
  #isWorking = false;
  /** The key that is being written from here, until somebody was told of it. */
  #untold: string | undefined;
  #stopListening = (): void => {};
  /** All that is there, to be told; kept until that changes, as long as anybody is here. */
  #whole: Uint8Array | undefined;

  constructor(room: Room) {
    this.#room = room;
  }

  /** Tells it all that is there, then all that changes. Throws `too-large` for more than a text can hold. */
  join(member: JsonMember): void {
    this.#whole ??= this.#wholeText();
    if (this.#members.size === 0) this.#listen();
    this.#members.set(member, this.#sayTo(member, this.#whole));
  }

  leave(member: JsonMember): void {
    this.#members.delete(member);
    if (this.#members.size > 0) return;
    this.#stopListening();
    this.#whole = undefined;
    this.#line = [];
  }

  /** Writes, and tells all, whether it changes something or not. Throws as `set` of a store, and `too-large`. */
  set(key: string, value: Value): void {
    this.#write(key, () => this.#room.store.set(key, value));
  }

  /** Answers whether there was something. */
  remove(key: string): boolean {
    return this.#write(key, () => this.#room.store.delete(key));
  }

  /** Says something to one alone, in its turn. */
  answer(member: JsonMember, message: object): void {
    this.#sayTo(member, encodeText(JSON.stringify(message)));
  }

  /** Tells one alone how a key stands now. */
  lookUp(member: JsonMember, key: string): void {
    const { store } = this.#room;
    const value = store.get(key);
    const timestamp = value === undefined ? null : (store.stampOf(key)?.millis ?? null);
    this.answer(member, {
      action: "lookup",
      key,
      value: value === undefined ? null : jsonOf(value),
      timestamp,
    });
  }

  /** Tells one alone how a key stands now, as a change of it would tell. */
  tellState(member: JsonMember, key: string): void {
    const { store } = this.#room;
    this.#sayTo(member, changeText(key, store.get(key), store.stampOf(key)));
  }

  #write(key: string, write: () => boolean): boolean {
    this.#untold = key;
    try {
      const won = write();
      // An equal value is no change, but a write.
      if (won && this.#untold !== undefined) this.#tellOf(key, this.#room.store.get(key));
      return won;
    } finally {
      this.#untold = undefined;
    }
  }

  #listen(): void {
    this.#stopListening = this.#room.store.subscribe({}, (changes) => this.#tellAll(changes));
  }

  #tellAll(changes: readonly Change[]): void {
    for (const { key, value } of changes) {
      this.#tellOf(key, value);
      if (key === this.#untold) this.#untold = undefined;
    }
  }

  #tellOf(key: string, value: Value | undefined): void {
    this.#whole = undefined;
    const text = changeText(key, value, this.#room.store.stampOf(key));
    this.#say({ text, key, to: undefined });
  }

  #sayTo(member: JsonMember, text: Uint8Array): number {
    member.owe(text.length);
    return this.#say({ text, key: undefined, to: member });
  }

  #say(saying: Omit<Saying, "number">): number {
    this.#count++;
    this.#line.push({ ...saying, number: this.#count });
    if (!this.#isWorking) void this.#work();
    return this.#count;
  }

  async #work(): Promise<void> {
    this.#isWorking = true;
    try {
      while (this.#line.length > 0) {
        const line = this.#line;
        this.#line = [];
        // Never rejects: who cannot be told is sent away.
        if (await this.#isKept()) for (const saying of line) this.#deliver(saying);
      }
    } finally {
      this.#isWorking = false;
    }
  }

  async #isKept(): Promise<boolean> {
    try {
      await this.#room.keep();
      return true;
    } catch {
      for (const member of this.#members.keys()) member.close(CLOSE_LATER, "try again later");
      return false;
    }
  }

  #deliver({ text, key, to, number }: Saying): void {
    if (to !== undefined) {
      if (this.#members.has(to)) to.tell(text);
      return;
    }
    for (const [member, since] of this.#members) {
      if (number > since) member.tellChange(key as string, text);
    }
  }

  #wholeText(): Uint8Array {
    const members: string[] = [];
    try {
      for (const [key, value] of this.#room.store.entries()) {
        members.push(`${JSON.stringify(key)}:${JSON.stringify(jsonOf(value))}`);
      }
      return encodeText(`{"action":"initial_data","data":{${members.join(",")}}}`);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      throw new LastwriteError("too-large", "the room is too large for one message of plain JSON");
    }
  }
}

function changeText(key: string, value: Value | undefined, stamp: Stamp | undefined): Uint8Array {
  const message =
    value === undefined
      ? { action: "remove", key, value: null, timestamp: stamp?.millis ?? null }
      : { action: "set", key, value: jsonOf(value), timestamp: stamp?.millis ?? null };
  return encodeText(JSON.stringify(message));
}
