/** What was just done, or went wrong: one sentence at a time. */

import { type ReactNode, useEffect } from "react";

import { focusList } from "./entry-list.tsx";

export interface Notice {
  readonly words: string;
  /** Default: false. */
  readonly isError?: boolean;
  readonly action?: { readonly name: string; readonly run: () => void };
}

export interface NoticeBarProps {
  readonly notice: Notice | undefined;
  readonly onClose: () => void;
}

const SHOWN_MS = 8000;

export function NoticeBar({ notice, onClose }: NoticeBarProps): ReactNode {
  useEffect(() => {
    // Errors stay until they were read.
    if (notice === undefined || notice.isError === true) return undefined;
    const timer = setTimeout(onClose, SHOWN_MS);
    return () => clearTimeout(timer);
    // One notice has one time, however often its owner is rendered.
  }, [notice]);
  return (
    <div className="notices">
      {/* Both are there before they say something, or nobody would read it out. */}
      <div role="status">
        {notice?.isError !== true && <Words notice={notice} onClose={onClose} />}
      </div>
      <div role="alert">
        {notice?.isError === true && <Words notice={notice} onClose={onClose} />}
      </div>
    </div>
  );
}

function Words({ notice, onClose }: NoticeBarProps): ReactNode {
  if (notice === undefined) return null;
  const { words, isError = false, action } = notice;
  return (
    <div className={isError ? "notice error" : "notice"}>
      <p>{words}</p>
      {action !== undefined && (
        <button
          type="button"
          onClick={() => {
            action.run();
            focusList();
            onClose();
          }}
        >
          {action.name}
        </button>
      )}
      <button
        type="button"
        className="quiet"
        aria-label="Dismiss"
        onClick={() => {
          focusList();
          onClose();
        }}
      >
        ✕
      </button>
    </div>
  );
}
