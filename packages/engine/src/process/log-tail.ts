/** Lines kept of a process's output. */
export const TAIL_LINES_MAX = 400;
/** A longer line is cut. */
export const LINE_LENGTH_MAX = 2000;

/** The last lines of a process, and a splitter that never holds more than one line. */
export interface LogTail {
  push(chunk: string): void;
  readonly lines: readonly string[];
}

export function createLogTail(onLine: (line: string) => void): LogTail {
  const lines: string[] = [];
  let rest = "";
  return {
    push(chunk) {
      const parts = (rest + chunk).split("\n");
      rest = (parts.pop() ?? "").slice(0, LINE_LENGTH_MAX);
      for (const part of parts) {
        const line = escapeControls(part.slice(0, LINE_LENGTH_MAX));
        lines.push(line);
        if (lines.length > TAIL_LINES_MAX) lines.shift();
        onLine(line);
      }
    },
    lines,
  };
}

/** A child's output is shown to people: what would steer a terminal is made visible instead. */
function escapeControls(text: string): string {
  // oxlint-disable-next-line no-control-regex
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`);
}
