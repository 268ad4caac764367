/** Who is here, by the names that they gave themselves. */

import type { Present } from "lastwrite";
import { type ReactNode, useLayoutEffect, useRef, useState } from "react";

/** A person with the room open, or a tab of one. */
export interface Person {
  readonly id: string;
  readonly name: string;
  /** Under which id they write; undefined until they did. */
  readonly replicaId: string | undefined;
}

export const NAME_LENGTH_MAX = 40;
const NAME_KEY = "lastwrite.name";
const SHOWN_MAX = 5;

/** The name that was given in this browser before, or one to begin with. */
export function storedName(): string {
  try {
    const stored = localStorage.getItem(NAME_KEY);
    if (stored !== null && stored.trim() !== "") return stored;
  } catch {
    // Nothing may be stored here.
  }
  const name = `Guest ${1000 + Math.floor(Math.random() * 9000)}`;
  storeName(name);
  return name;
}

export function storeName(name: string): void {
  try {
    localStorage.setItem(NAME_KEY, name);
  } catch {
    // It is kept until the page is closed.
  }
}

/** What others tell, as far as it can be understood: anybody may tell anything. */
export function peopleOf(present: readonly Present[]): readonly Person[] {
  return present.flatMap(({ id, value }) => {
    if (typeof value !== "object" || value === null || !("name" in value)) return [];
    const { name, replicaId } = value;
    if (typeof name !== "string" || name.trim() === "") return [];
    return [
      {
        id,
        name: name.trim().slice(0, NAME_LENGTH_MAX),
        replicaId: typeof replicaId === "string" ? replicaId : undefined,
      },
    ];
  });
}

export interface PeopleProps {
  readonly name: string;
  readonly others: readonly Person[];
  readonly onRename: (name: string) => void;
}

export function People({ name, others, onRename }: PeopleProps): ReactNode {
  const more = others.slice(SHOWN_MAX);
  return (
    <ul className="people" aria-label={`Who is here: you and ${others.length} others`}>
      <li>
        <OwnName name={name} onRename={onRename} />
      </li>
      {others.slice(0, SHOWN_MAX).map((person) => (
        <li key={person.id} className="person" title={person.name}>
          <Face name={person.name} />
          <span className="person-name">{person.name}</span>
        </li>
      ))}
      {more.length > 0 && (
        <li className="person" title={more.map((person) => person.name).join(", ")}>
          <span className="person-name">and {more.length} more</span>
        </li>
      )}
    </ul>
  );
}

function OwnName({ name, onRename }: Pick<PeopleProps, "name" | "onRename">): ReactNode {
  const [isEditing, setIsEditing] = useState(false);
  const button = useRef<HTMLButtonElement>(null);
  const wasEditing = useRef(false);
  useLayoutEffect(() => {
    // Back to where the editing began.
    if (wasEditing.current && !isEditing) button.current?.focus();
    wasEditing.current = isEditing;
  }, [isEditing]);
  const end = (): void => setIsEditing(false);
  if (!isEditing) {
    return (
      <button
        ref={button}
        type="button"
        className="person own"
        title="Change your name"
        onClick={() => setIsEditing(true)}
      >
        <Face name={name} />
        <span className="person-name">{name}</span>
        <span className="person-you">you</span>
      </button>
    );
  }
  return (
    <form
      className="rename"
      onSubmit={(event) => {
        event.preventDefault();
        const given = new FormData(event.currentTarget).get("name");
        const trimmed = typeof given === "string" ? given.trim() : "";
        if (trimmed !== "") onRename(trimmed);
        end();
      }}
      onKeyDown={(event) => {
        if (event.key === "Escape") end();
      }}
    >
      <input
        name="name"
        aria-label="Your name"
        defaultValue={name}
        maxLength={NAME_LENGTH_MAX}
        autoComplete="nickname"
        autoFocus
      />
      <button type="submit">Save</button>
    </form>
  );
}

const HUES = 6;

/** A first letter in one of a few colours, the same for a name everywhere. */
function Face({ name }: { readonly name: string }): ReactNode {
  let hue = 0;
  for (const letter of name) hue = (hue * 31 + (letter.codePointAt(0) ?? 0)) % 997;
  return (
    <span className={`face face-${hue % HUES}`} aria-hidden="true">
      {String.fromCodePoint(name.codePointAt(0) ?? 0x3f).toUpperCase()}
    </span>
  );
}
