/** A client that speaks plain JSON: docs/server.md, Plain JSON. */

import type { IncomingMessage } from "node:http";

import { encodeText } from "../codec/text.ts";
import { encodeValue } from "../codec/value.ts";
import { LastwriteError } from "../errors.ts";
import type { LinkHandler, Message } from "../transport/contract.ts";
import type { ClientLink } from "./client-link.ts";
import type { Admitted, Door } from "./door.ts";
import type { JsonMember, JsonRoom } from "./json-room.ts";
import { type Json, valueOf } from "./json-values.ts";
import { type ClientOptions, CLOSE_SILENT } from "./sync-client.ts";

/** What a client says. */
interface Request {
  readonly action: string;
  readonly key: string;
  /** Undefined when it has none. */
  readonly value: Json | undefined;
}

/** Something that cannot be done. Codes are those of `LastwriteError`, and those of this interface. */
class RequestError extends Error {
  readonly code: string;
  readonly key: string | undefined;

  constructor(code: string, message: string, key?: string) {
    super(message);
    this.code = code;
    this.key = key;
  }
}

const WRITES: ReadonlySet<string> = new Set(["set", "add", "update"]);
const ACTIONS: ReadonlySet<string> = new Set([...WRITES, "remove", "lookup"]);

/** Final codes for who may not come in, as for clients of the library. */
const CLOSE_CODES: Readonly<Record<string, number>> = {
  unauthorized: 4401,
  "room-invalid": 4404,
  "server-closed": 1012,
};
const CLOSE_LATER = 1013;

/** Resolves when it has left. */
export function serveJson(options: ClientOptions): Promise<void> {
  return new JsonClient(options).run(options);
}

class JsonClient implements LinkHandler, JsonMember {
  readonly #link: ClientLink;
  readonly #door: Door;
  readonly #roomName: string;
  /** Until it is let in. */
  #request: IncomingMessage | undefined;
  #cancelHandshake = (): void => {};
  #admitted: Admitted | undefined;
  #json: JsonRoom | undefined;
  /** What came before it was let in. */
  #early: Message[] = [];
  /** Keys of which it has to be told how they stand now: it did not read what was sent. */
  readonly #missed = new Set<string>();
  #isAsked = false;
  #hasLeft = false;
  #resolve = (): void => {};

  constructor({ link, request, room, door }: ClientOptions) {
    this.#link = link;
    this.#request = request;
    this.#roomName = room;
    this.#door = door;
  }

  run({ clients, request }: ClientOptions): Promise<void> {
    const { timers, limits } = clients;
    clients.askFrom(this.#link);
    const token = bearerOf(request);
    this.#isAsked = this.#door.asks && token === undefined;
    this.#cancelHandshake = timers.after(limits.handshakeMsMax, () =>
      this.close(CLOSE_SILENT, "you were not let in in time"),
    );
    return new Promise((resolve) => {
      this.#resolve = resolve;
      this.#link.start(this);
      if (!this.#isAsked) void this.#enter(token ?? "");
    });
  }

  message(message: Message): void {
    if (this.#json !== undefined) {
      this.#answer(message, this.#json);
    } else if (this.#isAsked) {
      this.#authenticate(message);
    } else {
      // The socket is not read any more, but what was read already comes.
      this.#early.push(message);
    }
  }

  drained(): void {
    try {
      for (const key of this.#missed) {
        if (this.#link.isFull || this.#json === undefined) return;
        this.#missed.delete(key);
        this.#json.tellState(this, key);
      }
    } catch {
      // The store is closed by now.
      this.close(CLOSE_LATER, "try again later");
    }
  }

  closed(): void {
    this.#hasLeft = true;
    this.#cancelHandshake();
    this.#request = undefined;
    this.#json?.leave(this);
    if (this.#admitted !== undefined) {
      this.#admitted.room.members.delete(this.#link);
      this.#door.leave(this.#admitted);
    }
    this.#resolve();
  }

  close(code: number, reason: string): void {
    this.#link.close(code, reason);
  }

  owe(byteCount: number): void {
    this.#link.owe(byteCount);
  }

  tell(text: Uint8Array): void {
    this.#link.sendText(text);
    this.#link.owe(-text.length);
    if (this.#missed.size > 0) this.drained();
  }

  tellChange(key: string, text: Uint8Array): void {
    // One that does not read is told later how things stand, and of each key once.
    if (this.#link.isFull || this.#missed.size > 0) this.#missed.add(key);
    else this.#link.sendText(text);
  }

  /** Nothing is told, and nothing else taken, before it has said who it is. */
  #authenticate(message: Message): void {
    let token: string;
    try {
      token = tokenOf(message);
    } catch {
      this.#refuse(notAuthenticated());
      return;
    }
    this.#isAsked = false;
    void this.#enter(token);
  }

  async #enter(token: string): Promise<void> {
    const request = this.#request as IncomingMessage;
    this.#request = undefined;
    this.#link.hold();
    try {
      const admitted = await this.#door.admit({ request, token }, this.#roomName);
      if (this.#hasLeft) this.#door.leave(admitted);
      else this.#begin(admitted);
    } catch (error) {
      this.#refuse(error);
    }
  }

  #begin(admitted: Admitted): void {
    this.#cancelHandshake();
    this.#admitted = admitted;
    const { room } = admitted;
    room.members.add(this.#link);
    room.json.join(this);
    this.#json = room.json;
    const early = this.#early;
    this.#early = [];
    for (const message of early) this.#answer(message, room.json);
    this.#link.release();
  }

  /** It cannot come in. */
  #refuse(error: unknown): void {
    this.#link.sendText(encodeText(JSON.stringify(refusalOf(error))));
    const code = (error as { readonly code?: string }).code ?? "";
    this.close(CLOSE_CODES[code] ?? CLOSE_LATER, code);
  }

  #answer(message: Message, json: JsonRoom): void {
    try {
      this.#do(requestOf(message), json);
    } catch (error) {
      json.answer(this, refusalOf(error));
    }
  }

  #do({ action, key, value }: Request, json: JsonRoom): void {
    const { room, mayWrite } = this.#admitted as Admitted;
    if (action === "lookup") {
      json.lookUp(this, key);
      return;
    }
    if (mayWrite?.(key) === false) {
      throw new RequestError("unauthorized", "you may not write that", key);
    }
    if (action === "remove") {
      if (!json.remove(key)) throw new RequestError("not-found", "there is no such key", key);
      return;
    }
    if (value === undefined) throw new RequestError("invalid-value", "`value` is missing");
    const written = valueOf(value);
    room.admitWrite({ key, value: encodeValue(written) });
    json.set(key, written);
  }
}

function requestOf(message: Message): Request {
  const { action, key, value } = objectOf(message);
  if (typeof action !== "string" || !ACTIONS.has(action)) {
    throw new RequestError("unknown-action", `\`action\` is one of ${[...ACTIONS].join(", ")}`);
  }
  if (typeof key !== "string" || key === "") {
    throw new RequestError("invalid-key", "`key` is a text of 1 to 1,024 bytes of UTF-8");
  }
  return { action, key, value };
}

function tokenOf(message: Message): string {
  const { action, token } = objectOf(message);
  if (action === "authenticate" && typeof token === "string") return token;
  throw notAuthenticated();
}

function notAuthenticated(): RequestError {
  return new RequestError("unauthorized", 'say first {"action":"authenticate","token":…}');
}

function objectOf(message: Message): { readonly [member: string]: Json | undefined } {
  const json = parsed(message);
  if (typeof json === "object" && json !== null && !Array.isArray(json)) {
    return json as { readonly [member: string]: Json };
  }
  throw new RequestError("invalid-message", "a message is one JSON object");
}

function parsed(message: Message): Json {
  if (typeof message !== "string") {
    throw new RequestError("invalid-json", "a message is text, and not bytes");
  }
  try {
    return JSON.parse(message) as Json;
  } catch {
    throw new RequestError("invalid-json", "that is no JSON");
  }
}

/** What is told of an error. */
function refusalOf(error: unknown): object {
  if (error instanceof RequestError) {
    const { code, message, key } = error;
    return { action: "error", error: code, message, ...(key !== undefined && { key }) };
  }
  if (error instanceof LastwriteError) {
    return { action: "error", error: error.code, message: error.message };
  }
  return { action: "error", error: "internal", message: "something went wrong" };
}

/** Of programs, which can send headers; pages say `authenticate`. */
function bearerOf({ headers }: IncomingMessage): string | undefined {
  return /^Bearer +(?<token>\S+)$/iu.exec(headers.authorization ?? "")?.groups?.["token"];
}
