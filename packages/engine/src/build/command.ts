import { spawn } from "node:child_process";
import { createWriteStream } from "node:fs";

export interface CommandOptions {
  readonly signal?: AbortSignal | undefined;
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** All output goes to the end of this file as well. */
  readonly logFile?: string;
  readonly timeoutMs?: number;
  readonly onLine?: (line: string) => void;
}

export interface CommandResult {
  /** Null where a signal ended it. */
  readonly code: number | null;
  /** The end of what it printed on stdout and stderr, in order of arrival. */
  readonly output: string;
}

/** What is kept of a command's output in memory. */
const OUTPUT_CHARACTERS_MAX = 256 * 1024;

/**
 * Runs a program to its end. Rejects where it cannot be started, where the signal is aborted or the time is up; then the
 * program and all it started are gone first. An exit code other than 0 is a result, not an error.
 */
export async function runCommand(file: string, args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  const stops: AbortSignal[] = options.signal === undefined ? [] : [options.signal];
  if (options.timeoutMs !== undefined) stops.push(AbortSignal.timeout(options.timeoutMs));
  const stop = AbortSignal.any(stops);
  stop.throwIfAborted();

  const grouped = process.platform !== "win32";
  const child = spawn(file, args, {
    cwd: options.cwd,
    env: options.env ?? process.env,
    // A group of its own, so that a compiler driver's children end with it.
    detached: grouped,
    stdio: ["ignore", "pipe", "pipe"],
    windowsHide: true,
  });
  const log = options.logFile === undefined ? null : createWriteStream(options.logFile, { flags: "a" });
  let logError: Error | null = null;
  log?.on("error", (error) => (logError = error));
  let output = "";
  let rest = "";
  const take = (chunk: string): void => {
    log?.write(chunk);
    output = (output + chunk).slice(-OUTPUT_CHARACTERS_MAX);
    if (options.onLine === undefined) return;
    const lines = (rest + chunk).split("\n");
    rest = (lines.pop() ?? "").slice(-OUTPUT_CHARACTERS_MAX);
    for (const line of lines) options.onLine(line);
  };
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", take);

  const kill = (): void => {
    if (child.pid === undefined) return;
    try {
      if (grouped) process.kill(-child.pid, "SIGKILL");
      else child.kill("SIGKILL");
    } catch {
      // It has ended by itself meanwhile.
    }
  };
  stop.addEventListener("abort", kill, { once: true });
  // A parent that is ended by process.exit leaves no compiler behind.
  process.once("exit", kill);
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", resolve);
    });
    stop.throwIfAborted();
    if (logError !== null) throw logError;
    return { code, output };
  } finally {
    stop.removeEventListener("abort", kill);
    process.removeListener("exit", kill);
    await new Promise<void>((resolve) => (log === null || logError !== null ? resolve() : log.end(resolve)));
  }
}
