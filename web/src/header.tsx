/** The head of the page: which room, how it is connected, who is here. */

import type { Store } from "lastwrite";
import type { ConnectionState } from "lastwrite/react";
import { type ReactNode, useId, useState } from "react";

import { People, type PeopleProps } from "./people.tsx";
import { goToRoom, roomProblem } from "./room.ts";
import { Status } from "./status.tsx";

export interface HeaderProps extends Pick<PeopleProps, "others" | "onRename"> {
  readonly room: string;
  readonly store: Store | undefined;
  readonly connection: ConnectionState;
  readonly ownName: string;
}

export function Header(props: HeaderProps): ReactNode {
  const { room, store, connection, ownName, others, onRename } = props;
  return (
    <header className="top">
      <h1>
        <span className="brand">lastwrite</span> <span className="hidden">room {room}</span>
      </h1>
      <RoomForm room={room} />
      <Status store={store} {...connection} />
      <People name={ownName} others={others} onRename={onRename} />
    </header>
  );
}

/** Names the room, and goes to another one. */
export function RoomForm({ room }: { readonly room: string }): ReactNode {
  const [name, setName] = useState(room);
  const [problem, setProblem] = useState<string>();
  const id = useId();
  return (
    <form
      className="room-form"
      onSubmit={(event) => {
        event.preventDefault();
        const wanted = name.trim();
        const refused = roomProblem(wanted);
        setProblem(refused);
        if (refused === undefined) goToRoom(wanted);
      }}
    >
      <label htmlFor={`${id}-room`}>Room</label>
      <input
        id={`${id}-room`}
        className="mono"
        autoComplete="off"
        autoCapitalize="off"
        spellCheck={false}
        value={name}
        aria-invalid={problem !== undefined}
        aria-describedby={problem === undefined ? undefined : `${id}-problem`}
        onChange={(event) => {
          setName(event.target.value);
          setProblem(undefined);
        }}
      />
      <button type="submit" disabled={name.trim() === room}>
        Go
      </button>
      <p id={`${id}-problem`} className="problem" role="alert">
        {problem}
      </p>
    </form>
  );
}
