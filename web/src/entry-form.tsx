/** Writes and removes keys. */

import type { Store } from "lastwrite";
import { type FormEvent, type ReactNode, useId, useRef, useState } from "react";

import { textForType, TypeField, ValueField } from "./value-field.tsx";
import { parseValue, type ValueType } from "./values.ts";
import { inWords } from "./words.ts";

export interface EntryFormProps {
  readonly store: Store;
  /** Told what was done, in words. */
  readonly onDone: (words: string, key: string) => void;
}

/** What is wrong, and with which field. */
interface Problem {
  readonly field: "key" | "value";
  readonly words: string;
}

export function EntryForm({ store, onDone }: EntryFormProps): ReactNode {
  const [key, setKey] = useState("");
  const [type, setType] = useState<ValueType>("text");
  const [text, setText] = useState("");
  const [problem, setProblem] = useState<Problem>();
  const keyField = useRef<HTMLInputElement>(null);
  const id = useId();

  const refuse = (field: Problem["field"], words: string): void => {
    setProblem({ field, words });
    if (field === "key") keyField.current?.focus();
    else document.getElementById(`${id}-value`)?.focus();
  };
  const done = (words: string): void => {
    setKey("");
    setText(textForType(type, ""));
    setProblem(undefined);
    keyField.current?.focus();
    onDone(words, key);
  };
  const set = (event: FormEvent): void => {
    event.preventDefault();
    if (key === "") {
      refuse("key", "Give the value a key: an empty one cannot be kept.");
      return;
    }
    try {
      store.has(key);
    } catch (error) {
      refuse("key", inWords(error));
      return;
    }
    try {
      store.set(key, parseValue(type, text));
      done(`Set “${key}”.`);
    } catch (error) {
      refuse("value", inWords(error));
    }
  };
  const remove = (): void => {
    if (key === "") {
      refuse("key", "Which key? Name the one to remove.");
      return;
    }
    try {
      if (store.delete(key)) done(`Removed “${key}”.`);
      else refuse("key", `There is no key “${key}”.`);
    } catch (error) {
      refuse("key", inWords(error));
    }
  };

  const problemId = `${id}-problem`;
  const describes = (field: Problem["field"]): string | undefined =>
    problem?.field === field ? problemId : undefined;
  return (
    <form className="card entry-form" aria-labelledby={`${id}-title`} onSubmit={set} noValidate>
      <h2 id={`${id}-title`}>Write a key</h2>
      <div className="field">
        <label htmlFor={`${id}-key`}>Key</label>
        <input
          ref={keyField}
          id={`${id}-key`}
          className="mono"
          autoComplete="off"
          autoCapitalize="off"
          spellCheck={false}
          placeholder="tasks/42/title"
          value={key}
          aria-invalid={problem?.field === "key"}
          aria-describedby={describes("key")}
          onChange={(event) => {
            setKey(event.target.value);
            setProblem(undefined);
          }}
        />
      </div>
      <div className="field">
        <label htmlFor={`${id}-type`}>Type</label>
        <TypeField
          id={`${id}-type`}
          label="Type"
          type={type}
          onChange={(chosen) => {
            setType(chosen);
            setText(textForType(chosen, text));
            setProblem(undefined);
          }}
        />
      </div>
      <div className="field">
        <label htmlFor={`${id}-value`}>Value</label>
        <ValueField
          id={`${id}-value`}
          label="Value"
          type={type}
          text={text}
          describedBy={describes("value")}
          isFocused={false}
          onChange={(typed) => {
            setText(typed);
            setProblem(undefined);
          }}
        />
      </div>
      <p id={problemId} className="problem" role="alert">
        {problem?.words}
      </p>
      <div className="buttons">
        <button type="submit" className="main">
          Set
        </button>
        <button type="button" onClick={remove}>
          Remove
        </button>
      </div>
    </form>
  );
}
