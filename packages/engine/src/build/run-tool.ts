import { spawn } from "node:child_process";
import { ClusterdError } from "@clusterd/wire";

/** Lines kept of a tool's output for an error. */
const TAIL_LINES = 25;
const LINE_LENGTH_MAX = 4096;

/** How to install the build tools, by platform. */
export function installHint(platform: NodeJS.Platform = process.platform): string {
  if (platform === "darwin") return "Install the compiler with: xcode-select --install, and CMake with: brew install cmake";
  if (platform === "win32") return "Install CMake, git and the Visual Studio Build Tools (Desktop development with C++).";
  return "Install them, e.g. on Debian or Ubuntu: sudo apt-get install -y cmake g++ make git; on Fedora: sudo dnf install cmake gcc-c++ make git; on Arch: sudo pacman -S cmake gcc make git";
}

/** Runs a build tool to its end. Throws `engine_missing` where the tool is not installed, `failed` with its last lines where it fails. */
export function runTool(command: string, args: readonly string[], signal: AbortSignal, onLine?: (line: string) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], detached: process.platform !== "win32" });
    const tail: string[] = [];
    const stop = (): void => {
      // The tool's own children (compilers) are in its group.
      if (child.pid !== undefined) {
        try {
          process.kill(process.platform === "win32" ? child.pid : -child.pid, "SIGKILL");
        } catch {
          // Ended already.
        }
      }
    };
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop, { once: true });
    let rest = "";
    const take = (chunk: Buffer): void => {
      const lines = (rest + chunk.toString("utf8")).split(/\r?\n/);
      rest = (lines.pop() ?? "").slice(0, LINE_LENGTH_MAX);
      for (const line of lines) {
        tail.push(line.slice(0, LINE_LENGTH_MAX));
        if (tail.length > TAIL_LINES) tail.shift();
        onLine?.(line);
      }
    };
    child.stdout.on("data", take);
    child.stderr.on("data", take);
    child.once("error", (error: NodeJS.ErrnoException) => {
      signal.removeEventListener("abort", stop);
      if (error.code === "ENOENT") reject(new ClusterdError("engine_missing", `${command} is needed to build the engine and was not found.`, { next: installHint(), cause: error }));
      else reject(error);
    });
    child.once("close", (code, ended) => {
      signal.removeEventListener("abort", stop);
      if (code === 0) resolve();
      else if (signal.aborted) reject(new ClusterdError("interrupted", `${command} was interrupted.`));
      else reject(new ClusterdError("failed", `${command} failed (${ended ?? `status ${code}`}):\n${[...tail, rest].join("\n")}`));
    });
  });
}
