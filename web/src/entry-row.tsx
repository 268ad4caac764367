/** A row of the list: what a key holds, or the editor for it. */

import type { Store, Value } from "lastwrite";
import { type Entry, useEntry } from "lastwrite/react";
import { type CSSProperties, memo, type ReactNode, useId, useState } from "react";

import { SEARCHED_LENGTH } from "./arrange.ts";
import { textForType, TypeField, ValueField } from "./value-field.tsx";
import { editableText, parseValue, textOf, typeName, typeOf, type ValueType } from "./values.ts";
import { inWords, longTime, shortTime } from "./words.ts";

/** For how long a row is marked as new. */
const FRESH_MS = 2000;

export interface RowProps {
  readonly id: string;
  readonly entry: Entry;
  /** When it was written, in milliseconds since 1970. */
  readonly writtenMs: number | undefined;
  /** From 0, among those that are shown. */
  readonly index: number;
  /** Pixels from the top of the list. */
  readonly top: number;
  readonly isActive: boolean;
  readonly onChoose: (key: string) => void;
  readonly onEdit: (key: string) => void;
}

export const Row: (props: RowProps) => ReactNode = memo(function Row(props: RowProps): ReactNode {
  const { id, entry, writtenMs, index, top, isActive, onChoose, onEdit } = props;
  const [key, value] = entry;
  const isFresh = writtenMs !== undefined && Date.now() - writtenMs < FRESH_MS;
  return (
    <div
      id={id}
      role="row"
      className={isActive ? "row active" : "row"}
      style={placed(top)}
      // The header is the first.
      aria-rowindex={index + 2}
      aria-selected={isActive}
      onClick={() => onChoose(key)}
      onDoubleClick={() => onEdit(key)}
    >
      <span role="gridcell" className="cell-key mono">
        {key}
      </span>
      {/* Another value is another element, so that its animation begins anew. */}
      <span role="gridcell" className="cell-value">
        <span className="type">{typeName(value)}</span>
        <span key={writtenMs} className={isFresh ? "text fresh" : "text"}>
          {textOf(value).slice(0, SEARCHED_LENGTH)}
        </span>
      </span>
      <span role="gridcell" className="cell-when">
        {writtenMs !== undefined && (
          <time dateTime={new Date(writtenMs).toISOString()} title={longTime(writtenMs)}>
            {shortTime(writtenMs)}
          </time>
        )}
      </span>
    </div>
  );
});

export interface EditRowProps extends Pick<RowProps, "id" | "entry" | "index" | "top"> {
  readonly store: Store;
  readonly onDone: (words?: string) => void;
}

/** Lies over the rows below it, as high as it has to be. */
export function EditRow(props: EditRowProps): ReactNode {
  const { id, entry, index, top, store, onDone } = props;
  const [key, before] = entry;
  const [type, setType] = useState<ValueType>(() => typeOf(before));
  const [text, setText] = useState(() => editableText(before));
  const [problem, setProblem] = useState<string>();
  const now = useEntry(store, key);
  const [first] = useState(now);
  const formId = useId();
  const problemId = `${formId}-problem`;
  const save = (): void => {
    try {
      // A time that a change of the clocks makes twice is not told apart by its text.
      const isSame = type === typeOf(before) && text === editableText(before);
      store.set(key, isSame ? before : parseValue(type, text));
      onDone(`Set “${key}”.`);
    } catch (error) {
      setProblem(inWords(error));
      document.getElementById(`${formId}-value`)?.focus();
    }
  };
  return (
    <div
      id={id}
      role="row"
      className="row editing"
      style={placed(top)}
      aria-rowindex={index + 2}
      aria-selected="true"
    >
      <div role="gridcell" aria-colspan={3}>
        <form
          aria-label={`Edit ${key}`}
          noValidate
          onSubmit={(event) => {
            event.preventDefault();
            save();
          }}
          onKeyDown={(event) => {
            // Neither arrows nor letters are for the list.
            event.stopPropagation();
            if (event.key === "Escape") onDone();
          }}
        >
          <span className="cell-key mono">{key}</span>
          <div className="edit-fields">
            <TypeField
              id={`${formId}-type`}
              label={`Type of ${key}`}
              type={type}
              onChange={(chosen) => {
                setType(chosen);
                setText(textForType(chosen, text));
                setProblem(undefined);
              }}
            />
            <ValueField
              id={`${formId}-value`}
              label={`Value of ${key}`}
              type={type}
              text={text}
              describedBy={problem === undefined ? undefined : problemId}
              isFocused
              onChange={(typed) => {
                setText(typed);
                setProblem(undefined);
              }}
            />
          </div>
          <p className="meanwhile" role="status">
            {meanwhile(first, now)}
          </p>
          <p id={problemId} className="problem" role="alert">
            {problem}
          </p>
          <div className="buttons">
            <button type="submit" className="main">
              Save
            </button>
            <button type="button" onClick={() => onDone()}>
              Cancel
            </button>
          </div>
        </form>
      </div>
    </div>
  );
}

/** What became of the value while it was edited. */
function meanwhile(first: Value | undefined, now: Value | undefined): string {
  if (now === undefined) return "Removed meanwhile; saving writes it again.";
  return now === first ? "" : `Meanwhile: ${textOf(now).slice(0, 80)}`;
}

function placed(top: number): CSSProperties {
  return { transform: `translateY(${top}px)` };
}
