/** Keeps copies of data in step without a coordinator: dictionaries of which the last write of each key wins. */

export { isTagged, tagged, type Tagged } from "./codec/tagged.ts";
export type { Value } from "./codec/value.ts";
export { compareVersions, type VersionOrder } from "./codec/version.ts";
export type {
  Change,
  Dictionary,
  DictionaryOptions,
  Dot,
  EntryKind,
  ExplicitStamp,
  KeyRange,
  Listener,
  MergeResult,
  Origin,
  PartsOptions,
  ReadRange,
  Refusal,
  Report,
  RestampOptions,
  Stamp,
  WriteOptions,
} from "./dictionary/contract.ts";
export { createDictionary } from "./dictionary/dictionary.ts";
export { decodeEntries, encodeEntries, type EntryRow } from "./dictionary/rows.ts";
export type { Backend, Engine } from "./engine/contract.ts";
export { loadEngine, type LoadEngineOptions } from "./engine/load.ts";
export type { WasmSource } from "./engine/wasm.ts";
export {
  type Damage,
  type ErrorCode,
  LastwriteError,
  type LastwriteErrorOptions,
  type Side,
} from "./errors.ts";
export { open } from "./open.ts";
export type {
  Access,
  LostBytes,
  OpenContext,
  Persistence,
  SharedReplica,
  WriteContext,
} from "./persistence/contract.ts";
export {
  type Copied,
  copyPersistence,
  type CopyOptions,
  salvage,
  type Salvaged,
} from "./persistence/copy.ts";
export {
  joinStates,
  type JournalAttributes,
  type JournalHeader,
  readJournal,
  splitJournal,
  type SplitJournal,
} from "./persistence/journal.ts";
export type {
  ConnectionStatus,
  Durability,
  OpenOptions,
  PeerOptions,
  PendingEvent,
  PersistenceHooks,
  PresenceValue,
  Present,
  ProgressEvent,
  StatusEvent,
  Store,
  StoreEvents,
  SyncOptions,
} from "./store/contract.ts";
export type { Connector, Link, LinkEnd, LinkHandler, Message } from "./transport/contract.ts";
