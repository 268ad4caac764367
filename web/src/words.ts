/** What went wrong, and times, in words. */

import { type ErrorCode, LastwriteError, type Report } from "lastwrite";

import { Unreadable } from "./values.ts";

const WORDS: Partial<Record<ErrorCode, string>> = {
  "invalid-key": "A key is a text of at most 1,024 bytes, without broken characters.",
  "too-large": "That is too large: a value may have 1 MiB.",
  "clock-drift":
    "The clock of this device or of another one is wrong by more than five minutes. Set it right; what was refused comes again by itself.",
  "store-locked":
    "This room is open elsewhere in a way that cannot be shared. Close it there, and try again.",
  "store-full":
    "The browser gives this site no more space. What you see is kept only as long as this page is open, and on the server when it is sent.",
  "storage-unavailable":
    "The browser keeps nothing for this page: it may be in a private window, or the data was deleted.",
  "store-corrupt": "What the browser kept of this room is damaged.",
  "store-poisoned": "The browser failed to keep something. Load the page anew.",
  "store-newer": "A later version of this page has written this room. Load the page anew.",
  "engine-unavailable": "The browser cannot run the engine of this page.",
  "link-failed": "The server cannot be reached.",
  "link-timeout": "The server does not answer.",
  "unsupported-protocol": "The server speaks another version than this page. Load the page anew.",
  unauthorized: "The server does not let you into this room.",
  "rate-limited": "The server asks to go more slowly.",
  "room-invalid": "The server has no room of this name.",
  "server-closed": "The server is going down.",
};

/** A sentence for whatever was thrown. */
export function inWords(error: unknown): string {
  if (error instanceof LastwriteError) return WORDS[error.code] ?? asSentence(error.message);
  if (error instanceof Unreadable) return error.message;
  return asSentence(error instanceof Error ? error.message : String(error));
}

/** A sentence for what people should know of it; undefined where the store has seen to it. */
export function reportInWords(report: Report): string | undefined {
  switch (report.code) {
    case "clock-ahead":
      return `The clock of this device is ${minutes(report.aheadMs)} behind what was written here. Set it right, or others refuse what you write.`;
    case "clock-corrected":
      return `The clock of this device is ${minutes(report.offsetMs)} ${report.offsetMs < 0 ? "fast" : "slow"}. The page goes by that of the server; nothing is lost.`;
    case "clock-drift":
      return `${counted(report.refused.length, "change was", "changes were")} refused: the clock of whoever made them is more than five minutes fast. They come again by themselves.`;
    default:
      return undefined;
  }
}

/** Day and time, as short as can be. */
export function shortTime(millis: number): string {
  const isToday = new Date(millis).toDateString() === new Date().toDateString();
  return (isToday ? TIME : DAY).format(millis);
}

export function mediumTime(millis: number): string {
  return MEDIUM.format(millis);
}

export function longTime(millis: number): string {
  return LONG.format(millis);
}

export function counted(count: number, one: string, many: string): string {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}

const TIME = new Intl.DateTimeFormat("en", { timeStyle: "medium", hourCycle: "h23" });
const DAY = new Intl.DateTimeFormat("en", { dateStyle: "medium" });
const MEDIUM = new Intl.DateTimeFormat("en", {
  dateStyle: "medium",
  timeStyle: "medium",
  hourCycle: "h23",
});
const LONG = new Intl.DateTimeFormat("en", {
  dateStyle: "full",
  timeStyle: "medium",
  hourCycle: "h23",
});

function minutes(ms: number): string {
  return counted(Math.round(Math.abs(ms) / 60_000), "minute", "minutes");
}

function asSentence(text: string): string {
  const trimmed = text.trim();
  const sentence = trimmed.charAt(0).toUpperCase() + trimmed.slice(1);
  return /[.!?…]$/u.test(sentence) ? sentence : `${sentence}.`;
}
