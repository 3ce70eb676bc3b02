import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";

const COMMAND_MS_MAX = 3_000;
const OUTPUT_BYTES_MAX: number = 1024 * 1024;

/** What a program of the system prints; null where it is not there, fails, or takes too long. */
export function askSystem(command: string, args: readonly string[], signal: AbortSignal): Promise<string | null> {
  return new Promise((done) => {
    execFile(
      command,
      [...args],
      { timeout: COMMAND_MS_MAX, maxBuffer: OUTPUT_BYTES_MAX, windowsHide: true, signal },
      (error, stdout) => done(error === null ? stdout : null),
    );
  });
}

/** A file's text; null where it cannot be read. */
export function readText(path: string): Promise<string | null> {
  return readFile(path, "utf8").catch(() => null);
}
