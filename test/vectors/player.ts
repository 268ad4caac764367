/** Plays the histories of the vectors: each step is one call of an engine, with all its arguments in the file. */

import { payloadOf, tagOf } from "../../ts/codec/plain.ts";
import { compareVersions } from "../../ts/codec/version.ts";
import {
  ADOPT,
  DIFFERENCE,
  type Engine,
  type EngineDictionary,
  type EngineValue,
  type ExportOptions,
  REPAIR,
} from "../../ts/engine/contract.ts";
import { fromHex, toHex } from "../suites/bytes.ts";
import { codeOf } from "../suites/replicas.ts";

/** A call. `on` names the replica; `as` keeps the answer for later steps, which name it by `$`. */
export interface Step {
  readonly do: string;
  readonly on?: string;
  readonly as?: string;
  /** What the call answers, or `{ error }`. */
  readonly gives?: Json;
  readonly [argument: string]: Json | undefined;
}

export type Json = null | boolean | number | string | readonly Json[] | { readonly [member: string]: Json };

export interface History {
  /** A sentence. */
  readonly name: string;
  readonly why: string;
  readonly steps: readonly Step[];
  /** What each replica holds after the last step. */
  readonly end: { readonly [replica: string]: Json };
}

/** The history with the answers of this engine in place of those that were there. */
export function play({ name, why, steps }: History, engine: Engine): History {
  const player = new Player(engine);
  try {
    const played = steps.map((step) => {
      const { gives: _, ...call } = step;
      const gives = player.play(call);
      return gives === undefined ? call : { ...call, gives };
    });
    return { name, why, steps: played, end: player.states() };
  } finally {
    player.close();
  }
}

/** An id of 16 bytes from the hex of its last ones. */
export function idFromHex(hex: string): Uint8Array {
  return fromHex(hex.padStart(32, "0"));
}

class Player {
  readonly #engine: Engine;
  readonly #replicas = new Map<string, EngineDictionary>();
  readonly #kept = new Map<string, readonly Uint8Array[]>();

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** Answers undefined where a call that succeeds has nothing to answer. */
  play(step: Step): Json | undefined {
    let answer: Answer;
    const error = errorOf(() => {
      answer = this.#call(step, new Arguments(step, this.#kept));
    });
    if (error !== undefined) return { error };
    if (step.as !== undefined) this.#kept.set(step.as, framesOf(answer));
    return jsonOf(answer);
  }

  states(): { [replica: string]: Json } {
    return Object.fromEntries(
      [...this.#replicas].map(([name, replica]) => [
        name,
        {
          digest: toHex(replica.digest()),
          version: toHex(replica.version()),
          snapshot: replica.snapshot().map(toHex),
          size: replica.size(),
          head: replica.head(),
        },
      ]),
    );
  }

  close(): void {
    for (const replica of this.#replicas.values()) replica.close();
  }

  #call(step: Step, given: Arguments): Answer {
    const engine = this.#engine;
    switch (step.do) {
      case "open": {
        const snapshot = given.has("snapshot") ? { snapshot: given.frames("snapshot") } : {};
        const opened = engine.create({
          replicaId: given.id("replica"),
          spareId: given.id("spare"),
          driftMaxMs: given.has("driftMaxMs") ? given.number("driftMaxMs") : 300_000,
          ...snapshot,
        });
        this.#replicas.get(given.text("on"))?.close();
        this.#replicas.set(given.text("on"), opened);
        return undefined;
      }
      case "decodeEntries":
        return engine.decodeEntries(given.frame("frame"));
      case "encodeEntries":
        return engine.encodeEntries(given.frame("columns"));
      case "scratchMerge": {
        const { winners, digestDifference, refusedCount } = engine.scratchMerge(
          given.frame("held"),
          given.frame("frame"),
          given.number("now"),
          given.number("driftMaxMs"),
        );
        return { winners, digestDifference, refused: refusedCount };
      }
      case "compareVersions":
        return compareVersions(given.frame("a"), given.frame("b"));
      default: {
        const replica = this.#replicas.get(given.text("on"));
        if (replica === undefined) throw new Error(`no replica ${given.text("on")} is open`);
        return callOn(replica, step, given);
      }
    }
  }
}

/** What a call answers, before it is JSON. */
type Answer =
  | undefined
  | boolean
  | number
  | string
  | Uint8Array
  | readonly Uint8Array[]
  | { readonly [member: string]: boolean | number | Uint8Array };

function callOn(replica: EngineDictionary, step: Step, given: Arguments): Answer {
  switch (step.do) {
    case "set":
      return replica.set(given.text("key"), given.value("value"), given.number("now"));
    case "delete":
      return replica.delete(given.text("key"), given.number("now"));
    case "writeAt":
      return replica.writeAt(
        given.text("key"),
        given.has("value") ? given.value("value") : undefined,
        given.number("millis"),
        given.number("counter"),
        given.id("replica"),
        given.number("now"),
      );
    case "deletePrefix":
      return replica.deletePrefix(given.text("prefix"), given.number("now"));
    case "get":
      return canonicalBytes(replica.get(given.text("key")));
    case "has":
      return replica.has(given.text("key"));
    case "size":
      return replica.size();
    case "stampOf":
      return replica.stampOf(given.text("key")) ?? new Uint8Array();
    case "scan":
      return replica.scan({
        ...(given.has("prefix") ? { prefix: given.text("prefix") } : {}),
        ...(given.has("from") ? { from: given.text("from") } : {}),
        ...(given.has("to") ? { to: given.text("to") } : {}),
        ...(given.has("reverse") ? { reverse: true } : {}),
        limit: given.has("limit") ? given.number("limit") : 1_000,
      });
    case "begin":
      replica.begin();
      return undefined;
    case "commit":
      replica.commit();
      return undefined;
    case "rollback":
      replica.rollback();
      return undefined;
    case "merge": {
      const how =
        (given.has("adopt") ? ADOPT : 0) |
        (given.has("repair") ? REPAIR : 0) |
        (given.has("difference") ? DIFFERENCE : 0);
      const report = replica.merge(given.frame("frame"), given.number("now"), how);
      return { ...report };
    }
    case "reread": {
      const report = replica.reread(given.frames("parts"), given.number("now"));
      return { ...report };
    }
    case "refusals":
      return replica.refusals();
    case "patch":
      return replica.patch();
    case "watch":
      replica.watch(given.texts("prefixes"));
      return undefined;
    case "version":
      return replica.version();
    case "horizon":
      return replica.horizon();
    case "collector":
      return replica.collector() ?? new Uint8Array();
    case "setCollector":
      replica.setCollector(given.id("store"), given.number("now"));
      return undefined;
    case "frontier":
      return replica.frontier();
    case "digest":
      return replica.digest();
    case "replicaId":
      return replica.replicaId();
    case "setSpareId":
      replica.setSpareId(given.id("id"));
      return undefined;
    case "delta":
      return replica.delta(given.has("base") ? given.frame("base") : undefined, given.exportOptions());
    case "snapshot":
      return replica.snapshot(given.exportOptions());
    case "changesSince": {
      const { frame, next, atHead } = replica.changesSince(given.number("seq"), {
        ...given.exportOptions(),
        ...(given.has("since") ? { since: given.frame("since") } : {}),
      });
      return { frame, next, atHead };
    }
    case "head":
      return replica.head();
    case "journal":
      return replica.journal(given.bytes("attributes"), {
        ...(given.has("partBytesMax") ? { partBytesMax: given.number("partBytesMax") } : {}),
        ...(given.has("whole") ? { whole: true } : {}),
      });
    case "isJournalBroken":
      return replica.isJournalBroken();
    case "replay":
      replica.replay(given.frame("frame"));
      return undefined;
    case "setReplicaId":
      replica.setReplicaId(given.id("id"));
      return undefined;
    case "collect":
      return replica.collectTombstones(given.frame("horizon"), given.number("now"));
    case "restamp":
      return replica.restamp(given.number("now"));
    case "fingerprints":
      return replica.fingerprints(fromHex(given.text("seed")), fromHex(given.text("ranges")));
    case "hashes":
      return replica.hashes(fromHex(given.text("seed")), fromHex(given.text("ranges")));
    case "entriesByHash":
      return replica.entriesByHash(
        fromHex(given.text("seed")),
        fromHex(given.text("hashes")),
        given.exportOptions(),
      );
    default:
      throw new Error(`there is no call ${step.do}`);
  }
}

/** The arguments of a step, each of the type that is asked for. */
class Arguments {
  readonly #step: Step;
  readonly #kept: ReadonlyMap<string, readonly Uint8Array[]>;

  constructor(step: Step, kept: ReadonlyMap<string, readonly Uint8Array[]>) {
    this.#step = step;
    this.#kept = kept;
  }

  has(name: string): boolean {
    return this.#step[name] !== undefined;
  }

  text(name: string): string {
    const text = this.#step[name];
    if (typeof text !== "string") throw new Error(`${this.#step.do} needs a text: ${name}`);
    return text;
  }

  texts(name: string): string[] {
    const texts = this.#step[name];
    if (!Array.isArray(texts)) throw new Error(`${this.#step.do} needs texts: ${name}`);
    return texts.map(String);
  }

  number(name: string): number {
    const number = this.#step[name];
    if (typeof number !== "number") throw new Error(`${this.#step.do} needs a number: ${name}`);
    return number;
  }

  id(name: string): Uint8Array {
    return idFromHex(this.text(name));
  }

  /** From hex; none where the argument is absent. */
  bytes(name: string): Uint8Array {
    return this.has(name) ? fromHex(this.text(name)) : new Uint8Array();
  }

  /** A primitive, or bytes as `{ canonical }`, or a number that JSON lacks as `{ number }`. */
  value(name: string): EngineValue {
    const value = this.#step[name];
    if (typeof value !== "object" || value === null) return value as EngineValue;
    const { canonical, number } = value as { canonical?: string; number?: string };
    return canonical === undefined ? Number(number) : fromHex(canonical);
  }

  /** `$name`, one of them by `$name.1`, or hex. */
  frames(name: string): Uint8Array[] {
    const given = this.#step[name];
    return (Array.isArray(given) ? (given as Json[]) : [given]).flatMap((frame) => {
      if (typeof frame !== "string") throw new Error(`${this.#step.do} needs frames: ${name}`);
      return this.#resolve(frame);
    });
  }

  frame(name: string): Uint8Array {
    const [frame, ...others] = this.frames(name);
    if (frame === undefined || others.length > 0) throw new Error(`${this.#step.do} needs one frame: ${name}`);
    return frame;
  }

  exportOptions(): ExportOptions {
    return {
      ...(this.has("partBytesMax") ? { partBytesMax: this.number("partBytesMax") } : {}),
      ...(this.has("stampLimitMs") ? { stampLimitMs: this.number("stampLimitMs") } : {}),
    };
  }

  #resolve(text: string): readonly Uint8Array[] {
    if (!text.startsWith("$")) return [fromHex(text)];
    const [name = "", index] = text.slice(1).split(".");
    const kept = this.#kept.get(name);
    if (kept === undefined) throw new Error(`nothing is kept as ${name}`);
    return index === undefined ? kept : kept.slice(Number(index), Number(index) + 1);
  }
}

function canonicalBytes(value: EngineValue | undefined): Uint8Array {
  if (value === undefined) return new Uint8Array();
  return value instanceof Uint8Array ? value : Uint8Array.of(tagOf(value), ...payloadOf(value));
}

function framesOf(answer: Answer): readonly Uint8Array[] {
  if (answer instanceof Uint8Array) return [answer];
  if (Array.isArray(answer)) return answer as Uint8Array[];
  if (typeof answer === "object" && "frame" in answer) return [answer["frame"] as Uint8Array];
  throw new Error("only bytes can be kept");
}

function jsonOf(answer: Answer): Json | undefined {
  if (answer instanceof Uint8Array) return toHex(answer);
  if (Array.isArray(answer)) return (answer as Uint8Array[]).map(toHex);
  if (typeof answer !== "object") return answer;
  return Object.fromEntries(
    Object.entries(answer).map(([name, member]) => [name, member instanceof Uint8Array ? toHex(member) : (member as Json)]),
  );
}

/** The code and side of what `call` throws on purpose, or undefined. */
function errorOf(call: () => void): string | undefined {
  try {
    call();
    return undefined;
  } catch (error) {
    return codeOf(() => {
      throw error;
    });
  }
}
