import { TAIL_CHARACTERS_MAX, TAIL_LINES_MAX } from "./process-limits.ts";

/** The last lines of a process, bounded in number and in length together. */
export interface LogTail {
  push(line: string): void;
  /** Oldest first. */
  lines(): readonly string[];
}

export function createLogTail(linesMax: number = TAIL_LINES_MAX, charactersMax: number = TAIL_CHARACTERS_MAX): LogTail {
  const kept: string[] = [];
  let characters = 0;
  return {
    push(line) {
      kept.push(line);
      characters += line.length;
      while (kept.length > linesMax || (characters > charactersMax && kept.length > 1)) characters -= kept.shift()?.length ?? 0;
    },
    lines: () => [...kept],
  };
}
