import type { ControlFailure } from "./control.ts";
import { count, list, nullable, oneOf, record, type Check } from "./check.ts";

/** Characters of one line of a daemon's log; what is longer is cut where it is kept. */
export const LOG_LINE_LENGTH_MAX = 4_096;
/** Lines, and characters of them together, in one answer: far below a control frame. */
export const LOG_PAGE_LINES_MAX = 500;
export const LOG_PAGE_CHARACTERS_MAX: number = 128 * 1024;

/** Lines that can be asked for in all, over several answers. */
export const LOG_LINES_ASKED_MAX = 10_000;

/** Ask a member for lines of its daemon's log. */
export interface LogsRequest {
  readonly type: "logs";
  /** The first line wanted, by the number that an answer gave; null: the last `lines`. */
  readonly from: number | null;
  /** How many at most; an answer holds as many of them as fit. */
  readonly lines: number;
  /** Where there are none yet: wait a while for one. */
  readonly wait: boolean;
}

/** Lines of a daemon's log, oldest first; none: nothing new came. */
export interface LogPage {
  readonly lines: readonly string[];
  /** What to ask for next. */
  readonly next: number;
  /** Lines between those asked for and these that are kept no more. */
  readonly missed: number;
}

/** What whoever follows a member's log is told. */
export type LogEvent =
  | { readonly event: "lines"; readonly lines: readonly string[]; readonly missed: number }
  /** Nothing new: a sign of life. */
  | { readonly event: "quiet" }
  /** The last event: the node or the way to it is gone. */
  | { readonly event: "failed"; readonly error: ControlFailure };

// oxlint-disable-next-line no-control-regex
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;

/** A line as it may stand in a log: what could drive a terminal is made visible, what is too long is cut. */
export function logText(message: string): string {
  const cut = message.length > LOG_LINE_LENGTH_MAX ? message.slice(0, LOG_LINE_LENGTH_MAX) : message;
  const shown = cut.replace(UNSAFE, (character) => {
    const code = character.charCodeAt(0);
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u{${code.toString(16)}}`;
  });
  return shown.length > LOG_LINE_LENGTH_MAX || cut !== message ? `${shown.slice(0, LOG_LINE_LENGTH_MAX - 1)}…` : shown;
}

/** Another's line is made safe here: whoever sends it is not asked to have done so. */
const line: Check<string> = (value, path) => {
  if (typeof value !== "string") return oneOf("text")(value, path);
  return logText(value);
};

export const logsRequest: Check<LogsRequest> = record({
  type: oneOf("logs"),
  from: nullable(count()),
  lines: count(LOG_LINES_ASKED_MAX),
  wait: (value) => value === true,
});

export const logPage: Check<LogPage> = record({ lines: list(line, LOG_PAGE_LINES_MAX), next: count(), missed: count() });
