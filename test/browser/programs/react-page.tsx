/** The hooks of lastwrite/react in a page: every scenario answers what was seen, as plain data. */

import {
  createDictionary,
  type Dictionary,
  loadEngine,
  open,
  type ReadRange,
  type Store,
  type Value,
} from "lastwrite";
import { memoryPersistence } from "lastwrite/persistence/memory";
import {
  type Entry,
  useEntries,
  useEntry,
  usePresence,
  useStatus,
  useStore,
} from "lastwrite/react";
import {
  act,
  Component,
  memo,
  type ReactNode,
  startTransition,
  StrictMode,
  useEffect,
  useLayoutEffect,
  useState,
} from "react";
import { createRoot, hydrateRoot, type Root } from "react-dom/client";
import { renderToString } from "react-dom/server.browser";

import { memoryLink } from "../../../ts/transport/memory.ts";

declare global {
  var scenarios: Record<ScenarioName, (seed: number) => Promise<unknown>>;
  var IS_REACT_ACT_ENVIRONMENT: boolean;
}

export type ScenarioName =
  | "otherKeys"
  | "references"
  | "changingKeyAndStore"
  | "writesOfEffects"
  | "entriesOfRanges"
  | "randomWrites"
  | "tearing"
  | "hydration"
  | "storeOfStrictMode"
  | "storeGivenUp"
  | "storeFailed"
  | "closedStore"
  | "statusOfConnection"
  | "presence";

globalThis.IS_REACT_ACT_ENVIRONMENT = true;

const engine = await loadEngine();

/** A dictionary, and a root to render into. */
class Stage {
  readonly dictionary: Dictionary = createDictionary({ engine });
  readonly element: HTMLElement = document.body.appendChild(document.createElement("div"));
  readonly root: Root = createRoot(this.element);
  /** How often each component was rendered. */
  readonly renders: Record<string, number> = {};
  /** Subscriptions that are not ended. */
  subscriptionCount = 0;

  constructor() {
    const { dictionary } = this;
    const subscribe = dictionary.subscribe.bind(dictionary);
    dictionary.subscribe = (range, listener) => {
      const stop = subscribe(range, listener);
      this.subscriptionCount++;
      return () => {
        this.subscriptionCount--;
        stop();
      };
    };
  }

  get text(): string {
    return this.element.textContent;
  }

  count(name: string): void {
    this.renders[name] = (this.renders[name] ?? 0) + 1;
  }

  takeRenders(): Record<string, number> {
    const taken = { ...this.renders };
    for (const name of Object.keys(this.renders)) delete this.renders[name];
    return taken;
  }

  render(what: ReactNode): Promise<void> {
    return act(async () => this.root.render(what));
  }

  /** Runs `fn`, and waits until React has done all that follows. */
  async after(fn: () => void): Promise<string> {
    await act(async () => fn());
    return this.text;
  }
}

/** Shows one key. */
function Shown({ stage, name }: { readonly stage: Stage; readonly name: string }): ReactNode {
  stage.count(name);
  return <p>{JSON.stringify(useEntry(stage.dictionary, name)) ?? "nothing"}</p>;
}

async function otherKeys(): Promise<unknown> {
  const stage = new Stage();
  const { dictionary } = stage;
  await stage.render(
    ["a", "b", "ab"].map((name) => <Shown key={name} stage={stage} name={name} />),
  );
  const seen: unknown[] = [[stage.text, stage.takeRenders()]];
  const note = async (fn: () => void): Promise<void> => {
    await stage.after(fn);
    seen.push([stage.text, stage.takeRenders()]);
  };
  await note(() => dictionary.set("a", 1));
  await note(() => dictionary.set("a", 1)); // a new stamp, and no change
  await note(() => dictionary.set("ab", { deep: [1] }));
  await note(() => dictionary.set("ab", { deep: [1] }));
  await note(() => dictionary.set("abc", 1));
  await note(() => dictionary.delete("a"));
  await note(() => dictionary.deletePrefix(""));
  await stage.render(null);
  return { seen, subscriptionCount: stage.subscriptionCount };
}

/** References that a component was given, at each rendering. */
async function references(): Promise<unknown> {
  const stage = new Stage();
  const { dictionary } = stage;
  dictionary.set("object", { list: [1, 2] });
  dictionary.set("bytes", new Uint8Array([1, 2]));
  dictionary.set("date", new Date(0));
  const given: Value[][] = [];
  let rerender = (): void => {};
  function Parent(): ReactNode {
    const [count, setCount] = useState(0);
    rerender = () => setCount(count + 1);
    const one = ["object", "bytes", "date"].map((key) => useEntry(dictionary, key) as Value);
    given.push([...one, useEntry(dictionary, "object") as Value]);
    return count;
  }
  await stage.render(
    <StrictMode>
      <Parent />
    </StrictMode>,
  );
  const first = given.length - 1;
  await stage.after(() => rerender());
  await stage.after(() => {
    dictionary.set("object", { list: [1, 2] });
    dictionary.set("bytes", new Uint8Array([1, 2]));
    dictionary.set("date", new Date(0));
  });
  await stage.after(() => rerender());
  const kept = given
    .slice(first)
    .every((each) => each.every((value, at) => value === given[first]?.[at]));
  await stage.after(() => dictionary.set("object", { list: [1, 3] }));
  const last = given.at(-1) as Value[];
  return {
    renderCount: given.length,
    kept,
    changed: last[0] !== given[first]?.[0],
    // Both hooks were told by one change.
    shared: last[0] === last[3],
    othersKept: last[1] === given[first]?.[1] && last[2] === given[first]?.[2],
  };
}

async function changingKeyAndStore(): Promise<unknown> {
  const stage = new Stage();
  const other = createDictionary({ engine });
  stage.dictionary.set("a", "first a");
  stage.dictionary.set("b", "first b");
  other.set("b", "other b");
  const seen: string[] = [];
  function View({
    from,
    name,
  }: {
    readonly from: Dictionary | undefined;
    readonly name: string;
  }): ReactNode {
    stage.count(name);
    const value = useEntry(from, name);
    seen.push(textOf(value));
    return textOf(value);
  }
  await stage.render(<View from={stage.dictionary} name="a" />);
  await stage.render(<View from={stage.dictionary} name="b" />);
  await stage.render(<View from={other} name="b" />);
  stage.takeRenders();
  await stage.after(() => {
    stage.dictionary.set("a", "unseen");
    stage.dictionary.set("b", "unseen");
  });
  const renders = stage.takeRenders();
  await stage.after(() => other.set("b", "other b again"));
  await stage.render(<View from={undefined} name="b" />);
  return { seen, renders, subscriptionCount: stage.subscriptionCount };
}

/** Writes that come after the rendering, and before React has subscribed. */
async function writesOfEffects(): Promise<unknown> {
  const stage = new Stage();
  const { dictionary } = stage;
  dictionary.set("tasks/1", { is: "one" });
  const given: (readonly Entry[])[] = [];
  function Writer(): ReactNode {
    useLayoutEffect(() => {
      dictionary.set("title", "of a layout effect");
      dictionary.set("tasks/2", "of a layout effect");
    }, []);
    useEffect(() => {
      dictionary.set("tasks/3", "of an effect");
    }, []);
    return null;
  }
  function View(): ReactNode {
    const title = useEntry(dictionary, "title");
    const tasks = useEntries(dictionary, { prefix: "tasks/" });
    given.push(tasks);
    return (
      <>
        <Writer />
        {textOf(title)} {tasks.map(([key]) => key).join(" ")}
      </>
    );
  }
  await stage.render(<View />);
  return { text: stage.text, kept: given[0]?.[0] === given.at(-1)?.[0] && given.length > 1 };
}

const Row = memo(function Row({
  stage,
  entry,
}: {
  readonly stage: Stage;
  readonly entry: Entry;
}): ReactNode {
  stage.count(entry[0]);
  return <li>{JSON.stringify(entry)}</li>;
});

async function entriesOfRanges(): Promise<unknown> {
  const stage = new Stage();
  const { dictionary } = stage;
  for (const key of ["a/1", "a/2", "a/3", "b/1"]) dictionary.set(key, key);
  const arrays: (readonly Entry[])[] = [];
  function List({ range }: { readonly range: ReadRange }): ReactNode {
    stage.count("list");
    const entries = useEntries(dictionary, { ...range });
    arrays.push(entries);
    return entries.map((entry) => <Row key={entry[0]} stage={stage} entry={entry} />);
  }
  const seen: unknown[] = [];
  const note = async (fn: () => void): Promise<void> => {
    await stage.after(fn);
    seen.push([
      arrays
        .at(-1)
        ?.map(([key]) => key)
        .join(" "),
      stage.takeRenders(),
    ]);
  };
  const show = (range: ReadRange): Promise<void> => stage.render(<List range={range} />);

  await show({ prefix: "a/" });
  await note(() => {});
  // An object of the same bounds is the same range.
  await show({ prefix: "a/" });
  await note(() => {});
  const isSameArray = arrays.at(-1) === arrays.at(-2);
  await note(() => dictionary.set("b/1", "outside"));
  await note(() => dictionary.set("a/2", "inside"));
  await note(() => dictionary.set("a/2", "inside"));
  await note(() => dictionary.set("a/15", "between"));
  await note(() => dictionary.delete("a/1"));
  await note(() => {
    for (let count = 0; count < 1000; count++) dictionary.set("a/2", count);
  });
  await show({ prefix: "b/" });
  await note(() => {});
  await show({ prefix: "a/", reverse: true });
  await note(() => {});
  await note(() => dictionary.set("a/25", "between"));
  await show({ from: "a/15", to: "a/3", limit: 2 });
  await note(() => {});
  await note(() => dictionary.set("a/26", "beyond the limit"));
  await note(() => dictionary.delete("a/15"));
  await stage.render(null);
  return { seen, isSameArray, subscriptionCount: stage.subscriptionCount };
}

/** Random writes, seen through several ranges at once; answers where what is shown differs from what is there. */
async function randomWrites(seed: number): Promise<unknown> {
  const stage = new Stage();
  const { dictionary } = stage;
  const remote = createDictionary({ engine });
  const random = randomFrom(seed);
  const key = (): string => `${pick(random, ["", "ä/", "b/", "𝄞/"])}${Math.floor(random() * 30)}`;
  const ranges: readonly ReadRange[] = [
    {},
    { reverse: true },
    { prefix: "ä/" },
    { from: "1", to: "b/2" },
    { limit: 5 },
    { prefix: "b/", limit: 3, reverse: true },
  ];
  const shown: (readonly Entry[])[] = [];
  function View({ at, range }: { readonly at: number; readonly range: ReadRange }): ReactNode {
    shown[at] = useEntries(dictionary, range);
    return null;
  }
  await stage.render(ranges.map((range, at) => <View key={at} at={at} range={range} />));
  const differing: unknown[] = [];
  let stepCount = 0;
  for (; stepCount < 150; stepCount++) {
    await act(async () => {
      for (let left = Math.floor(random() * 6); left >= 0; left--) {
        const sort = random();
        if (sort < 0.5) dictionary.set(key(), Math.floor(random() * 4));
        else if (sort < 0.75) dictionary.delete(key());
        else if (sort < 0.78) dictionary.deletePrefix(pick(random, ["ä/", "b/", "𝄞/"]));
        else if (sort < 0.9) remote.set(key(), [Math.floor(random() * 4)]);
        else dictionary.merge(remote.deltaSince(dictionary.version()));
      }
    });
    for (const [at, range] of ranges.entries()) {
      const there = [...dictionary.entries(range)];
      if (JSON.stringify(there) !== JSON.stringify(shown[at]))
        differing.push({ range, there, shown: shown[at] });
    }
  }
  return { differing, stepCount, size: dictionary.size };
}

/** A rendering that is interrupted by a write: no commit may show the old value beside the new one. */
async function tearing(): Promise<unknown> {
  globalThis.IS_REACT_ACT_ENVIRONMENT = false;
  const stage = new Stage();
  const { dictionary } = stage;
  dictionary.set("value", 0);
  const commits = new Set<string>();
  function Slow(): ReactNode {
    const end = performance.now() + 4;
    while (performance.now() < end);
    return (
      <i>
        {textOf(useEntry(dictionary, "value"))}
        {useEntries(dictionary).map(([, value]) => textOf(value))}{" "}
      </i>
    );
  }
  let show = (_isShown: boolean): void => {};
  function Parent(): ReactNode {
    const [isShown, setIsShown] = useState(false);
    show = setIsShown;
    return isShown ? Array.from({ length: 30 }, (_, at) => <Slow key={at} />) : "nothing yet";
  }
  const observer = new MutationObserver(() => commits.add(stage.text));
  observer.observe(stage.element, { childList: true, subtree: true, characterData: true });
  stage.root.render(<Parent />);
  await until(() => stage.text === "nothing yet");
  startTransition(() => show(true));
  let written = 0;
  // Turns of the event loop that the rendering leaves.
  while (
    !stage.text.includes("0") &&
    !stage.text.includes(String(written) || "-") &&
    written < 500
  ) {
    await new Promise((resolve) => setTimeout(resolve, 1));
    if (stage.text !== "nothing yet") break;
    dictionary.set("value", ++written);
  }
  await until(() => stage.text.startsWith(`${written}${written} `));
  observer.disconnect();
  globalThis.IS_REACT_ACT_ENVIRONMENT = true;
  const torn = [...commits].filter(
    (text) => text !== "nothing yet" && new Set(text.trim().split(" ")).size > 1,
  );
  return { torn, written: written > 0, commits: commits.size > 0 };
}

/** What a server rendered, taken over by the page. */
async function hydration(): Promise<unknown> {
  const stage = new Stage();
  const { dictionary } = stage;
  dictionary.set("title", "Ship it");
  let opened = 0;
  const never = (): Promise<Store> => {
    opened++;
    return new Promise(() => {});
  };
  function View(): ReactNode {
    const { state, store } = useStore(never);
    const { status, pendingCount } = useStatus(store);
    const entries = useEntries(dictionary).length;
    return (
      <p>{`${state} ${status} ${pendingCount} ${textOf(useEntry(dictionary, "title"))} ${entries}`}</p>
    );
  }
  const html = renderToString(<View />);
  const openedOnServer = opened;
  const element = document.body.appendChild(document.createElement("div"));
  element.innerHTML = html;
  const before = element.firstChild;
  const complaints: string[] = [];
  await act(async () => {
    hydrateRoot(element, <View />, {
      onRecoverableError: (error) => complaints.push(String(error)),
    });
  });
  await act(async () => void dictionary.set("title", "Shipped"));
  return {
    html,
    complaints,
    isSameElement: element.firstChild === before,
    text: element.textContent,
    openedOnServer,
    opened,
  };
}

/** Stores that a test opens: each in a place of its own, or all in one. */
class Opener {
  readonly place = memoryPersistence();
  readonly log: string[] = [];
  readonly stores: Store[] = [];

  readonly open = async (name: string): Promise<Store> => {
    this.log.push(`open ${name}`);
    const persistence = name.startsWith("exclusive")
      ? memoryPersistence({ of: this.place })
      : memoryPersistence();
    const store = await open({ persistence, engine });
    store.on("close", () => this.log.push(`closed ${name}`));
    this.stores.push(store);
    return store;
  };
}

function Room({ opener, name }: { readonly opener: Opener; readonly name: string }): ReactNode {
  const { state, store, error } = useStore(() => opener.open(name), [opener, name]);
  const title = useEntry(store, "title");
  return `${name} ${state} ${textOf(title)} ${useEntries(store).length} ${useStatus(store).status} ${textOf(error ?? "")}`;
}

async function storeOfStrictMode(): Promise<unknown> {
  const stage = new Stage();
  const opener = new Opener();
  const seen: string[] = [];
  const show = async (name: string | undefined, key = ""): Promise<void> => {
    const room = name === undefined ? null : <Room key={key} opener={opener} name={name} />;
    await stage.render(<StrictMode>{room}</StrictMode>);
    await settled(stage);
    seen.push(stage.text);
  };
  await show("one");
  await stage.after(() => opener.stores[0]?.set("title", "Ship it"));
  seen.push(stage.text);
  await show("two");
  await show(undefined);
  // Another component of the same place, while the first still has it.
  await show("exclusive 1", "first");
  await stage.after(() => opener.stores.at(-1)?.set("title", "kept"));
  await show("exclusive 1", "second");
  await show("exclusive 2", "second");
  await show(undefined);
  await until(() => opener.log.at(-1) === "closed exclusive 2");
  return { seen, log: opener.log };
}

/** Gone before it was opened. */
async function storeGivenUp(): Promise<unknown> {
  const stage = new Stage();
  const log: string[] = [];
  let resolve = (_store: Store): void => {};
  function Late(): ReactNode {
    const { state } = useStore((signal) => {
      signal.addEventListener("abort", () => log.push("aborted"));
      return new Promise<Store>((resolved) => {
        resolve = resolved;
      });
    });
    return state;
  }
  await stage.render(<Late />);
  log.push(stage.text);
  await stage.render("gone");
  const store = await open({ persistence: memoryPersistence(), engine });
  store.on("close", () => log.push("closed"));
  resolve(store);
  await until(() => log.includes("closed"));
  return log;
}

class Boundary extends Component<{ readonly children: ReactNode }, { readonly message?: string }> {
  override state: { readonly message?: string } = {};

  static getDerivedStateFromError(error: Error): { readonly message: string } {
    return { message: error.message };
  }

  override render(): ReactNode {
    return this.state.message ?? this.props.children;
  }
}

async function storeFailed(): Promise<unknown> {
  const stage = new Stage();
  let isThrowing = false;
  function Failing(): ReactNode {
    const { state, error } = useStore(() => Promise.reject(new Error("no such place")));
    if (isThrowing && error !== undefined) throw error;
    return `${state}: ${textOf(error ?? "")}`;
  }
  await stage.render(<Failing />);
  const asState = stage.text;
  isThrowing = true;
  await stage.render(
    <Boundary>
      <Failing key="again" />
    </Boundary>,
  );
  return { asState, byBoundary: stage.text };
}

/** A store that is closed while components still read it. */
async function closedStore(): Promise<unknown> {
  const stage = new Stage();
  const store = await open({ persistence: memoryPersistence(), engine });
  store.set("title", "Ship it");
  function View({ name }: { readonly name: string }): ReactNode {
    const count = useEntries(store).length;
    return `${textOf(useEntry(store, name))} ${count} ${useStatus(store).status}`;
  }
  await stage.render(<View name="title" />);
  const before = stage.text;
  await act(() => store.close());
  const after = stage.text;
  await stage.render(<View name="other" />);
  return { before, after, other: stage.text };
}

async function statusOfConnection(): Promise<unknown> {
  const stage = new Stage();
  const { left, right } = memoryLink();
  const peer = await open({ persistence: memoryPersistence(), engine });
  let connect = (): void => {};
  const store = await open({
    persistence: memoryPersistence(),
    engine,
    connect: {
      name: "peer",
      connect: () =>
        new Promise((resolve) => {
          connect = () => resolve(left);
        }),
    },
  });
  const given: unknown[] = [];
  let rerender = (): void => {};
  function View(): ReactNode {
    const [count, setCount] = useState(0);
    rerender = () => setCount(count + 1);
    const state = useStatus(store);
    given.push(state);
    return `${state.status} ${state.pendingCount} ${state.reason?.code ?? "fine"}`;
  }
  await stage.render(<View />);
  const seen = [stage.text];
  await stage.after(() => rerender());
  const isSame = given.at(-1) === given.at(-2);
  await stage.after(() => store.set("title", "Ship it"));
  seen.push(stage.text);
  const isOffline = new Promise((resolve) => {
    store.on("status", ({ status }) => status === "offline" && resolve(status));
  });
  // The other side goes when both have everything.
  await act(async () => {
    connect();
    await peer.sync(right);
    await isOffline;
  });
  seen.push(stage.text);
  await act(() => store.close());
  seen.push(stage.text);
  const title = peer.get("title");
  await peer.close();
  return { seen, isSame, title };
}

/** Two stores that are connected; one of them is in a component. */
async function presence(): Promise<unknown> {
  const stage = new Stage();
  const { left, right } = memoryLink();
  const [ada, ben] = await Promise.all(
    [left, right].map((link) =>
      open({
        persistence: memoryPersistence(),
        engine,
        connect: { name: "other", connect: async () => link },
      }),
    ),
  );
  if (ada === undefined || ben === undefined) throw new Error("there are two");
  const given: unknown[] = [];
  let rerender = (): void => {};
  function People({ name }: { readonly name: string }): ReactNode {
    const [count, setCount] = useState(0);
    rerender = () => setCount(count + 1);
    const others = usePresence(ada, { name });
    given.push(others);
    return others.map(({ value }) => textOf(value)).join(" ");
  }
  const seenByBen = (): string => ben.presence.map(({ value }) => textOf(value)).join(" ");
  await stage.render(<People name="Ada" />);
  await act(() => until(() => seenByBen() !== ""));
  const seen = [seenByBen()];
  ben.setPresence({ name: "Ben" });
  await act(() => until(() => ada.presence.length > 0));
  seen.push(stage.text);
  await stage.after(() => rerender());
  const isSame = given.at(-1) === given.at(-2);
  await stage.render(<People name="Ada L." />);
  await act(() => until(() => seenByBen() !== seen[0]));
  seen.push(seenByBen());
  await stage.render("gone");
  await act(() => until(() => ben.presence.length === 0));
  seen.push(seenByBen());
  await stage.render(<People name="Ada" />);
  await act(() => ada.close());
  seen.push(stage.text);
  await ben.close();
  return { seen, isSame };
}

globalThis.scenarios = {
  otherKeys,
  references,
  changingKeyAndStore,
  writesOfEffects,
  entriesOfRanges,
  randomWrites,
  tearing,
  hydration,
  storeOfStrictMode,
  storeGivenUp,
  storeFailed,
  closedStore,
  statusOfConnection,
  presence,
};

/** Waits until no room is being opened. */
async function settled(stage: Stage): Promise<void> {
  await act(() => until(() => !stage.text.includes("opening")));
}

function textOf(value: unknown): string {
  if (typeof value === "string") return value;
  return value instanceof Error ? String(value) : (JSON.stringify(value) ?? "undefined");
}

/** Waits for something that no promise tells. */
async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 1));
}

function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

function pick<T>(random: () => number, from: readonly T[]): T {
  return from[Math.floor(random() * from.length)] as T;
}
