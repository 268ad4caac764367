/** How the page is connected, in words, by a sign of its own shape and by colour. */

import type { ConnectionState } from "lastwrite/react";
import { type ReactNode, useEffect, useState } from "react";
import type { ProgressEvent, Store } from "lastwrite";

import { counted, inWords } from "./words.ts";

/** "offline" also while another attempt is made: people need not see each of them. */
type Shown = "live" | "syncing" | "connecting" | "offline" | "closed";

const WORDS: Readonly<Record<Shown, string>> = {
  live: "Live",
  syncing: "Catching up",
  connecting: "Connecting",
  offline: "Offline",
  closed: "Disconnected",
};

const SIGNS: Readonly<Record<Shown, ReactNode>> = {
  live: <path d="M3 8.5l3.2 3.2L13 4.8" />,
  syncing: <path d="M3 9.5L8 4.5l5 5M3 13.5l5-5 5 5" />,
  connecting: <path d="M3.5 8h.01M8 8h.01M12.5 8h.01" />,
  offline: <path d="M8 2.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11zM4.2 4.2l7.6 7.6" />,
  closed: <path d="M4 4l8 8M12 4l-8 8" />,
};

export interface StatusProps extends ConnectionState {
  readonly store: Store | undefined;
}

export function Status({ store, status, reason, pendingCount }: StatusProps): ReactNode {
  const shown = status === "connecting" && reason !== undefined ? "offline" : status;
  return (
    <div className="status-bar">
      <p className={`status status-${shown}`} role="status">
        <svg viewBox="0 0 16 16" aria-hidden="true">
          {SIGNS[shown]}
        </svg>
        <strong>{WORDS[shown]}</strong>
        <span className="status-more">{more(shown, pendingCount, reason)}</span>
      </p>
      {shown === "syncing" && store !== undefined && <FirstLoad store={store} />}
    </div>
  );
}

function more(shown: Shown, pendingCount: number, reason: ConnectionState["reason"]): string {
  const pending = counted(pendingCount, "change", "changes");
  switch (shown) {
    case "live":
    case "syncing":
      return pendingCount === 0 ? "All changes are sent" : `${pending} to send`;
    case "connecting":
      return pendingCount === 0 ? "" : `${pending} to send`;
    case "offline":
      return pendingCount === 0
        ? "Changes are kept here until the server is back"
        : `${pending} kept here until the server is back`;
    default:
      return reason === undefined ? "" : inWords(reason);
  }
}

/** How much is still to come, where it takes long enough to be seen. */
function FirstLoad({ store }: { readonly store: Store }): ReactNode {
  const [progress, setProgress] = useState<ProgressEvent & { readonly totalBytes: number }>();
  useEffect(
    () =>
      store.on("progress", (event) =>
        setProgress((before) => ({
          ...event,
          totalBytes: Math.max(before?.totalBytes ?? 0, event.remainingBytes),
        })),
      ),
    [store],
  );
  if (progress === undefined || progress.totalBytes < SHOWN_BYTES) return null;
  const { totalBytes, remainingBytes } = progress;
  return <progress aria-label="Loading" max={totalBytes} value={totalBytes - remainingBytes} />;
}

const SHOWN_BYTES = 256 * 1024;
