import { spawn, type ChildProcess } from "node:child_process";
import { ClusterdError } from "@clusterd/wire";
import { guarded } from "./guard.ts";
import { createLogTail, TAIL_LINES_MAX } from "./log-tail.ts";

/** After SIGTERM: how long a process may take before SIGKILL. */
export const STOP_GRACE_MS = 3_000;

export interface ProcessEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Whether we asked for it. */
  readonly wanted: boolean;
}

export type ProcessState = { readonly kind: "running" } | { readonly kind: "stopping" } | ({ readonly kind: "ended" } & ProcessEnd);

export interface ProcessSpec {
  /** For messages: what this process is. */
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Every complete line of its output. */
  readonly onLine?: (line: string) => void;
  readonly graceMs?: number;
}

/** A child process under guard; disposing of it ends it and all it started. */
export interface SupervisedProcess extends AsyncDisposable {
  readonly pid: number;
  readonly state: ProcessState;
  /** Settles once, when the process has ended, whoever wanted it. */
  readonly ended: Promise<ProcessEnd>;
  readonly logTail: readonly string[];
}

/** Variables a child gets from the daemon's environment; nothing else of it passes. */
const PASSED_VARIABLES: readonly string[] = ["PATH", "HOME", "TMPDIR", "TEMP", "SystemRoot", "LANG", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "GGML_VK_VISIBLE_DEVICES"];

/** Starts a child in a process group of its own. Throws `engine_missing` where the program cannot be run at all. */
export function superviseProcess(spec: ProcessSpec): SupervisedProcess {
  const { command, args } = guarded(spec.command, spec.args);
  const env: Record<string, string> = {};
  for (const name of PASSED_VARIABLES) {
    const value = process.env[name];
    if (value !== undefined) env[name] = value;
  }
  // A crashing engine would start a debugger to print its stack: half a second in which nobody knows it is gone.
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "pipe"], env: { ...env, GGML_NO_BACKTRACE: "1", ...spec.env }, detached: process.platform !== "win32" });
  const { pid } = child;
  if (pid === undefined) throw new ClusterdError("engine_missing", `${spec.name} could not be started (${spec.command}).`);
  let state: ProcessState = { kind: "running" };
  const tail = createLogTail((line) => spec.onLine?.(line));
  child.stdout?.setEncoding("utf8").on("data", (chunk: string) => tail.push(chunk));
  child.stderr?.setEncoding("utf8").on("data", (chunk: string) => tail.push(chunk));
  child.stdin?.on("error", () => undefined);
  const { promise: ended, resolve } = Promise.withResolvers<ProcessEnd>();
  child.once("error", () => end(127, null));
  child.once("exit", end);

  function end(code: number | null, signal: NodeJS.Signals | null): void {
    if (state.kind === "ended") return;
    const wanted = state.kind === "stopping";
    // Closing the pipe ends the watcher, and with it whatever is left of the group.
    child.stdin?.destroy();
    // What the process said last is still in the pipes.
    setImmediate(() => {
      state = { kind: "ended", code, signal, wanted };
      resolve({ code, signal, wanted });
    });
  }

  return {
    pid,
    get state() {
      return state;
    },
    ended,
    get logTail() {
      return tail.lines.slice(-TAIL_LINES_MAX);
    },
    async [Symbol.asyncDispose]() {
      if (state.kind === "running") {
        state = { kind: "stopping" };
        signalGroup(child, pid, "SIGTERM");
        const kill = setTimeout(() => signalGroup(child, pid, "SIGKILL"), spec.graceMs ?? STOP_GRACE_MS);
        await ended;
        clearTimeout(kill);
      } else {
        await ended;
      }
    },
  };
}

function signalGroup(child: ChildProcess, pid: number, signal: NodeJS.Signals): void {
  try {
    if (process.platform === "win32") child.kill(signal);
    else process.kill(-pid, signal);
  } catch {
    // The group is gone already.
  }
}
