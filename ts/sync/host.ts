/** A store as sessions see it. */

import { idBytes, idText } from "../codec/entry.ts";
import { ByteReader, ByteWriter } from "../codec/numbers.ts";
import type { Dictionary } from "../dictionary/contract.ts";
import { internalsOf } from "../dictionary/internals.ts";
import { ATTRIBUTE, type Attributes } from "../store/identity.ts";
import type { Cursor } from "./messages.ts";
import type { SyncHost } from "./run.ts";

export interface HostedStore {
  readonly dictionary: Dictionary;
  readonly attributes: Attributes;
  readonly driftMaxMs: number;
  now(): number;
  /** As in `SyncHost`. */
  keep(sync: boolean): Promise<void>;
  /** Something may have changed. */
  touch(): void;
  onChange(listener: () => void): () => void;
}

/** What `peer/` and the id of a store is kept under. */
const PEER = "peer/";

export function syncHostOf(store: HostedStore): SyncHost {
  const { dictionary, attributes, driftMaxMs } = store;
  const internals = internalsOf(dictionary);
  return {
    keep: (sync) => store.keep(sync),
    onChange: (listener) => store.onChange(listener),
    replica: {
      entries: internals.entries,
      storeId: idText(attributes.get(ATTRIBUTE.storeId) ?? new Uint8Array(16)),
      epoch: idText(attributes.get(ATTRIBUTE.epoch) ?? new Uint8Array(8)),
      driftMaxMs,
      now: () => store.now(),
      merge(frame, adopt) {
        const result = internals.merge(frame, { adopt });
        store.touch();
        return result;
      },
      reread(parts) {
        const result = dictionary.reread(parts);
        store.touch();
        return result;
      },
      cursorOf: (storeId) => decodeCursor(attributes.get(PEER + storeId)),
      rememberCursor(storeId, cursor) {
        const before = decodeCursor(attributes.get(PEER + storeId));
        if (before?.epoch === cursor.epoch && before.place === cursor.place) return;
        attributes.set(PEER + storeId, encodeCursor(cursor));
      },
    },
  };
}

function encodeCursor({ epoch, place }: Cursor): Uint8Array {
  return new ByteWriter().bytes(idBytes(epoch)).varint(place).finish();
}

function decodeCursor(bytes: Uint8Array | undefined): Cursor | undefined {
  if (bytes === undefined) return undefined;
  const reader = new ByteReader(bytes);
  return { epoch: idText(reader.take(8)), place: reader.varint() };
}
