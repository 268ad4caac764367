/** Messages as bytes and as text, one to one: docs/protocol.md has the tables. */

import { ByteReader, ByteWriter, corrupt, VARINT_MAX } from "../codec/numbers.ts";
import { LastwriteError } from "../errors.ts";
import {
  bytes,
  choice,
  cursor,
  held,
  type Field,
  flag,
  hex,
  list,
  optional,
  place,
  text,
  whole,
} from "./codec-fields.ts";
import {
  ADDRESSES_MAX,
  ADDRESS_BYTES_MAX,
  FAILURE_CODE_BYTES_MAX,
  FAILURE_MESSAGE_BYTES_MAX,
  FINGERPRINTS_BYTES_MAX,
  FRAME_BYTES_MAX,
  HASHES_MAX,
  MESSAGE_BYTES_MAX,
  PRESENCE_BYTES_MAX,
  RANGES_MAX,
  ROOM_BYTES_MAX,
  TEXT_LENGTH_MAX,
  TOKEN_BYTES_MAX,
  VECTOR_PIECE_BYTES_MAX,
} from "./limits.ts";
import type { SyncMessage } from "./messages.ts";

const DEPTH_MAX = 16;
const PREFIXES_BYTES_MAX: number = (RANGES_MAX * DEPTH_MAX) / 2;
const HASH_BYTES = 8;

/** Of what a text holds outside its strings: a message has few members, and nothing is nested. */
const OUTSIDE_LENGTH_MAX = 4096;
const STRINGS_MAX = 128;
const BACKSLASH = 0x5c;

/** Room for all of most messages, and for what is before the frame of others. */
const HEADER_BYTES = 64;

/** A message, and how many the same side of the session had sent before it. */
export interface NumberedMessage {
  readonly number: number;
  readonly message: SyncMessage;
}

/**
 * Returns `message` in the binary form, at most 1 MiB and 64 KiB.
 *
 * Throws `invalid-argument` when a field is beyond the limits of docs/protocol.md.
 */
export function encodeMessage(message: SyncMessage, number: number): Uint8Array {
  const { code, fields } = formOf(message);
  checkNumber(number);
  // What is long is copied once.
  const capacity = HEADER_BYTES + ("frame" in message ? message.frame.length : 0);
  const writer = new ByteWriter(capacity).u8(code).varint(number);
  for (const [name, field] of fields) field.write(writer, checkedField(message, name, field));
  return writer.finish();
}

/**
 * Returns `message` in the text form: one JSON object, without a newline.
 *
 * Throws `invalid-argument` when a field is beyond the limits of docs/protocol.md.
 */
export function encodeText(message: SyncMessage, number: number): string {
  const { fields } = formOf(message);
  checkNumber(number);
  const members: Record<string, unknown> = { type: message.type, number };
  for (const [name, field] of fields) {
    members[name] = field.toJson(checkedField(message, name, field));
  }
  return JSON.stringify(members);
}

/**
 * Reads a message of either form. Bytes in it are views of `data`, where that is binary. Takes less memory than four times `data`, and little time for what is refused.
 *
 * Throws `unsupported-format` when the type of the message is unknown, as those of later versions are, and `corrupt-bytes` for everything else that
 * docs/protocol.md does not tell.
 */
export function decodeMessage(data: Uint8Array | string): NumberedMessage {
  return typeof data === "string" ? decodeJson(data) : decodeBinary(data);
}

type MessageType = SyncMessage["type"];

/** A type of message: its byte, and its fields in the order in which they are written. */
interface Form {
  readonly type: MessageType;
  readonly code: number;
  readonly fields: readonly (readonly [name: string, field: Field<unknown>])[];
}

type FieldsOf<Message> = {
  readonly [Name in Exclude<keyof Message, "type">]: Field<Message[Name]>;
};

type Forms = {
  readonly [Type in MessageType]: readonly [
    code: number,
    fields: FieldsOf<Extract<SyncMessage, { readonly type: Type }>>,
  ];
};

const version = whole(0xffff);
const frame = bytes(FRAME_BYTES_MAX);
const seed = fixed(16);
const prefixes = bytes(PREFIXES_BYTES_MAX);
const address = text(ADDRESS_BYTES_MAX);

const FORMS: Forms = {
  hello: [
    1,
    {
      protocolMin: version,
      protocolMax: version,
      storeId: hex(16),
      millis: place,
      driftMaxMs: whole(),
      windowBytes: whole(),
      isServer: flag,
      room: text(ROOM_BYTES_MAX),
      token: text(TOKEN_BYTES_MAX),
    },
  ],
  have: [
    2,
    {
      log: cursor,
      versionHash: hex(8),
      horizonHash: hex(8),
      digest: hex(8),
      entryCount: whole(),
      cursor: optional(cursor),
    },
  ],
  need: [3, { what: choice("version", "snapshot", "entries", "again"), held: optional(held) }],
  vector: [4, { remaining: whole(), bytes: bytes(VECTOR_PIECE_BYTES_MAX) }],
  delta: [
    5,
    { place: optional(place), isPartial: flag, continues: flag, remaining: whole(), frame },
  ],
  snapshot: [6, { place: optional(place), remaining: whole(), frame }],
  ack: [7, { place, reached: optional(place) }],
  credit: [8, { byteCount: whole() }],
  ranges: [
    9,
    { seed, depth: whole(DEPTH_MAX - 1), prefixes, fingerprints: bytes(FINGERPRINTS_BYTES_MAX) },
  ],
  // Of each range a count of 4 bytes, of each entry key hash and identity.
  hashes: [
    10,
    {
      seed,
      depth: whole(DEPTH_MAX),
      prefixes,
      hashes: bytes(4 * RANGES_MAX + 2 * HASH_BYTES * HASHES_MAX, 4),
    },
  ],
  wanted: [11, { seed, hashes: bytes(HASHES_MAX * HASH_BYTES, HASH_BYTES) }],
  compared: [12, { seed }],
  presence: [13, { from: hex(8), state: optional(text(PRESENCE_BYTES_MAX)) }],
  ping: [14, {}],
  pong: [15, {}],
  error: [
    16,
    {
      code: text(FAILURE_CODE_BYTES_MAX),
      message: text(FAILURE_MESSAGE_BYTES_MAX),
      final: flag,
    },
  ],
  // 17 is the envelope of ts/transport/envelope.ts.
  peers: [18, { address, others: list(address, ADDRESSES_MAX) }],
  clock: [19, { millis: place }],
  restart: [20, { place }],
};

const FORM_BY_TYPE: ReadonlyMap<string, Form> = new Map(
  Object.entries(FORMS).map(([type, [code, fields]]) => [
    type,
    {
      type: type as MessageType,
      code,
      fields: Object.entries(fields as Readonly<Record<string, Field<unknown>>>),
    },
  ]),
);

const FORM_BY_CODE: ReadonlyMap<number, Form> = new Map(
  [...FORM_BY_TYPE.values()].map((form) => [form.code, form]),
);

function decodeBinary(data: Uint8Array): NumberedMessage {
  if (data.length > MESSAGE_BYTES_MAX) throw corrupt("a message is longer than 1 MiB and 64 KiB");
  const reader = new ByteReader(data);
  const code = reader.u8();
  const form = FORM_BY_CODE.get(code);
  if (form === undefined) throw unknownType(String(code));
  const number = reader.varint();
  const message: Record<string, unknown> = { type: form.type };
  for (const [name, field] of form.fields) {
    message[name] = allowed(form, name, field, field.read(reader));
  }
  reader.end(`a message of type ${form.type}`);
  return { number, message: message as unknown as SyncMessage };
}

function decodeJson(data: string): NumberedMessage {
  const members = parse(data);
  const { type, number } = members;
  if (typeof type !== "string") throw corrupt("a message has no type");
  const form = FORM_BY_TYPE.get(type);
  if (form === undefined) throw unknownType(JSON.stringify(type.slice(0, 32)));
  if (!messageNumber.allows(number))
    throw corrupt(`the number of a message is not ${messageNumber.is}`);
  const message: Record<string, unknown> = { type };
  let count = 2;
  for (const [name, field] of form.fields) {
    const json = Object.hasOwn(members, name) ? members[name] : undefined;
    if (json !== undefined) count += 1;
    message[name] = allowed(form, name, field, field.fromJson(json));
  }
  if (Object.keys(members).length !== count) {
    throw corrupt(`a message of type ${type} has a member too many`);
  }
  return { number, message: message as unknown as SyncMessage };
}

/** The members of a JSON object that is not worth more memory than its text. */
function parse(data: string): Readonly<Record<string, unknown>> {
  if (data.length > TEXT_LENGTH_MAX) throw corrupt("a message is longer than 8 MiB of text");
  if (!isFlat(data)) throw corrupt("a message of text is not a flat object");
  let json: unknown;
  try {
    json = JSON.parse(data);
  } catch (error) {
    throw corrupt(`a message of text is not JSON (${(error as Error).name})`);
  }
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw corrupt("a message of text is not an object");
  }
  return json as Readonly<Record<string, unknown>>;
}

/** Whether few things are outside of strings, and the strings are few: JSON of many small things takes tens of times its length. */
function isFlat(data: string): boolean {
  let outside = 0;
  let from = 0;
  for (let strings = 0; strings <= STRINGS_MAX; strings++) {
    const start = data.indexOf('"', from);
    outside += (start === -1 ? data.length : start) - from;
    if (outside > OUTSIDE_LENGTH_MAX) return false;
    if (start === -1) return true;
    const end = endOfString(data, start + 1);
    if (end === -1) return false;
    from = end + 1;
  }
  return false;
}

/** Where the quote is that ends a string; −1 when there is none. */
function endOfString(data: string, from: number): number {
  for (let at = data.indexOf('"', from); at !== -1; at = data.indexOf('"', at + 1)) {
    let backslashes = 0;
    while (data.charCodeAt(at - 1 - backslashes) === BACKSLASH) backslashes++;
    if (backslashes % 2 === 0) return at;
  }
  return -1;
}

const messageNumber = whole(VARINT_MAX);

function checkNumber(value: number): void {
  if (messageNumber.allows(value)) return;
  throw new LastwriteError(
    "invalid-argument",
    `the number of a message must be ${messageNumber.is}`,
  );
}

function formOf(message: SyncMessage): Form {
  const form = FORM_BY_TYPE.get(message.type);
  if (form !== undefined) return form;
  throw new LastwriteError("invalid-argument", `there is no message of type ${message.type}`);
}

function checkedField(message: SyncMessage, name: string, field: Field<unknown>): unknown {
  const value: unknown = (message as unknown as Readonly<Record<string, unknown>>)[name];
  if (field.allows(value)) return value;
  throw new LastwriteError(
    "invalid-argument",
    `${name} of a message of type ${message.type} must be ${field.is}`,
  );
}

function allowed(form: Form, name: string, field: Field<unknown>, value: unknown): unknown {
  if (field.allows(value)) return value;
  throw corrupt(`${name} of a message of type ${form.type} is not ${field.is}`);
}

function unknownType(type: string): LastwriteError {
  return new LastwriteError(
    "unsupported-format",
    `a message has the unknown type ${type}; is the other side a later version?`,
  );
}

/** Exactly so many bytes. */
function fixed(byteCount: number): Field<Uint8Array> {
  return {
    ...bytes(byteCount),
    is: `${byteCount} bytes`,
    allows: (value): value is Uint8Array =>
      value instanceof Uint8Array && value.length === byteCount,
    write: (writer, value) => void writer.bytes(value),
    read: (reader) => reader.take(byteCount),
  };
}
