/** One key: what it holds, who wrote it when, and what that replaced. */

import type { Stamp, Store } from "lastwrite";
import { useEntry } from "lastwrite/react";
import { type ReactNode, useId } from "react";

import type { Former, SeenHistory } from "./history.ts";
import { textOf, typeName } from "./values.ts";
import { longTime, mediumTime } from "./words.ts";

export interface DetailsProps {
  readonly store: Store;
  readonly history: SeenHistory;
  readonly chosenKey: string;
  /** The name of whoever writes under an id, where it is known. */
  readonly writerOf: (replicaId: string) => string | undefined;
  readonly onEdit: (key: string) => void;
  readonly onRemove: (key: string) => void;
  readonly onSetBack: (key: string, former: Former) => void;
  readonly onClose: () => void;
}

export function Details(props: DetailsProps): ReactNode {
  const { store, history, chosenKey, writerOf, onEdit, onRemove, onSetBack, onClose } = props;
  const value = useEntry(store, chosenKey);
  const stamp = history.stampOf(chosenKey);
  const former = history.formerOf(chosenKey);
  const id = useId();
  return (
    <section className="card details" aria-labelledby={id}>
      <header>
        <h2 id={id} className="mono">
          {chosenKey}
        </h2>
        <button type="button" className="quiet" aria-label="Close this panel" onClick={onClose}>
          ✕
        </button>
      </header>
      {value === undefined ? (
        <p className="removed">{stamp === undefined ? "There is no such key." : "Removed"}</p>
      ) : (
        <pre className="value" tabIndex={0} role="group" aria-label={`What ${chosenKey} holds`}>
          {textOf(value)}
        </pre>
      )}
      <dl>
        {value !== undefined && <Fact name="Type">{typeName(value)}</Fact>}
        {stamp !== undefined && <Facts stamp={stamp} writer={writerOf(stamp.replicaId)} />}
      </dl>
      <div className="buttons">
        {value !== undefined && (
          <>
            <button type="button" onClick={() => onEdit(chosenKey)}>
              Edit
            </button>
            <button type="button" onClick={() => onRemove(chosenKey)}>
              Remove
            </button>
          </>
        )}
      </div>
      <h3>What it replaced</h3>
      {former.length === 0 ? (
        <p className="muted">Nothing that this page has seen.</p>
      ) : (
        <ol className="former">
          {former.map((each, at) => (
            <li key={former.length - at}>
              <span className="former-value">{textOf(each.value).slice(0, 200)}</span>
              <span className="muted">
                {each.stamp === undefined
                  ? "written before this page looked"
                  : `${mediumTime(each.stamp.millis)}, ${writerOf(each.stamp.replicaId) ?? `${shortId(each.stamp)}…`}`}
              </span>
              <button
                type="button"
                aria-label={`Set back to ${textOf(each.value).slice(0, 40)}`}
                onClick={() => onSetBack(chosenKey, each)}
              >
                Set back
              </button>
            </li>
          ))}
        </ol>
      )}
    </section>
  );
}

function Facts({
  stamp,
  writer,
}: {
  readonly stamp: Stamp;
  readonly writer: string | undefined;
}): ReactNode {
  return (
    <>
      <Fact name="When">
        <time dateTime={new Date(stamp.millis).toISOString()}>{longTime(stamp.millis)}</time>
      </Fact>
      <Fact name="By">{writer ?? "somebody who is not here now"}</Fact>
      <Fact name="Replica">
        <code title={stamp.replicaId}>{shortId(stamp)}…</code>
      </Fact>
    </>
  );
}

function Fact({
  name,
  children,
}: {
  readonly name: string;
  readonly children: ReactNode;
}): ReactNode {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function shortId({ replicaId }: Stamp): string {
  return replicaId.slice(0, 8);
}
