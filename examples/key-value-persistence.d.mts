import type { Persistence } from "lastwrite";

export interface KeyValue {
  get(key: string): Promise<Uint8Array | undefined>;
  set(key: string, value: Uint8Array): Promise<void>;
  delete(key: string): Promise<void>;
  keys(prefix: string): Promise<string[]>;
}

export function keyValuePersistence(service: KeyValue, name: string): Persistence;
