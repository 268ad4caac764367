/** The control for a value: another one for each type. */

import type { ReactNode, KeyboardEvent } from "react";

import { VALUE_TYPES, type ValueType } from "./values.ts";

export interface ValueFieldProps {
  readonly id: string;
  readonly label: string;
  readonly type: ValueType;
  readonly text: string;
  /** Names what is wrong with the text, where something is. */
  readonly describedBy: string | undefined;
  readonly isFocused: boolean;
  readonly onChange: (text: string) => void;
}

export function ValueField(props: ValueFieldProps): ReactNode {
  const { id, label, type, text, describedBy, isFocused, onChange } = props;
  const common = {
    id,
    "aria-label": label,
    "aria-invalid": describedBy !== undefined,
    "aria-describedby": describedBy,
    autoFocus: isFocused,
  };
  switch (type) {
    case "text":
    case "json":
      return (
        <textarea
          {...common}
          className={type === "json" ? "mono" : undefined}
          rows={Math.min(8, Math.max(type === "json" ? 3 : 1, text.split("\n").length))}
          spellCheck={type === "text"}
          value={text}
          onChange={(event) => onChange(event.target.value)}
          onKeyDown={submitOnEnter}
        />
      );
    case "boolean":
      return (
        <select {...common} value={text} onChange={(event) => onChange(event.target.value)}>
          <option value="true">true</option>
          <option value="false">false</option>
        </select>
      );
    case "null":
      return <input {...common} value="null" readOnly />;
    case "date":
      return (
        <input
          {...common}
          type="datetime-local"
          step="0.001"
          value={text}
          onChange={(event) => onChange(event.target.value)}
        />
      );
    default:
      return (
        <input
          {...common}
          inputMode={type === "bytes" ? "text" : "decimal"}
          autoComplete="off"
          autoCapitalize="off"
          spellCheck={false}
          value={text}
          onChange={(event) => onChange(event.target.value)}
        />
      );
  }
}

export interface TypeFieldProps {
  readonly id: string;
  readonly label: string;
  readonly type: ValueType;
  readonly onChange: (type: ValueType) => void;
}

export function TypeField({ id, label, type, onChange }: TypeFieldProps): ReactNode {
  return (
    <select
      id={id}
      aria-label={label}
      value={type}
      onChange={(event) => onChange(event.target.value as ValueType)}
    >
      {VALUE_TYPES.map(([each, name]) => (
        <option key={each} value={each}>
          {name}
        </option>
      ))}
    </select>
  );
}

/** The text to begin with after another type was chosen. */
export function textForType(type: ValueType, text: string): string {
  if (type === "boolean") return text === "false" ? "false" : "true";
  return type === "date" || type === "null" ? "" : text;
}

/** As in an input; Shift and Enter make a new line. */
function submitOnEnter(event: KeyboardEvent<HTMLTextAreaElement>): void {
  if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
  event.preventDefault();
  event.currentTarget.form?.requestSubmit();
}
