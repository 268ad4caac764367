/** Canonical bytes back to JavaScript values. An engine has checked them; what is not canonical may be read wrongly. */

import { ByteReader, corrupt } from "./numbers.ts";
import type { PlainValue } from "./plain.ts";
import { tagged } from "./tagged.ts";
import { TAG } from "./tags.ts";
import { decodeText } from "./text.ts";
import type { Value } from "./value.ts";

/** The value that an engine carries as `carried`. Bytes are copied. */
export function decodeValue(carried: PlainValue): Value {
  if (typeof carried !== "object" || carried === null) return carried;
  return decodePayload(carried[0] ?? TAG.tombstone, carried.subarray(1));
}

/** The value of a tag (1 to 13) and its payload. Bytes are copied. */
export function decodePayload(kind: number, payload: Uint8Array): Value {
  switch (kind) {
    case TAG.null:
      return null;
    case TAG.false:
      return false;
    case TAG.true:
      return true;
    case TAG.text:
      return decodeText(payload);
    case TAG.wideText:
      return decodeUtf16(payload);
    case TAG.bytes:
      // Not slice(): that of a Buffer gives a Buffer.
      return new Uint8Array(payload);
    case TAG.bigint:
      return decodeBigint(payload);
    case TAG.tagged: {
      const reader = new ByteReader(payload);
      const type = decodeText(reader.take(reader.u8()));
      return tagged(type, decodePayload(reader.u8(), reader.rest()) as string | Uint8Array);
    }
    default:
      return readSelfEnding(kind, new ByteReader(payload));
  }
}

/** Reads the payload of a kind that ends by itself, or of any inside an array or object, which says how long it is. */
function readSelfEnding(kind: number, reader: ByteReader): Value {
  switch (kind) {
    case TAG.integer:
      return reader.svarint();
    case TAG.float:
      return reader.f64();
    case TAG.date:
      return new Date(reader.svarint());
    case TAG.array: {
      const count = reader.length();
      const items: Value[] = [];
      for (let index = 0; index < count; index += 1) items.push(readItem(reader));
      return items;
    }
    case TAG.object: {
      const count = reader.length();
      const members: Record<string, Value> = {};
      for (let index = 0; index < count; index += 1) {
        const name = readItem(reader) as string;
        setMember(members, name, readItem(reader));
      }
      return members;
    }
    default:
      throw corrupt(`there is no kind of value ${kind}`);
  }
}

function readItem(reader: ByteReader): Value {
  const kind = reader.u8();
  switch (kind) {
    case TAG.text:
    case TAG.wideText:
    case TAG.bytes:
    case TAG.bigint:
    case TAG.tagged:
      return decodePayload(kind, reader.take(reader.length()));
    case TAG.null:
    case TAG.false:
    case TAG.true:
      return decodePayload(kind, reader.take(0));
    default:
      return readSelfEnding(kind, reader);
  }
}

/** Names that plain objects inherit, `__proto__` foremost, must not be assigned to: that could run a setter. */
function setMember(members: Record<string, Value>, name: string, value: Value): void {
  if (name in members) {
    Object.defineProperty(members, name, {
      value,
      writable: true,
      enumerable: true,
      configurable: true,
    });
  } else {
    members[name] = value;
  }
}

function decodeUtf16(payload: Uint8Array): string {
  const reader = new ByteReader(payload);
  let text = "";
  while (reader.remaining > 0) text += String.fromCharCode(reader.u16());
  return text;
}

function decodeBigint(payload: Uint8Array): bigint {
  let digits = "";
  for (let at = payload.length - 1; at > 0; at -= 1) {
    digits += payload[at]!.toString(16).padStart(2, "0");
  }
  const magnitude = digits === "" ? 0n : BigInt(`0x${digits}`);
  return payload[0] === 1 ? -magnitude : magnitude;
}
