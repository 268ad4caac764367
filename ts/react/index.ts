"use client";
/** Stores in React: hooks that read them, and render again when what they read has changed. */

export { useEntries, type Entry } from "./use-entries.ts";
export { type Readable, useEntry } from "./use-entry.ts";
export { usePresence } from "./use-presence.ts";
export { type ConnectionState, useStatus } from "./use-status.ts";
export { type OpenedStore, useStore } from "./use-store.ts";
