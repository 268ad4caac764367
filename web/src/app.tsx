/** The page: the room of its address, or why there can be none. */

import { Component, type ReactNode, useEffect } from "react";

import { RoomForm } from "./header.tsx";
import { roomProblem, useRoomName } from "./room.ts";
import { RoomView } from "./room-view.tsx";
import { UpdateNotice } from "./update.tsx";
import { inWords } from "./words.ts";

export function App(): ReactNode {
  const name = useRoomName();
  const problem = roomProblem(name);
  useEffect(() => {
    document.title = `${name} · lastwrite`;
  }, [name]);
  return (
    <Boundary key={name}>
      {problem === undefined ? (
        <RoomView name={name} />
      ) : (
        <main className="single">
          <section className="card">
            <h1>There is no such room</h1>
            <p role="alert">{problem}</p>
            <RoomForm room="" />
          </section>
        </main>
      )}
      <UpdateNotice />
    </Boundary>
  );
}

interface Broken {
  readonly words?: string;
}

/** Shows what broke the page, instead of nothing. */
class Boundary extends Component<{ readonly children: ReactNode }, Broken> {
  override state: Broken = {};

  static getDerivedStateFromError(error: unknown): Broken {
    return { words: inWords(error) };
  }

  override render(): ReactNode {
    const { words } = this.state;
    if (words === undefined) return this.props.children;
    return (
      <main className="single">
        <section className="card" role="alert">
          <h1>This page has failed</h1>
          <p>{words}</p>
          <p>What you wrote is kept.</p>
          <div className="buttons">
            <button type="button" className="main" onClick={() => location.reload()}>
              Load the page anew
            </button>
          </div>
        </section>
      </main>
    );
  }
}
