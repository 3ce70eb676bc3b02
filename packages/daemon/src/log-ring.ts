/** Lines a daemon keeps of its own log. */
export const LOG_LINES_MAX = 2_000;

export interface LogRing {
  add(message: string): void;
  last(count: number): readonly string[];
}

export function createLogRing(): LogRing {
  const lines: string[] = [];
  return {
    add(message) {
      lines.push(`${new Date().toISOString()} ${message}`);
      if (lines.length > LOG_LINES_MAX) lines.shift();
    },
    last: (count) => lines.slice(-count),
  };
}
