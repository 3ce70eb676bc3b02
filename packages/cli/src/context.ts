import type { Terminal } from "./terminal.ts";

/** What every command is given. */
export interface Context {
  /** The daemon's home, absolute. */
  readonly home: string;
  readonly json: boolean;
  readonly terminal: Terminal;
  /** Aborted by Ctrl-C, SIGTERM and SIGHUP; the reason is the signal's name. */
  readonly signal: AbortSignal;
  /** The folder that relative paths on the command line mean. */
  readonly cwd: string;
}
