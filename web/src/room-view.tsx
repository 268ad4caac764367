/** A room: its store, and all that is shown of it. */

import { loadEngine, open, type Store } from "lastwrite";
import { indexedDbPersistence } from "lastwrite/persistence/indexeddb";
import { memoryPersistence } from "lastwrite/persistence/memory";
import { type Entry, usePresence, useStatus, useStore } from "lastwrite/react";
import { type ReactNode, useCallback, useEffect, useMemo, useState } from "react";

import { Details } from "./details.tsx";
import { EntryForm } from "./entry-form.tsx";
import { EntryList, focusList } from "./entry-list.tsx";
import { Header } from "./header.tsx";
import { type Former, SeenHistory } from "./history.ts";
import { type Notice, NoticeBar } from "./notice.tsx";
import { peopleOf, storedName, storeName } from "./people.tsx";
import { addressOfRoom } from "./room.ts";
import { lookForUpdate } from "./update.tsx";
import { textOf } from "./values.ts";
import { inWords, reportInWords } from "./words.ts";

export function RoomView({ name }: { readonly name: string }): ReactNode {
  // How often opening was tried, and whether the browser is to keep the room.
  const [attempt, setAttempt] = useState({ number: 1, isKept: true });
  const { store, error } = useStore(
    (signal) => openRoom(name, attempt.isKept, signal),
    [name, attempt],
  );
  const connection = useStatus(store);
  const isLive = connection.status === "live";
  useEffect(() => {
    if (isLive) lookForUpdate();
  }, [isLive]);
  const [ownName, setOwnName] = useState(storedName);
  const present = usePresence(store, { name: ownName, replicaId: store?.replicaId ?? null });
  const others = useMemo(() => peopleOf(present), [present]);
  const [names] = useState(() => new Map<string, string>());
  for (const { replicaId, name: theirs } of others) {
    // Those who have left are still named.
    if (replicaId !== undefined) names.set(replicaId, theirs);
  }
  const writerOf = (replicaId: string): string | undefined =>
    replicaId === store?.replicaId ? `${ownName} (you)` : names.get(replicaId);

  return (
    <>
      <Header
        room={name}
        store={store}
        connection={connection}
        ownName={ownName}
        others={others}
        onRename={(given) => {
          storeName(given);
          setOwnName(given);
        }}
      />
      {store !== undefined && <OpenRoom store={store} writerOf={writerOf} />}
      {store === undefined && error === undefined && (
        <main className="single">
          <p className="card muted" role="status">
            Opening {name}…
          </p>
        </main>
      )}
      {error !== undefined && (
        <main className="single">
          <section className="card" role="alert">
            <h2>This room cannot be opened</h2>
            <p>{inWords(error)}</p>
            <div className="buttons">
              <button
                type="button"
                className="main"
                onClick={() => setAttempt({ number: attempt.number + 1, isKept: true })}
              >
                Try again
              </button>
              <button
                type="button"
                onClick={() => setAttempt({ number: attempt.number + 1, isKept: false })}
              >
                Go on without keeping anything here
              </button>
            </div>
          </section>
        </main>
      )}
    </>
  );
}

interface OpenRoomProps {
  readonly store: Store;
  readonly writerOf: (replicaId: string) => string | undefined;
}

function OpenRoom({ store, writerOf }: OpenRoomProps): ReactNode {
  const [chosenKey, setChosenKey] = useState<string>();
  const [edited, setEdited] = useState<Entry>();
  const [notice, setNotice] = useState<Notice>();
  const history = useMemo(() => new SeenHistory(store), [store]);
  useEffect(history.watch, [history]);
  useEffect(() => told(store, setNotice), [store]);

  const remove = useCallback(
    (key: string) => {
      const value = store.get(key);
      setNotice(
        attempted(() => {
          store.delete(key);
          if (value === undefined) return { words: `There is no key “${key}” any more.` };
          return {
            words: `Removed “${key}”.`,
            action: { name: "Undo", run: () => store.set(key, value) },
          };
        }),
      );
    },
    [store],
  );
  const setBack = (key: string, { value }: Former): void => {
    setNotice(
      attempted(() => {
        store.set(key, value);
        return { words: `Set “${key}” back to ${textOf(value).slice(0, 40)}.` };
      }),
    );
  };
  const edit = useCallback(
    (key: string) => {
      const value = store.get(key);
      setChosenKey(key);
      setEdited(value === undefined ? undefined : [key, value]);
    },
    [store],
  );
  return (
    <main>
      <EntryList
        store={store}
        chosenKey={chosenKey}
        edited={edited}
        onChoose={setChosenKey}
        onEdit={edit}
        onEdited={(words) => {
          setEdited(undefined);
          if (words !== undefined) setNotice({ words });
        }}
        onRemove={remove}
      />
      <div className="side">
        <EntryForm store={store} onDone={(words) => setNotice({ words })} />
        {chosenKey !== undefined && (
          <Details
            store={store}
            history={history}
            chosenKey={chosenKey}
            writerOf={writerOf}
            onEdit={edit}
            onRemove={(key) => {
              remove(key);
              focusList();
            }}
            onSetBack={setBack}
            onClose={() => {
              setChosenKey(undefined);
              focusList();
            }}
          />
        )}
      </div>
      <NoticeBar notice={notice} onClose={() => setNotice(undefined)} />
    </main>
  );
}

let engine: ReturnType<typeof loadEngine> | undefined;

async function openRoom(name: string, isKept: boolean, signal: AbortSignal): Promise<Store> {
  // One for all rooms, and another attempt where it failed.
  engine ??= loadEngine();
  try {
    return await open({
      engine: await engine,
      persistence: isKept ? indexedDbPersistence(name) : memoryPersistence(),
      connect: addressOfRoom(name),
      signal,
    });
  } catch (error) {
    engine = undefined;
    throw error;
  }
}

/** Tells what goes wrong while the store is open; returns the function that ends it. */
function told(store: Store, tell: (notice: Notice) => void): () => void {
  const stops = [
    store.on("error", (error) => tell({ words: inWords(error), isError: true })),
    store.on("report", (report) => {
      const words = reportInWords(report);
      if (words !== undefined) tell({ words, isError: true });
    }),
  ];
  return () => {
    for (const stop of stops) stop();
  };
}

function attempted(act: () => Notice): Notice {
  try {
    return act();
  } catch (error) {
    return { words: inWords(error), isError: true };
  }
}
