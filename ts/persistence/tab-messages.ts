/** What the tabs that have one store open say to each other: docs/persistence/indexeddb.md, Tabs. */

/** Of the messages; those of another one are not for us. */
export const PROTOCOL = 1;

/** A delta, or with `isWhole` a snapshot to be re-read, for whoever has not seen what was collected. */
export interface Told {
  readonly parts: readonly Uint8Array[];
  readonly isWhole: boolean;
}

/** What followers say. `from` names the tab. */
export type FollowerMessage =
  /** Tell me what I lack, or with `wantsWhole` all, and from now on what you keep. */
  | {
      readonly type: "hello";
      readonly from: string;
      readonly version: Uint8Array;
      readonly wantsWhole: boolean;
    }
  /** Keep this, and say so. */
  | ({
      readonly type: "write";
      readonly from: string;
      readonly number: number;
      readonly sync: boolean;
    } & Told)
  /** I am gone. */
  | { readonly type: "bye"; readonly from: string };

/**
 * What the leader says. `term` grows with each tab that leads, so that words of a former one are known. `version` is what the medium has;
 * `sync` says that it survives a loss of power.
 */
export type LeaderMessage =
  /** To all: I lead now. */
  | { readonly type: "leader"; readonly term: number; readonly version: Uint8Array }
  /** To one, after its hello. */
  | ({
      readonly type: "welcome";
      readonly term: number;
      readonly to: string;
      readonly version: Uint8Array;
    } & Told)
  /** To all: this was kept. */
  | {
      readonly type: "news";
      readonly term: number;
      readonly delta: Uint8Array;
      readonly version: Uint8Array;
      readonly sync: boolean;
    }
  /** To one: its write was kept. */
  | {
      readonly type: "kept";
      readonly term: number;
      readonly to: string;
      readonly number: number;
      readonly version: Uint8Array;
      readonly sync: boolean;
    }
  /** To one: its write has to wait, since one side collected what the other has not seen. `side` has to re-read: this leader, or the follower. */
  | {
      readonly type: "behind";
      readonly term: number;
      readonly to: string;
      readonly number: number;
      readonly side: "leader" | "follower";
    }
  /** To one: its write was not kept. */
  | {
      readonly type: "refused";
      readonly term: number;
      readonly to: string;
      readonly number: number;
      readonly code: string;
      readonly reason: string;
    };

export type Message = FollowerMessage | LeaderMessage;

/** What came over the channel as a message; undefined for whatever is none of this protocol. */
export function readMessage(data: unknown): Message | undefined {
  if (typeof data !== "object" || data === null) return undefined;
  const { protocol, type } = data as { readonly protocol?: unknown; readonly type?: unknown };
  if (protocol !== PROTOCOL || typeof type !== "string" || !Object.hasOwn(FIELDS, type)) {
    return undefined;
  }
  const isWhole = Object.entries(FIELDS[type as Message["type"]]).every(([name, is]) =>
    is((data as Readonly<Record<string, unknown>>)[name]),
  );
  return isWhole ? (data as Message) : undefined;
}

const isText = (field: unknown): boolean => typeof field === "string";
const isFlag = (field: unknown): boolean => typeof field === "boolean";
const isCount = (field: unknown): boolean => Number.isSafeInteger(field);
const isSide = (field: unknown): boolean => field === "leader" || field === "follower";
const isBytes = (field: unknown): boolean => field instanceof Uint8Array;
const areBytes = (field: unknown): boolean => Array.isArray(field) && field.every(isBytes);

/** What each message has to have. */
const FIELDS: Readonly<
  Record<Message["type"], Readonly<Record<string, (field: unknown) => boolean>>>
> = {
  hello: { from: isText, version: isBytes, wantsWhole: isFlag },
  write: { from: isText, number: isCount, sync: isFlag, parts: areBytes, isWhole: isFlag },
  bye: { from: isText },
  leader: { term: isCount, version: isBytes },
  welcome: { term: isCount, to: isText, version: isBytes, parts: areBytes, isWhole: isFlag },
  news: { term: isCount, delta: isBytes, version: isBytes, sync: isFlag },
  kept: { term: isCount, to: isText, number: isCount, version: isBytes, sync: isFlag },
  behind: { term: isCount, to: isText, number: isCount, side: isSide },
  refused: { term: isCount, to: isText, number: isCount, code: isText, reason: isText },
};
