/** Random writes for the properties, and the replicas they make. */

import fc from "fast-check";

import { WON, type Engine, type EngineDictionary } from "../../ts/engine/contract.ts";
import { idOf, openReplica, pull } from "../suites/replicas.ts";

export type Operation =
  | { readonly kind: "set"; readonly at: number; readonly key: string; readonly value: number }
  | { readonly kind: "delete"; readonly at: number; readonly key: string }
  | { readonly kind: "deletePrefix"; readonly at: number; readonly prefix: string }
  | {
      readonly kind: "writeAt";
      readonly at: number;
      readonly key: string;
      readonly value: number | undefined;
      readonly millis: number;
      readonly counter: number;
      readonly stampReplica: number;
    }
  | { readonly kind: "pull"; readonly at: number; readonly from: number };

export const replicaNumbers = [1, 2, 3] as const;
export const startMs = 1_000;

const at = fc.constantFrom(...replicaNumbers);
const key = fc.constantFrom("k", "p/x", "p/q/y", "p/q/", "z");
const prefix = fc.constantFrom("", "p/", "p/q/");
const value = fc.integer({ min: 0, max: 5 });

/** Explicit stamps are few, so that many are equal. */
export const operation: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant("set"), at, key, value }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("delete"), at, key }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("deletePrefix"), at, prefix }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("writeAt"),
      at,
      key,
      value: fc.option(value, { nil: undefined }),
      millis: fc.integer({ min: startMs - 2, max: startMs + 12 }),
      counter: fc.integer({ min: 0, max: 1 }),
      stampReplica: fc.constantFrom(...replicaNumbers, 9),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("pull"), at, from: at }) },
);

export const operations: fc.Arbitrary<Operation[]> = fc.array(operation, {
  minLength: 1,
  maxLength: 20,
});

/** Three replicas after these operations, one each millisecond. */
export function replicasAfter(engine: Engine, list: readonly Operation[]): EngineDictionary[] {
  const replicas = replicaNumbers.map((number) => openReplica(engine, number));
  for (const [index, item] of list.entries()) perform(replicas, item, startMs + index);
  return replicas;
}

export function perform(replicas: readonly EngineDictionary[], item: Operation, now: number): void {
  const replica = replicaAt(replicas, item.at);
  switch (item.kind) {
    case "set":
      if ((replica.set(item.key, item.value, now) & WON) === 0) throw new Error("a set lost");
      break;
    case "delete":
      replica.delete(item.key, now);
      break;
    case "deletePrefix":
      replica.deletePrefix(item.prefix, now);
      break;
    case "writeAt":
      replica.writeAt(
        item.key,
        item.value,
        item.millis,
        item.counter,
        idOf(item.stampReplica),
        now,
      );
      break;
    case "pull":
      if (item.from !== item.at) pull(replica, replicaAt(replicas, item.from), now);
      break;
    default:
      item satisfies never;
  }
}

/** All orders of these items. */
export function* permutations<Item>(items: readonly Item[]): Generator<Item[]> {
  if (items.length <= 1) {
    yield [...items];
    return;
  }
  for (const [index, item] of items.entries()) {
    for (const rest of permutations([...items.slice(0, index), ...items.slice(index + 1)]))
      yield [item, ...rest];
  }
}

export function closeAll(replicas: readonly EngineDictionary[]): void {
  for (const replica of replicas) replica.close();
}

function replicaAt(replicas: readonly EngineDictionary[], number: number): EngineDictionary {
  const replica = replicas[number - 1];
  if (replica === undefined) throw new Error(`no replica ${number}`);
  return replica;
}
