import type { Readable, Writable } from "node:stream";
import { coloured, mannersOf, plain, type Style } from "./text/style.ts";
import { widthOf } from "./text/table.ts";

type Stream = Writable & { readonly isTTY?: boolean; readonly columns?: number };

export interface Streams {
  readonly stdin: Readable & { readonly isTTY?: boolean };
  readonly stdout: Stream;
  readonly stderr: Stream;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Where a command prints: data on stdout, talk on stderr, and one line on stderr that moves. */
export interface Terminal {
  readonly streams: Streams;
  /** Styles for stdout and for stderr: either may be a terminal without the other being one. */
  readonly style: Style;
  readonly talkStyle: Style;
  /** Data: a line, or lines. */
  print(lines: string | readonly string[]): void;
  /** Data, as it comes, without a line break. */
  write(text: string): void;
  printJson(value: unknown): void;
  /** Talk. */
  say(lines: string | readonly string[]): void;
  /**
   * The line that moves. Where lines cannot move, `milestone` is printed once each time it changes instead, so that a log
   * still shows that something happens.
   */
  progress(line: string, milestone: string): void;
  clearProgress(): void;
}

export function createTerminal(streams: Streams): Terminal {
  const out = mannersOf(streams.stdout, streams.env);
  const talk = mannersOf(streams.stderr, streams.env);
  let isMoving = false;
  let lastMilestone = "";
  const clearProgress = (): void => {
    if (isMoving) streams.stderr.write("\r\u001b[2K");
    isMoving = false;
  };
  return {
    streams,
    style: out.colours ? coloured : plain,
    talkStyle: talk.colours ? coloured : plain,
    print(lines) {
      clearProgress();
      streams.stdout.write(`${asText(lines)}\n`);
    },
    write(text) {
      clearProgress();
      streams.stdout.write(text);
    },
    printJson(value) {
      clearProgress();
      streams.stdout.write(`${JSON.stringify(value)}\n`);
    },
    say(lines) {
      clearProgress();
      streams.stderr.write(`${asText(lines)}\n`);
    },
    progress(line, milestone) {
      if (talk.moves) {
        const columns = streams.stderr.columns ?? 80;
        streams.stderr.write(
          `\r\u001b[2K${
            widthOf(line) < columns
              ? line
              : `${Array.from(line)
                  .slice(0, columns - 2)
                  .join("")}…`
          }`,
        );
        isMoving = true;
      } else if (milestone !== lastMilestone) {
        streams.stderr.write(`${milestone}\n`);
      }
      lastMilestone = milestone;
    },
    clearProgress,
  };
}

function asText(lines: string | readonly string[]): string {
  return typeof lines === "string" ? lines : lines.join("\n");
}
