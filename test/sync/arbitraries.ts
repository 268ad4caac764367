/** Random messages, within their limits. */

import fc from "fast-check";

import type { Cursor, SyncMessage } from "../../ts/sync/messages.ts";

const PLACE_MAX = 2 ** 48 - 1;

const place = fc.oneof(fc.nat(300), fc.constantFrom(0, PLACE_MAX), fc.nat({ max: 2 ** 31 - 1 }));
const count = fc.oneof(fc.nat(300), fc.maxSafeNat());
const bytes = fc.uint8Array({ maxLength: 300 });
const version = fc.nat(0xffff);

const cursor: fc.Arbitrary<Cursor> = fc.record({ epoch: hex(8), place });

function hex(byteCount: number): fc.Arbitrary<string> {
  return fc
    .uint8Array({ minLength: byteCount, maxLength: byteCount })
    .map((drawn) => Buffer.from(drawn).toString("hex"));
}

function text(bytesMax: number): fc.Arbitrary<string> {
  return fc
    .string({ unit: "binary", maxLength: Math.floor(bytesMax / 4) })
    .filter((drawn) => drawn.isWellFormed());
}

function units(unit: number): fc.Arbitrary<Uint8Array> {
  return fc.nat(20).chain((of) => fc.uint8Array({ minLength: unit * of, maxLength: unit * of }));
}

function optional<Value>(value: fc.Arbitrary<Value>): fc.Arbitrary<Value | undefined> {
  return fc.option(value, { nil: undefined });
}

const seed = fc.uint8Array({ minLength: 16, maxLength: 16 });
const type = <const Type extends SyncMessage["type"]>(name: Type): fc.Arbitrary<Type> =>
  fc.constant(name);

/** Of every type there is: the compiler asks for those that are missing. */
const byType: {
  readonly [Type in SyncMessage["type"]]: fc.Arbitrary<Extract<SyncMessage, { type: Type }>>;
} = {
  hello: fc.record({
    type: type("hello"),
    protocolMin: version,
    protocolMax: version,
    storeId: hex(16),
    millis: place,
    driftMaxMs: count,
    windowBytes: count,
    isServer: fc.boolean(),
    room: text(64),
    token: text(400),
  }),
  have: fc.record({
    type: type("have"),
    log: cursor,
    versionHash: hex(8),
    horizonHash: hex(8),
    digest: hex(8),
    entryCount: count,
    cursor: optional(cursor),
  }),
  need: fc.record({
    type: type("need"),
    what: fc.constantFrom("version", "snapshot", "entries", "again"),
    held: optional(fc.record({ id: hex(8), count: place })),
  }),
  clock: fc.record({ type: type("clock"), millis: place }),
  restart: fc.record({ type: type("restart"), place }),
  vector: fc.record({ type: type("vector"), remaining: count, bytes }),
  delta: fc.record({
    type: type("delta"),
    place: optional(place),
    isPartial: fc.boolean(),
    continues: fc.boolean(),
    remaining: count,
    frame: bytes,
  }),
  snapshot: fc.record({
    type: type("snapshot"),
    place: optional(place),
    remaining: count,
    frame: bytes,
  }),
  ack: fc.record({ type: type("ack"), place, reached: optional(place) }),
  credit: fc.record({ type: type("credit"), byteCount: count }),
  ranges: fc.record({
    type: type("ranges"),
    seed,
    depth: fc.nat(15),
    prefixes: bytes,
    fingerprints: bytes,
  }),
  hashes: fc.record({
    type: type("hashes"),
    seed,
    depth: fc.nat(16),
    prefixes: bytes,
    hashes: units(4),
  }),
  wanted: fc.record({ type: type("wanted"), seed, hashes: units(8) }),
  compared: fc.record({ type: type("compared"), seed }),
  presence: fc.record({ type: type("presence"), from: hex(8), state: optional(text(400)) }),
  peers: fc.record({
    type: type("peers"),
    address: text(256),
    others: fc.array(text(256), { maxLength: 64 }),
  }),
  ping: fc.record({ type: type("ping") }),
  pong: fc.record({ type: type("pong") }),
  error: fc.record({
    type: type("error"),
    code: text(64),
    message: text(400),
    final: fc.boolean(),
  }),
};

export const messageTypes: readonly SyncMessage["type"][] = Object.keys(
  byType,
) as SyncMessage["type"][];

export const syncMessage: fc.Arbitrary<SyncMessage> = fc.oneof(...Object.values(byType));

export const messageNumber: fc.Arbitrary<number> = count;
