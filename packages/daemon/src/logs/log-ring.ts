import { LOG_PAGE_CHARACTERS_MAX, LOG_PAGE_LINES_MAX, logText, type LogPage } from "@clusterd/wire";

/** Lines a daemon keeps of its own log. */
export const LOG_LINES_MAX = 2_000;

export interface LogRing {
  add(message: string): void;
  last(count: number): readonly string[];
  /** Up to `count` lines from the one of that number on (null: the last ones), as many as an answer holds. */
  page(from: number | null, count: number): LogPage;
  /** Settles once there is a line of that number, or the signal fires. */
  reaches(number: number, signal: AbortSignal): Promise<void>;
}

export function createLogRing(): LogRing {
  const lines: string[] = [];
  const waiting = new Set<() => void>();
  /** The number of the oldest line that is kept. */
  let oldest = 0;
  return {
    add(message) {
      lines.push(logText(`${new Date().toISOString()} ${message}`));
      if (lines.length > LOG_LINES_MAX) {
        lines.shift();
        oldest += 1;
      }
      for (const wake of waiting) wake();
    },
    last: (count) => lines.slice(-count),
    page(from, count) {
      const end = oldest + lines.length;
      // A number that is still to come, by far, was another run's: this one is told from its beginning.
      const wanted = from === null ? Math.max(oldest, end - count) : from > end ? 0 : from;
      const first = Math.max(oldest, wanted);
      const most = lines.slice(first - oldest, first - oldest + Math.min(count, LOG_PAGE_LINES_MAX));
      let characters = 0;
      const fitting = most.findIndex((line) => (characters += line.length) > LOG_PAGE_CHARACTERS_MAX);
      const page = fitting === -1 ? most : most.slice(0, fitting);
      return { lines: page, next: first + page.length, missed: first - wanted };
    },
    async reaches(number, signal) {
      if (oldest + lines.length > number || signal.aborted) return;
      const { promise, resolve } = Promise.withResolvers<void>();
      const look = (): void => {
        if (oldest + lines.length > number) resolve();
      };
      const stop = (): void => resolve();
      waiting.add(look);
      signal.addEventListener("abort", stop, { once: true });
      await promise;
      waiting.delete(look);
      signal.removeEventListener("abort", stop);
    },
  };
}
