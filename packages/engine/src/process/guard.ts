import type { StdioOptions } from "node:child_process";
import { nodeGuard } from "./guard-node.ts";
import { posixGuard } from "./guard-posix.ts";

/**
 * How a command is run so that it never outlives the daemon. The contract of every guard: the program's standard streams, exit code
 * and signal are its own; when the lifeline (a pipe only the daemon holds, which the system closes however the daemon ends) closes,
 * the program and all it started are killed. A program that is missing ends with code 127, one that may not be run with 126 or 127.
 */
export type Guard = (command: string, args: readonly string[]) => GuardedCommand;

export interface GuardedCommand {
  readonly command: string;
  readonly args: readonly string[];
  readonly stdio: StdioOptions;
  /** Which of `stdio` is the lifeline. */
  readonly lifeline: number;
}

export const platformGuard: Guard = process.platform === "win32" ? nodeGuard : posixGuard;
