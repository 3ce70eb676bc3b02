import { LINE_BYTES_MAX } from "./process-limits.ts";
import { visibleText } from "./visible-text.ts";

const NEWLINE = 0x0a;
const CARRIAGE_RETURN = 0x0d;

/** Makes lines of one stream's chunks; holds at most one line of `LINE_BYTES_MAX` bytes, however long the line is. */
export interface LineSplitter {
  push(chunk: Buffer): void;
  /** The stream is over: what has no newline is a line too. */
  end(): void;
}

export function createLineSplitter(onLine: (line: string) => void): LineSplitter {
  let held: Buffer[] = [];
  let heldBytes = 0;
  let cutBytes = 0;

  function hold(part: Buffer): void {
    const taken = part.subarray(0, LINE_BYTES_MAX - heldBytes);
    cutBytes += part.length - taken.length;
    heldBytes += taken.length;
    // Copied: a slice would keep the whole chunk alive.
    if (taken.length > 0) held.push(Buffer.from(taken));
  }

  function emit(): void {
    const bytes = Buffer.concat(held);
    const text = bytes.subarray(0, bytes.at(-1) === CARRIAGE_RETURN && cutBytes === 0 ? -1 : bytes.length).toString("utf8");
    const line = visibleText(text) + (cutBytes > 0 ? ` [${cutBytes} more bytes]` : "");
    held = [];
    heldBytes = 0;
    cutBytes = 0;
    onLine(line);
  }

  return {
    push(chunk) {
      let start = 0;
      for (let newline = chunk.indexOf(NEWLINE); newline !== -1; newline = chunk.indexOf(NEWLINE, start)) {
        hold(chunk.subarray(start, newline));
        emit();
        start = newline + 1;
      }
      if (start < chunk.length) hold(chunk.subarray(start));
    },
    end() {
      if (heldBytes + cutBytes > 0) emit();
    },
  };
}
