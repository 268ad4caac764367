/**
 * What the native addon and the WASM build have in common on this side of the boundary: calls by name whose arguments and answers lie
 * on a desk, memory that both sides see. It begins with 64 bytes for ids, seeds and digests (the head), then has 8 numbers, and the
 * rest is for bytes (the body). Each call takes a handle and the length of its bytes, and answers a number: from 0 its result or the
 * length of the bytes that it answers, below 0 an error. crates/core/src/host.rs is the other side.
 */

import { LastwriteError } from "../errors.ts";
import type {
  Backend,
  Changes,
  ChangesOptions,
  Engine,
  EngineDictionary,
  EngineDictionaryOptions,
  EngineValue,
  ExportOptions,
  JournalOptions,
  MergeReport,
  ScanRange,
  ScratchMerge,
} from "./contract.ts";
import { failure, poisoned } from "./failure.ts";

/** `long` is what does not fit on the desk, where the engine does not see the memory of JavaScript otherwise. */
export type Call = (handle: number, length: number, long?: Uint8Array) => number;

/** The calls, and the numbers that each expects on the desk. */
export interface Calls {
  /** driftMaxMs, number of parts (−1: empty). Head: replica id, spare id, seed of the hash. */
  readonly create: Call;
  readonly close: Call;
  /** now, key length, form of the value, number. */
  readonly set: Call;
  /** now, key length, form of the value, number, milliseconds, counter. Head: replica id. */
  readonly writeAt: Call;
  /** now. */
  readonly deletePrefix: Call;
  readonly size: Call;
  readonly stampOf: Call;
  /** Lengths of prefix, from and to (−1: none), reverse, limit. */
  readonly scan: Call;
  readonly begin: Call;
  readonly commit: Call;
  readonly rollback: Call;
  /** now, how. */
  readonly merge: Call;
  readonly refusals: Call;
  readonly patch: Call;
  /** Number of parts. */
  readonly watch: Call;
  readonly version: Call;
  readonly horizon: Call;
  readonly frontier: Call;
  readonly collector: Call;
  /** now. Head: id. */
  readonly setCollector: Call;
  readonly digest: Call;
  readonly replicaId: Call;
  /** Head: id. */
  readonly setSpareId: Call;
  /** partBytesMax, stampLimitMs, without base. */
  readonly delta: Call;
  /** partBytesMax, stampLimitMs. */
  readonly snapshot: Call;
  /** partBytesMax, stampLimitMs, seq, with frontier. */
  readonly changesSince: Call;
  readonly head: Call;
  /** partBytesMax, whole. */
  readonly journal: Call;
  readonly isJournalBroken: Call;
  readonly replay: Call;
  /** Head: id. */
  readonly setReplicaId: Call;
  /** now. */
  readonly collectTombstones: Call;
  /** now. */
  readonly restamp: Call;
  /** now, number of parts. */
  readonly reread: Call;
  /** Head: seed. */
  readonly fingerprints: Call;
  /** Head: seed. */
  readonly hashes: Call;
  /** partBytesMax, stampLimitMs. Head: seed. */
  readonly entriesByHash: Call;
  readonly decodeEntries: Call;
  readonly encodeEntries: Call;
  /** now, driftMaxMs, length of the held entries. */
  readonly scratchMerge: Call;
  /** Which part of the last answer. */
  readonly part: Call;
  readonly reason: Call;
  readonly release: Call;
}

/** Bytes of the desk, and where its numbers and its body begin. */
export const DESK_BYTES: number = 128 + 64 * 1024;
const NUMBERS = 64;
const BODY = 128;
const BODY_BYTES = DESK_BYTES - BODY;

/** Forms of a value, beside the tags 1 to 3 of null, false and true. */
export const FORM = {
  none: 0,
  null: 1,
  false: 2,
  true: 3,
  number: 4,
  utf8: 6,
  canonical: 7,
  ascii: 8,
} as const;

/** No key is longer; nor has it fewer bytes than this many units of UTF-16. */
const KEY_UNITS_MAX = 1024;
/** Above this, TextEncoder is quicker than a loop. */
const LOOP_UNITS_MAX = 64;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** One engine behind the boundary: its desk, its calls, and whether it can still be used. */
export abstract class Boundary {
  readonly calls: Calls;
  /** Views of the desk; new ones whenever the memory has moved. */
  head!: Uint8Array;
  numbers!: Float64Array;
  body!: Uint8Array;
  /** What the panic said that ended this engine. */
  protected panic: string | undefined;
  /** The argument of the next call, if it did not fit on the desk. */
  #long: Uint8Array | undefined;
  readonly #forgotten = new FinalizationRegistry<number>((handle) => {
    try {
      this.close(handle);
    } catch {
      // Nobody called who could be told; the next call of the engine says that it is out of use.
    }
  });

  constructor(calls: Calls) {
    this.calls = calls;
  }

  /** Begins a call: throws if the engine is out of use. */
  open(): void {
    if (this.panic !== undefined) throw poisoned(this.panic);
    // What an earlier call left that was refused half-way.
    this.#long = undefined;
  }

  /** Calls, and answers what the call answers if that is no error. */
  run(call: Call, handle: number, length: number): number {
    const long = this.#long;
    // Else it would be kept alive, and be handed to calls that it is not for.
    this.#long = undefined;
    let answer: number;
    try {
      answer = call(handle, length, long);
    } catch (error) {
      throw this.trapped(error);
    }
    if (this.numbers.length === 0) this.renew();
    return answer >= 0 ? answer : this.fail(answer);
  }

  /** Throws what an answer below 0 means. */
  fail(answer: number): never {
    let number = answer;
    let length = this.#reason();
    if (length < 0) {
      // Asking panicked; the message of that is the next reason.
      number = length;
      length = this.#reason();
    }
    const reason = length >= 0 ? decoder.decode(this.copy(length)) : "nothing";
    const error = failure(-number, reason);
    if (error !== undefined) throw error;
    this.panic = reason;
    throw poisoned(reason);
  }

  /** How long the reason is that then can be taken. */
  #reason(): number {
    try {
      const length = this.calls.reason(0, 0);
      if (this.numbers.length === 0) this.renew();
      return length;
    } catch (error) {
      throw this.trapped(error);
    }
  }

  /** Ends the engine, whose call threw `error`, and says so. */
  protected trapped(error: unknown): LastwriteError {
    this.panic = this.lastWords() ?? String(error);
    return poisoned(this.panic, error);
  }

  /** What a panic left behind that could only trap. */
  protected abstract lastWords(): string | undefined;

  /** Looks at the desk anew after the memory moved. */
  protected abstract renew(): void;

  /** Where the desk lies. */
  protected lay(buffer: ArrayBuffer, at: number): void {
    this.head = new Uint8Array(buffer, at, NUMBERS);
    this.numbers = new Float64Array(buffer, at + NUMBERS, (BODY - NUMBERS) / 8);
    this.body = new Uint8Array(buffer, at + BODY, BODY_BYTES);
  }

  /** Makes bytes the argument of the next call, and answers their length. */
  put(bytes: Uint8Array): number {
    if (bytes.length <= BODY_BYTES) this.body.set(bytes);
    else this.#long = this.lend(bytes);
    return bytes.length;
  }

  /** The same for several pieces, one after the other. */
  putAll(pieces: readonly Uint8Array[]): number {
    let length = 0;
    for (const piece of pieces) length += piece.length;
    const whole = length <= BODY_BYTES ? this.body : new Uint8Array(length);
    let at = 0;
    for (const piece of pieces) {
      whole.set(piece, at);
      at += piece.length;
    }
    return whole === this.body ? length : this.put(whole);
  }

  /** The same for a list of parts, whose lengths come first unless there is one. */
  putParts(parts: readonly Uint8Array[]): number {
    if (parts.length === 1) return this.put(parts[0] as Uint8Array);
    const lengths = new Uint8Array(parts.length * 4);
    const view = new DataView(lengths.buffer);
    parts.forEach((part, index) => view.setUint32(index * 4, part.length, true));
    return this.putAll([lengths, ...parts]);
  }

  /** Makes bytes that do not fit on the desk visible to the engine; what it answers is passed to the call. */
  protected abstract lend(bytes: Uint8Array): Uint8Array | undefined;

  /** Makes a key or prefix the argument, and answers how many bytes it has. One that is too long stays too long. */
  putKey(key: string): number {
    return this.putText(key.length > KEY_UNITS_MAX ? key.slice(0, KEY_UNITS_MAX + 1) : key, 0);
  }

  /** Writes text that fits into the body. */
  putText(text: string, at: number): number {
    const { body } = this;
    const { length } = text;
    if (length > LOOP_UNITS_MAX) return encoder.encodeInto(text, body.subarray(at)).written;
    for (let index = 0; index < length; index++) {
      const unit = text.charCodeAt(index);
      if (unit > 0x7f) return encoder.encodeInto(text, body.subarray(at)).written;
      body[at + index] = unit;
    }
    return length;
  }

  /** Makes key and value the argument, with the numbers that say what they are; answers how many bytes they have. */
  putEntry(key: string, value: EngineValue | undefined): number {
    const { numbers } = this;
    const keyLength = this.putKey(key);
    numbers[1] = keyLength;
    switch (typeof value) {
      case "number":
        numbers[2] = FORM.number;
        numbers[3] = value;
        return keyLength;
      case "string":
        numbers[2] = FORM.utf8;
        if (value.length * 3 <= BODY_BYTES - keyLength)
          return keyLength + this.putText(value, keyLength);
        return this.putAll([this.body.slice(0, keyLength), encoder.encode(value)]);
      case "boolean":
        numbers[2] = value ? FORM.true : FORM.false;
        return keyLength;
      case "undefined":
        numbers[2] = FORM.none;
        return keyLength;
      default:
        if (value === null) {
          numbers[2] = FORM.null;
          return keyLength;
        }
        numbers[2] = FORM.canonical;
        if (value.length > BODY_BYTES - keyLength)
          return this.putAll([this.body.slice(0, keyLength), value]);
        this.body.set(value, keyLength);
        return keyLength + value.length;
    }
  }

  /** Puts the limits of an export where the calls expect them. */
  putOptions({ partBytesMax = Infinity, stampLimitMs = Infinity }: ExportOptions = {}): void {
    const { numbers } = this;
    numbers[0] = partBytesMax;
    numbers[1] = stampLimitMs;
  }

  /** Puts an id or a seed into the head. */
  putWide(index: number, bytes: Uint8Array): void {
    if (bytes.length !== 16) {
      throw new LastwriteError(
        "invalid-argument",
        `an id or seed has 16 bytes, not ${bytes.length}`,
      );
    }
    this.head.set(bytes, index * 16);
  }

  /** The bytes of the last answer, which was this long. */
  take(length: number): Uint8Array {
    if (length <= BODY_BYTES) return this.copy(length);
    const bytes = this.copyLong(length);
    this.run(this.calls.release, 0, 0);
    return bytes;
  }

  /** All parts of the last answer, of which the first has this length; maybe there are none. */
  takeParts(length: number): Uint8Array[] {
    const count = this.numbers[0] as number;
    if (count === 0) return [];
    if (count === 1) return [this.take(length)];
    const parts = [this.copy(length)];
    for (let index = 1; index < count; index++) {
      this.numbers[0] = index;
      parts.push(this.copy(this.run(this.calls.part, 0, 0)));
    }
    this.run(this.calls.release, 0, 0);
    return parts;
  }

  /** Text of the last answer, which had so many bytes. */
  takeText(length: number): string {
    if (length > BODY_BYTES) return decoder.decode(this.take(length));
    return decoder.decode(this.body.subarray(0, length));
  }

  protected copy(length: number): Uint8Array {
    return length <= BODY_BYTES ? this.body.slice(0, length) : this.copyLong(length);
  }

  protected abstract copyLong(length: number): Uint8Array;

  /** Frees the dictionary of `handle` when `dictionary` is forgotten. */
  remember(dictionary: BoundaryDictionary, handle: number): void {
    this.#forgotten.register(dictionary, handle, dictionary);
  }

  forget(dictionary: BoundaryDictionary): void {
    this.#forgotten.unregister(dictionary);
  }

  /** Frees a dictionary, if the engine still can. */
  close(handle: number): void {
    if (this.panic === undefined) this.run(this.calls.close, handle, 0);
  }
}

export abstract class BoundaryEngine<B extends Boundary> implements Engine {
  abstract readonly backend: Backend;
  protected readonly boundary: B;

  constructor(boundary: B) {
    this.boundary = boundary;
  }

  protected abstract dictionary(boundary: B, handle: number): EngineDictionary;

  create({ replicaId, spareId, driftMaxMs, snapshot }: EngineDictionaryOptions): EngineDictionary {
    const { boundary } = this;
    boundary.open();
    const length = snapshot === undefined ? 0 : boundary.putParts(snapshot);
    boundary.putWide(0, replicaId);
    boundary.putWide(1, spareId);
    // Keys crafted to collide under one seed do not under another, and nobody knows this one.
    boundary.putWide(2, crypto.getRandomValues(new Uint8Array(16)));
    boundary.numbers[0] = driftMaxMs;
    boundary.numbers[1] = snapshot === undefined ? -1 : snapshot.length;
    return this.dictionary(boundary, boundary.run(boundary.calls.create, 0, length));
  }

  decodeEntries(frame: Uint8Array): Uint8Array {
    const { boundary } = this;
    boundary.open();
    return boundary.take(boundary.run(boundary.calls.decodeEntries, 0, boundary.put(frame)));
  }

  encodeEntries(columns: Uint8Array): Uint8Array {
    const { boundary } = this;
    boundary.open();
    return boundary.take(boundary.run(boundary.calls.encodeEntries, 0, boundary.put(columns)));
  }

  scratchMerge(held: Uint8Array, frame: Uint8Array, now: number, driftMaxMs: number): ScratchMerge {
    const { boundary } = this;
    boundary.open();
    const argument = boundary.putAll([held, frame]);
    boundary.numbers[0] = now;
    boundary.numbers[1] = driftMaxMs;
    boundary.numbers[2] = held.length;
    const length = boundary.run(boundary.calls.scratchMerge, 0, argument);
    const refusedCount = boundary.numbers[0];
    const digestDifference = boundary.head.slice(0, 16);
    return { winners: boundary.take(length), digestDifference, refusedCount };
  }
}

/** A dictionary behind the boundary; how a single key is read and written is for each backend. */
export abstract class BoundaryDictionary<
  B extends Boundary = Boundary,
> implements EngineDictionary {
  protected readonly boundary: B;
  protected readonly handle: number;

  constructor(boundary: B, handle: number) {
    this.boundary = boundary;
    this.handle = handle;
    boundary.remember(this, handle);
  }

  abstract get(key: string): EngineValue | undefined;
  abstract has(key: string): boolean;
  abstract set(key: string, value: EngineValue, now: number): number;
  abstract delete(key: string, now: number): number;

  writeAt(
    key: string,
    value: EngineValue | undefined,
    millis: number,
    counter: number,
    replicaId: Uint8Array,
    now: number,
  ): number {
    const { boundary } = this;
    boundary.open();
    const length = boundary.putEntry(key, value);
    boundary.putWide(0, replicaId);
    boundary.numbers[0] = now;
    boundary.numbers[4] = millis;
    boundary.numbers[5] = counter;
    return this.#call("writeAt", length);
  }

  deletePrefix(prefix: string, now: number): number {
    const { boundary } = this;
    boundary.open();
    const length = boundary.putKey(prefix);
    boundary.numbers[0] = now;
    return this.#call("deletePrefix", length);
  }

  size(): number {
    this.boundary.open();
    return this.#call("size");
  }

  stampOf(key: string): Uint8Array | undefined {
    const { boundary } = this;
    boundary.open();
    const length = this.#call("stampOf", boundary.putKey(key));
    return length === 0 ? undefined : boundary.take(length);
  }

  scan({ prefix = "", from, to, reverse = false, limit }: ScanRange): Uint8Array {
    const { boundary } = this;
    boundary.open();
    const pieces: Uint8Array[] = [];
    [prefix, from, to].forEach((bound, index) => {
      const piece = bound === undefined ? undefined : encoder.encode(bound);
      if (piece !== undefined) pieces.push(piece);
      boundary.numbers[index] = piece === undefined ? -1 : piece.length;
    });
    boundary.numbers[3] = reverse ? 1 : 0;
    boundary.numbers[4] = limit;
    return boundary.take(this.#call("scan", boundary.putAll(pieces)));
  }

  begin(): void {
    this.boundary.open();
    this.#call("begin");
  }

  commit(): void {
    this.boundary.open();
    this.#call("commit");
  }

  rollback(): void {
    this.boundary.open();
    this.#call("rollback");
  }

  merge(frame: Uint8Array, now: number, how: number): MergeReport {
    const { boundary } = this;
    boundary.open();
    const length = boundary.put(frame);
    boundary.numbers[0] = now;
    boundary.numbers[1] = how;
    return this.#report(boundary.run(boundary.calls.merge, this.handle, length));
  }

  refusals(): Uint8Array {
    return this.#ask("refusals");
  }

  patch(): Uint8Array {
    return this.#ask("patch");
  }

  watch(prefixes: readonly string[]): void {
    const { boundary } = this;
    boundary.open();
    const length = boundary.putParts(prefixes.map((prefix) => encoder.encode(prefix)));
    boundary.numbers[0] = prefixes.length;
    this.#call("watch", length);
  }

  version(): Uint8Array {
    const { boundary } = this;
    boundary.open();
    return boundary.take(boundary.run(boundary.calls.version, this.handle, 0));
  }

  horizon(): Uint8Array {
    return this.#ask("horizon");
  }

  frontier(): Uint8Array {
    return this.#ask("frontier");
  }

  collector(): Uint8Array | undefined {
    const id = this.#ask("collector");
    return id.length === 0 ? undefined : id;
  }

  setCollector(storeId: Uint8Array, now: number): void {
    this.boundary.open();
    this.boundary.putWide(0, storeId);
    this.boundary.numbers[0] = now;
    this.#call("setCollector");
  }

  digest(): Uint8Array {
    return this.#ask("digest");
  }

  replicaId(): Uint8Array {
    return this.#ask("replicaId");
  }

  setSpareId(id: Uint8Array): void {
    this.boundary.open();
    this.boundary.putWide(0, id);
    this.#call("setSpareId");
  }

  delta(base: Uint8Array | undefined, options?: ExportOptions): Uint8Array[] {
    const { boundary } = this;
    boundary.open();
    const length = base === undefined ? 0 : boundary.put(base);
    boundary.putOptions(options);
    boundary.numbers[2] = base === undefined ? 1 : 0;
    return boundary.takeParts(boundary.run(boundary.calls.delta, this.handle, length));
  }

  snapshot(options?: ExportOptions): Uint8Array[] {
    this.boundary.open();
    this.boundary.putOptions(options);
    return this.boundary.takeParts(this.#call("snapshot"));
  }

  changesSince(seq: number, { since, ...limits }: ChangesOptions = {}): Changes {
    const { boundary } = this;
    boundary.open();
    const argument = since === undefined ? 0 : boundary.put(since);
    boundary.putOptions(limits);
    boundary.numbers[2] = seq;
    boundary.numbers[3] = since === undefined ? 0 : 1;
    const length = this.#call("changesSince", argument);
    const next = boundary.numbers[0] as number;
    const atHead = boundary.numbers[1] === 1;
    return { frame: boundary.take(length), next, atHead };
  }

  head(): number {
    this.boundary.open();
    return this.#call("head");
  }

  journal(
    attributes: Uint8Array,
    { whole = false, partBytesMax = Infinity }: JournalOptions = {},
  ): Uint8Array[] {
    const { boundary } = this;
    boundary.open();
    const length = boundary.put(attributes);
    boundary.numbers[0] = partBytesMax;
    boundary.numbers[1] = whole ? 1 : 0;
    return boundary.takeParts(this.#call("journal", length));
  }

  isJournalBroken(): boolean {
    this.boundary.open();
    return this.#call("isJournalBroken") === 1;
  }

  replay(frame: Uint8Array): void {
    const { boundary } = this;
    boundary.open();
    this.#call("replay", boundary.put(frame));
  }

  setReplicaId(id: Uint8Array): void {
    this.boundary.open();
    this.boundary.putWide(0, id);
    this.#call("setReplicaId");
  }

  collectTombstones(horizon: Uint8Array, now: number): number {
    const { boundary } = this;
    boundary.open();
    const length = boundary.put(horizon);
    boundary.numbers[0] = now;
    return this.#call("collectTombstones", length);
  }

  restamp(now: number): number {
    this.boundary.open();
    this.boundary.numbers[0] = now;
    return this.#call("restamp");
  }

  reread(parts: readonly Uint8Array[], now: number): MergeReport {
    const { boundary } = this;
    boundary.open();
    const length = boundary.putParts(parts);
    boundary.numbers[0] = now;
    boundary.numbers[1] = parts.length;
    return this.#report(this.#call("reread", length));
  }

  fingerprints(seed: Uint8Array, ranges: Uint8Array): Uint8Array {
    return this.#askSeeded("fingerprints", seed, ranges);
  }

  hashes(seed: Uint8Array, ranges: Uint8Array): Uint8Array {
    return this.#askSeeded("hashes", seed, ranges);
  }

  entriesByHash(seed: Uint8Array, hashes: Uint8Array, options?: ExportOptions): Uint8Array {
    this.boundary.open();
    this.boundary.putOptions(options);
    return this.#askSeeded("entriesByHash", seed, hashes);
  }

  close(): void {
    this.boundary.forget(this);
    this.boundary.close(this.handle);
  }

  #call(name: keyof Calls, length = 0): number {
    return this.boundary.run(this.boundary.calls[name], this.handle, length);
  }

  #ask(name: keyof Calls): Uint8Array {
    this.boundary.open();
    return this.boundary.take(this.#call(name));
  }

  #askSeeded(name: keyof Calls, seed: Uint8Array, bytes: Uint8Array): Uint8Array {
    const { boundary } = this;
    boundary.open();
    const length = boundary.put(bytes);
    boundary.putWide(0, seed);
    return boundary.take(this.#call(name, length));
  }

  /** Reads the numbers of a merge, whose answer has three bits. */
  #report(bits: number): MergeReport {
    const { numbers } = this.boundary;
    return {
      applied: numbers[0] as number,
      ignored: numbers[1] as number,
      refusedCount: numbers[2] as number,
      complete: (bits & 1) !== 0,
      cloned: (bits & 2) !== 0,
      patched: (bits & 4) !== 0,
    };
  }
}
